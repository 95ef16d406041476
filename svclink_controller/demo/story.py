"""The story of `svclink demo`: change a cluster, then wait until main shows the result."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.demo.apiserver.status_errors import JsonObject
from svclink_controller.demo.fleet import (
    LINKS,
    MAIN_CONTEXT,
    REMOTES,
    DemoError,
    Fleet,
    install_definitions,
)
from svclink_controller.demo.narrator import Endpoints, Narrator
from svclink_core.well_known import LABEL_CLUSTER, LABEL_MANAGED_BY, LABEL_SERVICE_NAME

T = TypeVar("T")

STEP_SECONDS: Final = 60.0
"""How long a step may take before the demo gives up."""
NAMESPACE: Final = "shop"
SERVICE: Final = "web"
SERVICES_PATH: Final = f"/api/v1/namespaces/{NAMESPACE}/services"
SLICES_PATH: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
POLICIES_PATH: Final = (
    f"/apis/svclink.cloudpilot.ai/v1alpha1/namespaces/{NAMESPACE}/trafficpolicies"
)
SLICE_NAME: Final = f"{SERVICE}-7xk2p"
CLUSTER_A, CLUSTER_B = REMOTES

MAIN_PODS: Final = {"10.0.0.11": True}
PODS_OF_A: Final = {"10.1.0.11": True, "10.1.0.12": True}
MORE_PODS_OF_A: Final = PODS_OF_A | {"10.1.0.13": True}
PODS_OF_B: Final = {"10.2.0.11": True, "10.2.0.12": True}
"""Addresses of Pods, and whether each is ready."""


@define
class Story:
    """Show in a fleet what svclink does.

    Args:
        step_seconds: How long a step may take before the demo gives up.
        shown: The endpoints of the Service in main, as last printed.
    """

    fleet: Fleet
    narrator: Narrator
    step_seconds: float = STEP_SECONDS
    shown: Endpoints = field(factory=dict)

    async def play(self) -> None:
        """Play the whole story.

        Raises:
            DemoError: The main cluster did not reach the expected state in time.
        """
        await self._create_services()
        await self._link_clusters()
        await self._fail_a_probe()
        await self._lose_a_cluster()
        await self._recover_the_cluster()
        await self._disable_a_link()
        await self._start_a_canary()
        await self._fail_over()
        await self._delete_a_link()

    async def restore(self) -> None:
        """Create the deleted link again, so that both remote clusters are linked."""
        await self.narrator.chapter("The link to cluster-a is created again.")
        await self._main.post(LINKS, await self.fleet.export_link(CLUSTER_A))
        await self._expect(
            "main adds the Pods in cluster-a", {**self.shown, CLUSTER_A: MORE_PODS_OF_A}
        )
        await self._await_phase(CLUSTER_A, "Ready")

    @property
    def _main(self) -> Client:
        return self.fleet.clients[MAIN_CONTEXT]

    # Chapters

    async def _create_services(self) -> None:
        await self.narrator.chapter(
            f"The Service {NAMESPACE}/{SERVICE} exists in all three clusters. "
            "In main it has one Pod."
        )
        await install_definitions(self._main)
        pods = {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: PODS_OF_A, CLUSTER_B: PODS_OF_B}
        await asyncio.gather(*(self._create(name, addresses) for name, addresses in pods.items()))
        await self._expect("the Service in main has only its own Pod", {MAIN_CONTEXT: MAIN_PODS})

    async def _link_clusters(self) -> None:
        await self.narrator.chapter(
            "svclink starts. Each remote cluster issues a read-only kubeconfig, "
            "which is stored in a ClusterLink in main."
        )
        self.fleet.svclink.start()
        with self.narrator.waiting("svclink export-kubeconfig"):
            links = await asyncio.gather(*(self.fleet.export_link(name) for name in REMOTES))
        for link in links:
            await self._main.post(LINKS, link)
        await self._expect(
            "the Service in main has the Pods of all three clusters",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: PODS_OF_A, CLUSTER_B: PODS_OF_B},
        )
        await asyncio.gather(*(self._await_phase(name, "Ready") for name in REMOTES))

    async def _fail_a_probe(self) -> None:
        await self.narrator.chapter("A Pod in cluster-a fails its readiness probe.")
        one_not_ready = PODS_OF_A | {"10.1.0.12": False}
        await self._set_pods(CLUSTER_A, one_not_ready)
        await self._expect(
            "main shows it as not ready",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: one_not_ready, CLUSTER_B: PODS_OF_B},
        )

    async def _lose_a_cluster(self) -> None:
        await self.narrator.chapter("The API server of cluster-b is killed.")
        self.fleet.kill_api_server(CLUSTER_B)
        seconds = await self._await_phase(CLUSTER_B, "NotReady")
        self.narrator.verified("the link to cluster-b becomes NotReady", seconds)
        await self._set_pods(CLUSTER_A, PODS_OF_A)
        await self._expect(
            "cluster-a is not affected: its Pod is ready again",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: PODS_OF_A, CLUSTER_B: PODS_OF_B},
        )
        self.narrator.verified(
            "main keeps the endpoints of cluster-b: its Pods may still be running"
        )

    async def _recover_the_cluster(self) -> None:
        await self.narrator.chapter(
            "The API server of cluster-b starts again, and the cluster loses a Pod."
        )
        await self.fleet.start_api_server(CLUSTER_B)
        fewer = {"10.2.0.11": True}
        await self._set_pods(CLUSTER_B, fewer)
        await self._expect(
            "main removes that Pod's endpoint",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: PODS_OF_A, CLUSTER_B: fewer},
        )
        await self._await_phase(CLUSTER_B, "Ready")

    async def _disable_a_link(self) -> None:
        await self.narrator.chapter(
            "The link to cluster-a is disabled. Then each remote cluster gets another Pod."
        )
        await self._edit_link(CLUSTER_A, enabled=False)
        await self._await_phase(CLUSTER_A, "Disabled")
        more_of_b = PODS_OF_B | {"10.2.0.13": True}
        await self._set_pods(CLUSTER_A, MORE_PODS_OF_A)
        await self._set_pods(CLUSTER_B, more_of_b)
        await self._expect(
            "main adds the new endpoint of cluster-b and leaves cluster-a as it was",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: PODS_OF_A, CLUSTER_B: more_of_b},
        )

        await self.narrator.chapter("The link to cluster-a is enabled again.")
        await self._edit_link(CLUSTER_A, enabled=True)
        await self._expect(
            "main adds the new endpoint of cluster-a",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: MORE_PODS_OF_A, CLUSTER_B: more_of_b},
        )

    async def _start_a_canary(self) -> None:
        await self.narrator.chapter(
            "A TrafficPolicy gives cluster-a 20% of new connections: a canary."
        )
        target: JsonObject = {"kind": "Service", "name": SERVICE}
        clusters = [{"name": CLUSTER_A, "share": 20}]
        policy: JsonObject = {
            "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
            "kind": "TrafficPolicy",
            "metadata": {"name": SERVICE},
            "spec": {"targetRef": target, "recoverySeconds": 0, "clusters": clusters},
        }
        await self._main.post(POLICIES_PATH, policy)
        canary = {"10.1.0.11": True, "10.1.0.12": None, "10.1.0.13": None}
        await self._expect(
            "one of the five endpoints in use is in cluster-a,"
            " and the other endpoints in cluster-a are on standby",
            {**self.shown, CLUSTER_A: canary},
        )

    async def _fail_over(self) -> None:
        await self.narrator.chapter("Now cluster-b is for failover only.")
        standby = dict.fromkeys(self.shown[CLUSTER_B])
        pods = dict.fromkeys(self.shown[CLUSTER_A], True)
        spec: JsonObject = {"clusters": [{"name": CLUSTER_B, "tier": 1}]}
        await self._main.merge_patch(f"{POLICIES_PATH}/{SERVICE}", {"spec": spec})
        await self._expect(
            "cluster-b is on standby",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: pods, CLUSTER_B: standby},
        )

        await self.narrator.chapter("All Pods in main and cluster-a fail their readiness probes.")
        lost = {name: dict.fromkeys(self.shown[name], False) for name in (MAIN_CONTEXT, CLUSTER_A)}
        for name, addresses in lost.items():
            await self._set_pods(name, addresses)
        pods_of_b = dict.fromkeys(standby, True)
        await self._expect("cluster-b is in use", {**lost, CLUSTER_B: pods_of_b})

        await self.narrator.chapter("All Pods are ready again, and the TrafficPolicy is deleted.")
        await self._main.delete(f"{POLICIES_PATH}/{SERVICE}", {})
        await self._set_pods(MAIN_CONTEXT, MAIN_PODS)
        await self._set_pods(CLUSTER_A, pods)
        await self._expect(
            "all endpoints get an equal share",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_A: pods, CLUSTER_B: pods_of_b},
        )

    async def _delete_a_link(self) -> None:
        await self.narrator.chapter("The link to cluster-a is deleted.")
        pods_of_b = self.shown[CLUSTER_B]
        await self._main.delete(f"{LINKS}/{CLUSTER_A}", {})
        await self._expect(
            "main removes the endpoints of cluster-a and keeps the others",
            {MAIN_CONTEXT: MAIN_PODS, CLUSTER_B: pods_of_b},
        )

    # Changing a cluster

    async def _create(self, cluster: str, addresses: dict[str, bool]) -> None:
        """Create the Service, and the slice that the EndpointSlice controller would write."""
        client = self.fleet.clients[cluster]
        await client.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        service: JsonObject = {"metadata": {"name": SERVICE}, "spec": {"ports": ports}}
        await client.post(SERVICES_PATH, service)
        labels = {LABEL_SERVICE_NAME: SERVICE, LABEL_MANAGED_BY: "endpointslice-controller.k8s.io"}
        endpoint_slice: JsonObject = {
            "metadata": {"name": SLICE_NAME, "labels": labels},
            "addressType": "IPv4",
            "endpoints": endpoints_of(addresses),
            "ports": [{"name": "http", "port": 8080}],
        }
        await client.post(SLICES_PATH, endpoint_slice)

    async def _set_pods(self, cluster: str, addresses: dict[str, bool]) -> None:
        change: JsonObject = {"endpoints": endpoints_of(addresses)}
        await self.fleet.clients[cluster].merge_patch(f"{SLICES_PATH}/{SLICE_NAME}", change)

    async def _edit_link(self, name: str, *, enabled: bool) -> None:
        await self._main.merge_patch(f"{LINKS}/{name}", {"spec": {"enabled": enabled}})

    # Verifying the main cluster

    async def _expect(self, fact: str, expected: Endpoints) -> None:
        """Wait until the Service in main has exactly these endpoints, then print them."""
        with self.narrator.waiting(fact):
            seconds = await self._wait_until(fact, expected, self._endpoints_in_main)
        self.narrator.endpoints(expected, self.shown)
        self.narrator.verified(fact, seconds)
        self.shown = expected

    async def _await_phase(self, link: str, phase: str) -> float:
        async def read_phase() -> str:
            content = await self._main.get(f"{LINKS}/{link}")
            found = msgspec.json.decode(content, type=JsonObject)
            return str(found.get("status", {}).get("phase"))

        with self.narrator.waiting(f"{link} becomes {phase}"):
            return await self._wait_until(f"the link to {link} is {phase}", phase, read_phase)

    async def _wait_until(self, fact: str, expected: T, read: Callable[[], Awaitable[T]]) -> float:
        """Poll main until it holds the expected value; returns the seconds this took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while (actual := await _unless_request_fails(read)) != expected:
            svclink = self.fleet.svclink
            if svclink.log.exists() and not svclink.running:
                raise DemoError(f"svclink exited:\n{svclink.tail()}")
            if loop.time() - started > self.step_seconds:
                raise DemoError(
                    f"timed out after {self.step_seconds:.0f} s, waiting until {fact}: "
                    f"expected {expected}, got {actual}. svclink's log ends with:\n{svclink.tail()}"
                )
            await asyncio.sleep(0.01)
        return loop.time() - started

    async def _endpoints_in_main(self) -> Endpoints:
        selected = {"labelSelector": f"{LABEL_SERVICE_NAME}={SERVICE}"}
        content = await self._main.get(SLICES_PATH, selected)
        found: dict[str, dict[str, bool | None]] = {}
        for item in msgspec.json.decode(content, type=JsonObject)["items"]:
            cluster = item["metadata"]["labels"].get(LABEL_CLUSTER, MAIN_CONTEXT)
            for endpoint in item["endpoints"] or ():
                found.setdefault(cluster, {})[endpoint["addresses"][0]] = _readiness(endpoint)
        return found


def _readiness(endpoint: JsonObject) -> bool | None:
    """Whether an endpoint is ready; None for a standby, which kube-proxy uses if none is ready."""
    conditions = endpoint["conditions"]
    if conditions.get("ready") is not False:
        return True
    return None if conditions.get("serving") and conditions.get("terminating") else False


async def _unless_request_fails(read: Callable[[], Awaitable[T]]) -> T | None:
    try:
        return await read()
    except (ApiError, TransportError):
        return None


def endpoints_of(addresses: dict[str, bool]) -> list[JsonObject]:
    """Return the endpoints of an EndpointSlice for these addresses, ready or not."""
    return [
        {
            "addresses": [address],
            "conditions": {"ready": is_ready, "serving": is_ready, "terminating": False},
        }
        for address, is_ready in addresses.items()
    ]
