"""What a test works with: three clusters, the links between them, and a namespace."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.manifests import (
    Manifest,
    cluster_link,
    encoded,
    endpoint,
    endpoint_slice,
    service,
)

from .api_client import Api, ApiError
from .control_planes import Cluster
from .controller_process import Controller
from .polling import TIMEOUT_SECONDS, eventually

# Records a named measurement, which is printed at the end of the run.
RecordMeasure = Callable[[str, float], None]
# Runs kubectl with these arguments in the main cluster, and returns its standard output.
Kubectl = Callable[..., str]


def slice_name(service_name: str) -> str:
    """The name of the slice of a published Service."""
    return f"{service_name}-abc"


def endpoints(*addresses: str) -> list[Manifest]:
    """One ready endpoint for each address."""
    return [endpoint(address) for address in addresses]


def content(item: Manifest) -> Manifest:
    """What svclink writes into an EndpointSlice, except its name."""
    meta = item["metadata"]
    kept = {key: meta.get(key) for key in ("labels", "annotations", "ownerReferences")}
    return kept | {key: item.get(key) for key in ("addressType", "endpoints", "ports")}


class Links:
    """The ClusterLinks of a main cluster."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def add(self, name: str, kubeconfig: str, **spec: Any) -> None:
        self._api.create(cluster_link(name, kubeconfig=encoded(kubeconfig), **spec))

    def edit(self, name: str, **spec: Any) -> None:
        """Set these fields of the spec; None removes a field."""
        self._api.patch("clusterlinks", name, None, {"spec": spec})

    def replace_kubeconfig(self, name: str, kubeconfig: str) -> None:
        self.edit(name, kubeconfig=encoded(kubeconfig))

    def remove(self, name: str) -> None:
        self._api.delete("clusterlinks", name)

    def status(self, name: str) -> Manifest:
        """The status; asserts that it was written for the current spec."""
        link = self._api.get("clusterlinks", name)
        status: Manifest = link.get("status") or {}
        observed = status.get("observedGeneration")
        assert observed == link["metadata"]["generation"], (
            f"the status of {name} belongs to an older spec: {status}"
        )
        return status

    def condition(self, name: str, kind: str = "Ready") -> Manifest:
        """One condition of the status."""
        conditions: list[Manifest] = self.status(name).get("conditions") or []
        of_kind = [condition for condition in conditions if condition["type"] == kind]
        assert of_kind, f"{name} has no condition {kind}: {conditions}"
        return of_kind[0]

    def await_condition(
        self,
        name: str,
        status: str,
        reason: str,
        *,
        kind: str = "Ready",
        timeout: float = TIMEOUT_SECONDS,
    ) -> Manifest:
        """Wait until a condition has this status and reason, and return it."""

        def check() -> Manifest:
            condition = self.condition(name, kind)
            actual = (condition["status"], condition["reason"])
            assert actual == (status, reason), f"{kind} of {name} is {condition}"
            return condition

        return eventually(check, timeout)

    def await_ready(self, *names: str) -> None:
        for name in names:
            self.await_condition(name, "True", "ClusterReady")

    def await_event(self, name: str, reason: str) -> None:
        """Wait until there is an Event with this reason, which is written after the status."""
        uid = self._api.get("clusterlinks", name)["metadata"]["uid"]
        selector = f"involvedObject.uid={uid},reason={reason}"
        path = f"/api/v1/namespaces/default/events?fieldSelector={selector}"

        def check() -> None:
            assert self._api.request("GET", path)["items"], f"{name} has no Event {reason}"

        eventually(check)


