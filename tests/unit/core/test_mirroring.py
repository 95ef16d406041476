"""One remote slice becomes one main slice: the rule of one field in each test."""

from __future__ import annotations

import pytest

from svclink_core import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
    OwnerReference,
    Reason,
    Service,
    ServicePort,
)
from svclink_core.hints import Topology, hints_for, topology_of
from svclink_core.mirroring import MirrorResult, mirror, mirror_all, mirror_endpoints
from svclink_core.omissions import Omission
from svclink_core.port_names import translate_ports
from tests.builders.values import HTTP_8080, READY, endpoint, remote_slice, service


def mirrored(
    *endpoints: Endpoint,
    address_type: str = "IPv4",
    ports: tuple[EndpointPort, ...] = (HTTP_8080,),
    main: Service | None = None,
) -> MirrorResult:
    """The result for a remote slice with these endpoints."""
    endpoint_slice = remote_slice(
        endpoints=endpoints or [endpoint()], address_type=address_type, ports=ports
    )
    return mirror(endpoint_slice, "c1", service(uid="remote"), main or service())


def only(result: MirrorResult) -> EndpointSlice:
    """The only slice of a result that left nothing out."""
    assert result.omissions == ()
    (endpoint_slice,) = result.slices
    return endpoint_slice


# Metadata


def test_labels() -> None:
    """The labels are source cluster, managed-by and Service, without those of the remote."""
    assert dict(only(mirrored()).metadata.labels) == {
        "endpointslice.kubernetes.io/managed-by": "svclink.cloudpilot.ai",
        "kubernetes.io/service-name": "web",
        "svclink.cloudpilot.ai/cluster": "c1",
    }


def test_annotations() -> None:
    """The only annotation is the name of the source slice."""
    assert dict(only(mirrored()).metadata.annotations) == {
        "svclink.cloudpilot.ai/source-slice": "web-abc"
    }


def test_owner() -> None:
    """The only owner is the main Service, by uid, as a controller that does not block deletion."""
    owner = OwnerReference(
        "v1", "Service", "web", "uid-of-web", controller=True, block_owner_deletion=False
    )
    assert only(mirrored()).metadata.owner_references == (owner,)


def test_desired_slice_has_no_server_set_fields() -> None:
    """A desired slice has no name, uid or resourceVersion."""
    metadata = only(mirrored()).metadata
    assert (metadata.name, metadata.namespace) == ("", "default")
    assert (metadata.uid, metadata.resource_version, metadata.generation) == ("", "", 0)


@pytest.mark.parametrize(("address_type", "address"), [("IPv4", "10.0.0.1"), ("IPv6", "fd00::1")])
def test_address_type(address_type: str, address: str) -> None:
    """The address type is copied."""
    assert only(mirrored(endpoint(address), address_type=address_type)).address_type == address_type


# Endpoints


def test_endpoints_are_sorted() -> None:
    """Endpoints are sorted by first address, because the remote order has no meaning."""
    endpoint_slice = only(
        mirrored(endpoint("10.0.0.9"), endpoint("10.0.0.10"), endpoint("10.0.0.1"))
    )
    assert [each.addresses[0] for each in endpoint_slice.endpoints] == [
        "10.0.0.1",
        "10.0.0.10",
        "10.0.0.9",
    ]


def test_endpoints_are_not_repeated() -> None:
    """Two endpoints with the same address become one."""
    assert len(only(mirrored(endpoint("10.0.0.1"), endpoint("010.0.0.1"))).endpoints) == 1


BEST_LAST = [
    EndpointConditions(ready=False, serving=False, terminating=True),
    EndpointConditions(ready=False, serving=False, terminating=False),
    EndpointConditions(ready=False, serving=True, terminating=True),
    EndpointConditions(ready=False, serving=True, terminating=False),
    EndpointConditions(ready=True, serving=True, terminating=True),
    EndpointConditions(ready=True, serving=True, terminating=False),
]


