"""The kinds of objects that svclink reads: their API paths and decoders."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Generic, TypeVar

import msgspec
from attrs import evolve, frozen

from svclink_controller.wire.decoding import (
    Secret,
    decode_link,
    decode_namespace,
    decode_remote_slice,
    decode_secret,
    decode_service,
    decode_slice,
    decode_traffic_policy,
)
from svclink_controller.wire.label_selector import LabelSelector
from svclink_core.api_server_calls import ApiServerCaller
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)

T = TypeVar(
    "T", Service, Namespace, EndpointSlice, ClusterLink, TrafficPolicy, Secret, ApiServerCaller
)

PAGE_SIZE: Final = 250


@frozen
class Resource(Generic[T]):
    """One kind of object.

    Args:
        prefix: The path before `/namespaces/...`.
        plural: The last part of the path.
        decode: Decodes one object.
        label_selector: Selects the objects that the server sends; empty means all.
        page_size: How many objects a page of a list has.
        is_skimmed: Whether only a few fields are decoded, so that an object of any size takes
            little.
    """

    prefix: str
    plural: str
    decode: Callable[[bytes | msgspec.Raw], T]
    label_selector: str = ""
    page_size: int = PAGE_SIZE
    is_skimmed: bool = False

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of a collection, in one namespace or in all (empty), or of one object."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{name}" if name else "")


SERVICES: Final = Resource("/api/v1", "services", decode_service)

NAMESPACES: Final = Resource("/api/v1", "namespaces", decode_namespace)

REMOTE_ENDPOINT_SLICES: Final = Resource(
    "/apis/discovery.k8s.io/v1",
    "endpointslices",
    decode_remote_slice,
    f"{LABEL_SERVICE_NAME},{LABEL_MANAGED_BY}!={MANAGED_BY},!{LABEL_CLUSTER},!{LABEL_GO_CLUSTER},!{LABEL_MCS_SOURCE_CLUSTER}",
)
"""EndpointSlices of remote clusters, except mirrors and slices without a Service."""

ENDPOINT_SLICES: Final = Resource("/apis/discovery.k8s.io/v1", "endpointslices", decode_slice)

SECRETS: Final = Resource("/api/v1", "secrets", decode_secret)

CLUSTER_LINKS: Final = Resource("/apis/svclink.cloudpilot.ai/v1alpha1", "clusterlinks", decode_link)

TRAFFIC_POLICIES: Final = Resource(
    "/apis/svclink.cloudpilot.ai/v1alpha1", "trafficpolicies", decode_traffic_policy
)


def reusing(resource: Resource[T], reuse: Callable[[T], T]) -> Resource[T]:
    """The same kind, where each decoded object is replaced by an equal one that is held already."""
    return evolve(resource, decode=lambda content: reuse(resource.decode(content)))


def cluster_links(selector: LabelSelector) -> Resource[ClusterLink]:
    """ClusterLinks. The selector marks those that this controller works on."""
    return evolve(CLUSTER_LINKS, decode=partial(decode_link, selector=selector))
