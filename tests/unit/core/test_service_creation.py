"""Services that the main cluster lacks, one fact in each test."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    CreateNamespace,
    CreateService,
    Namespace,
    NamespacedName,
    ObjectMeta,
    Options,
    Outcome,
    Reason,
    RemoteCluster,
    Service,
    ServicePort,
    Snapshot,
    Unreachable,
    main_cluster,
    plan,
)
from svclink_core.core_v1 import ClientIPConfig, SessionAffinityConfig
from svclink_core.service_creation import (
    LISTING_PATIENCE_SECONDS,
    copied_ports,
    local_service,
    with_older_distribution,
)
from svclink_core.well_known import LABEL_IMPORTED
from tests.builders.keys import WEB
from tests.builders.values import cluster, mirrored_slice, remote_slice, service, snapshot_of
from tests.unit.core.world import NOW, main_slices, settled

SPACE = Namespace(ObjectMeta("default"))
GOING = Namespace(ObjectMeta("default", deletion_timestamp="2026-01-01T00:00:00Z"))
BOTH = Options(sync_services=True)


def lacking(
    *remotes: RemoteCluster,
    namespaces: Iterable[Namespace] | None = (SPACE,),
    options: Options = BOTH,
) -> Snapshot:
    """A snapshot whose main cluster has no Service."""
    found = snapshot_of(*remotes, services=[], options=options)
    return evolve(found, main=main_cluster([], [], namespaces))


def aged(remote: RemoteCluster, created: str | None) -> RemoteCluster:
    metadata = evolve(remote.link.metadata, creation_timestamp=created)
    return evolve(remote, link=evolve(remote.link, metadata=metadata))


def test_created_service_has_no_fields_of_the_remote_cluster() -> None:
    """It has type ClusterIP and no selector, address, node port, label or annotation."""
    remote = service(
        service_type="LoadBalancer",
        labels={"app": "web"},
        annotations={"a": "b"},
        traffic_distribution="PreferClose",
    )
    ports = (
        ServicePort(443, "https", "TCP", "", "tls"),
        ServicePort(80, "http", "TCP", "kubernetes.io/h2c", 8080),
    )
    affinity = SessionAffinityConfig(ClientIPConfig(60))
    spec = evolve(
        remote.spec,
        ports=ports,
        session_affinity="ClientIP",
        session_affinity_config=affinity,
        publish_not_ready_addresses=True,
    )
    made = local_service(evolve(remote, spec=spec))
    assert made.metadata == ObjectMeta("web", "default", labels=((LABEL_IMPORTED, "true"),))
    assert (made.spec.type, made.spec.cluster_ip, made.spec.ip_families) == ("ClusterIP", "", ())
    http, https = (
        ServicePort(80, "http", "TCP", "kubernetes.io/h2c", 8080),
        ServicePort(443, "https", "TCP", None, "tls"),
    )
    assert made.spec.ports == (http, https)
    assert (made.spec.session_affinity, made.spec.session_affinity_config) == ("ClientIP", affinity)
    assert made.spec.publish_not_ready_addresses
    assert made.spec.traffic_distribution == "PreferClose"


@pytest.mark.parametrize("families", [("IPv4",), ("IPv6",), ("IPv4", "IPv6")])
def test_two_families_are_preferred_not_required(families: tuple[str, ...]) -> None:
    """Every remote family gets endpoints if main has it, and a single-stack main accepts it too."""
    made = local_service(service(ip_families=families))
    assert made.spec.ip_family_policy == "PreferDualStack"


def test_a_service_of_an_ipv6_cluster_gets_its_endpoints() -> None:
    """A Service created for an IPv6-only cluster has endpoints where main's first family is IPv4.

    The created Service has both families.
    """
    remote = service(ip_families=("IPv6",))
    endpoint_slice = remote_slice(None, "fd00::1", address_type="IPv6")
    after = settled(lacking(cluster("c1", endpoint_slice, services=[remote])))
    assert [each.address_type for each in main_slices(after)] == ["IPv6"]


@pytest.mark.parametrize(
    ("ports", "copied"),
    [
        ([ServicePort(80), ServicePort(81, "a")], [ServicePort(81, "a")]),
        ([ServicePort(80), ServicePort(81)], []),
        ([ServicePort(80, "Http")], []),
        ([ServicePort(80, "x" * 64)], []),
        (
            [ServicePort(0, "a"), ServicePort(65_536, "b"), ServicePort(1, "c")],
            [ServicePort(1, "c")],
        ),
        (
            [ServicePort(80, "a", "tcp"), ServicePort(81, "b", "SCTP")],
            [ServicePort(81, "b", "SCTP")],
        ),
        ([ServicePort(81, "a"), ServicePort(80, "a")], [ServicePort(80, "a")]),
        ([ServicePort(80, "b"), ServicePort(80, "a")], [ServicePort(80, "a")]),
        (
            [ServicePort(53, "b", "UDP"), ServicePort(53, "a")],
            [ServicePort(53, "a"), ServicePort(53, "b", "UDP")],
        ),
        ([ServicePort(80, "a", app_protocol="x" * 254)], [ServicePort(80, "a")]),
        ([ServicePort(80, "a", target_port=0)], [ServicePort(80, "a")]),
        ([ServicePort(80, "a", target_port="not a name")], [ServicePort(80, "a")]),
        ([ServicePort(80, "a", target_port="http")], [ServicePort(80, "a", target_port="http")]),
    ],
)
def test_what_main_would_refuse_of_ports_is_left_out(
    ports: list[ServicePort], copied: list[ServicePort]
) -> None:
    """A remote cluster may serve ports that no API server accepts; the others are copied."""
    assert list(copied_ports(ports)) == copied
    assert list(copied_ports(reversed(ports))) == copied


@pytest.mark.parametrize(
    ("affinity", "seconds", "copied"),
    [
        ("ClientIP", 60, ("ClientIP", 60)),
        ("ClientIP", 0, ("ClientIP", None)),
        ("ClientIP", 86_401, ("ClientIP", None)),
        ("ClientIP", None, ("ClientIP", None)),
        ("None", 60, ("None", None)),
        (None, 60, (None, None)),
        ("Cookie", 60, (None, None)),
    ],
)
def test_session_affinity_that_main_would_refuse_is_left_out(
    affinity: str | None, seconds: int | None, copied: tuple[str | None, int | None]
) -> None:
    """Only ClientIP has a configuration, of 1 to 86,400 seconds."""
    config = SessionAffinityConfig(ClientIPConfig(seconds))
    remote = service()
    spec = evolve(remote.spec, session_affinity=affinity, session_affinity_config=config)
    made = local_service(evolve(remote, spec=spec)).spec
    found = made.session_affinity_config
    given = None if found is None or found.client_ip is None else found.client_ip.timeout_seconds
    assert (made.session_affinity, given) == copied


@pytest.mark.parametrize("config", [None, SessionAffinityConfig()])
def test_client_ip_without_configuration(config: SessionAffinityConfig | None) -> None:
    """The main cluster then uses its own default."""
    remote = service()
    spec = evolve(remote.spec, session_affinity="ClientIP", session_affinity_config=config)
    made = local_service(evolve(remote, spec=spec)).spec
    assert (made.session_affinity, made.session_affinity_config) == ("ClientIP", None)


def test_unknown_traffic_distribution_is_left_out() -> None:
    """The API server would refuse the whole Service."""
    assert (
        local_service(service(traffic_distribution="PreferMoon")).spec.traffic_distribution is None
    )


@pytest.mark.parametrize(
    ("given", "next_ones"),
    [
        ("PreferSameZone", ["PreferClose", None]),
        ("PreferSameNode", ["PreferClose", None]),
        ("PreferClose", [None]),
        (None, []),
    ],
)
def test_an_older_main_gets_an_older_traffic_distribution(
    given: str | None, next_ones: list[str | None]
) -> None:
    """A main cluster that refuses `trafficDistribution` gets `PreferClose`, then none."""
    found = []
    older = with_older_distribution(service(traffic_distribution=given))
    while older is not None:
        found.append(older.spec.traffic_distribution)
        older = with_older_distribution(older)
    assert found == next_ones


def test_namespace_is_created_before_service_and_slices() -> None:
    """One plan creates the Namespace and the Service in it, the next one its slices."""
    found = lacking(cluster("c1", remote_slice()), namespaces=[])
    first, second = plan(found, NOW).changes
    assert isinstance(first, CreateNamespace)
    assert isinstance(second, CreateService)
    assert first.namespace == Namespace(ObjectMeta("default", labels=((LABEL_IMPORTED, "true"),)))
    assert (first.key, second.key, first.cluster, second.cluster) == (
        NamespacedName("", "default"),
        WEB,
        "c1",
        "c1",
    )
    assert (first.reason, second.reason) == (Reason.NAMESPACE_CREATED, Reason.SERVICE_CREATED)
    after = settled(found)
    (made,) = after.main.services.values()
    (endpoint_slice,) = main_slices(after)
    assert endpoint_slice.metadata.owner_references[0].uid == made.metadata.uid


def test_the_oldest_link_provides_the_service() -> None:
    """The oldest link that has the Service provides it; at the same age, the first by name."""
    young, old = (
        aged(cluster("a"), "2026-02-01T00:00:00Z"),
        aged(cluster("b"), "2026-01-01T00:00:00Z"),
    )
    equal = aged(cluster("c"), "2026-01-01T00:00:00Z")
    without = aged(cluster("d", services=[]), "2025-01-01T00:00:00Z")
    disabled = aged(cluster("e", spec=ClusterLinkSpec(enabled=False)), "2025-01-01T00:00:00Z")
    decided = plan(lacking(young, old, equal, without, disabled), NOW)
    assert [change.cluster for change in decided.changes] == ["b"]
    assert [(each.cluster, each.outcome, each.reason) for each in decided.decisions] == [
        ("a", Outcome.SKIPPED, Reason.SERVICE_AWAITED),
        ("b", Outcome.CREATED, Reason.SERVICE_CREATED),
        ("c", Outcome.SKIPPED, Reason.SERVICE_AWAITED),
        ("d", Outcome.SKIPPED, Reason.REMOTE_SERVICE_MISSING),
        ("e", Outcome.KEPT, Reason.FROZEN),
    ]


def listed_since(remote: RemoteCluster, since: float) -> RemoteCluster:
    """The cluster of an older link, which is still being listed."""
    return evolve(aged(remote, "2026-01-01T00:00:00Z"), connection=PENDING, since=since)


def test_an_older_link_that_is_being_listed_is_waited_for() -> None:
    """Created Services do not depend on who is listed first: an older link may have it too."""
    young = aged(cluster("a"), "2026-02-01T00:00:00Z")
    old = listed_since(cluster("b"), NOW - 1)
    decided = plan(lacking(young, old), NOW)
    assert decided.changes == ()
    assert [(each.cluster, each.reason) for each in decided.decisions] == [
        ("a", Reason.OLDER_LINK_AWAITED),
        ("b", Reason.PENDING),
    ]
    assert decided.again_at == NOW - 1 + LISTING_PATIENCE_SECONDS
    listed = lacking(young, evolve(old, connection=SYNCED))
    assert [change.cluster for change in plan(listed, NOW).changes] == ["b"]


def test_an_older_link_is_waited_for_30_seconds() -> None:
    """A cluster that takes longer to be listed does not keep Services from being created."""
    young = aged(cluster("a"), "2026-02-01T00:00:00Z")
    decided = plan(lacking(young, listed_since(cluster("b"), NOW - LISTING_PATIENCE_SECONDS)), NOW)
    assert [change.cluster for change in decided.changes] == ["a"]
    assert decided.again_at is None


@pytest.mark.parametrize(
    "other",
    [
        evolve(listed_since(cluster("b"), NOW), connection=Unreachable("2026-01-01T00:00:00Z", 0)),
        listed_since(cluster("b", spec=ClusterLinkSpec(enabled=False)), NOW),
        listed_since(cluster("b", spec=ClusterLinkSpec(excluded_services=(str(WEB),))), NOW),
        aged(listed_since(cluster("b"), NOW), "2026-03-01T00:00:00Z"),
    ],
)
def test_other_links_are_not_waited_for(other: RemoteCluster) -> None:
    """A lost, disabled or younger link is not waited for, and none that excludes the Service."""
    young = aged(cluster("a"), "2026-02-01T00:00:00Z")
    assert [change.cluster for change in plan(lacking(young, other), NOW).changes] == ["a"]


def test_a_link_without_a_time_is_the_oldest() -> None:
    """Only a link from a file has no creation time; it counts as the oldest."""
    found = lacking(aged(cluster("a"), "2026-01-01T00:00:00Z"), aged(cluster("b"), None))
    assert [change.cluster for change in plan(found, NOW).changes] == ["b"]


def test_service_without_ports_is_not_copied() -> None:
    """Without ports it would be refused, so the next oldest cluster with ports provides it."""
    old = aged(cluster("a", services=[service(ports=())]), "2026-01-01T00:00:00Z")
    young = aged(cluster("b"), "2026-02-01T00:00:00Z")
    decided = plan(lacking(old, young), NOW)
    assert [change.cluster for change in decided.changes] == ["b"]
    assert [(each.cluster, each.reason) for each in decided.decisions] == [
        ("a", Reason.SERVICE_AWAITED),
        ("b", Reason.SERVICE_CREATED),
    ]


def named(namespace: str, name: str = "web") -> RemoteCluster:
    key = NamespacedName(namespace, name)
    return cluster("c1", services=[service(key)])


def with_long_name(port_name: str) -> RemoteCluster:
    """A cluster with a Service whose namespace and name are as long as Kubernetes permits."""
    key = NamespacedName("n" * 63, "s" * 63)
    return cluster("c1", services=[service(key, ports=(ServicePort(80, port_name),))])


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (lacking(cluster("c1"), options=Options()), Reason.MAIN_SERVICE_MISSING),
        (lacking(cluster("c1"), namespaces=None), Reason.NAMESPACES_UNKNOWN),
        (lacking(cluster("c1"), namespaces=[GOING]), Reason.NAMESPACE_TERMINATING),
        (lacking(named("kube-public")), Reason.NAMESPACE_RESERVED),
        (lacking(named("../../kube-system")), Reason.NAME_INVALID),
        (lacking(named("default", "Web")), Reason.NAME_INVALID),
        (lacking(cluster("c1", services=[service(ports=())])), Reason.REMOTE_PORTLESS),
        (lacking(with_long_name("a" * 2)), Reason.NAME_TOO_LONG),
        (
            lacking(cluster("c1", services=[service(service_type="ExternalName")])),
            Reason.REMOTE_EXTERNAL_NAME,
        ),
        (
            lacking(cluster("c1", services=[service(labels={LABEL_IMPORTED: "true"})])),
            Reason.REMOTE_IMPORTED,
        ),
    ],
)
def test_service_is_not_created(found: Snapshot, reason: Reason) -> None:
    """It needs the flag, an existing namespace that is not reserved, and no filter against it."""
    assert plan(found, NOW).changes == ()
    assert [(each.outcome, each.reason) for each in plan(found, NOW).decisions] == [
        (Outcome.SKIPPED, reason)
    ]


def test_longest_name_without_a_port_name_fits_into_a_comment() -> None:
    """kube-proxy writes no port name of a single port that has none, so 127 characters remain."""
    assert [change.verb for change in plan(lacking(with_long_name("")), NOW).changes] == [
        "create",
        "create",
    ]


def test_undecodable_main_service_exists() -> None:
    """An undecodable main Service exists: it is not created, and its mirrors stay."""
    found = lacking(cluster("c1", remote_slice()))
    main = evolve(
        found.main, undecodable=[WEB], endpoint_slices={WEB: [mirrored_slice(owner_uid=None)]}
    )
    decided = plan(evolve(found, main=main), NOW)
    assert decided.changes == ()
    assert [each.reason for each in decided.decisions] == [Reason.MAIN_UNDECODABLE]


def test_two_services_share_a_namespace() -> None:
    """A Namespace that two Services need is created once."""
    services: list[Service] = [service(NamespacedName("shop", name)) for name in ("a", "b")]
    decided = plan(lacking(cluster("c1", services=services)), NOW)
    assert [type(change) for change in decided.changes] == [
        CreateNamespace,
        CreateService,
        CreateService,
    ]
