"""Builders of the core's values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    ClusterTraffic,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    Namespace,
    NamespacedName,
    ObjectMeta,
    ObjectReference,
    Options,
    OwnerReference,
    RemoteCluster,
    Service,
    ServicePort,
    ServiceSpec,
    Snapshot,
    TrafficPolicy,
    TrafficPolicySpec,
    TrafficPolicyStatus,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.meta_v1 import Labels
from svclink_core.snapshot import Connection
from svclink_core.traffic_policy_v1alpha1 import TargetReference
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.keys import WEB, Key, key_of

HTTP: Final = ServicePort(80, "http")
HTTP_8080: Final = EndpointPort("http", port=8080)
READY: Final = EndpointConditions(ready=True, serving=True, terminating=False)
NOT_READY: Final = EndpointConditions(ready=False, serving=False, terminating=False)

_LINK_SPEC: Final = ClusterLinkSpec()
_LINK_STATUS: Final = ClusterLinkStatus()
_POLICY_STATUS: Final = TrafficPolicyStatus()
_OPTIONS: Final = Options()


def service(
    key: Key = WEB,
    *,
    uid: str | None = None,
    version: str = "1",
    ports: tuple[ServicePort, ...] = (HTTP,),
    ip_families: tuple[str, ...] = ("IPv4", "IPv6"),
    service_type: str = "ClusterIP",
    cluster_ip: str = "10.96.0.1",
    traffic_distribution: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    deleted_at: str | None = None,
) -> Service:
    """A Service that can be mirrored. Its uid is `uid-of-NAME` by default."""
    key = key_of(key)
    metadata = ObjectMeta(
        key.name,
        key.namespace,
        f"uid-of-{key.name}" if uid is None else uid,
        version,
        deletion_timestamp=deleted_at,
        labels=_pairs(labels),
        annotations=_pairs(annotations),
    )
    spec = ServiceSpec(service_type, cluster_ip, ip_families, ports, traffic_distribution)
    return Service(metadata, spec)


def namespace(name: str = "default", *, deleted_at: str | None = None) -> Namespace:
    """A Namespace."""
    return Namespace(ObjectMeta(name, uid=f"uid-of-{name}", deletion_timestamp=deleted_at))


def endpoint(
    *addresses: str,
    conditions: EndpointConditions = READY,
    zone: str | None = None,
    hints: EndpointHints | None = None,
    hostname: str | None = None,
    node_name: str | None = None,
    target_ref: ObjectReference | None = None,
) -> Endpoint:
    """A ready endpoint with address 10.0.0.1."""
    return Endpoint(
        addresses or ("10.0.0.1",), conditions, zone, hints, hostname, node_name, target_ref
    )


def remote_slice(
    name: str | None = None,
    *addresses: str,
    key: Key = WEB,
    endpoints: Iterable[Endpoint] | None = None,
    ports: tuple[EndpointPort, ...] = (HTTP_8080,),
    address_type: str = "IPv4",
    labels: Mapping[str, str] | None = None,
    version: str = "1",
) -> EndpointSlice:
    """The EndpointSlice SERVICE-abc of a remote cluster, as Kubernetes' own controller writes it.

    It has a ready endpoint for each address, or the endpoints given.
    """
    key = key_of(key)
    name = name or f"{key.name}-abc"
    all_labels = {
        LABEL_MANAGED_BY: "endpointslice-controller.k8s.io",
        LABEL_SERVICE_NAME: key.name,
        **(labels or {}),
    }
    metadata = _slice_metadata(name, key, all_labels, version)
    return _slice(metadata, addresses, endpoints, ports, address_type)


def mirrored_slice(
    name: str | None = None,
    *addresses: str,
    key: Key = WEB,
    cluster: str = "c1",
    source: str | None = "",
    owner_uid: str | None = "",
    endpoints: Iterable[Endpoint] | None = None,
    ports: tuple[EndpointPort, ...] = (HTTP_8080,),
    address_type: str = "IPv4",
    labels: Mapping[str, str | None] | None = None,
    version: str = "7",
    deleted_at: str | None = None,
) -> EndpointSlice:
    """The mirror SERVICE-CLUSTER of `remote_slice()`, as the main cluster stores it.

    Args:
        name: Name of the mirror.
        *addresses: One ready endpoint for each.
        key: Its Service.
        cluster: Name of the ClusterLink.
        source: Name of the source slice; None leaves the annotation out.
        owner_uid: The uid of the owner, `service()` by default; None leaves the owner out.
        endpoints: The endpoints, instead of addresses.
        ports: Its ports.
        address_type: Its address type.
        labels: Further labels; a value of None removes the label.
        version: Its resourceVersion.
        deleted_at: Its deletion timestamp.
    """
    key = key_of(key)
    all_labels: dict[str, str | None] = {
        LABEL_CLUSTER: cluster,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_SERVICE_NAME: key.name,
        **(labels or {}),
    }
    source = f"{key.name}-abc" if source == "" else source
    owner_uid = f"uid-of-{key.name}" if owner_uid == "" else owner_uid
    metadata = _slice_metadata(
        name or f"{key.name}-{cluster}",
        key,
        {label: value for label, value in all_labels.items() if value is not None},
        version,
        annotations={} if source is None else {ANNOTATION_SOURCE_SLICE: source},
        owners=() if owner_uid is None else (owner(key.name, owner_uid),),
        deleted_at=deleted_at,
    )
    return _slice(metadata, addresses, endpoints, ports, address_type)


def owner(name: str = "web", uid: str = "uid-of-web") -> OwnerReference:
    """The owner reference of a mirror to its main Service."""
    return OwnerReference("v1", "Service", name, uid, controller=True, block_owner_deletion=False)


def leftover_slice(
    name: str | None = None,
    *addresses: str,
    key: Key = WEB,
    cluster: str = "c1",
    labels: Mapping[str, str] | None = None,
    version: str = "5",
) -> EndpointSlice:
    """An EndpointSlice SERVICE-svclink-CLUSTER of the Go release, which sets our managed-by too."""
    key = key_of(key)
    all_labels = {
        LABEL_GO_CLUSTER: cluster,
        LABEL_MANAGED_BY: MANAGED_BY,
        LABEL_SERVICE_NAME: key.name,
        **(labels or {}),
    }
    name = name or f"{key.name}-svclink-{cluster}"
    return _slice(_slice_metadata(name, key, all_labels, version), addresses, None, (HTTP_8080,))


def foreign_slice(
    name: str = "foreign",
    *addresses: str,
    key: Key = WEB,
    labels: Mapping[str, str] | None = None,
    version: str = "3",
) -> EndpointSlice:
    """An EndpointSlice of the main cluster that svclink did not write."""
    metadata = _slice_metadata(name, key_of(key), labels or {}, version)
    return _slice(metadata, addresses or ("10.9.9.9",), None, (HTTP_8080,))


def local_slice(*addresses: str) -> EndpointSlice:
    """The EndpointSlice of the Service `web` for Pods of the main cluster itself."""
    return foreign_slice("web-local", *addresses, labels={LABEL_SERVICE_NAME: "web"})


def link(
    name: str = "c1",
    spec: ClusterLinkSpec = _LINK_SPEC,
    *,
    uid: str | None = None,
    version: str = "",
    generation: int = 1,
    created: str | None = None,
    status: ClusterLinkStatus = _LINK_STATUS,
    is_selected: bool = True,
) -> ClusterLink:
    """A ClusterLink that mirrors everything. Its uid is `uid-of-NAME` by default."""
    metadata = ObjectMeta(
        name,
        uid=f"uid-of-{name}" if uid is None else uid,
        resource_version=version,
        generation=generation,
        creation_timestamp=created,
    )
    return ClusterLink(metadata, spec, status, is_selected)


def traffic_policy(
    *clusters: ClusterTraffic,
    key: Key = WEB,
    name: str | None = None,
    min_ready: int = 1,
    recovery_seconds: int = 30,
    created: str | None = None,
    status: TrafficPolicyStatus = _POLICY_STATUS,
) -> TrafficPolicy:
    """A TrafficPolicy for default/web, which has that name too by default."""
    key = key_of(key)
    metadata = ObjectMeta(
        name or key.name,
        key.namespace,
        f"uid-of-{name or key.name}",
        generation=1,
        creation_timestamp=created,
    )
    spec = TrafficPolicySpec(TargetReference(key.name), min_ready, recovery_seconds, clusters)
    return TrafficPolicy(metadata, spec, status)


def cluster(
    name: str = "c1",
    *slices: EndpointSlice,
    spec: ClusterLinkSpec = _LINK_SPEC,
    connection: Connection = SYNCED,
    services: Iterable[Service] | None = None,
) -> RemoteCluster:
    """A synced remote cluster that has Service default/web and the slices given."""
    own = [service()] if services is None else services
    return remote_cluster(link(name, spec), own, slices, connection)


def snapshot_of(
    *remotes: RemoteCluster,
    services: Iterable[Service] | None = None,
    slices: Iterable[EndpointSlice] = (),
    options: Options = _OPTIONS,
) -> Snapshot:
    """A snapshot of these remote clusters and a main cluster that has Service default/web."""
    own = [service()] if services is None else services
    return snapshot(main_cluster(own, slices), remotes, options)


def _slice(
    metadata: ObjectMeta,
    addresses: tuple[str, ...],
    endpoints: Iterable[Endpoint] | None,
    ports: tuple[EndpointPort, ...],
    address_type: str = "IPv4",
) -> EndpointSlice:
    if endpoints is None:
        endpoints = map(endpoint, addresses or ("10.0.0.1",))
    return EndpointSlice(metadata, address_type, tuple(endpoints), ports)


def _slice_metadata(
    name: str,
    service_key: NamespacedName,
    labels: Mapping[str, str],
    version: str,
    *,
    annotations: Mapping[str, str] | None = None,
    owners: tuple[OwnerReference, ...] = (),
    deleted_at: str | None = None,
) -> ObjectMeta:
    return ObjectMeta(
        name,
        service_key.namespace,
        f"uid-of-{name}",
        version,
        deletion_timestamp=deleted_at,
        labels=_pairs(labels),
        annotations=_pairs(annotations),
        owner_references=owners,
    )


def _pairs(pairs: Mapping[str, str] | None) -> Labels:
    return tuple(sorted((pairs or {}).items()))
