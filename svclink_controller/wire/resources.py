"""The kinds of objects that svclink reads: their API paths and decoders."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Final, Generic
from urllib.parse import quote

import msgspec
from attrs import evolve, frozen

from svclink_controller.wire.decoding import (
    decode_link,
    decode_namespace,
    decode_remote_slice,
    decode_secret,
    decode_service,
    decode_slice,
    decode_traffic_policy,
)
from svclink_controller.wire.messages import T, Undecodable
from svclink_controller.wire.written_events import decode_written_event
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.label_selector import Requirement, Selector
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import service_of
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
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
        keeps: Whether an object is kept that the server sent. It says so of the Service that the
            object belongs to. None: all are kept.
    """

    prefix: str
    plural: str
    decode: Callable[[bytes | msgspec.Raw], T]
    label_selector: str = ""
    page_size: int = PAGE_SIZE
    is_skimmed: bool = False
    keeps: Callable[[T | Undecodable], bool] | None = None

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

EVENTS: Final = Resource("/api/v1", "events", decode_written_event)

CLUSTER_LINKS: Final = Resource("/apis/svclink.cloudpilot.ai/v1alpha1", "clusterlinks", decode_link)

TRAFFIC_POLICIES: Final = Resource(
    "/apis/svclink.cloudpilot.ai/v1alpha1", "trafficpolicies", decode_traffic_policy
)


MAX_SELECTOR_CHARACTERS: Final = 6_000
"""A longer selector is not sent: usual proxies accept 8 KiB for the first line of a request."""


def services_selected_by(selector: Selector) -> Resource[Service]:
    """The Services of a remote cluster that a selector selects."""
    return evolve(SERVICES, label_selector=str(selector))


def namespaces_selected_by(selector: Selector) -> Resource[Namespace]:
    """All Namespaces of a remote cluster, marked by whether a selector selects them."""
    return evolve(NAMESPACES, decode=partial(decode_namespace, selector=selector))


def slices_of(
    resource: Resource[EndpointSlice], services: Collection[NamespacedName]
) -> Resource[EndpointSlice]:
    """The EndpointSlices of some Services only.

    They are selected by the names of their Services, not by the labels of these: Kubernetes copies
    labels to the slices that it makes itself, but others make slices without them. If there are
    too many names for a request, all slices are sent, and the others are dropped here.
    """
    names = frozenset(key.name for key in services) or {""}  # No Service has an empty name.
    named = Requirement(LABEL_SERVICE_NAME, frozenset(names))
    text = f"{resource.label_selector},{named}"
    is_sent = len(quote(text)) <= MAX_SELECTOR_CHARACTERS
    return evolve(
        resource,
        label_selector=text if is_sent else resource.label_selector,
        keeps=partial(_belongs_to, services),
    )


def _belongs_to(services: Collection[NamespacedName], each: EndpointSlice | Undecodable) -> bool:
    service = each.service if isinstance(each, Undecodable) else service_of(each)
    return service in services


def reusing(resource: Resource[T], reuse: Callable[[T], T]) -> Resource[T]:
    """The same kind, where each decoded object is replaced by an equal one that is held already."""
    return evolve(resource, decode=lambda content: reuse(resource.decode(content)))


def cluster_links(selector: Selector) -> Resource[ClusterLink]:
    """ClusterLinks. The selector marks those that this controller works on."""
    return evolve(CLUSTER_LINKS, decode=partial(decode_link, selector=selector))
