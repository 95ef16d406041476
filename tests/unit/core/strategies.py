"""Hypothesis strategies for the core's types: a pool of nasty values mixed with generated ones over small alphabets.

What is drawn can exist: names are unique where the API server makes them so, port names differ within a Service and
within a slice, and what the main cluster holds has passed its validation. What a remote cluster holds is not trusted.
The alphabets are small so that names, sources and addresses collide.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import cache
from itertools import product
from typing import Final, TypeVar, cast

from attrs import evolve, frozen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    PENDING,
    SYNCED,
    UNGUARDED,
    ClusterChanged,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    EndpointSliceChanged,
    Event,
    Finding,
    Guard,
    GuardChanged,
    LinkFacts,
    LinkReason,
    Namespace,
    NamespaceChanged,
    NamespacedName,
    ObjectMeta,
    ObjectReference,
    Options,
    OwnerReference,
    Problem,
    Reason,
    RemoteCluster,
    Service,
    ServiceChanged,
    ServicePort,
    ServiceSpec,
    Snapshot,
    Unreachable,
    UnreachablePolicy,
    Wave,
    main_cluster,
    plan,
    remote_cluster,
    snapshot,
)
from svclink_core.core_v1 import ClientIPConfig, SessionAffinityConfig
from svclink_core.naming import hashed_name
from svclink_core.snapshot import Connection
from svclink_core.svclink_v1alpha1 import SecretKeyReference, UnreachableAction
from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    ANNOTATION_TOPOLOGY_MODE,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_HEADLESS,
    LABEL_IMPORTED,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.unit.core.world import (
    NOW,
    main_slices,
    remote_slices,
    settled,
    with_link,
    with_main,
    with_remote,
    without_link,
)

LONGEST: Final = "x" * 63
EARLIER: Final = "2026-01-01T00:00:00Z"
LATER: Final = "2026-01-01T00:05:00Z"
LOCAL_CONTROLLER: Final = "endpointslice-controller.k8s.io"

T = TypeVar("T", bound=Hashable)
V = TypeVar("V")


def pick(pool: tuple[T, ...]) -> SearchStrategy[T]:
    """A value of a pool. Cached, because making a strategy costs ten times what drawing from it does."""
    return cast("SearchStrategy[T]", _cached_pool(pool))


@cache
def _cached_pool(pool: tuple[Hashable, ...]) -> SearchStrategy[Hashable]:
    return st.sampled_from(pool)


@st.composite
def mostly(draw: DrawFn, common: SearchStrategy[V], rare: SearchStrategy[V], odds: int = 9) -> V:
    """Draws from `common`, and one time in `odds` + 1 from `rare`: a snapshot where all is odd at once shows little."""
    return draw(rare if draw(pick((False,) * odds + (True,))) else common)


# Names

_mostly_true = st.sampled_from((True, True, False))
_nearly_always_true = st.sampled_from((True,) * 15 + (False,))
_SHORT_NAMES: Final = (
    "a",
    "b",
    *map("".join, product("ab", ("", "-"), "ab")),
    "a-b-a",
    "a-b-b",
    "b-a-b",
    "b-b-b",
)


def _names(*pool: str) -> SearchStrategy[str]:
    return st.sampled_from(pool * 2 + _SHORT_NAMES)


namespaces = _names("default", "prod", "kube-system", LONGEST)
service_names = _names("web", "a", "a-b", "kubernetes", LONGEST, "y" * 61, "1st")
cluster_names = _names("c", "b-c", "c1", LONGEST)
keys = st.builds(NamespacedName, namespaces, service_names)
source_names: Final = ("web-1", "web-2", "web-3", "x" * 253)

_sources = st.sampled_from(source_names)


@frozen
class Universe:
    """The few names that one example is about. `gone` are clusters that have no link any more."""

    keys: tuple[NamespacedName, ...]
    clusters: tuple[str, ...]
    gone: tuple[str, ...] = ("gone",)


AMBIGUOUS: Final = Universe(
    (NamespacedName("default", "a-b"), NamespacedName("default", "a")), ("c", "b-c")
)
"""Service `a-b` of cluster `c` and Service `a` of cluster `b-c` read alike."""

ORDINARY: Final = Universe((NamespacedName("default", "web"),), ("c1", "c2"))


@st.composite
def any_universe(draw: DrawFn) -> Universe:
    """Up to two Services and up to two clusters of any name."""
    some_keys = (draw(keys), draw(keys))
    some_clusters = (draw(cluster_names), draw(cluster_names))
    return Universe(tuple(dict.fromkeys(some_keys)), tuple(dict.fromkeys(some_clusters)))


RESERVED: Final = Universe((NamespacedName("kube-public", "web"),), ("c1",))
"""svclink mirrors there, but makes nothing."""

universes = st.sampled_from((ORDINARY, AMBIGUOUS)) | any_universe() | st.just(RESERVED)


# Endpoints and ports

IPV4_GOOD: Final = ("10.0.0.1", "10.0.0.2", "10.0.0.10", "192.168.1.1")
IPV4_LEGACY: Final = ("010.0.0.1", "10.0.0.01", "::ffff:10.0.0.1", "::FFFF:0a00:0002")
IPV4_REFUSED: Final = (
    "127.0.0.1", "127.000.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "256.1.1.1", "10.0.0", "10.0.0.1 ", "", "fd00::1"
)  # fmt: skip
IPV6_GOOD: Final = ("fd00::1", "fd00::2", "2001:db8::1:0:0:1")
IPV6_LEGACY: Final = ("FD00::1", "fd00:0:0::2", "fd00::0001")
IPV6_REFUSED: Final = (
    "::1",
    "fe80::1",
    "fd00::1%eth0",
    "ff02::1",
    "::",
    "::ffff:10.0.0.1",
    "10.0.0.1",
    "fd00::g",
)

_hosts = st.integers(1, 0xFFFF)
ipv4_good = mostly(
    st.sampled_from(IPV4_GOOD), _hosts.map(lambda host: f"10.1.{host >> 8}.{host & 0xFF}")
)
ipv6_good = mostly(st.sampled_from(IPV6_GOOD), _hosts.map(lambda host: f"fd01::{host:x}"))
ipv4_addresses = mostly(
    st.sampled_from(IPV4_GOOD * 5 + IPV4_LEGACY + IPV4_REFUSED), st.ip_addresses(v=4).map(str)
)
ipv6_addresses = mostly(
    st.sampled_from(IPV6_GOOD * 5 + IPV6_LEGACY + IPV6_REFUSED), st.ip_addresses(v=6).map(str)
)
fqdn_addresses = st.sampled_from(("pod-1.example.com", "pod-2.example.com"))

_TRISTATE: Final = (None, True, False)
CONDITIONS: Final = tuple(
    EndpointConditions(*each) for each in product(_TRISTATE, _TRISTATE, _TRISTATE)
)
NOT_MIRRORED: Final = (
    Endpoint(()),
    Endpoint((), node_name="worker-0", target_ref=ObjectReference("Pod", "default", "web-0", "p1")),
    Endpoint(
        (),
        hints=EndpointHints(),
        hostname="web-0",
        node_name="worker-1",
        target_ref=ObjectReference(),
    ),
    Endpoint((), hints=EndpointHints(("zone-a",))),
    Endpoint((), hints=EndpointHints(("zone-a", "zone-b"), ("node-1",)), hostname="web-0"),
)
"""What a mirror must not copy."""

_endpoint_templates = st.sampled_from(
    [
        evolve(endpoint, conditions=conditions, zone=zone)
        for endpoint, conditions, zone in product(
            NOT_MIRRORED, CONDITIONS, (None, "zone-a", "", "zone b")
        )
    ]
)
_seldom_two_addresses = st.sampled_from((False,) * 7 + (True,))
_endpoint_counts = st.sampled_from((1, 1, 1, 2, 2, 2, 3, 0))
not_mirrored = st.sampled_from(NOT_MIRRORED)


@st.composite
def endpoints(draw: DrawFn, addresses: SearchStrategy[str]) -> Endpoint:
    """Endpoints, most with one address, in all conditions, with all the fields a mirror must not copy."""
    first, template = draw(addresses), draw(_endpoint_templates)
    if draw(_seldom_two_addresses):
        return evolve(template, addresses=(first, draw(addresses)))
    return evolve(template, addresses=(first,))


@st.composite
def endpoint_lists(draw: DrawFn, addresses: SearchStrategy[str]) -> tuple[Endpoint, ...]:
    """Up to three endpoints, mostly some, whose addresses may repeat."""
    one = endpoints(addresses)
    return tuple(draw(one) for _ in range(draw(_endpoint_counts)))


REMOTE_ENDPOINTS: Final = {
    "IPv4": endpoint_lists(ipv4_addresses),
    "IPv6": endpoint_lists(ipv6_addresses),
    "FQDN": endpoint_lists(fqdn_addresses),
}
MAIN_ENDPOINTS: Final = {
    "IPv4": endpoint_lists(ipv4_good),
    "IPv6": endpoint_lists(ipv6_good),
    "FQDN": endpoint_lists(fqdn_addresses),
}

_endpoint_ports = st.builds(
    EndpointPort,
    name=st.sampled_from(("http", "dns", "web", "")),
    protocol=st.sampled_from(("TCP", "TCP", "UDP")),
    port=st.sampled_from((8080, 53, 1, 65_535, None, 0, -1, 65_536)),
    app_protocol=st.sampled_from((None, "kubernetes.io/h2c", "", "not a name")),
)
_USUAL_PORTS: Final[tuple[tuple[EndpointPort, ...], ...]] = (
    *((EndpointPort("http", port=8080),),) * 4,
    (EndpointPort("http", port=8080), EndpointPort("dns", "UDP", 53)),
    (EndpointPort("http", port=8080, app_protocol="http"), EndpointPort("dns", "UDP", 53)),
    (EndpointPort(port=8080),),
    (EndpointPort("web", port=80),),
    (EndpointPort("http", port=8443), EndpointPort("web", port=8080)),
    (EndpointPort("http", port=8080, app_protocol="not a name"),),
)
_odd_ports = st.lists(_endpoint_ports, max_size=3, unique_by=lambda port: port.name).map(tuple)
remote_ports = mostly(st.sampled_from(_USUAL_PORTS), _odd_ports, 4)
main_ports = remote_ports.map(
    lambda ports: tuple(evolve(port, app_protocol=None) for port in ports)
)


# Services

_service_ports = st.builds(
    ServicePort,
    port=st.sampled_from((80, 53, 443)),
    name=st.sampled_from(("http", "dns", "web")),
    protocol=st.sampled_from(("TCP", "TCP", "UDP")),
    app_protocol=st.sampled_from((None, "http")),
    target_port=st.sampled_from((None, 8080, "http")),
)
_USUAL_SERVICE_PORTS: Final[tuple[tuple[ServicePort, ...], ...]] = (
    *((ServicePort(80, "http"),),) * 4,
    (ServicePort(80, "http"), ServicePort(53, "dns", "UDP")),
    (ServicePort(80),),
    (ServicePort(80, "web"), ServicePort(443, "http")),
)
service_ports = mostly(
    st.sampled_from(_USUAL_SERVICE_PORTS),
    st.lists(
        _service_ports,
        max_size=2,
        unique_by=(lambda port: port.name, lambda port: (port.port, port.protocol)),
    ).map(tuple),
    4,
)
FAMILIES: Final = (
    ("IPv4",),
    ("IPv4",),
    ("IPv4", "IPv6"),
    ("IPv4", "IPv6"),
    ("IPv6", "IPv4"),
    ("IPv6",),
)
_HEALTHY_SPECS: Final = tuple(
    ServiceSpec(kind, "10.96.0.1", families, (), distribution)
    for kind in ("ClusterIP", "NodePort", "LoadBalancer")
    for families in FAMILIES
    for distribution in (None, None, "PreferClose", "PreferSameNode")
)
_ODD_SPECS: Final = (
    ServiceSpec(cluster_ip="None", ip_families=("IPv4",), ports=(ServicePort(80, "http"),)),
    ServiceSpec(type="ExternalName"),
    ServiceSpec(),
)
_HEALTHY: Final = ObjectMeta("", resource_version="1")
_metadata = st.sampled_from(
    [
        *(_HEALTHY,) * 3,
        *(evolve(_HEALTHY, resource_version="2"),) * 2,
        *(evolve(_HEALTHY, annotations=((ANNOTATION_TOPOLOGY_MODE, "Auto"),)),) * 2,
        evolve(_HEALTHY, deletion_timestamp=EARLIER),
        evolve(_HEALTHY, labels=((LABEL_IMPORTED, "true"),)),
    ]
)
_specs = st.sampled_from(_HEALTHY_SPECS + _ODD_SPECS * 10)
_incarnations = st.sampled_from((1, 1, 1, 2))


@cache
def services(key: NamespacedName) -> SearchStrategy[Service]:
    """Services of a name: most can be mirrored, some are headless, aliases, dying, imported; two uids."""
    return _services(key)


@st.composite
def _services(draw: DrawFn, key: NamespacedName) -> Service:
    incarnation = draw(_incarnations)
    metadata = evolve(
        draw(_metadata), name=key.name, namespace=key.namespace, uid=uid_of(key, incarnation)
    )
    spec = draw(_specs)
    if spec not in _HEALTHY_SPECS:
        return Service(metadata, spec)
    return Service(metadata, evolve(draw(_handed_on)(spec), ports=draw(service_ports)))


_handed_on: SearchStrategy[Callable[[ServiceSpec], ServiceSpec]] = st.sampled_from(
    (
        lambda spec: spec,
        lambda spec: evolve(spec, session_affinity="None", ip_family_policy="SingleStack"),
        lambda spec: evolve(spec, session_affinity="ClientIP", publish_not_ready_addresses=True),
        lambda spec: evolve(spec, session_affinity_config=SessionAffinityConfig()),
        lambda spec: evolve(
            spec, session_affinity_config=SessionAffinityConfig(ClientIPConfig(60))
        ),
    )
)
"""What a Service that is made in the main cluster takes over of the remote one."""


def uid_of(key: NamespacedName, incarnation: int = 1) -> str:
    """The uid of a Service; a re-created one has another."""
    return f"uid-of-{key}-{incarnation}"


# EndpointSlices

_LOOP_LABELS: Final = (
    (LABEL_MANAGED_BY, MANAGED_BY),
    (LABEL_CLUSTER, "c"),
    (LABEL_GO_CLUSTER, "c"),
    (LABEL_MCS_SOURCE_CLUSTER, "c"),
)
_LOCAL_LABELS: Final = ((LABEL_MANAGED_BY, LOCAL_CONTROLLER),)
_address_types = st.sampled_from(("IPv4",) * 8 + ("IPv6",) * 3 + ("FQDN",))
_remote_labels = st.sampled_from(
    [*(_LOCAL_LABELS,) * 16, *((*_LOCAL_LABELS, label) for label in _LOOP_LABELS)]
)
_mostly_labelled = st.sampled_from((True,) * 15 + (False,))
_seldom_dying = st.sampled_from((None,) * 7 + (EARLIER,))


@cache
def remote_endpoint_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """What a remote cluster holds for one of the Services: nothing in it is to be trusted."""
    return _remote_endpoint_slices(universe)


@st.composite
def _remote_endpoint_slices(draw: DrawFn, universe: Universe) -> EndpointSlice:
    key = draw(pick(universe.keys))
    address_type = draw(_address_types)
    labels = dict(draw(_remote_labels))
    if draw(_mostly_labelled):
        labels[LABEL_SERVICE_NAME] = key.name
    metadata = ObjectMeta(
        name=draw(_sources),
        namespace=key.namespace,
        uid="remote",
        resource_version="1",
        labels=tuple(sorted(labels.items())),
        owner_references=(OwnerReference("v1", "Service", key.name, "remote", controller=True),),
    )
    return EndpointSlice(
        metadata, address_type, draw(REMOTE_ENDPOINTS[address_type]), draw(remote_ports)
    )


_TAMPERINGS: Final[tuple[dict[str, str | None], ...]] = (
    {LABEL_SERVICE_NAME: None},
    {LABEL_SERVICE_NAME: "web"},
    {LABEL_CLUSTER: None},
    {LABEL_CLUSTER: "c"},
    {LABEL_HEADLESS: ""},
    {LABEL_SERVICE_NAME: None, LABEL_CLUSTER: None},
)
_tamperings = st.sampled_from([*({},) * 3, *_TAMPERINGS])
_mirrored_address_types = st.sampled_from(("IPv4", "IPv4", "IPv6"))
_owners: SearchStrategy[tuple[int, ...]] = st.sampled_from(((1,), (1,), (2,), ()))
_mostly_annotated = st.sampled_from((True,) * 5 + (False,))
_main_slice_counts = st.sampled_from((1, 2, 3, 0))
_remote_slice_counts = st.sampled_from((1, 2, 2, 3, 0))


def tampered(labels: dict[str, str], edit: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    """Labels after somebody set some and (None) removed others."""
    merged: dict[str, str | None] = {**labels, **edit}
    return tuple(sorted((label, value) for label, value in merged.items() if value is not None))


@cache
def mirrored_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """What svclink may find as its own: of any cluster, also a gone one, right or wrong, whole or edited by hand."""
    return _mirrored_slices(universe)


@st.composite
def _mirrored_slices(draw: DrawFn, universe: Universe) -> EndpointSlice:
    key = draw(pick(universe.keys))
    cluster = draw(pick(universe.clusters + universe.gone))
    source = draw(_sources)
    labels = {LABEL_CLUSTER: cluster, LABEL_MANAGED_BY: MANAGED_BY, LABEL_SERVICE_NAME: key.name}
    readable = f"{key.name}-{cluster}"[:63].rstrip("-")
    address_type = draw(_mirrored_address_types)
    metadata = ObjectMeta(
        name=draw(pick((readable, readable, hashed_name(key, cluster, source, 0), "renamed"))),
        namespace=key.namespace,
        deletion_timestamp=draw(_seldom_dying),
        labels=tampered(labels, draw(_tamperings)),
        annotations=((ANNOTATION_SOURCE_SLICE, source),) if draw(_mostly_annotated) else (),
        owner_references=tuple(
            OwnerReference(
                "v1",
                "Service",
                key.name,
                uid_of(key, incarnation),
                controller=True,
                block_owner_deletion=False,
            )
            for incarnation in draw(_owners)
        ),
    )
    contents = tuple(_storable(each) for each in draw(MAIN_ENDPOINTS[address_type]))
    return EndpointSlice(metadata, address_type, contents, draw(main_ports))


def _storable(endpoint: Endpoint) -> Endpoint:
    """The endpoint as svclink could have written it, as far as its addresses go."""
    return evolve(endpoint, addresses=tuple(dict.fromkeys(endpoint.addresses)))


@cache
def foreign_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """What others hold in the main cluster: local slices, names svclink would want, the Go release's slices."""
    return _foreign_slices(universe)