@dataclass(repr=False)
class World:
    """The clusters, and their objects in the namespace of the test."""

    main: Cluster
    c1: Cluster
    c2: Cluster
    namespace: str
    controller: Controller
    links: Links
    _clean_ups: list[Callable[[], None]] = field(default_factory=list)

    # Create and change

    def link(self, *clusters: Cluster) -> None:
        """Link these remotes under their own names, and wait until the links are Ready."""
        for cluster in clusters:
            self.links.add(cluster.name, cluster.remote_kubeconfig())
        self.links.await_ready(*(cluster.name for cluster in clusters))

    def create(self, cluster: Cluster, obj: Manifest) -> Manifest:
        """Create an object that is deleted with the namespace or at the end of the test."""
        created = cluster.api.create(obj)
        meta = created["metadata"]
        if meta.get("namespace") != self.namespace:
            resource = {"Service": "services", "EndpointSlice": "endpointslices"}[obj["kind"]]
            self._clean_ups.append(
                lambda: cluster.api.delete(resource, meta["name"], meta["namespace"])
            )
        return created

    def delete_at_end(self, resource: str, name: str, namespace: str) -> None:
        """Delete an object of the main cluster at the end of the test."""
        self._clean_ups.append(lambda: self.main.api.delete(resource, name, namespace))

    def declare(self, name: str, **spec: Any) -> Manifest:
        """Create a Service with these fields of its spec in the main cluster."""
        return self.create(self.main, service(f"{self.namespace}/{name}", **spec))

    def publish(self, cluster: Cluster, name: str, *addresses: str) -> None:
        """Create a Service in a remote, with one EndpointSlice that has these addresses."""
        self.create(cluster, service(f"{self.namespace}/{name}"))
        self.create(cluster, endpoint_slice(None, *addresses, key=f"{self.namespace}/{name}"))

    def publish_many(
        self, cluster: Cluster, name: str, *, slices: int, endpoints_each: int
    ) -> dict[str, list[str]]:
        """Create a Service with many slices in a remote, and return the addresses by slice name."""
        self.create(cluster, service(f"{self.namespace}/{name}"))
        addresses = {}
        for i in range(slices):
            part = f"{name}-{i:02}"
            addresses[part] = [f"10.1.{i}.{j + 1}" for j in range(endpoints_each)]
            self.create(
                cluster,
                endpoint_slice(part, *addresses[part], key=f"{self.namespace}/{name}"),
            )
        return addresses

    def set_addresses(self, cluster: Cluster, service_name: str, *addresses: str) -> None:
        """Replace the addresses in the slice of a published Service."""
        self.set_endpoints(cluster, slice_name(service_name), endpoints(*addresses))

    def set_endpoints(self, cluster: Cluster, name: str, members: Sequence[Manifest]) -> None:
        """Replace the endpoints of an EndpointSlice of a remote."""
        cluster.api.patch("endpointslices", name, self.namespace, {"endpoints": list(members)})

    def withdraw(self, cluster: Cluster, service_name: str) -> None:
        """Delete a published Service and its slice."""
        cluster.api.delete("endpointslices", slice_name(service_name), self.namespace)
        cluster.api.delete("services", service_name, self.namespace)

    # Read and assert

    def mirrors(
        self, service_name: str | None = None, cluster: str | None = None
    ) -> dict[str, Manifest]:
        """The mirrored EndpointSlices in the namespace, by name."""
        labels = {LABEL_MANAGED_BY: MANAGED_BY}
        if service_name is not None:
            labels[LABEL_SERVICE_NAME] = service_name
        if cluster is not None:
            labels[LABEL_CLUSTER] = cluster
        return {
            item["metadata"]["name"]: item
            for item in self.main.api.find("endpointslices", self.namespace, labels)
            if LABEL_CLUSTER in item["metadata"]["labels"]
        }

    def mirror(self, name: str) -> Manifest:
        """The mirrored EndpointSlice with this name."""
        mirrors = self.mirrors()
        assert name in mirrors, f"{name} is not among the mirrors {sorted(mirrors)}"
        return mirrors[name]

    def addresses(self, service_name: str) -> dict[str, list[str]]:
        """The mirrored addresses of a Service by cluster, sorted."""
        by_cluster: defaultdict[str, list[str]] = defaultdict(list)
        for item in self.mirrors(service_name).values():
            for member in item["endpoints"] or ():
                by_cluster[item["metadata"]["labels"][LABEL_CLUSTER]] += member["addresses"]
        return {cluster: sorted(addresses) for cluster, addresses in by_cluster.items()}

    def assert_mirrored(self, service_name: str, **expected: Sequence[str]) -> None:
        """Assert that exactly these addresses are mirrored for a Service, by cluster."""
        wanted = {cluster: sorted(addresses) for cluster, addresses in expected.items()}
        actual = self.addresses(service_name)
        assert actual == wanted, f"mirrored for {service_name}: {actual}, expected: {wanted}"

    def by_source(self, service_name: str) -> dict[str, list[str]]:
        """The mirrored addresses of a Service by the name of the source slice, sorted."""
        return {
            item["metadata"]["annotations"][ANNOTATION_SOURCE_SLICE]: sorted(
                address for member in item["endpoints"] or () for address in member["addresses"]
            )
            for item in self.mirrors(service_name).values()
        }

    def assert_mirrored_by_source(
        self, service_name: str, expected: Mapping[str, Sequence[str]]
    ) -> None:
        """Assert that exactly these source slices are mirrored, each with exactly its addresses."""
        found = self.by_source(service_name)
        # pytest needs half a minute to describe how two thousand addresses differ.
        assert found.keys() == expected.keys()
        assert [name for name in found if found[name] != sorted(expected[name])] == []

    def await_mirrored(self, service_name: str, **expected: Sequence[str]) -> None:
        eventually(lambda: self.assert_mirrored(service_name, **expected))

    def versions(
        self, service_name: str | None = None, cluster: str | None = None
    ) -> dict[str, tuple[str, str]]:
        """Uid and resourceVersion of each mirror; they stay equal if nothing writes to it."""
        metas = (item["metadata"] for item in self.mirrors(service_name, cluster).values())
        return {meta["name"]: (meta["uid"], meta["resourceVersion"]) for meta in metas}

    # Clean up

    def clean_up(self) -> None:
        """Delete the objects of the test; with its last link, every mirror must be deleted."""
        for clean_up in self._clean_ups:
            with contextlib.suppress(ApiError):
                clean_up()
        for link in self.main.api.find("clusterlinks"):
            self.links.remove(link["metadata"]["name"])
        try:
            self._wait_until_nothing_is_mirrored()
        finally:
            # Only svclink cleanup removes what is not svclink's for certain.
            for item in self._slices_that_name_svclink():
                metadata = item["metadata"]
                self.main.api.delete("endpointslices", metadata["name"], metadata["namespace"])

    def _wait_until_nothing_is_mirrored(self) -> None:
        if not self._mirrors_everywhere():
            return
        if not self.controller.running:
            self.controller.start()
        eventually(self._assert_no_mirrors)

    def _slices_that_name_svclink(self) -> list[Manifest]:
        return self.main.api.find("endpointslices", None, {LABEL_MANAGED_BY: MANAGED_BY})

    def _mirrors_everywhere(self) -> list[str]:
        """The names of all slices that are svclink's, without leftovers and unclear ones."""
        return [
            item["metadata"]["name"]
            for item in self._slices_that_name_svclink()
            if LABEL_CLUSTER in item["metadata"]["labels"]
            and LABEL_GO_CLUSTER not in item["metadata"]["labels"]
        ]

    def _assert_no_mirrors(self) -> None:
        left = self._mirrors_everywhere()
        assert not left, f"still mirrored without a link: {left}"