@pytest.mark.parametrize("place", range(5))
def test_the_better_of_two_endpoints_is_kept(place: int) -> None:
    """Of two endpoints with the same address the serving one is kept, in either order."""
    worse, better = endpoint(conditions=BEST_LAST[place]), endpoint(conditions=BEST_LAST[place + 1])
    assert only(mirrored(worse, better)).endpoints == (better,)
    assert only(mirrored(better, worse)).endpoints == (better,)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (endpoint(zone="a"), endpoint(zone="b")),
        (endpoint(zone="a"), endpoint()),
        (Endpoint(("10.0.0.1",), READY), Endpoint(("10.0.0.1", "10.0.0.2"), READY)),
    ],
)
def test_choice_between_equal_endpoints_is_deterministic(one: Endpoint, other: Endpoint) -> None:
    """Of two equally good endpoints the same one is kept, in either order."""
    assert only(mirrored(one, other)) == only(mirrored(other, one))


def test_only_the_refused_endpoint_is_left_out() -> None:
    """An endpoint that the API would refuse is dropped and reported, never the whole slice."""
    result = mirrored(endpoint("127.0.0.1"), endpoint("10.0.0.1"))
    assert [each.addresses for each in result.slices[0].endpoints] == [("10.0.0.1",)]
    assert result.omissions == (Omission(Reason.INVALID_ENDPOINTS, "127.0.0.1"),)


def test_an_endpoint_without_address_is_left_out() -> None:
    """An endpoint without addresses is dropped and reported."""
    assert mirrored(Endpoint(())).omissions == (Omission(Reason.INVALID_ENDPOINTS, "(no address)"),)


def test_a_refused_endpoint_is_reported_with_all_its_addresses() -> None:
    """One refused address drops the endpoint, which is reported unchanged."""
    refused = Endpoint(("10.0.0.1", "127.0.0.1"))
    assert mirrored(refused).omissions == (
        Omission(Reason.INVALID_ENDPOINTS, "10.0.0.1, 127.0.0.1"),
    )


def test_no_endpoint_left_gives_no_slice() -> None:
    """A slice without usable endpoints is not mirrored."""
    assert mirrored(endpoint("127.0.0.1")).slices == ()


def test_not_ready_endpoints_are_mirrored() -> None:
    """Not-ready endpoints are mirrored as not ready."""
    endpoint_slice = only(mirrored(endpoint(conditions=EndpointConditions(ready=False))))
    assert endpoint_slice.endpoints[0].conditions == EndpointConditions(
        ready=False, serving=True, terminating=False
    )


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((None, None, None), (True, True, False)),
        ((True, None, None), (True, True, False)),
        ((False, None, None), (False, True, False)),
        ((None, False, None), (True, False, False)),
        ((False, True, True), (False, True, True)),
        ((False, False, True), (False, False, True)),
        ((True, True, True), (True, True, True)),
        ((None, None, True), (True, True, True)),
    ],
)
def test_conditions(given: tuple[bool | None, ...], expected: tuple[bool, ...]) -> None:
    """Nil ready and nil serving are written as true, and nil terminating as false."""
    (found,) = only(mirrored(endpoint(conditions=EndpointConditions(*given)))).endpoints
    assert found.conditions == EndpointConditions(*expected)


def test_names_of_another_cluster_are_dropped() -> None:
    """nodeName, targetRef and hostname belong to another cluster, so they are dropped."""
    pod = ObjectReference("Pod", "default", "web-0", "p1")
    endpoint_slice = only(
        mirrored(endpoint(node_name="worker-0", target_ref=pod, hostname="web-0"))
    )
    assert endpoint_slice.endpoints == (endpoint(),)


@pytest.mark.parametrize(("zone", "expected"), [("zone-a", "zone-a"), ("", None), (None, None)])
def test_zone(zone: str | None, expected: str | None) -> None:
    """The zone is copied; an empty zone is left out."""
    assert only(mirrored(endpoint(zone=zone))).endpoints[0].zone == expected


