"""What one remote may cost the controller, and its other links, whatever it sends.

Real: main and the healthy remotes. The hostile remotes, and remotes in large numbers, are played by
an HTTP server.
"""

from __future__ import annotations

import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from svclink_core.well_known import ANNOTATION_SOURCE_SLICE

from .audit_log import AuditEvent
from .control_planes import CONTROLLER
from .controller_process import Controller
from .fault_proxy import FaultProxy
from .faults import Refusing
from .hostile_remotes import HOSTILE, InvalidContent, included_namespaces
from .polling import consistently, eventually
from .resource_usage import peak_megabytes
from .served_remotes import RemoteServer, ServedRemote, serving_remotes
from .world import RecordMeasure, World

MOST_MEGABYTES: Final = 100
# Long enough for a flood to stop a controller without budgets, and for slices to fill its memory.
HOSTILE_SECONDS: Final = 20
HEALTHY_SECONDS: Final = 5
# Changes without a pause take the CPU from the tests that run beside.
BETWEEN_CHANGES_SECONDS: Final = 0.1
# Longer than two resyncs.
QUIET_SECONDS: Final = 12

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@pytest.fixture
def hostile(request: pytest.FixtureRequest, namespace: str) -> Iterator[RemoteServer]:
    """A server with one hostile remote."""
    remote: ServedRemote = request.param("hostile", f"{namespace}/web")
    with serving_remotes([remote]) as server:
        yield server


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE, indirect=True)
def test_hostile_remote_costs_little_memory(
    hostile: RemoteServer, linked: World, record_measure: RecordMeasure
) -> None:
    """A hostile remote costs at most 100 MB, and other links go on mirroring."""
    declare_web(linked)
    counter = itertools.count(1)
    follow_changes(linked, counter, HEALTHY_SECONDS)
    before = peak_megabytes(linked.controller.process_id)

    (remote,) = hostile.remotes.values()
    linked.links.add(
        remote.name,
        hostile.kubeconfig(remote.name),
        includedNamespaces=included_namespaces(remote),
    )
    slowest = follow_changes(linked, counter, HOSTILE_SECONDS)

    growth = peak_megabytes(linked.controller.process_id) - before
    record_measure("slowest propagation in seconds beside a hostile remote", slowest)
    record_measure("peak memory in MB that it cost", growth)
    assert remote.lists, "the hostile remote was never read"
    assert growth <= MOST_MEGABYTES
    linked.links.await_ready("c1", "c2")


def declare_web(world: World) -> None:
    """Mirror the Service `web` from both healthy remotes."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    eventually(lambda: assert_follows(world, "10.1.0.1", "10.2.0.1"))


def follow_changes(world: World, counter: Iterator[int], seconds: float) -> float:
    """Change both healthy remotes for a while, and wait for each change; returns the slowest."""
    slowest, started = 0.0, time.monotonic()
    while time.monotonic() < started + seconds:
        number = next(counter)
        first, second = f"10.1.{number // 250}.{number % 250}", f"10.2.{number // 250}.1"
        changed = time.monotonic()
        world.set_addresses(world.c1, "web", first)
        world.set_addresses(world.c2, "web", second)
        eventually(lambda: assert_follows(world, first, second))  # noqa: B023 - called at once
        slowest = max(slowest, time.monotonic() - changed)
        time.sleep(BETWEEN_CHANGES_SECONDS)
    return slowest


def assert_follows(world: World, first: str, second: str) -> None:
    """Assert that these addresses of the healthy remotes are mirrored, beside any others."""
    addresses = world.addresses("web")
    assert (addresses.get("c1"), addresses.get("c2")) == ([first], [second])


# Content that main would refuse


@pytest.mark.parametrize("hostile", [InvalidContent], indirect=True)
def test_content_that_main_refuses_is_left_out(hostile: RemoteServer, linked: World) -> None:
    """The rest is mirrored, the status says so, and no write is refused or repeated."""
    mark = linked.main.audit_mark()
    linked.declare("web")
    linked.links.add("hostile", hostile.kubeconfig("hostile"))

    eventually(lambda: assert_rest_mirrored(linked))
    eventually(lambda: assert_reported(linked))
    assert [event for event in writes_of_slices(linked, mark) if event.code >= 400] == []
    mark = linked.main.audit_mark()
    consistently(QUIET_SECONDS, lambda: assert_no_writes(linked, mark))


def assert_rest_mirrored(world: World) -> None:
    """Assert that every slice has a mirror whose name an API server would accept."""
    mirrors = world.mirrors("web", "hostile").values()
    sources = Counter(
        mirror["metadata"]["annotations"][ANNOTATION_SOURCE_SLICE] for mirror in mirrors
    )
    assert sources == {"split": 2, "crowded": 1, "long-protocol": 1, "twins": 1}


def assert_reported(world: World) -> None:
    condition = world.links.condition("hostile", "Degraded")
    assert condition["status"] == "True"
    assert "InvalidEndpoints: 1 Service (" in condition["message"]


def writes_of_slices(world: World, mark: int) -> list[AuditEvent]:
    return [
        event
        for event in world.main.audit_events(mark, CONTROLLER)
        if event.writes and event.resource == "endpointslices"
    ]


def assert_no_writes(world: World, mark: int) -> None:
    assert writes_of_slices(world, mark) == []


# Names that no DNS server answers

DEAD_LINKS: Final = 24
SLOW_LOOKUPS: Final = """
import socket, time

