"""What a remote EndpointSlice becomes: one EndpointSlice, or several over 1,000 endpoints.

Source: docs/explanation/concepts.md, "What is mirrored".
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeAlias

from attrs import evolve, frozen

from svclink_core.addressing import are_canonical, canonical_addresses
from svclink_core.api_rules import (
    MAX_ADDRESSES,
    MAX_ENDPOINTS,
    MAX_SLICE_ADDRESSES,
    is_label_value,
)
from svclink_core.cidrs import CIDRs, contain_all, outside
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import (
    CONDITIONS,
    WRITTEN_OUT,
    Endpoint,
    EndpointSlice,
)
from svclink_core.filtering import why_slice_skipped
from svclink_core.hints import Topology, topology_of, with_hints
from svclink_core.meta_v1 import NamespacedName, ObjectMeta, OwnerReference
from svclink_core.omissions import Omission, clipped, some_of
from svclink_core.port_names import translate_ports
from svclink_core.well_known import (
    ANNOTATION_SHARD,
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
    Reason,
)


@frozen
class Finding:
    """The parts of a Service that could not be mirrored for one reason, sorted.

    A Service that is kept because it could not be decoded has no findings.
    """

    service: NamespacedName
    cluster: str
    reason: Reason
    details: tuple[str, ...]


@frozen
class MirrorResult:
    """The desired slices for one remote slice, without names, and what could not be mirrored."""

    slices: tuple[EndpointSlice, ...]
    omissions: tuple[Omission, ...]


NormalEndpoints: TypeAlias = Callable[[EndpointSlice, CIDRs], tuple[Endpoint, ...] | None]
"""Gives the normal form of endpoints: `normal_endpoints`, or an equivalent that is faster."""


def normal_endpoints(
    endpoint_slice: EndpointSlice, allowed: CIDRs = ()
) -> tuple[Endpoint, ...] | None:
    """The endpoints in the form a mirror has, sorted; None if each has to be checked.

    In that form an endpoint has one canonical and allowed address that no other has, its three
    conditions, and nothing else but a zone. Nearly all slices have it already, and their endpoints
    are not copied. Checking whole columns is several times as fast as checking one endpoint at a
    time.
    """
    endpoints = endpoint_slice.endpoints
    try:
        addresses = [only for each in endpoints for (only,) in (each.addresses,)]
    except ValueError:
        return None
    by_address = dict(zip(addresses, endpoints, strict=True))
    is_repeated = len(by_address) < len(addresses)
    if is_repeated or not are_canonical(addresses, endpoint_slice.address_type):
        return None
    if allowed and not contain_all(allowed, addresses, endpoint_slice.address_type):
        return None
    zones = {each.zone for each in endpoints}
    if not all(map(_is_zone, zones)):
        return None
    order = sorted(addresses)
    if order != addresses:
        endpoints = tuple([by_address[address] for address in order])
    if "" not in zones and _are_plain(endpoints):
        return endpoints
    return tuple([plain_endpoint(each, each.addresses) for each in endpoints])


def mirror(
    endpoint_slice: EndpointSlice,
    cluster: str,
    remote: Service,
    main: Service,
    allowed: CIDRs = (),
    normalize: NormalEndpoints = normal_endpoints,
) -> MirrorResult:
    """The slices that the main cluster should have for a remote slice of an imported Service.

    Args:
        endpoint_slice: The remote slice.
        cluster: Name of the ClusterLink.
        remote: The remote Service; its port numbers find partners for port names.
        main: The main Service; it owns the mirrors, names their ports and asks for hints.
        allowed: The only ranges from which endpoints are mirrored; empty for all.
        normalize: How endpoints are brought into normal form.
    """
    ports, port_omissions = translate_ports(endpoint_slice.ports, remote, main)
    endpoints, endpoint_omissions = mirror_endpoints(
        endpoint_slice, topology_of(main), allowed, normalize
    )
    shards = _split(endpoints) if ports else []
    slices = tuple(
        [
            EndpointSlice(
                metadata=_metadata(endpoint_slice, cluster, main, shard),
                address_type=endpoint_slice.address_type,
                endpoints=chunk,
                ports=ports,
            )
            for shard, chunk in enumerate(shards)
        ]
    )
    return MirrorResult(slices, (*port_omissions, *endpoint_omissions))


def mirror_all(
    endpoint_slices: Iterable[EndpointSlice],
    cluster: str,
    remote: Service,
    main: Service,
    allowed: CIDRs = (),
    normalize: NormalEndpoints = normal_endpoints,
) -> MirrorResult:
    """The slices that the main cluster should have for all remote slices of an imported Service."""
    desired: list[EndpointSlice] = []
    omissions: list[Omission] = []
    for endpoint_slice in endpoint_slices:
        reason = why_slice_skipped(endpoint_slice, main)
        if reason is None:
            mirrored = mirror(endpoint_slice, cluster, remote, main, allowed, normalize)
            desired += mirrored.slices
            omissions += mirrored.omissions
        elif reason is not Reason.NO_ENDPOINTS:
            omissions.append(Omission(reason, clipped(endpoint_slice.metadata.name)))
    return MirrorResult(tuple(desired), tuple(omissions))


def findings_of(
    service: NamespacedName, cluster: str, omissions: Iterable[Omission]
) -> tuple[Finding, ...]:
    """Omissions as one finding for each reason, whatever the order of the slices."""
    details: dict[Reason, set[str]] = {}
    for omission in omissions:
        details.setdefault(omission.reason, set()).add(omission.detail)
    return tuple(
        Finding(service, cluster, reason, tuple(sorted(details[reason])))
        for reason in sorted(details, key=lambda reason: reason.code)
    )


def owner_references(main: Service) -> tuple[OwnerReference, ...]:
    """The one owner of a mirrored slice, its main Service.

    It does not block the owner's deletion: that needs another permission and gains nothing.
    """
    return (
        OwnerReference(
            "v1",
            "Service",
            main.metadata.name,
            main.metadata.uid,
            controller=True,
            block_owner_deletion=False,
        ),
    )


def with_owner(endpoint_slice: EndpointSlice, main: Service) -> EndpointSlice:
    """The slice with the main Service as its owner. The garbage collector compares uids."""
    metadata = evolve(endpoint_slice.metadata, owner_references=owner_references(main))
    return evolve(endpoint_slice, metadata=metadata)


def _metadata(endpoint_slice: EndpointSlice, cluster: str, main: Service, shard: int) -> ObjectMeta:
    source = (ANNOTATION_SOURCE_SLICE, endpoint_slice.metadata.name)
    return ObjectMeta(
        name="",
        namespace=main.metadata.namespace,
        labels=mirrored_labels(main.metadata.key, cluster),
        annotations=(source, (ANNOTATION_SHARD, str(shard))) if shard else (source,),
        owner_references=owner_references(main),
    )


def mirrored_labels(service: NamespacedName, cluster: str) -> tuple[tuple[str, str], ...]:
    """All labels of a mirrored slice, sorted by key."""
    return (
        (LABEL_MANAGED_BY, MANAGED_BY),
        (LABEL_SERVICE_NAME, service.name),
        (LABEL_CLUSTER, cluster),
    )


def _split(endpoints: tuple[Endpoint, ...]) -> list[tuple[Endpoint, ...]]:
    """The endpoints in parts that the API server accepts and etcd can store."""
    size = MAX_SLICE_ADDRESSES // MAX_ADDRESSES
    if len(endpoints) > size:
        most = max([len(each.addresses) for each in endpoints])
        size = min(MAX_ENDPOINTS, MAX_SLICE_ADDRESSES // most)
    return [endpoints[start : start + size] for start in range(0, len(endpoints), size)]


# Endpoints


def mirror_endpoints(
    endpoint_slice: EndpointSlice,
    topology: Topology,
    allowed: CIDRs = (),
    normalize: NormalEndpoints = normal_endpoints,
) -> tuple[tuple[Endpoint, ...], list[Omission]]:
    """The endpoints for the main cluster, sorted, one for each address, and those left out."""
    if (endpoints := normalize(endpoint_slice, allowed)) is None:
        address_type = endpoint_slice.address_type
        return mirror_each_endpoint(endpoint_slice.endpoints, address_type, topology, allowed)
    return with_hints(endpoints, topology), []


def mirror_each_endpoint(
    endpoints: Iterable[Endpoint], address_type: str, topology: Topology, allowed: CIDRs = ()
) -> tuple[tuple[Endpoint, ...], list[Omission]]:
    """The result of `mirror_endpoints` for endpoints that are not in normal form."""
    best: dict[str, Endpoint] = {}
    omissions: list[Omission] = []
    not_allowed: set[str] = set()
    for endpoint in endpoints:
        addresses = canonical_addresses(endpoint.addresses[:MAX_ADDRESSES], address_type)
        if allowed and (others := outside(allowed, addresses, address_type)):
            not_allowed.update(others)
            continue
        omissions += _omissions_of(endpoint, addresses)
        if not addresses:
            continue
        mirrored = plain_endpoint(endpoint, addresses)
        rival = best.get(addresses[0])
        if rival is None or _preference(mirrored) > _preference(rival):
            best[addresses[0]] = mirrored
    if not_allowed:  # One for all of them: a whole cluster may be outside.
        text = f"{some_of(sorted(not_allowed))} (outside allowedCIDRs)"
        omissions.append(Omission(Reason.INVALID_ENDPOINTS, text))
    return with_hints(tuple([best[each] for each in sorted(best)]), topology), omissions


def _omissions_of(endpoint: Endpoint, addresses: tuple[str, ...]) -> Iterator[Omission]:
    """What is left out of an endpoint that is mirrored with these addresses, or with none."""
    count = len(endpoint.addresses)
    if not addresses:
        yield Omission(Reason.INVALID_ENDPOINTS, some_of(endpoint.addresses) or "(no address)")
        return
    if count > MAX_ADDRESSES:
        text = f"{count - MAX_ADDRESSES} of the {count} addresses of the endpoint {addresses[0]}"
        yield Omission(Reason.INVALID_ENDPOINTS, text)
    if not _is_zone(endpoint.zone):
        yield Omission(Reason.INVALID_ENDPOINTS, f"the zone of the endpoint {addresses[0]}")


def _is_zone(zone: str | None) -> bool:
    """Whether a zone can be one, or is absent: the zone of a Node is the value of a label.

    The API server accepts any text, so only its size limits what a remote cluster may send.
    """
    return not zone or is_label_value(zone)


def plain_endpoint(endpoint: Endpoint, addresses: tuple[str, ...]) -> Endpoint:
    """An endpoint with only addresses, conditions and zone.

    Node, hostname and Pod are names in another cluster, and could match others in this one.
    """
    given = endpoint.conditions
    conditions = WRITTEN_OUT[given.ready, given.serving, given.terminating]
    zone = endpoint.zone if endpoint.zone and _is_zone(endpoint.zone) else None
    return Endpoint(addresses, conditions, zone)


_READY: Final = CONDITIONS[True, True, False]


def _are_plain(endpoints: tuple[Endpoint, ...]) -> bool:
    """Whether all endpoints have three conditions, and nothing else but addresses and zones."""
    rare = [each.conditions for each in endpoints if each.conditions is not _READY]
    rich = [
        each
        for each in endpoints
        if each.hints is not None
        or each.hostname is not None
        or each.node_name is not None
        or each.target_ref is not None
    ]
    written_out = all(None not in (each.ready, each.serving, each.terminating) for each in rare)
    return written_out and not rich


def _preference(endpoint: Endpoint) -> tuple[bool, bool, bool, str, tuple[str, ...]]:
    """A sort key for endpoints with one address: the one that can serve is the greatest.

    A Pod may move from one slice to another, and is then in both for a moment.
    """
    conditions = endpoint.conditions
    return (
        bool(conditions.ready),
        bool(conditions.serving),
        not conditions.terminating,
        endpoint.zone or "",
        endpoint.addresses,
    )
