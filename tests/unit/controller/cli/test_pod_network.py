"""In a Pod of the main cluster, `svclink check` connects to a few mirrored endpoints.

Real: the choice, sockets on loopback, the judgment. Substituted: the clusters, which are snapshots.
"""

from __future__ import annotations

import ipaddress
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from random import Random
from typing import Final

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.cli.preflight.pod_network import (
    MOST_PROBES,
    MOST_PROBES_OF_FAMILY,
    RUN_IN_POD,
    check_pod_network,
    choose_probes,
    judge_outcomes,
    spread,
)
from svclink_controller.cli.preflight.results import Result
from svclink_controller.cli.preflight.tcp_connections import Probe, ProbeOutcome, try_all
from svclink_controller.cli.snapshots.live import Scope
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_core import (
    PENDING,
    ClusterLinkSpec,
    EndpointPort,
    EndpointSlice,
    NamespacedName,
    Options,
    Snapshot,
)
from svclink_core.filtering import Skipped, judge
from svclink_core.ownership import Ours, owner_of
from tests.builders.keys import WEB
from tests.builders.values import (
    NOT_READY,
    cluster,
    endpoint,
    foreign_slice,
    leftover_slice,
    mirrored_slice,
    snapshot_of,
)
from tests.unit.core.strategies.snapshots import snapshots

IN_POD: Final = Scope(Options(), "cloudpilot", in_pod=True)
IPV4_AND_IPV6: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def mirroring(*slices: EndpointSlice, spec: ClusterLinkSpec | None = None) -> Snapshot:
    """A snapshot whose main cluster has Service default/web and these slices."""
    return snapshot_of(cluster(spec=spec or ClusterLinkSpec()), slices=slices)


def addresses(found: Snapshot, trust: Trust = STRICT) -> list[str]:
    """Where svclink would connect to."""
    return [probe.where for probe in choose_probes(found, trust)]


@contextmanager
def listening(family: socket.AddressFamily, host: str) -> Iterator[socket.socket]:
    """A server that accepts connections, but reads nothing."""
    with closing(socket.create_server((host, 0), family=family)) as server:
        yield server


@contextmanager
def silent() -> Iterator[int]:
    """A port of 127.0.0.1 that does not answer: Linux drops what a full backlog has no room for."""
    with ExitStack() as stack:
        server = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=0)))
        port: int = server.getsockname()[1]
        for _ in range(4):
            client = stack.enter_context(closing(socket.socket()))
            client.setblocking(False)  # noqa: FBT003 - its only argument
            client.connect_ex(("127.0.0.1", port))
        yield port


