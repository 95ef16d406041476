"""Decodes the JSON of one Kubernetes object to the core's types, fast.

A test checks that the core's codec, which is slower, decodes to equal values. Only fields that are
used are decoded, and every list may be null (kubernetes issue #135968). Strings that repeat from
object to object are interned.
"""

from __future__ import annotations

from sys import intern
from typing import Final

import msgspec
from attrs import evolve, field, frozen

from svclink_core import codec
from svclink_core.core_v1 import (
    ClientIPConfig,
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
)
from svclink_core.discovery_v1 import (
    CONDITIONS,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from svclink_core.label_selector import EVERYTHING, Selector
from svclink_core.meta_v1 import Labels, ObjectMeta, OwnerReference
from svclink_core.ownership import additions_of
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.well_known import REASONED_ANNOTATIONS, REASONED_LABELS


class Struct(msgspec.Struct, gc=False, rename="camel"):
    """Base of the raw structs. The garbage collector does not track them: they form no cycles."""


class _Owner(Struct):
    kind: str
    name: str
    uid: str
    api_version: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class _Meta(Struct):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: str | None = None
    deletion_timestamp: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    owner_references: list[_Owner] | None = None


class _SliceMeta(_Meta):
    finalizers: list[str] | None = None


class _ServicePort(Struct):
    port: int
    name: str | None = None
    protocol: str | None = None
    app_protocol: str | None = None
    target_port: int | str | None = None


class _ClientIP(Struct):
    timeout_seconds: int | None = None


class _SessionAffinityConfig(Struct):
    client_ip: _ClientIP | None = msgspec.field(name="clientIP", default=None)


class _ServiceSpec(Struct):
    type: str | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    ip_families: list[str] | None = None
    ports: list[_ServicePort] | None = None
    traffic_distribution: str | None = None
    ip_family_policy: str | None = None
    session_affinity: str | None = None
    session_affinity_config: _SessionAffinityConfig | None = None
    publish_not_ready_addresses: bool | None = None


class _Service(Struct):
    metadata: _Meta
    spec: _ServiceSpec | None = None


class _Conditions(Struct):
    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class _Hint(Struct):
    name: str = ""


class _Hints(Struct):
    for_zones: list[_Hint] | None = None
    for_nodes: list[_Hint] | None = None


class _Reference(Struct):
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


class _RemoteEndpoint(Struct):
    """The mirrored fields of an endpoint.

    Node, hostname and Pod are not mirrored and would fill memory.
    """

    addresses: list[str]
    conditions: _Conditions | None = None
    zone: str | None = None


class _Endpoint(_RemoteEndpoint):
    hints: _Hints | None = None
    hostname: str | None = None
    node_name: str | None = None
    target_ref: _Reference | None = None


class _Port(Struct):
    name: str | None = None
    protocol: str | None = None
    port: int | None = None
    app_protocol: str | None = None


class _RemoteEndpointSlice(Struct):
    metadata: _Meta
    address_type: str
    endpoints: list[_RemoteEndpoint] | None = None
    ports: list[_Port] | None = None


class _EndpointSlice(Struct):
    metadata: _SliceMeta
    address_type: str
    endpoints: list[_Endpoint] | None = None
    ports: list[_Port] | None = None


class _UnreadSlice(Struct):
    metadata: _SliceMeta
    address_type: str
    endpoints: msgspec.Raw = msgspec.Raw(b"null")
    ports: msgspec.Raw = msgspec.Raw(b"null")


_SERVICE: Final = msgspec.json.Decoder(_Service)
_REMOTE_SLICE: Final = msgspec.json.Decoder(_RemoteEndpointSlice)
_SLICE: Final = msgspec.json.Decoder(_EndpointSlice)
_UNREAD_SLICE: Final = msgspec.json.Decoder(_UnreadSlice)
_ANY: Final = msgspec.json.Decoder()


def _metadata(raw: _Meta) -> ObjectMeta:
    return ObjectMeta(
        name=raw.name,
        namespace=intern(raw.namespace),
        uid=raw.uid,
        resource_version=raw.resource_version,
        generation=raw.generation,
        creation_timestamp=raw.creation_timestamp,
        deletion_timestamp=raw.deletion_timestamp,
        labels=_pairs(raw.labels, REASONED_LABELS),
        annotations=_pairs(raw.annotations, REASONED_ANNOTATIONS),
        owner_references=tuple(
            OwnerReference(
                api_version=owner.api_version,
                kind=owner.kind,
                name=owner.name,
                uid=owner.uid,
                controller=owner.controller,
                block_owner_deletion=owner.block_owner_deletion,
            )
            for owner in raw.owner_references or ()
        ),
    )


def _metadata_of_mirror(raw: _SliceMeta) -> ObjectMeta:
    """Metadata with what others put on the slice, if it is one that svclink writes."""
    additions = additions_of(raw.labels or {}, raw.annotations or {}, raw.finalizers or ())
    known = _metadata(raw)
    return known if additions is None else evolve(known, additions=additions)


def _pairs(raw: dict[str, str] | None, keys: frozenset[str]) -> Labels:
    if not raw:
        return ()
    found = [(intern(key), intern(value)) for key, value in raw.items() if key in keys]
    found.sort()
    return tuple(found)


def decode_service(content: bytes | msgspec.Raw) -> Service:
    """Decode a Service."""
    raw = _SERVICE.decode(content)
    raw_spec = raw.spec or _ServiceSpec()
    spec = ServiceSpec(
        type=raw_spec.type or "ClusterIP",
        cluster_ip=raw_spec.cluster_ip or "",
        ip_families=tuple(map(intern, raw_spec.ip_families or ())),
        ports=tuple(
            ServicePort(
                port.port,
                intern(port.name or ""),
                intern(port.protocol or "TCP"),
                port.app_protocol,
                _target_port(port.target_port),
            )
            for port in raw_spec.ports or ()
        ),
        traffic_distribution=raw_spec.traffic_distribution,
        ip_family_policy=_interned(raw_spec.ip_family_policy),
        session_affinity=_interned(raw_spec.session_affinity),
        session_affinity_config=_session_affinity_config(raw_spec.session_affinity_config),
        publish_not_ready_addresses=bool(raw_spec.publish_not_ready_addresses),
    )
    return Service(_metadata(raw.metadata), spec)


def _target_port(raw: int | str | None) -> int | str | None:
    return intern(raw) if isinstance(raw, str) else raw


def _session_affinity_config(raw: _SessionAffinityConfig | None) -> SessionAffinityConfig | None:
    if raw is None:
        return None
    return SessionAffinityConfig(
        None if raw.client_ip is None else ClientIPConfig(raw.client_ip.timeout_seconds)
    )


class _Namespace(Struct):
    metadata: _Meta


_NAMESPACE: Final = msgspec.json.Decoder(_Namespace)


def decode_namespace(content: bytes | msgspec.Raw, selector: Selector = EVERYTHING) -> Namespace:
    """Decode a Namespace.

    Args:
        content: The object.
        selector: Selects namespaces by their labels, most of which are not kept.
    """
    metadata = _NAMESPACE.decode(content).metadata
    return Namespace(_metadata(metadata), selector.matches(metadata.labels or {}))


def decode_remote_slice(content: bytes | msgspec.Raw) -> EndpointSlice:
    """Decode the mirrored fields of an EndpointSlice of a remote cluster."""
    raw = _REMOTE_SLICE.decode(content)
    endpoints = tuple(
        Endpoint(tuple(each.addresses), _conditions(each.conditions), _interned(each.zone))
        for each in raw.endpoints or ()
    )
    return EndpointSlice(
        _metadata(raw.metadata), intern(raw.address_type), endpoints, _ports(raw.ports)
    )


def decode_slice(content: bytes | msgspec.Raw) -> EndpointSlice:
    """Decode an EndpointSlice of the main cluster, including fields that mirrors must not have."""
    raw = _SLICE.decode(content)
    endpoints = tuple(
        Endpoint(
            addresses=tuple(each.addresses),
            conditions=_conditions(each.conditions),
            zone=_interned(each.zone),
            hints=_hints(each.hints),
            hostname=each.hostname,
            node_name=_interned(each.node_name),
            target_ref=_reference(each.target_ref),
        )
        for each in raw.endpoints or ()
    )
    return EndpointSlice(
        _metadata_of_mirror(raw.metadata), intern(raw.address_type), endpoints, _ports(raw.ports)
    )


def decode_written_slice(answer: bytes, sent: EndpointSlice, body: bytes) -> EndpointSlice:
    """Decode the response to a write of a slice, whose body ends in endpoints and ports.

    If they were stored as they were sent, byte by byte, they are not decoded: an API server encodes
    them as `encode_slice` does. Equal endpoints are shared with the sent slice, to save memory.
    """
    raw = _UNREAD_SLICE.decode(answer)
    if body.endswith(b'"endpoints":%b,"ports":%b}' % (raw.endpoints, raw.ports)):
        metadata, address_type = _metadata_of_mirror(raw.metadata), intern(raw.address_type)
        return EndpointSlice(metadata, address_type, sent.endpoints, sent.ports)
    stored = decode_slice(answer)
    is_equal = stored.endpoints == sent.endpoints
    return evolve(stored, endpoints=sent.endpoints) if is_equal else stored


def _ports(raw: list[_Port] | None) -> tuple[EndpointPort, ...]:
    return tuple(
        EndpointPort(
            intern(port.name or ""), intern(port.protocol or "TCP"), port.port, port.app_protocol
        )
        for port in raw or ()
    )


def _conditions(raw: _Conditions | None) -> EndpointConditions:
    if raw is None:
        return CONDITIONS[None, None, None]
    return CONDITIONS[raw.ready, raw.serving, raw.terminating]


def _hints(raw: _Hints | None) -> EndpointHints | None:
    if raw is None:
        return None
    zones, nodes = raw.for_zones or (), raw.for_nodes or ()
    return EndpointHints(
        tuple(intern(hint.name) for hint in zones), tuple(intern(hint.name) for hint in nodes)
    )


def _reference(raw: _Reference | None) -> ObjectReference | None:
    return None if raw is None else ObjectReference(raw.kind, raw.namespace, raw.name, raw.uid)


def _interned(text: str | None) -> str | None:
    return None if text is None else intern(text)


class _Secret(Struct):
    metadata: _Meta
    data: dict[str, str] | None = None


@frozen
class Secret:
    """A Secret. Its values are base64, as in the API, and are left out of its representation."""

    metadata: ObjectMeta
    data: Labels = field(default=(), repr=False)


_SECRET: Final = msgspec.json.Decoder(_Secret)


def decode_secret(content: bytes | msgspec.Raw) -> Secret:
    """Decode a Secret."""
    raw = _SECRET.decode(content)
    return Secret(_metadata(raw.metadata), tuple(sorted((raw.data or {}).items())))


class _Link(Struct):
    metadata: _Meta


_LINK: Final = msgspec.json.Decoder(_Link)


def decode_link(content: bytes | msgspec.Raw, selector: Selector = EVERYTHING) -> ClusterLink:
    """Decode a ClusterLink, with the core's codec: links are few, and its errors name the field.

    Args:
        content: The object.
        selector: Selects links by their labels, most of which are not kept.
    """
    link = codec.structure(_ANY.decode(content), ClusterLink)
    if selector == EVERYTHING:
        return link
    return evolve(link, is_selected=selector.matches(_LINK.decode(content).metadata.labels or {}))


def decode_traffic_policy(content: bytes | msgspec.Raw) -> TrafficPolicy:
    """Decode a TrafficPolicy, with the core's codec as for ClusterLinks."""
    return codec.structure(_ANY.decode(content), TrafficPolicy)