@st.composite
def _foreign_slices(draw: DrawFn, universe: Universe) -> EndpointSlice:
    key = draw(pick(universe.keys))
    cluster = draw(pick(universe.clusters))
    source = draw(_sources)
    wanted = f"{key.name}-{cluster}"[:63].rstrip("-")
    labels = (
        ((LABEL_MANAGED_BY, LOCAL_CONTROLLER), (LABEL_SERVICE_NAME, key.name)),
        *(((LABEL_GO_CLUSTER, cluster), (LABEL_SERVICE_NAME, key.name)),) * 2,
        ((LABEL_SERVICE_NAME, key.name), (LABEL_CLUSTER, cluster)),
        (),
    )
    address_type = draw(_address_types)
    metadata = ObjectMeta(
        name=draw(pick((wanted, hashed_name(key, cluster, source, 0), f"{key.name[:57]}-abcde"))),
        namespace=key.namespace,
        labels=tuple(sorted(draw(pick(labels)))),
        annotations=draw(pick(((), ((ANNOTATION_SOURCE_SLICE, source),)))),
        owner_references=(OwnerReference("v1", "Service", key.name, uid_of(key), controller=True),),
    )
    return EndpointSlice(
        metadata, address_type, draw(MAIN_ENDPOINTS[address_type]), draw(main_ports)
    )