def test_of_two_endpoints_the_one_with_a_zone_is_kept() -> None:
    """Of equally ready endpoints the one with a zone is kept, because topology needs it."""
    twins = endpoint(zone="A"), endpoint()
    for given in (twins, reversed(twins)):
        assert only(mirrored(*given)).endpoints == (endpoint(zone="A"),)


def many(count: int, network: str = "10.0") -> tuple[str, ...]:
    """Different addresses."""
    return tuple(f"{network}.{number >> 8}.{number & 255}" for number in range(count))


def test_more_than_100_addresses_are_cut() -> None:
    """The API server accepts 100 addresses an endpoint; the others are reported."""
    result = mirrored(endpoint(*many(103)))
    assert result.slices[0].endpoints[0].addresses == many(100)
    assert result.omissions == (
        Omission(Reason.INVALID_ENDPOINTS, "3 of the 103 addresses of the endpoint 10.0.0.0"),
    )


def test_a_report_is_short() -> None:
    """A remote cluster cannot fill the status and the memory with refused addresses or names."""
    result = mirrored(endpoint("x" * 1_000_000, *["127.0.0.1"] * 99))
    (omission,) = result.omissions
    assert omission.detail == f"{'x' * 128}... and 97 more"


@pytest.mark.parametrize("zone", ["zone b", "z" * 64, "z" * 1_000_000])
def test_a_zone_that_no_node_can_have_is_left_out(zone: str) -> None:
    """Zones are values of labels of Nodes; the API server would store any text as zone."""
    result = mirrored(endpoint(zone=zone))
    assert result.slices[0].endpoints == (endpoint(),)
    text = "the zone of the endpoint 10.0.0.1"
    assert result.omissions == (Omission(Reason.INVALID_ENDPOINTS, text),)


def test_endpoints_with_many_addresses_are_split_earlier() -> None:
    """A slice of 1,000 endpoints with 100 addresses each would be too large for etcd."""
    endpoints = [endpoint(*many(100, f"10.{number}")) for number in range(150)]
    slices = mirrored(*endpoints).slices
    assert [len(endpoint_slice.endpoints) for endpoint_slice in slices] == [100, 50]


@pytest.mark.parametrize(
    ("count", "sizes"), [(1_000, [1_000]), (1_001, [1_000, 1]), (2_001, [1_000, 1_000, 1])]
)
def test_split(count: int, sizes: list[int]) -> None:
    """More than 1,000 endpoints are split, and each further shard has its own identity."""
    slices = mirrored(
        *(endpoint(f"10.{number >> 8}.{number & 255}.1") for number in range(count))
    ).slices
    assert [len(endpoint_slice.endpoints) for endpoint_slice in slices] == sizes
    assert [endpoint_slice.source for endpoint_slice in slices] == [
        "web-abc",
        "web-abc/1",
        "web-abc/2",
    ][: len(sizes)]


def test_a_shard_is_annotated_apart_from_the_source() -> None:
    """The name of the source stays readable, and the number of the shard is beside it."""
    _, second = mirrored(*map(endpoint, many(1_001))).slices
    assert dict(second.metadata.annotations) == {
        "svclink.cloudpilot.ai/source-slice": "web-abc",
        "svclink.cloudpilot.ai/source-slice-shard": "1",
    }


@pytest.mark.parametrize("name", ["web-abc/1", "x" * 254, "x" * 300_000])
def test_a_slice_with_an_impossible_name_is_left_out(name: str) -> None:
    """No API server accepts the name: it could pass for a shard, or exceed an annotation."""
    result = mirror_all([remote_slice(name)], "c1", service(uid="remote"), service())
    assert result.slices == ()
    (omission,) = result.omissions
    assert omission.reason is Reason.INVALID_ENDPOINTS
    assert omission.detail.startswith(name[:100])
    assert len(omission.detail) < 150


