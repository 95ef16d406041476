"""A tiny main cluster that applies changes as the real one does, and ways to change what a snapshot holds. Pure.

What is real: conflicts, preconditions, immutable fields, no-op writes, validation and garbage collection of slices.
What is not: defaulting (the core writes every field that has a default), finalizers, latency.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, ip_address
from typing import Final, assert_never

from attrs import evolve, frozen

from svclink_core import (
    Change,
    Create,
    CreateNamespace,
    CreateService,
    Delete,
    EndpointSlice,
    Namespace,
    NamespacedName,
    Plan,
    Precondition,
    RemoteCluster,
    Service,
    Snapshot,
    Update,
    main_cluster,
    plan,
    remote_cluster,
)
from svclink_core.snapshot import Connection
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec

ROUNDS: Final = 3
"""Create a Service; its slices; remove the leftovers they replace."""
FIRST_REVISION: Final = 1_000_000
NOW: Final = 1_782_907_200.0
"""2026-07-01T12:00:00Z, when everything is planned unless a test says otherwise."""


class Refused(Exception):  # noqa: N818 - it is what the server says, not what went wrong in the test
    """The API server does not take a request."""


@frozen
class ApiServer:
    """What svclink writes to in the main cluster. `revision` only ever grows."""

    slices: tuple[EndpointSlice, ...] = ()
    services: tuple[Service, ...] = ()
    namespaces: frozenset[str] = frozenset()
    terminating: frozenset[str] = frozenset()
    revision: int = FIRST_REVISION

    def find(self, key: NamespacedName) -> EndpointSlice | None:
        return next((piece for piece in self.slices if piece.metadata.key == key), None)

    def apply(self, change: Change) -> ApiServer:
        """The server after a change. Raises `Refused` where the real one would answer with an error."""
        match change:
            case CreateNamespace():
                return self._create_namespace(change.namespace)
            case CreateService():
                return self._create_service(change.service)
            case Create():
                return self._create(change.endpoint_slice)
            case Update():
                return self._update(change.endpoint_slice, change.precondition)
            case Delete():
                return self._delete(change.key, change.precondition)
            case unexpected:
                assert_never(unexpected)

    def _create_namespace(self, namespace: Namespace) -> ApiServer:
        name = namespace.metadata.name
        if name in self.namespaces:
            raise Refused(f"409 AlreadyExists: {name}")
        if not _DNS_LABEL.fullmatch(name):
            raise Refused(f"422: metadata.name: {name!r}")
        return evolve(self, namespaces=self.namespaces | {name})

    def _create_service(self, service: Service) -> ApiServer:
        key = service.metadata.key
        if any(each.metadata.key == key for each in self.services):
            raise Refused(f"409 AlreadyExists: {key}")
        if key.namespace not in self.namespaces or key.namespace in self.terminating:
            raise Refused(f"403 or 404: namespace of {key}")
        if service.spec.cluster_ip or service.spec.ip_families or service.spec.type != "ClusterIP":
            raise Refused(f"422: {key} asks for what is the main cluster's to give")
        families = (
            ("IPv4", "IPv6") if service.spec.ip_family_policy == "PreferDualStack" else ("IPv4",)
        )
        metadata = evolve(
            service.metadata, uid=f"uid-of-the-made-{key}", resource_version=str(self.revision)
        )
        spec = evolve(service.spec, cluster_ip="10.96.0.9", ip_families=families)
        stored = Service(metadata, spec)
        return evolve(self, services=(*self.services, stored), revision=self.revision + 1)

    def _create(self, piece: EndpointSlice) -> ApiServer:
        if piece.metadata.resource_version:
            raise Refused(
                f"500: resourceVersion should not be set on objects to be created: {piece.metadata.key}"
            )
        if self.find(piece.metadata.key) is not None:
            raise Refused(f"409 AlreadyExists: {piece.metadata.key}")
        require_valid(piece)
        metadata = evolve(
            piece.metadata,
            uid=f"uid-{self.revision}",
            resource_version=str(self.revision),
            generation=1,
        )
        created = evolve(piece, metadata=metadata)
        return evolve(self, slices=(*self.slices, created), revision=self.revision + 1)

    def _update(self, piece: EndpointSlice, precondition: Precondition) -> ApiServer:
        found = self._expect(piece.metadata.key, precondition)
        if piece.address_type != found.address_type:
            raise Refused("422: addressType: field is immutable")
        require_valid(piece)
        metadata = evolve(
            found.metadata,
            labels=piece.metadata.labels,
            annotations=piece.metadata.annotations,
            owner_references=piece.metadata.owner_references,
        )
        written = evolve(piece, metadata=metadata)
        if written == found:  # Not stored, so nobody sees an event.
            return self
        written = evolve(written, metadata=evolve(metadata, resource_version=str(self.revision)))
        others = (each for each in self.slices if each != found)
        return evolve(self, slices=(*others, written), revision=self.revision + 1)

    def _delete(self, key: NamespacedName, precondition: Precondition) -> ApiServer:
        found = self._expect(key, precondition)
        others = tuple(each for each in self.slices if each != found)
        return evolve(self, slices=others, revision=self.revision + 1)

    def _expect(self, key: NamespacedName, precondition: Precondition) -> EndpointSlice:
        found = self.find(key)
        if found is None:
            raise Refused(f"404: {key}")
        if (found.metadata.uid, found.metadata.resource_version) != (
            precondition.uid,
            precondition.resource_version,
        ):
            raise Refused(f"409 Conflict: {key}: {precondition}")
        return found


# Validation. Source: k8s.io/kubernetes pkg/apis/discovery/validation, with StrictIPCIDRValidation as in 1.36.

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def require_valid(piece: EndpointSlice) -> None:
    """Raises `Refused` (422) for an EndpointSlice the API server would not store."""
    for problem in problems(piece):
        raise Refused(f"422: {piece.metadata.key}: {problem}")


def problems(piece: EndpointSlice) -> Iterator[str]:
    """What the API server would say is wrong with an EndpointSlice."""
    if not _SUBDOMAIN.fullmatch(piece.metadata.name) or len(piece.metadata.name) > 253:
        yield f"metadata.name: {piece.metadata.name!r}"
    if not _DNS_LABEL.fullmatch(piece.metadata.namespace):
        yield f"metadata.namespace: {piece.metadata.namespace!r}"
    for key, value in piece.metadata.labels:
        if value and not _NAME_PART.fullmatch(value):
            yield f"metadata.labels[{key}]: {value!r}"
    if sum(bool(owner.controller) for owner in piece.metadata.owner_references) > 1:
        yield "metadata.ownerReferences: more than one controller"
    if len(piece.endpoints) > 1_000:
        yield "endpoints: more than 1000"
    yield from _address_problems(piece)
    yield from _hint_problems(piece)
    yield from _port_problems(piece)


def _address_problems(piece: EndpointSlice) -> Iterator[str]:
    if piece.address_type not in ("IPv4", "IPv6", "FQDN"):
        yield f"addressType: {piece.address_type}"
    for endpoint in piece.endpoints:
        if not 1 <= len(endpoint.addresses) <= 100:
            yield f"endpoints.addresses: {len(endpoint.addresses)} addresses"
        for address in endpoint.addresses:
            if piece.address_type != "FQDN" and not is_valid_address(address, piece.address_type):
                yield f"endpoints.addresses: {address!r}"


def is_valid_address(address: str, address_type: str) -> bool:
    """Whether the API server takes an address, and takes it as canonical."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    is_v4 = isinstance(parsed, IPv4Address)
    if is_v4 is not (address_type == "IPv4") or str(parsed) != address:
        return False
    if parsed.is_unspecified or parsed.is_loopback or parsed.is_link_local:
        return False
    packed = parsed.packed
    if isinstance(parsed, IPv4Address):
        return packed[:3] != bytes((224, 0, 0))
    mapped_or_scoped = parsed.ipv4_mapped is not None or parsed.scope_id is not None
    return not mapped_or_scoped and not (packed[0] == 0xFF and packed[1] & 0x0F == 0x02)