@cache
def all_main_slices(universe: Universe) -> SearchStrategy[list[EndpointSlice]]:
    """The EndpointSlices of the main cluster: no two of one name, each with its uid and resourceVersion."""
    return _all_main_slices(universe)


@st.composite
def _all_main_slices(draw: DrawFn, universe: Universe) -> list[EndpointSlice]:
    either = any_main_slices(universe)
    drawn = [draw(either) for _ in range(draw(_main_slice_counts))]
    unique = {piece.metadata.key: piece for piece in drawn}
    return [numbered(piece, number) for number, piece in enumerate(unique.values(), start=1)]


@cache
def any_main_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """Slices of the main cluster, ours and those of others."""
    return mirrored_slices(universe) | foreign_slices(universe)


def numbered(piece: EndpointSlice, number: int) -> EndpointSlice:
    """The slice as the main cluster stored it."""
    return evolve(
        piece, metadata=evolve(piece.metadata, uid=f"uid-{number}", resource_version=str(number))
    )


# Links


@cache
def link_specs(universe: Universe) -> SearchStrategy[ClusterLinkSpec]:
    """Links that mirror everything, are disabled, or have filters that hit or miss the Services there are."""
    return mostly(
        st.builds(
            ClusterLinkSpec, st.sampled_from((True,) * 3 + (False,) * 2), unreachable=policies
        ),
        filters(universe),
        1,
    )