# Hints

AWARE = "service.kubernetes.io/topology-aware-hints"
MODE = "service.kubernetes.io/topology-mode"


def test_no_hints_unless_asked_for() -> None:
    """Remote hints are not copied, and a Service that does not ask for topology has none."""
    assert (
        only(mirrored(endpoint(zone="a", hints=EndpointHints(("a",))))).endpoints[0].hints is None
    )


@pytest.mark.parametrize(
    ("main", "expected"),
    [
        (service(), Topology.NONE),
        (service(traffic_distribution="PreferClose"), Topology.ZONE),
        (service(traffic_distribution="PreferSameZone"), Topology.ZONE),
        (service(traffic_distribution="PreferSameNode"), Topology.NODE),
        (service(annotations={"service.kubernetes.io/topology-mode": "Auto"}), Topology.ZONE),
        (service(annotations={"service.kubernetes.io/topology-mode": "auto"}), Topology.ZONE),
        (service(annotations={"service.kubernetes.io/topology-mode": "Disabled"}), Topology.NONE),
        (service(annotations={"service.kubernetes.io/topology-mode": ""}), Topology.NONE),
        (service(annotations={AWARE: "Auto"}), Topology.ZONE),
        (service(annotations={AWARE: "auto"}), Topology.ZONE),
        (service(annotations={AWARE: "Disabled", MODE: "Auto"}), Topology.NONE),
        (service(annotations={AWARE: "Auto", MODE: "Disabled"}), Topology.ZONE),
        (
            service(traffic_distribution="PreferSameNode", annotations={AWARE: "Auto"}),
            Topology.ZONE,
        ),
        (service(traffic_distribution="PreferSameNode", annotations={MODE: "Auto"}), Topology.ZONE),
        (
            service(traffic_distribution="PreferSameNode", annotations={AWARE: "Disabled"}),
            Topology.NODE,
        ),
        (
            service(traffic_distribution="PreferClose", annotations={MODE: "Disabled"}),
            Topology.ZONE,
        ),
    ],
)
def test_service_asks_for_topology(main: Service, expected: Topology) -> None:
    """An annotation of the main Service asks for hints, the oldest first, or its distribution."""
    assert topology_of(main) is expected


@pytest.mark.parametrize(
    ("zone", "topology", "expected"),
    [
        ("zone-a", Topology.ZONE, EndpointHints(("zone-a",))),
        (None, Topology.ZONE, EndpointHints(("svclink.no-zone",))),
        ("", Topology.ZONE, EndpointHints(("svclink.no-zone",))),
        ("not a label", Topology.ZONE, EndpointHints(("svclink.no-zone",))),
        ("z" * 63, Topology.ZONE, EndpointHints(("z" * 63,))),
        ("z" * 64, Topology.ZONE, EndpointHints(("svclink.no-zone",))),
        ("zone-a", Topology.NODE, EndpointHints(("zone-a",), ("svclink.no-node",))),
        ("zone-a", Topology.NONE, None),
    ],
)
def test_hints(zone: str | None, topology: Topology, expected: EndpointHints | None) -> None:
    """The hint is the endpoint's zone, or a zone that matches no node if the zone is unknown."""
    assert hints_for(zone, topology) == expected


@pytest.mark.parametrize("zone", ["zone-a", None])
@pytest.mark.parametrize(("is_ready", "is_hinted"), [(True, True), (None, True), (False, False)])
def test_ready_endpoints_have_hints(
    is_ready: bool | None, is_hinted: bool, zone: str | None
) -> None:
    """Every ready endpoint has a hint, because kube-proxy ignores incomplete hints."""
    endpoint_slice = remote_slice(
        endpoints=[endpoint(conditions=EndpointConditions(is_ready), zone=zone)]
    )
    found, _ = mirror_endpoints(endpoint_slice, Topology.ZONE)
    assert found[0].hints == (hints_for(zone, Topology.ZONE) if is_hinted else None)