def closed_port() -> int:
    """A port of 127.0.0.1 on which no process listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
    return port


def mirror_at(address: str, port: int, name: str = "web-c1", cluster: str = "c1") -> EndpointSlice:
    """A mirror with one ready endpoint."""
    family = "IPv6" if ":" in address else "IPv4"
    ports = (EndpointPort("http", port=port),)
    return mirrored_slice(name, address, cluster=cluster, address_type=family, ports=ports)


async def checked(found: Snapshot) -> list[Result]:
    """The lines that a Pod would print."""
    return await check_pod_network(found, IN_POD)


# Which endpoints


def test_only_ready_endpoints_of_mirrors_are_probed() -> None:
    """Slices of others, endpoints that are not ready, and ports without TCP are left out."""
    udp, no_number = EndpointPort("dns", "UDP", 53), EndpointPort("any")
    found = mirroring(
        foreign_slice("local"),
        leftover_slice("of-the-go-release"),
        mirrored_slice("a", endpoints=(endpoint("10.1.0.1", conditions=NOT_READY),)),
        mirrored_slice("b", "10.1.0.2", ports=(udp,)),
        mirrored_slice("c", "10.1.0.3", ports=(no_number,)),
        mirrored_slice("d", "10.1.0.4", ports=(udp, EndpointPort("http", port=80))),
        mirrored_slice("e", "fd00::4", address_type="IPv6"),
        mirrored_slice("f", "pod.example", address_type="FQDN"),
        mirrored_slice("g", "10.1.0.5", cluster="unlinked"),
    )
    assert addresses(found) == ["10.1.0.4:80", "[fd00::4]:8080"]


@pytest.mark.parametrize(
    "spec",
    [
        ClusterLinkSpec(enabled=False),
        ClusterLinkSpec(excluded_namespaces=("default",)),
        ClusterLinkSpec(excluded_services=(str(WEB),)),
    ],
    ids=["disabled", "namespace", "service"],
)
def test_excluded_mirrors_are_not_probed(spec: ClusterLinkSpec) -> None:
    """A mirror that a filter excludes by now, or whose link is disabled, is left out."""
    mirror = mirrored_slice()
    assert addresses(mirroring(mirror)) == ["10.0.0.1:8080"]
    assert addresses(mirroring(mirror, spec=spec)) == []


def test_mirrors_of_an_unread_cluster_are_probed() -> None:
    """An API server that cannot be reached says nothing about the Pods of its cluster."""
    assert addresses(snapshot_of(cluster(connection=PENDING), slices=[mirrored_slice()])) == [
        "10.0.0.1:8080"
    ]


def test_denied_addresses_are_not_probed() -> None:
    """`--deny-remote-cidrs` and the networks that are always denied apply."""
    found = mirroring(mirrored_slice("a", "10.1.0.1", "10.2.0.1", "169.254.169.254", "127.0.0.1"))
    trust = Trust(denied=(ipaddress.ip_network("10.1.0.0/16"),)).in_pod()
    assert addresses(found, trust) == ["10.2.0.1:8080"]


def test_probes_are_spread_over_the_addresses() -> None:
    """Pods of one node have addresses next to each other, so not the first ones are taken."""
    slices = [mirrored_slice(f"web-{n:02}", f"10.1.{n}.1", f"10.1.{n}.2") for n in range(30)]
    assert addresses(mirroring(*slices)) == ["10.1.0.1:8080", "10.1.10.1:8080", "10.1.20.1:8080"]


def test_with_very_many_links_each_has_one_probe() -> None:
    """The number of connections is limited, and every link has at least one."""
    names = [f"c{number}" for number in range(MOST_PROBES)]
    found = snapshot_of(
        *map(cluster, names),
        slices=[
            mirrored_slice(f"web-{each}", "10.1.0.1", "10.1.0.2", cluster=each) for each in names
        ],
    )
    counts = Counter(probe.cluster for probe in choose_probes(found, STRICT))
    assert counts == dict.fromkeys(names, 1)


@given(snapshots, st.randoms(use_true_random=False))
def test_probes_are_few_and_mirrored_in_any_order(found: Snapshot, random: Random) -> None:
    """Each probe is a ready address of a mirror that may stay, whatever the order of the lists."""
    probes = choose_probes(found, STRICT)
    counts = Counter((probe.cluster, probe.family) for probe in probes)
    assert all(count <= MOST_PROBES_OF_FAMILY for count in counts.values())
    for probe in probes:
        mirror = found.main.names[probe.endpoint_slice]
        assert owner_of(mirror) == Ours(probe.cluster)
        ready = [each.addresses for each in mirror.endpoints if each.conditions.ready is not False]
        assert probe.address in {first for first, *_ in ready}
        assert probe.port in {each.port for each in mirror.ports if each.protocol == "TCP"}
        remote, main = found.remotes[probe.cluster], found.main.services.get(probe.service)
        assert not isinstance(judge(probe.service, remote, main, found.options), Skipped)

    names = list(found.main.names.items())
    random.shuffle(names)
    assert (
        choose_probes(evolve(found, main=evolve(found.main, names=dict(names))), STRICT) == probes
    )


@given(st.lists(st.integers(), unique=True), st.integers(1, 5))
def test_spread_keeps_the_order_and_takes_as_many_as_there_are(
    items: list[int], count: int
) -> None:
    """At most so many items, in their order, all of them if there are not more."""
    taken = spread(items, count)
    assert len(taken) == min(count, len(items))
    assert [item for item in items if item in taken] == taken


# What the lines say


@pytest.mark.parametrize(("family", "host"), IPV4_AND_IPV6, ids=["IPv4", "IPv6"])
async def test_reached_endpoints_are_ok(family: socket.AddressFamily, host: str) -> None:
    """The connection is closed, and no byte is sent."""
    with listening(family, host) as server:
        port = server.getsockname()[1]
        (line,) = await checked(mirroring(mirror_at(host, port)))
        connection, _ = server.accept()
        with closing(connection):
            connection.settimeout(10)
            assert connection.recv(1) == b""
    shown = f"[{host}]" if ":" in host else host
    name = "IPv6" if ":" in host else "IPv4"
    assert line == Result(
        "ok", "c1", "pod network", f"1 of 1 {name} endpoints accepted a connection: {shown}:{port}"
    )


async def test_endpoint_that_does_not_answer_is_a_failure() -> None:
    """A Pod network without a route looks like this; the fix names the EndpointSlice."""
    with silent() as port:
        probe = Probe("c1", "IPv4", "127.0.0.1", port, NamespacedName("default", "web-c1"), WEB)
        outcomes = await try_all([probe], seconds=0.2)
    (line,) = judge_outcomes(["c1"], outcomes)
    assert (line.level, line.cluster, line.subject) == ("fail", "c1", "pod network")
    assert line.message == (
        f"0 of 1 IPv4 endpoints accepted a connection; 127.0.0.1:{port} of default/web: no response"
        " within 0.2 s"
    )
    assert line.fix.startswith("kubectl get endpointslice -n default web-c1  # ")


async def test_refused_connections_are_a_warning() -> None:
    """The address was reached; whether a firewall or the Pod refused cannot be told."""
    (line,) = await checked(mirroring(mirror_at("127.0.0.1", closed_port())))
    assert (line.level, line.cluster) == ("warn", "c1")
    assert line.message.endswith("of default/web: connection refused")


async def test_system_errors_are_named() -> None:
    """An error of the operating system is in the line: here a broadcast address is connected to."""
    probe = Probe("c1", "IPv4", "255.255.255.255", 9, NamespacedName("default", "web-c1"), WEB)
    (outcome,) = await try_all([probe])
    assert not outcome.answered
    assert outcome.problem
    assert "no response" not in outcome.problem


def test_each_family_has_its_own_line() -> None:
    """Where IPv4 works and IPv6 does not, one line is ok and one has failed."""
    outcomes = [outcome("IPv4", "10.1.0.1"), outcome("IPv6", "fd00::1", "Network is unreachable")]
    assert [(line.level, line.message.split()[3]) for line in judge_outcomes(["c1"], outcomes)] == [
        ("ok", "IPv4"),
        ("fail", "IPv6"),
    ]


def test_lost_endpoint_is_named_before_a_refused_one() -> None:
    """Where one of three endpoints is reached, it is a warning about the one without an answer."""
    outcomes = [
        outcome("IPv4", "10.1.0.1"),
        outcome("IPv4", "10.1.0.2", "connection refused", answered=True),
        outcome("IPv4", "10.1.0.3", "no response within 3 s"),
    ]
    (line,) = judge_outcomes(["c1"], outcomes)
    assert line.level == "warn"
    assert line.message.startswith("1 of 3 IPv4 endpoints accepted a connection; 10.1.0.3:80 of ")


async def test_cluster_without_mirrored_endpoints_is_skipped() -> None:
    """Nothing can be said of it, and disabled links are not mentioned."""
    disabled = cluster("c2", spec=ClusterLinkSpec(enabled=False))
    (line,) = await checked(snapshot_of(cluster(), disabled))
    assert (line.level, line.cluster) == ("skip", "c1")
    assert line.message.startswith("not checked: ")


async def test_outside_a_pod_no_connection_is_opened() -> None:
    """The only line has the command that checks this in a Pod."""
    with listening(*IPV4_AND_IPV6[0]) as server:
        found = mirroring(mirror_at("127.0.0.1", server.getsockname()[1]))
        lines = await check_pod_network(found, evolve(IN_POD, in_pod=False))
        server.settimeout(0)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert [(line.level, line.cluster, line.fix) for line in lines] == [
        ("skip", "MAIN", RUN_IN_POD)
    ]


def outcome(
    family: str, address: str, problem: str = "", *, answered: bool = False
) -> ProbeOutcome:
    """The outcome of a connection to port 80."""
    probe = Probe("c1", family, address, 80, NamespacedName("default", "web-c1"), WEB)
    return ProbeOutcome(probe, problem, answered or not problem)