@cache
def filters(universe: Universe) -> SearchStrategy[ClusterLinkSpec]:
    """Enabled links, with any filter."""
    return st.builds(
        ClusterLinkSpec,
        unreachable=policies,
        included_namespaces=_some(*(key.namespace for key in universe.keys), "other"),
        excluded_namespaces=_some(*(key.namespace for key in universe.keys), "other"),
        excluded_services=_some(*map(str, universe.keys), "other/web"),
        excluded_service_names=_some(*(key.name for key in universe.keys), "Web"),
    )


def _some(*values: str) -> SearchStrategy[tuple[str, ...]]:
    unique = tuple(dict.fromkeys(values))
    return pick(((), (), *((value,) for value in unique), unique))


LOST: Final = Unreachable(EARLIER, 1_767_225_600.0)
connections: SearchStrategy[Connection] = st.sampled_from(
    (*(SYNCED,) * 6, PENDING, LOST, Unreachable("2026-07-01T12:00:00Z", NOW))
)

policies: SearchStrategy[UnreachablePolicy] = st.sampled_from(
    (
        *(UnreachablePolicy(),) * 2,
        *(UnreachablePolicy("NotReady"),) * 2,
        *(UnreachablePolicy("Remove"),) * 2,
        UnreachablePolicy("Remove", 0),
        UnreachablePolicy("Remove", force=True),
        UnreachablePolicy("NotReady", 0, force=True),
    )
)
HELD: Final = Wave(24, 18, NOW - 100, NOW - 100, NOW + 200)