# Ports

DNS = ServicePort(53, "dns", "UDP")


def translated(
    ports: tuple[EndpointPort, ...], remote: tuple[ServicePort, ...], main: tuple[ServicePort, ...]
) -> tuple[list[str], list[str]]:
    """The translated port names, and the ports that were left out."""
    found, omissions = translate_ports(ports, service(ports=remote), service(ports=main))
    assert all(omission.reason is Reason.PORT_MISMATCH for omission in omissions)
    return [port.name for port in found], [omission.detail for omission in omissions]


def test_same_name() -> None:
    """A port keeps its name if the main Service has a port with this name and protocol."""
    assert translated((HTTP_8080,), (ServicePort(80, "http"),), (ServicePort(8000, "http"),)) == (
        ["http"],
        [],
    )


@pytest.mark.parametrize(("remote", "main"), [("http", "web"), ("http", ""), ("", "http")])
def test_same_number(remote: str, main: str) -> None:
    """Otherwise a port gets the name of the main Service port with this number and protocol."""
    ports = (EndpointPort(remote, port=8080),)
    assert translated(ports, (ServicePort(80, remote),), (ServicePort(80, main),)) == ([main], [])


def test_number_is_that_of_the_service() -> None:
    """The numbers of the Service ports are compared, not those of the Pods."""
    ports = (EndpointPort("http", port=80),)
    assert translated(ports, (ServicePort(8000, "http"),), (ServicePort(80, "web"),)) == (
        [],
        ["http 80/TCP"],
    )


@pytest.mark.parametrize(
    ("port", "remote", "main"),
    [
        (
            EndpointPort("dns", "UDP", 53),
            ServicePort(53, "dns", "UDP"),
            ServicePort(53, "dns", "TCP"),
        ),
        (
            EndpointPort("dns", "UDP", 53),
            ServicePort(53, "dns", "UDP"),
            ServicePort(53, "domain", "TCP"),
        ),
        (
            EndpointPort("dns", "UDP", 53),
            ServicePort(53, "dns", "TCP"),
            ServicePort(53, "domain", "UDP"),
        ),
    ],
)
def test_protocol_counts(port: EndpointPort, remote: ServicePort, main: ServicePort) -> None:
    """A port with another protocol does not match."""
    assert translated((port,), (remote,), (main,)) == ([], ["dns 53/UDP"])


def test_a_port_the_remote_service_does_not_have() -> None:
    """A port that the remote Service does not have has no number to compare."""
    assert translated((EndpointPort("x", port=1),), (DNS,), (ServicePort(53, "dns"),)) == (
        [],
        ["x 1/TCP"],
    )


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "(no number)"), (0, "0"), (-1, "-1"), (65_536, "65536"), (70_000, "70000")],
)
def test_unusable_port_numbers_are_dropped(number: int | None, text: str) -> None:
    """A port that is nil or outside 1..65535 is dropped and reported."""
    ports = (EndpointPort("http", port=number),)
    assert translated(ports, (ServicePort(80, "http"),), (ServicePort(80, "http"),)) == (
        [],
        [f"http {text}/TCP"],
    )


@pytest.mark.parametrize("number", [1, 65_535])
def test_numbers_at_the_limits(number: int) -> None:
    """1 and 65535 are valid ports."""
    ports = (EndpointPort("http", port=number),)
    assert translated(ports, (ServicePort(80, "http"),), (ServicePort(80, "http"),)) == (
        ["http"],
        [],
    )


def test_an_unnamed_port_is_reported_readably() -> None:
    """The report of an unnamed port says that it has no name."""
    assert translated((EndpointPort(port=8080),), (), ()) == ([], ["(unnamed) 8080/TCP"])