def _hint_problems(piece: EndpointSlice) -> Iterator[str]:
    for hints in (endpoint.hints for endpoint in piece.endpoints if endpoint.hints is not None):
        for zones in (hints.for_zones, hints.for_nodes):
            if len(zones) > 8 or len(set(zones)) < len(zones):
                yield f"endpoints.hints: {zones}"
        for zone in hints.for_zones:
            if zone and not _NAME_PART.fullmatch(zone):
                yield f"endpoints.hints.forZones: {zone!r}"
        for node in hints.for_nodes:
            if not _SUBDOMAIN.fullmatch(node):
                yield f"endpoints.hints.forNodes: {node!r}"


def _port_problems(piece: EndpointSlice) -> Iterator[str]:
    names = [port.name for port in piece.ports]
    if len(set(names)) < len(names):
        yield f"ports: {names}"
    for port in piece.ports:
        if port.name and not _DNS_LABEL.fullmatch(port.name):
            yield f"ports.name: {port.name!r}"
        if port.protocol not in ("TCP", "UDP", "SCTP"):
            yield f"ports.protocol: {port.protocol!r}"
        if port.app_protocol is not None and not _is_qualified_name(port.app_protocol):
            yield f"ports.appProtocol: {port.app_protocol!r}"


def _is_qualified_name(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    return bool(_NAME_PART.fullmatch(name)) and (not slash or bool(_SUBDOMAIN.fullmatch(prefix)))


# What a snapshot holds, as plain lists, and the same snapshot with something else in it.


def main_slices(snapshot: Snapshot) -> list[EndpointSlice]:
    """Every EndpointSlice of the main cluster."""
    return list(snapshot.main.names.values())


def remote_slices(remote: RemoteCluster) -> list[EndpointSlice]:
    """Every EndpointSlice of a remote cluster that belongs to a Service."""
    return [piece for pieces in remote.endpoint_slices.values() for piece in pieces]


def ours(snapshot: Snapshot) -> list[EndpointSlice]:
    """The EndpointSlices of the main cluster that svclink manages and nobody is deleting."""
    return [
        piece
        for piece in main_slices(snapshot)
        if piece.is_ours and piece.metadata.deletion_timestamp is None
    ]


def with_main(
    snapshot: Snapshot,
    services: Iterable[Service] | None = None,
    slices: Iterable[EndpointSlice] | None = None,
) -> Snapshot:
    """The snapshot with other Services or EndpointSlices in the main cluster."""
    main = main_cluster(
        snapshot.main.services.values() if services is None else services,
        main_slices(snapshot) if slices is None else slices,
    )
    held = evolve(
        snapshot.main,
        services=main.services,
        endpoint_slices=main.endpoint_slices,
        names=main.names,
    )
    return evolve(snapshot, main=held)


def with_remote(
    snapshot: Snapshot,
    name: str,
    services: Iterable[Service] | None = None,
    slices: Iterable[EndpointSlice] | None = None,
) -> Snapshot:
    """The snapshot with other Services or EndpointSlices in one remote cluster."""
    old = snapshot.remotes[name]
    new = remote_cluster(
        old.link,
        old.services.values() if services is None else services,
        remote_slices(old) if slices is None else slices,
        old.connection,
    )
    new = evolve(new, undecodable=old.undecodable, guard=old.guard)
    return evolve(snapshot, remotes={**snapshot.remotes, name: new})


def with_link(
    snapshot: Snapshot,
    name: str,
    spec: ClusterLinkSpec | None = None,
    connection: Connection | None = None,
    *,
    is_selected: bool | None = None,
) -> Snapshot:
    """The snapshot with another specification, another connection or another selection of one link."""
    old = snapshot.remotes[name]
    link: ClusterLink = evolve(
        old.link,
        spec=old.link.spec if spec is None else spec,
        is_selected=old.link.is_selected if is_selected is None else is_selected,
    )
    new = evolve(old, link=link, connection=old.connection if connection is None else connection)
    return evolve(snapshot, remotes={**snapshot.remotes, name: new})


def unseen(snapshot: Snapshot) -> Snapshot:
    """An equal snapshot whose Services and EndpointSlices remember nothing of earlier plans."""
    main = snapshot.main
    slices = {piece.metadata.key: evolve(piece) for piece in main.names.values()}
    remotes = {
        name: evolve(
            remote,
            services={key: evolve(service) for key, service in remote.services.items()},
            endpoint_slices={
                key: [evolve(piece) for piece in some]
                for key, some in remote.endpoint_slices.items()
            },
        )
        for name, remote in snapshot.remotes.items()
    }
    return evolve(
        snapshot,
        main=evolve(
            main,
            services={key: evolve(service) for key, service in main.services.items()},
            endpoint_slices={
                key: [slices[piece.metadata.key] for piece in some]
                for key, some in main.endpoint_slices.items()
            },
            names=slices,
        ),
        remotes=remotes,
    )


def without_link(snapshot: Snapshot, name: str) -> Snapshot:
    """The snapshot after a ClusterLink was deleted."""
    return evolve(
        snapshot,
        remotes={each: remote for each, remote in snapshot.remotes.items() if each != name},
    )


# What becomes of it.


def applied(snapshot: Snapshot, changes: Iterable[Change]) -> Snapshot:
    """The snapshot after the main cluster took the changes, in their order. Raises `Refused`."""
    main = snapshot.main
    server = ApiServer(
        tuple(main_slices(snapshot)),
        tuple(main.services.values()),
        frozenset(main.namespaces or ()),
        frozenset(main.terminating),
        _next_revision(snapshot),
    )
    for change in changes:
        server = server.apply(change)
    after = with_main(snapshot, server.services, server.slices)
    if main.namespaces is None:
        return after
    return evolve(after, main=evolve(after.main, namespaces=server.namespaces))


def _next_revision(snapshot: Snapshot) -> int:
    versions = [int(piece.metadata.resource_version) for piece in main_slices(snapshot)]
    return max([FIRST_REVISION, *versions]) + 1


def settled(snapshot: Snapshot) -> Snapshot:
    """The snapshot after the main cluster took the whole plan for it, and what that makes possible.

    A Service that is made gets its slices with the next plan, and a leftover goes with the next plan after they exist.
    """
    for _ in range(ROUNDS):
        decided: Plan = plan(snapshot, NOW)
        snapshot = applied(snapshot, decided.changes)
    return snapshot


def collected(snapshot: Snapshot) -> Snapshot:
    """The snapshot after the garbage collector ran: slices whose owners are all gone are gone. It compares uids."""
    uids = {
        (service.metadata.namespace, service.metadata.uid)
        for service in snapshot.main.services.values()
    }

    def is_kept(piece: EndpointSlice) -> bool:
        owners = piece.metadata.owner_references
        return not owners or any((piece.metadata.namespace, owner.uid) in uids for owner in owners)

    return with_main(snapshot, slices=[piece for piece in main_slices(snapshot) if is_kept(piece)])