@cache
def guards(universe: Universe) -> SearchStrategy[Guard]:
    """Guards in every state; most clusters are too small to be guarded."""
    everything = frozenset(universe.keys)
    settling = Wave(24, 1, NOW, NOW)
    return pick(
        (
            *(UNGUARDED,) * 9,
            Guard(is_armed=True),
            Guard(is_armed=True, wave=settling),
            Guard(is_armed=True, wave=HELD),
            Guard(is_armed=True, released=everything),
            Guard(is_armed=True, wave=settling, released=frozenset(universe.keys[:1])),
        )
    )


@cache
def remote_clusters(universe: Universe, name: str) -> SearchStrategy[RemoteCluster]:
    """A linked cluster. One that is not synced still has what was known of it: nobody may act on that."""
    return st.builds(
        lambda cluster, guard: evolve(cluster, guard=guard),
        st.builds(
            remote_cluster,
            st.builds(
                ClusterLink,
                _link_metadata(name),
                link_specs(universe),
                is_selected=_nearly_always_true,
            ),
            some_services(universe),
            all_remote_slices(universe),
            connections,
        ),
        guards(universe),
    )


def _link_metadata(name: str) -> SearchStrategy[ObjectMeta]:
    """Of a link that is the oldest, or is not, or was made in the same second as another."""
    first = ObjectMeta(name, uid=f"uid-of-{name}", generation=1)
    return pick(
        (first, evolve(first, creation_timestamp=EARLIER), evolve(first, creation_timestamp=LATER))
    )


@cache
def all_remote_slices(universe: Universe) -> SearchStrategy[list[EndpointSlice]]:
    """The EndpointSlices of a remote cluster, no two of one name."""
    return _all_remote_slices(universe)


@st.composite
def _all_remote_slices(draw: DrawFn, universe: Universe) -> list[EndpointSlice]:
    count = draw(_remote_slice_counts)
    drawn = [draw(remote_endpoint_slices(universe)) for _ in range(count)]
    return [
        evolve(piece, metadata=evolve(piece.metadata, name=name))
        for piece, name in zip(drawn, source_names, strict=False)
    ]


@cache
def some_services(universe: Universe) -> SearchStrategy[list[Service]]:
    """A Service for most of the names."""
    present = [mostly(services(key), st.none()) for key in universe.keys]
    return st.tuples(*present).map(
        lambda drawn: [service for service in drawn if service is not None]
    )


