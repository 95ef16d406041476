"""The ordinary case, for tests that differ from it in one thing: Service default/web of cluster c1, one slice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    NamespacedName,
    ObjectMeta,
    Options,
    OwnerReference,
    RemoteCluster,
    Service,
    ServicePort,
    ServiceSpec,
    Snapshot,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.snapshot import Connection
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)

WEB = NamespacedName("default", "web")
HTTP = ServicePort(80, "http")
HTTP_8080 = EndpointPort("http", port=8080)
READY = EndpointConditions(ready=True, serving=True, terminating=False)


def service(
    key: NamespacedName = WEB,
    *,
    uid: str = "uid-of-web",
    ports: tuple[ServicePort, ...] = (HTTP,),
    families: tuple[str, ...] = ("IPv4", "IPv6"),
    kind: str = "ClusterIP",
    cluster_ip: str = "10.96.0.1",
    traffic_distribution: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    deleted_at: str | None = None,
) -> Service:
    """A Service that can be mirrored."""
    metadata = ObjectMeta(
        key.name,
        key.namespace,
        uid,
        "1",
        deletion_timestamp=deleted_at,
        labels=tuple(sorted((labels or {}).items())),
        annotations=tuple(sorted((annotations or {}).items())),
    )
    return Service(metadata, ServiceSpec(kind, cluster_ip, families, ports, traffic_distribution))


def endpoint(address: str = "10.0.0.1", **fields: object) -> Endpoint:
    """A ready endpoint of one address."""
    known = {"conditions": READY, **fields}
    return Endpoint((address,), **known)  # type: ignore[arg-type]


def remote_slice(
    name: str = "web-abc",
    *addresses: str,
    key: NamespacedName = WEB,
    endpoints: Iterable[Endpoint] | None = None,
    ports: tuple[EndpointPort, ...] = (HTTP_8080,),
    address_type: str = "IPv4",
    labels: Mapping[str, str] | None = None,
) -> EndpointSlice:
    """A slice of a remote cluster, of one ready endpoint unless addresses or endpoints are given."""
    own = {
        LABEL_MANAGED_BY: "endpointslice-controller.k8s.io",
        LABEL_SERVICE_NAME: key.name,
        **(labels or {}),
    }
    metadata = ObjectMeta(name, key.namespace, "remote-uid", "1", labels=tuple(sorted(own.items())))
    found = (
        [endpoint(address) for address in addresses or ("10.0.0.1",)]
        if endpoints is None
        else endpoints
    )
    return EndpointSlice(metadata, address_type, tuple(found), ports)


def mirrored_slice(
    name: str = "web-c1",
    *addresses: str,
    key: NamespacedName = WEB,
    cluster: str = "c1",
    source: str | None = "web-abc",
    owner_uid: str | None = "uid-of-web",
    labels: Mapping[str, str | None] | None = None,
    address_type: str = "IPv4",
    ports: tuple[EndpointPort, ...] = (HTTP_8080,),
    deleted_at: str | None = None,
) -> EndpointSlice:
    """What svclink makes of `remote_slice()`, as the main cluster stores it."""
    own: dict[str, str | None] = {
        LABEL_CLUSTER: cluster, LABEL_MANAGED_BY: MANAGED_BY, LABEL_SERVICE_NAME: key.name, **(labels or {}),
    }  # fmt: skip
    owner = OwnerReference(
        "v1", "Service", key.name, owner_uid or "", controller=True, block_owner_deletion=False
    )
    metadata = ObjectMeta(
        name,
        key.namespace,
        f"uid-of-{name}",
        "7",
        deletion_timestamp=deleted_at,
        labels=tuple(sorted((label, value) for label, value in own.items() if value is not None)),
        annotations=() if source is None else ((ANNOTATION_SOURCE_SLICE, source),),
        owner_references=() if owner_uid is None else (owner,),
    )
    found = tuple(endpoint(address) for address in addresses or ("10.0.0.1",))
    return EndpointSlice(metadata, address_type, found, ports)


def foreign_slice(
    name: str, key: NamespacedName = WEB, labels: Mapping[str, str] | None = None
) -> EndpointSlice:
    """A slice of the main cluster that somebody else holds."""
    metadata = ObjectMeta(
        name, key.namespace, f"uid-of-{name}", "3", labels=tuple(sorted((labels or {}).items()))
    )
    return EndpointSlice(metadata, "IPv4", (endpoint("10.9.9.9"),), (HTTP_8080,))


def link(name: str = "c1", spec: ClusterLinkSpec = ClusterLinkSpec()) -> ClusterLink:  # noqa: B008 - it is frozen
    """A link that mirrors everything."""
    return ClusterLink(ObjectMeta(name, uid=f"uid-of-{name}", generation=1), spec)


def cluster(
    name: str = "c1",
    *slices: EndpointSlice,
    spec: ClusterLinkSpec = ClusterLinkSpec(),  # noqa: B008 - it is frozen
    connection: Connection = SYNCED,
    services: Iterable[Service] | None = None,
) -> RemoteCluster:
    """A synced cluster that has Service default/web, with the slices given."""
    return remote_cluster(
        link(name, spec), [service()] if services is None else services, slices, connection
    )


def world(
    *remotes: RemoteCluster,
    services: Iterable[Service] | None = None,
    slices: Iterable[EndpointSlice] = (),
    options: Options = Options(),  # noqa: B008 - it is frozen
) -> Snapshot:
    """A snapshot whose main cluster has Service default/web."""
    return snapshot(
        main_cluster([service()] if services is None else services, slices), remotes, options
    )