@pytest.mark.parametrize(
    ("ports", "kept"),
    [
        ((EndpointPort("http", port=1), EndpointPort("http", port=2)), 1),
        ((EndpointPort("http", port=None), EndpointPort("http", port=2)), 2),
        ((EndpointPort("http", port=1), EndpointPort("http", "UDP", port=2)), 1),
        ((EndpointPort("http", port=1), EndpointPort("http", port=1, app_protocol="h2c")), 1),
        ((EndpointPort("x", port=1), EndpointPort("x", port=2)), 1),
    ],
)
def test_order_does_not_decide_between_two_ports_of_one_name(
    ports: tuple[EndpointPort, ...], kept: int
) -> None:
    """Of two ports of one name the lower usable number is kept, in either order."""
    remote = service(ports=(ServicePort(80, "http"), ServicePort(81, "x")))
    main = service(ports=(ServicePort(80, "http"), ServicePort(81, "y")))
    found, omissions = translate_ports(ports, remote, main)
    assert [port.port for port in found] == [kept]
    assert (found, omissions) == translate_ports(ports[::-1], remote, main)


def test_order_does_not_decide_between_two_service_ports_of_one_name() -> None:
    """A remote Service with two ports of one name, which is invalid, gives the lower number."""
    remote = (ServicePort(81, "x"), ServicePort(80, "x"))
    main = (ServicePort(81, "b"), ServicePort(80, "a"))
    for order in (1, -1):
        assert translated((EndpointPort("x", port=1),), remote[::order], main[::order]) == (
            ["a"],
            [],
        )


def test_a_port_with_an_invalid_app_protocol_is_reported() -> None:
    """An appProtocol that the API server would refuse is left out and reported."""
    port = EndpointPort("http", port=8080, app_protocol="x" * 254)
    result = mirrored(ports=(port,))
    assert result.slices[0].ports == (HTTP_8080,)
    assert result.omissions == (
        Omission(Reason.INVALID_ENDPOINTS, "appProtocol of port http 8080/TCP"),
    )


def test_two_ports_never_get_one_name() -> None:
    """The API refuses duplicate port names; the port that has the name itself keeps it."""
    ports = (EndpointPort("a", port=1), EndpointPort("http", port=2))
    remote = (ServicePort(80, "a"), ServicePort(81, "http"))
    assert translated(ports, remote, (ServicePort(80, "http"),)) == (["http"], ["a 1/TCP"])


def test_ports_are_sorted() -> None:
    """Ports are sorted by their translated name."""
    ports = (EndpointPort("a", port=1), EndpointPort("b", port=2))
    main = (ServicePort(1, "z"), ServicePort(2, "y"))
    assert translated(ports, (ServicePort(1, "a"), ServicePort(2, "b")), main) == (["y", "z"], [])


def test_only_the_port_without_partner_is_left_out() -> None:
    """Ports without a match are reported, and the others are mirrored."""
    result = mirrored(ports=(HTTP_8080, EndpointPort("admin", port=9000)))
    assert [port.name for port in result.slices[0].ports] == ["http"]
    assert result.omissions == (Omission(Reason.PORT_MISMATCH, "admin 9000/TCP"),)


def test_no_port_left_gives_no_slice() -> None:
    """A slice without usable ports is not mirrored."""
    assert mirrored(ports=(EndpointPort("admin", port=9000),)).slices == ()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, None),
        ("", None),
        ("http", "http"),
        ("kubernetes.io/h2c", "kubernetes.io/h2c"),
        ("not a name", None),
        ("a/b/c", None),
        ("x" * 64, None),
        ("example.com/" + "x" * 63, "example.com/" + "x" * 63),
        ("Example.com/x", None),
    ],
)
def test_app_protocol(given: str | None, expected: str | None) -> None:
    """appProtocol is copied only if the API server accepts it."""
    (endpoint_slice,) = mirrored(
        ports=(EndpointPort("http", port=8080, app_protocol=given),)
    ).slices
    assert endpoint_slice.ports == (EndpointPort("http", port=8080, app_protocol=expected),)