# Snapshots

options = st.sampled_from(
    (
        *(Options(),) * 5,
        *(Options(sync_services=True),) * 8,
        Options(frozenset({"default"})),
        Options(frozenset({"default"}), sync_services=True),
        Options(frozenset({"other"})),
    )
)


@cache
def fresh_snapshots(universe: Universe) -> SearchStrategy[Snapshot]:
    """A snapshot nobody acted on yet; what is mirrored in it has no connection to what should be."""
    return st.builds(
        snapshot,
        st.builds(
            main_cluster,
            some_services(universe),
            all_main_slices(universe),
            some_namespaces(universe),
        ),
        st.tuples(*(remote_clusters(universe, name) for name in universe.clusters)),
    )


@cache
def some_namespaces(universe: Universe) -> SearchStrategy[list[Namespace] | None]:
    """The Namespaces of the main cluster: not known, none, or those of the Services, some of them on their way out."""
    names = sorted({key.namespace for key in universe.keys})
    alive = [Namespace(ObjectMeta(name)) for name in names]
    going = [Namespace(ObjectMeta(name, deletion_timestamp=EARLIER)) for name in names]
    return st.sampled_from((None, [], alive, alive, going, [*alive[:1], *going[1:]]))


@cache
def healthy_snapshot(universe: Universe) -> Snapshot:
    """Every Service in every cluster, each with two slices: nearly everything is mirrored."""
    return snapshot(
        main_cluster(
            [_healthy_service(key) for key in universe.keys],
            [],
            [Namespace(ObjectMeta(key.namespace)) for key in universe.keys],
        ),
        [
            remote_cluster(
                ClusterLink(ObjectMeta(name, uid=f"uid-of-{name}", generation=1)),
                [_healthy_service(key) for key in universe.keys],
                [
                    piece
                    for place, key in enumerate(universe.keys)
                    for piece in _healthy_slices(key, place)
                ],
            )
            for name in universe.clusters
        ],
    )


def _healthy_service(key: NamespacedName) -> Service:
    ports = (ServicePort(80, "http"), ServicePort(53, "dns", "UDP"))
    spec = ServiceSpec(cluster_ip="10.96.0.1", ip_families=("IPv4", "IPv6"), ports=ports)
    return Service(ObjectMeta(key.name, key.namespace, uid_of(key), "1"), spec)


def _healthy_slices(key: NamespacedName, place: int) -> list[EndpointSlice]:
    labels = ((LABEL_MANAGED_BY, LOCAL_CONTROLLER), (LABEL_SERVICE_NAME, key.name))
    ports = (EndpointPort("http", port=8080), EndpointPort("dns", "UDP", 53))
    return [
        EndpointSlice(
            ObjectMeta(
                source_names[2 * place + number], key.namespace, "remote", "1", labels=labels
            ),
            address_type,
            (Endpoint((address,), EndpointConditions(ready=True), "zone-a"),),
            ports,
        )
        for number, (address_type, address) in enumerate(
            (("IPv4", IPV4_GOOD[0]), ("IPv6", IPV6_GOOD[0]))
        )
    ]


_seldom_chaotic = st.sampled_from((False, False, False, True))
_courses: SearchStrategy[tuple[bool, ...]] = st.sampled_from(
    (
        (False,),
        (True, False),
        (True, False, False),
        (True, True, False),
        (False, True, False),
        (True, False, False, False),
    )
)
"""How many things happen, and after which of them the plan is carried out."""


@st.composite
def stories(draw: DrawFn) -> tuple[Universe, Snapshot]:
    """Any snapshot, with the names it is about.

    It begins chaotic or healthy. Then a few things happen, and now and then the plan is carried out.
    """
    universe = draw(universes)
    found = draw(fresh_snapshots(universe)) if draw(_seldom_chaotic) else healthy_snapshot(universe)
    if draw(_mostly_true):  # A namespace can be known to be gone before its Services are.
        spaces = main_cluster((), (), draw(some_namespaces(universe)))
        found = evolve(
            found,
            main=evolve(found.main, namespaces=spaces.namespaces, terminating=spaces.terminating),
        )
    for is_settled in draw(_courses):
        _, found = draw(happenings(universe, found))
        if is_settled:
            found = settled(found)
    return universe, evolve(found, options=draw(options))


_stories = stories()
snapshots: Final[SearchStrategy[Snapshot]] = _stories.map(lambda story: story[1])
settled_snapshots: Final[SearchStrategy[Snapshot]] = snapshots.map(settled)


# Events


@frozen
class Happening:
    """An event, with the snapshots before and after it."""

    before: Snapshot
    event: Event
    after: Snapshot


@st.composite
def events(draw: DrawFn) -> Happening:
    """Anything that can happen, to any snapshot."""
    universe, before = draw(_stories)
    event, after = draw(happenings(universe, before))
    return Happening(before, event, after)


