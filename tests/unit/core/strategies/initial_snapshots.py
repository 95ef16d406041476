"""Snapshots before any event: healthy ones, and ones in which anything may be wrong."""

from __future__ import annotations

from functools import cache

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from svclink_core import (
    ClusterLink,
    Endpoint,
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    Namespace,
    NamespacedName,
    ObjectMeta,
    Options,
    Service,
    ServicePort,
    ServiceSpec,
    Snapshot,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.well_known import (
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
)
from tests.unit.core.strategies.endpoint_slices import LOCAL_CONTROLLER, all_main_slices
from tests.unit.core.strategies.endpoints import IPV4_GOOD, IPV6_GOOD
from tests.unit.core.strategies.links import remote_clusters
from tests.unit.core.strategies.names import EARLIER, Universe, source_names
from tests.unit.core.strategies.services import some_services, uid_of

options = st.sampled_from(
    (
        *(Options(),) * 5,
        *(Options(sync_services=True),) * 8,
        Options(frozenset({"default"})),
        Options(frozenset({"default"}), sync_services=True),
        Options(frozenset({"other"})),
        Options(opt_in=True, sync_services=True),
    )
)


@cache
def fresh_snapshots(universe: Universe) -> SearchStrategy[Snapshot]:
    """A snapshot whose mirrors have no relation to what its remote clusters hold."""
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
    """The Namespaces of the main cluster: unknown, none, or those of the Services.

    Some are being deleted.
    """
    names = sorted({key.namespace for key in universe.keys})
    alive = [Namespace(ObjectMeta(name)) for name in names]
    going = [Namespace(ObjectMeta(name, deletion_timestamp=EARLIER)) for name in names]
    return st.sampled_from((None, [], alive, alive, going, [*alive[:1], *going[1:]]))


@cache
def healthy_snapshot(universe: Universe) -> Snapshot:
    """Every Service in every cluster, each with two slices that can be mirrored."""
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
                    endpoint_slice
                    for place, key in enumerate(universe.keys)
                    for endpoint_slice in _healthy_slices(key, place)
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
