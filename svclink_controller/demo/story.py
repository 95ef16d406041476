"""The story that `svclink demo` tells: each step is done, waited for, and verified in the main cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from attrs import define, field

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

STEP_SECONDS: Final = 30.0
"""How long a step may take before the demo gives up."""
NAMESPACE: Final = "shop"
SERVICE: Final = "web"
SERVICES_PATH: Final = f"/api/v1/namespaces/{NAMESPACE}/services"
SLICES: Final = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"
SLICE: Final = f"{SERVICE}-7xk2p"
A, B = REMOTES

LOCAL_PODS: Final = {"10.0.0.11": True}
OF_A: Final = {"10.1.0.11": True, "10.1.0.12": True}
OF_B: Final = {"10.2.0.11": True, "10.2.0.12": True}


@define
class Story:
    """Tells what svclink does in a fleet. `seen` is what main showed at the last look."""

    fleet: Fleet
    narrator: Narrator
    step_seconds: float = STEP_SECONDS
    seen: dict[str, dict[str, bool]] = field(factory=dict)

    async def tell(self) -> None:
        """The whole story.

        Raises:
            DemoError: The state of the main cluster does not follow.
        """
        await self._publish()
        await self._link()
        await self._fail_a_probe()
        await self._cut_off_and_return()
        await self._disable_and_enable()
        await self._delete_a_link()

    async def restore(self) -> None:
        """Link what the story has unlinked."""
        await self.fleet.clients[MAIN_CONTEXT].post(LINKS, await self.fleet.export_link(A))
        await self._await_phase(A, "Ready")

    # Chapters

    async def _publish(self) -> None:
        await self.narrator.chapter(
            f"The Service {NAMESPACE}/{SERVICE} is in all three. In main it has one Pod."
        )
        await install_definitions(self.fleet.clients[MAIN_CONTEXT])
        pods = {MAIN_CONTEXT: LOCAL_PODS, A: OF_A, B: OF_B}
        await asyncio.gather(*(self._create(name, addresses) for name, addresses in pods.items()))
        await self._expect("the endpoints of main are its own", {MAIN_CONTEXT: LOCAL_PODS})

    async def _link(self) -> None:
        await self.narrator.chapter(
            "svclink starts. Each remote cluster hands out a read-only kubeconfig, which becomes a ClusterLink in main."
        )
        self.fleet.svclink.start()
        with self.narrator.waiting("svclink export-kubeconfig"):
            links = await asyncio.gather(*(self.fleet.export_link(name) for name in REMOTES))
        for link in links:
            await self.fleet.clients[MAIN_CONTEXT].post(LINKS, link)
        await self._expect(
            "the Service in main has the Pods of all three",
            {MAIN_CONTEXT: LOCAL_PODS, A: OF_A, B: OF_B},
        )
        await asyncio.gather(*(self._await_phase(name, "Ready") for name in REMOTES))

    async def _fail_a_probe(self) -> None:
        await self.narrator.chapter("A Pod of cluster-a fails its probe.")
        sick = OF_A | {"10.1.0.12": False}
        await self._set(A, sick)
        await self._expect(
            "it is not ready in main either", {MAIN_CONTEXT: LOCAL_PODS, A: sick, B: OF_B}
        )

    async def _cut_off_and_return(self) -> None:
        await self.narrator.chapter("cluster-b is cut off: its API server is killed.")
        self.fleet.cut_off(B)
        seconds = await self._await_phase(B, "NotReady")
        self.narrator.done("its link says so: NotReady, Unreachable", seconds)
        await self._set(A, OF_A)
        await self._expect(
            "cluster-a goes on, its Pod is ready again",
            {MAIN_CONTEXT: LOCAL_PODS, A: OF_A, B: OF_B},
        )
        self.narrator.holds("the endpoints of cluster-b stayed: not known is not gone")

        await self.narrator.chapter("cluster-b comes back, with one Pod less.")
        await self.fleet.bring_back(B)
        fewer = {"10.2.0.11": True}
        await self._set(B, fewer)
        await self._expect("main has caught up", {MAIN_CONTEXT: LOCAL_PODS, A: OF_A, B: fewer})
        await self._await_phase(B, "Ready")

    async def _disable_and_enable(self) -> None:
        await self.narrator.chapter(
            "The link to cluster-a is disabled. Then both remote clusters get a Pod more."
        )
        await self._edit_link(A, enabled=False)
        await self._await_phase(A, "Disabled")
        more_of_a, more_of_b = OF_A | {"10.1.0.13": True}, OF_B | {"10.2.0.13": True}
        await self._set(A, more_of_a)
        await self._set(B, more_of_b)
        await self._expect(
            "that of cluster-b is there, cluster-a is frozen",
            {MAIN_CONTEXT: LOCAL_PODS, A: OF_A, B: more_of_b},
        )

        await self.narrator.chapter("The link is enabled again.")
        await self._edit_link(A, enabled=True)
        await self._expect(
            "cluster-a has caught up", {MAIN_CONTEXT: LOCAL_PODS, A: more_of_a, B: more_of_b}
        )

    async def _delete_a_link(self) -> None:
        await self.narrator.chapter("The link to cluster-a is deleted.")
        of_b = self.seen[B]
        await self.fleet.clients[MAIN_CONTEXT].delete(f"{LINKS}/{A}", {})
        await self._expect(
            "its endpoints are gone, the others are untouched", {MAIN_CONTEXT: LOCAL_PODS, B: of_b}
        )

    # Doing

    async def _create(self, cluster: str, addresses: dict[str, bool]) -> None:
        """A namespace, a Service, and the slice that the endpointslice controller would write for its Pods."""
        client = self.fleet.clients[cluster]
        await client.post("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        ports = [{"name": "http", "port": 80, "targetPort": 8080}]
        service: JsonObject = {"metadata": {"name": SERVICE}, "spec": {"ports": ports}}
        await client.post(SERVICES_PATH, service)
        labels = {LABEL_SERVICE_NAME: SERVICE, LABEL_MANAGED_BY: "endpointslice-controller.k8s.io"}
        endpoint_slice: JsonObject = {
            "metadata": {"name": SLICE, "labels": labels},
            "addressType": "IPv4",
            "endpoints": endpoints_of(addresses),
            "ports": [{"name": "http", "port": 8080}],
        }
        await client.post(SLICES, endpoint_slice)

    async def _set(self, cluster: str, addresses: dict[str, bool]) -> None:
        """The Pods of a cluster are these now."""
        change: JsonObject = {"endpoints": endpoints_of(addresses)}
        await self.fleet.clients[cluster].merge_patch(f"{SLICES}/{SLICE}", change)

    async def _edit_link(self, name: str, *, enabled: bool) -> None:
        await self.fleet.clients[MAIN_CONTEXT].merge_patch(
            f"{LINKS}/{name}", {"spec": {"enabled": enabled}}
        )

    # Verifying

    async def _expect(self, what: str, expected: Endpoints) -> None:
        """Wait until the Service in main has exactly these endpoints, and show them."""
        before = self.seen

        async def look() -> Endpoints:
            self.seen = await self._look()
            return self.seen

        with self.narrator.waiting(what):
            seconds = await self._await(what, expected, look)
        self.narrator.endpoints(self.seen, before)
        self.narrator.done(what, seconds)

    async def _await_phase(self, link: str, phase: str) -> float:
        async def look() -> str:
            found = msgspec.json.decode(
                await self.fleet.clients[MAIN_CONTEXT].get(f"{LINKS}/{link}"), type=JsonObject
            )
            return str(found.get("status", {}).get("phase"))

        with self.narrator.waiting(f"{link} becomes {phase}"):
            return await self._await(f"the link to {link} is {phase}", phase, look)

    async def _await(self, what: str, expected: T, look: Callable[[], Awaitable[T]]) -> float:
        """Look until it is as expected; returns how long that took."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while (seen := await self._patiently(look)) != expected:
            if not self.fleet.svclink.running and self.fleet.svclink.log.exists():
                raise DemoError(f"svclink ended by itself:\n{self.fleet.svclink.tail()}")
            if loop.time() - started > self.step_seconds:
                log = self.fleet.svclink.tail()
                raise DemoError(
                    f"not so after {self.step_seconds:.0f} s: {what}. Expected {expected}, there is {seen}. "
                    f"The end of svclink's log:\n{log}"
                )
            await asyncio.sleep(0.01)
        return loop.time() - started

    async def _patiently(self, look: Callable[[], Awaitable[T]]) -> T | None:
        try:
            return await look()
        except (ApiError, TransportError):
            return None

    async def _look(self) -> dict[str, dict[str, bool]]:
        """The endpoints of the Service in main, by the cluster they are of."""
        selected = {"labelSelector": f"{LABEL_SERVICE_NAME}={SERVICE}"}
        listed = msgspec.json.decode(
            await self.fleet.clients[MAIN_CONTEXT].get(SLICES, selected), type=JsonObject
        )
        found: dict[str, dict[str, bool]] = {}
        for item in listed["items"]:
            cluster = item["metadata"]["labels"].get(LABEL_CLUSTER, MAIN_CONTEXT)
            for endpoint in item["endpoints"] or ():
                found.setdefault(cluster, {})[endpoint["addresses"][0]] = endpoint[
                    "conditions"
                ].get("ready", True)
        return found


def endpoints_of(addresses: dict[str, bool]) -> list[JsonObject]:
    """Pods, ready or not, as an EndpointSlice has them."""
    return [
        {
            "addresses": [address],
            "conditions": {"ready": is_ready, "serving": is_ready, "terminating": False},
        }
        for address, is_ready in addresses.items()
    ]