@st.composite
def happenings(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """One thing that happens to a snapshot: the event, and the snapshot after it."""
    always = (_main_slice, _main_service, _main_slice, _link, _link, _namespace)
    remote = (_remote_service, _remote_slice, _remote_slice, _undecodable, _guard)
    kind = draw(pick((*always, *remote) if before.remotes else always))
    return kind(draw, universe, before)


_of_a_service = st.sampled_from(("replace", "re-create", "delete"))


def _main_service(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A Service is made or becomes another one, is deleted, or is deleted and made again before anybody looked."""
    key = draw(pick(universe.keys))
    old = before.main.services.get(key)
    new: Service | None
    match draw(_of_a_service) if old is not None else "replace":
        case "re-create" if old is not None:
            new = evolve(old, metadata=evolve(old.metadata, uid=f"{old.metadata.uid}-again"))
        case "delete":
            new = None
        case _:
            new = draw(services(key))
    return ServiceChanged(old, new), with_main(
        before, services=_replaced(before.main.services, key, new)
    )


def _remote_service(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    cluster = draw(pick(tuple(sorted(before.remotes))))
    key = draw(pick(universe.keys))
    found = before.remotes[cluster].services
    old, new = found.get(key), draw(services(key))
    if old is not None and draw(st.booleans()):
        return ServiceChanged(old, None), with_remote(
            before, cluster, services=_replaced(found, key, None)
        )
    return ServiceChanged(old, new), with_remote(
        before, cluster, services=_replaced(found, key, new)
    )


def _replaced(
    found: Mapping[NamespacedName, Service], key: NamespacedName, new: Service | None
) -> list[Service]:
    kept = [each for each in found.values() if each.metadata.key != key]
    return kept if new is None else [*kept, new]


def _remote_slice(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A slice of a remote cluster comes, goes, or is recycled: its name stays and everything else is another."""
    cluster = draw(pick(tuple(sorted(before.remotes))))
    found = remote_slices(before.remotes[cluster])
    if len(found) > 0 and draw(st.booleans()):
        old = draw(st.sampled_from(found))
        slices = [piece for piece in found if piece != old]
        return EndpointSliceChanged(old, None, in_main=False), with_remote(
            before, cluster, slices=slices
        )
    new = draw(remote_endpoint_slices(universe))
    slices = [piece for piece in found if piece.metadata.key != new.metadata.key]
    event = EndpointSliceChanged(_same_name(found, new), new, in_main=False)
    return event, with_remote(before, cluster, slices=[*slices, new])


def _namespace(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A Namespace of the main cluster comes, begins to go, or is gone."""
    name = draw(pick(universe.keys)).namespace
    names, terminating = (
        set(before.main.namespaces or ()) - {name},
        set(before.main.terminating) - {name},
    )
    if draw(_mostly_true):
        names.add(name)
        if not draw(_mostly_true):
            terminating.add(name)
    main = evolve(before.main, namespaces=frozenset(names), terminating=frozenset(terminating))
    return NamespaceChanged(name), evolve(before, main=main)


def _guard(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """The deletion guard of a cluster goes on, or is disarmed because its link was edited."""
    cluster = draw(pick(tuple(sorted(before.remotes))))
    after = evolve(before.remotes[cluster], guard=draw(guards(universe)))
    decided = plan(before, NOW).decisions
    doomed = frozenset(each.service for each in decided if each.cluster == cluster and each.doomed)
    return GuardChanged(doomed), evolve(before, remotes={**before.remotes, cluster: after})


def _undecodable(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """Something of a Service in some cluster cannot be understood any more, or can again."""
    cluster = draw(pick(tuple(sorted(before.remotes))))
    key = draw(pick(universe.keys))
    if not draw(_mostly_true):
        main = evolve(before.main, undecodable=frozenset(before.main.undecodable) ^ {key})
        found = before.main.services.get(key)
        return ServiceChanged(None, found or draw(services(key))), evolve(before, main=main)
    remote = before.remotes[cluster]
    known = remote.services.get(key)
    unknown = frozenset(remote.undecodable) ^ {key}
    after = evolve(before, remotes={**before.remotes, cluster: evolve(remote, undecodable=unknown)})
    some = known if known is not None else draw(services(key))
    return ServiceChanged(some, some), after


_deeds = st.sampled_from(("edit", "make", "delete", "copy"))
_edits = st.sampled_from(_TAMPERINGS)


def _main_slice(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """Somebody makes, edits, deletes or copies an EndpointSlice of the main cluster by hand."""
    found = main_slices(before)
    deed = draw(_deeds) if len(found) > 0 else "make"
    if deed == "make":
        return _written(found, draw(any_main_slices(universe)), before)
    old = draw(st.sampled_from(found))
    match deed:
        case "edit":
            labels = tampered(dict(old.metadata.labels), draw(_edits))
            return _written(
                found, evolve(old, metadata=evolve(old.metadata, labels=labels)), before
            )
        case "copy":
            return _written(found, evolve(old, metadata=evolve(old.metadata, name="copy")), before)
        case _:
            slices = [piece for piece in found if piece != old]
            return EndpointSliceChanged(old, None, in_main=True), with_main(before, slices=slices)


def _written(
    found: list[EndpointSlice], new: EndpointSlice, before: Snapshot
) -> tuple[Event, Snapshot]:
    """A slice that was made or, where its name exists, edited: its uid and its address type stay."""
    newest = max([int(piece.metadata.resource_version) for piece in found], default=0)
    new = numbered(new, newest + 1)
    old = _same_name(found, new)
    if old is not None:
        metadata = evolve(
            new.metadata, uid=old.metadata.uid, deletion_timestamp=old.metadata.deletion_timestamp
        )
        new = evolve(old, metadata=metadata, ports=new.ports)
    slices = [piece for piece in found if piece.metadata.key != new.metadata.key]
    return EndpointSliceChanged(old, new, in_main=True), with_main(before, slices=[*slices, new])


def _same_name(slices: Iterable[EndpointSlice], wanted: EndpointSlice) -> EndpointSlice | None:
    return next((each for each in slices if each.metadata.key == wanted.metadata.key), None)


_link_events = st.sampled_from(("delete", "edit", "connect", "lose", "lose"))
_losses: SearchStrategy[UnreachableAction] = st.sampled_from(("NotReady", "Remove"))


def _link(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A link is created, deleted or edited, or its cluster is synced or lost."""
    cluster = draw(pick(universe.clusters))
    event = ClusterChanged(cluster)
    if cluster not in before.remotes:
        new = draw(remote_clusters(universe, cluster))
        return event, evolve(before, remotes={**before.remotes, cluster: new})
    match draw(_link_events):
        case "delete":
            return event, without_link(before, cluster)
        case "edit":
            spec, is_selected = draw(link_specs(universe)), draw(_nearly_always_true)
            return event, with_link(before, cluster, spec, is_selected=is_selected)
        case "lose":
            policy = UnreachablePolicy(draw(_losses), force=draw(_seldom_two_addresses))
            return event, with_link(before, cluster, ClusterLinkSpec(unreachable=policy), LOST)
        case _:
            return event, with_link(before, cluster, connection=draw(connections))


# Whole objects, for the codec and the status

_counts = st.integers(0, 5)
_texts = st.sampled_from((None, "", "some text", "ünï"))
_times = st.sampled_from((EARLIER, LATER))

link_conditions = st.builds(
    Condition,
    type=st.sampled_from(("Ready", "Synced", "Degraded", "Other")),
    status=st.sampled_from(("True", "False", "Unknown")),
    reason=st.sampled_from(("Synced", "Stale")),
    message=st.sampled_from(("", "a message")),
    last_transition_time=_times,
    observed_generation=_counts,
)
link_statuses = st.builds(
    ClusterLinkStatus,
    phase=st.sampled_from(("Ready", "NotReady", "Disabled", "Pending")),
    version=st.sampled_from((None, "v1.36.1")),
    cluster_id=st.sampled_from((None, "uid-of-kube-system")),
    connected=st.booleans(),
    last_connected=st.none() | _times,
    services=_counts,
    endpoints=_counts,
    slices=_counts,
    observed_generation=_counts,
    error=_texts,
    conditions=st.lists(
        link_conditions, max_size=3, unique_by=lambda condition: condition.type
    ).map(tuple),
)
_whole_specs = st.builds(
    ClusterLinkSpec,
    enabled=st.booleans(),
    kubeconfig=_texts,
    kubeconfig_secret_ref=st.none()
    | st.builds(SecretKeyReference, st.just("remote"), st.sampled_from(("kubeconfig", "a"))),
    included_namespaces=st.lists(namespaces, max_size=2).map(tuple),
    excluded_namespaces=st.lists(namespaces, max_size=2).map(tuple),
    excluded_services=st.lists(keys.map(str), max_size=2).map(tuple),
    excluded_service_names=st.lists(service_names, max_size=2).map(tuple),
    unreachable=st.builds(
        UnreachablePolicy,
        st.sampled_from(("Keep", "NotReady", "Remove")),
        st.integers(0, 600),
        st.booleans(),
    ),
    cluster_id=_texts,
)
cluster_links = st.builds(
    ClusterLink,
    st.builds(
        ObjectMeta,
        cluster_names,
        uid=st.just("uid"),
        generation=_counts,
        creation_timestamp=st.none() | _times,
    ),
    _whole_specs,
    link_statuses,
)
all_services = keys.flatmap(services)
all_slices = universes.flatmap(
    lambda universe: st.one_of(
        remote_endpoint_slices(universe), mirrored_slices(universe), foreign_slices(universe)
    )
)
findings = st.builds(
    Finding,
    keys,
    cluster_names,
    st.sampled_from((Reason.PORT_MISMATCH, Reason.INVALID_ENDPOINTS, Reason.LOOP)),
    st.just(("http 80/TCP",)),
)
link_facts = st.builds(
    LinkFacts,
    link=cluster_links,
    connection=connections,
    problem=st.none()
    | st.builds(Problem, st.sampled_from(LinkReason), st.just("what to do about it")),
    version=st.sampled_from((None, "v1.36.1", "v1.37.0")),
    cluster_id=st.sampled_from((None, "uid-of-kube-system")),
    last_connected=st.none() | _times,
    services=_counts,
    endpoints=_counts,
    slices=_counts,
    findings=st.lists(findings, max_size=5),
    write_failures=st.lists(keys.map(str), max_size=5),
)