look_up = socket.getaddrinfo

def slow(host, *arguments, **options):
    if str(host).endswith(".dead.invalid"):
        time.sleep(10)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
    return look_up(host, *arguments, **options)

socket.getaddrinfo = slow
"""


@pytest.fixture
def slow_lookups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In processes that start from now on, looking a dead name up takes 10 s."""
    (tmp_path / "sitecustomize.py").write_text(SLOW_LOOKUPS, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


@pytest.mark.usefixtures("slow_lookups")
def test_unresolvable_names_do_not_delay_other_links(
    world: World, record_measure: RecordMeasure
) -> None:
    """A link becomes Ready beside 24 links whose names are being looked up, and it goes on."""
    world.controller.start()
    world.link(world.c2)
    names = [f"dead-{number}" for number in range(DEAD_LINKS)]
    for name in names:
        server = f"https://{name}.dead.invalid:6443"
        world.links.add(name, world.c1.kubeconfig({"token": "any"}, server=server))
    for name in names:
        eventually(lambda: world.links.condition(name))  # noqa: B023 - called at once
    started = time.monotonic()

    world.link(world.c1)

    record_measure("seconds until Ready beside 24 dead names", time.monotonic() - started)
    declare_web(world)
    slowest = follow_changes(world, itertools.count(1), HEALTHY_SECONDS)
    record_measure("slowest propagation in seconds beside 24 dead names", slowest)


# A common outage

LINKS: Final = tuple(f"r{number:02}" for number in range(25))
OUTAGE_SECONDS: Final = 4
# Lists take so long that other links connect meanwhile, which must not make them start over.
LIST_SECONDS: Final = 1


@pytest.fixture
def many(namespace: str) -> Iterator[RemoteServer]:
    """A server with many healthy remotes."""
    remotes = [
        ServedRemote(name, f"{namespace}/web", address, LIST_SECONDS)
        for name, address in addresses_of_links(1).items()
    ]
    with serving_remotes(remotes) as server:
        yield server


def addresses_of_links(generation: int) -> dict[str, str]:
    """The address in each remote, of which each generation has others."""
    return {name: f"10.1.{generation}.{number + 1}" for number, name in enumerate(LINKS)}


def test_links_return_from_an_outage_with_one_list_each(
    many: RemoteServer, world: World, controller: Controller, record_measure: RecordMeasure
) -> None:
    """After a common outage, each of 25 links lists each kind once at most."""
    world.declare("web")
    proxy = FaultProxy(many.url)
    try:
        started = time.monotonic()
        for name in LINKS:
            world.links.add(name, many.kubeconfig(name, proxy.url))
        eventually(lambda: assert_links_mirror(world, generation=1))
        first_start = time.monotonic() - started
        world.links.await_ready(*LINKS)
        assert set(lists_of(many).values()) == {1}

        proxy.fail(Refusing())
        proxy.reset_connections()
        for name in LINKS:
            world.links.await_condition(name, "False", "Unreachable")
        time.sleep(OUTAGE_SECONDS)
        for name, address in addresses_of_links(2).items():
            many.remotes[name].lists.clear()
            many.change(name, address)
        started = time.monotonic()
        proxy.heal()
        eventually(lambda: assert_links_mirror(world, generation=2), timeout=60)
        recovery = time.monotonic() - started
        world.links.await_ready(*LINKS)
    finally:
        proxy.close()

    record_measure("seconds of the first start of 25 links", first_start)
    record_measure("seconds from the end of an outage until 25 links mirror again", recovery)
    assert max(lists_of(many).values()) <= 1, lists_of(many)
    assert controller.running


def assert_links_mirror(world: World, generation: int) -> None:
    expected = {name: [address] for name, address in addresses_of_links(generation).items()}
    assert world.addresses("web") == expected


def lists_of(server: RemoteServer) -> Counter[tuple[str, str]]:
    """How often each remote was listed, by name and kind."""
    return Counter(
        {
            (name, kind): count
            for name, remote in server.remotes.items()
            for kind, count in remote.lists.items()
        }
    )
