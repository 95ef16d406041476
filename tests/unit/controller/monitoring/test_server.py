"""The port tells whether svclink lives, is ready, and what it has measured.

Real: server, sockets, HTTP, metrics and store. Substituted: nothing.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from structlog.testing import capture_logs

from svclink_controller.monitoring.loop_lag import LoopLag
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.monitoring.readiness import Readiness
from svclink_controller.monitoring.server import Answers, ListenAddress, ListenError, serving_probes
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    EndpointSlice,
    LinkReason,
    ObjectMeta,
    Options,
    Service,
)
from svclink_core.link_identity import Problem
from tests.unit.controller.servers import eventually


def answers(obstacle: str | None = None) -> Answers:
    return Answers(Metrics().registry, lambda: 0.25, lambda: obstacle, lambda: "leading")


@asynccontextmanager
async def answering(told: Answers) -> AsyncIterator[str]:
    """A port that tells this; its address."""
    with capture_logs() as logs:
        async with serving_probes(ListenAddress("127.0.0.1", 0), told):
            (line,) = logs
            yield f"http://{line['address'][0]}"


async def get(url: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and text of an answer."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Accept": accept}) as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()


async def test_health_is_that_the_event_loop_is_serviced() -> None:
    """The answer itself is the proof, and tells how late the loop is."""
    async with answering(answers()) as url:
        assert (await get(f"{url}/healthz"))[::2] == (200, "ok, the event loop is 0.250 s late\n")


async def test_ready_says_what_the_replica_does() -> None:
    """A leader and a standby are both ready."""
    async with answering(answers()) as url:
        assert (await get(f"{url}/readyz"))[::2] == (200, "ok, leading\n")


async def test_not_ready_says_why() -> None:
    """What is missing is in the answer, for whoever looks at the events of the Pod."""
    async with answering(answers("the main cluster is not listed")) as url:
        assert (await get(f"{url}/readyz"))[::2] == (
            503,
            "not ready: the main cluster is not listed\n",
        )


async def test_metrics_are_in_the_format_that_is_asked_for() -> None:
    """Prometheus gets its text format or OpenMetrics."""
    async with answering(answers()) as url:
        status, plain, text = await get(f"{url}/metrics")
        assert status == 200
        assert plain.startswith("text/plain")
        assert "# TYPE svclink_propagation_seconds histogram" in text
        _, openmetrics, text = await get(
            f"{url}/metrics", "application/openmetrics-text; version=1.0.0"
        )
        assert openmetrics.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")


async def test_nothing_else_is_there() -> None:
    """Other paths and methods are refused."""
    async with answering(answers()) as url:
        assert (await get(url))[0] == 404
        async with aiohttp.ClientSession() as session, session.post(f"{url}/metrics") as response:
            assert response.status == 405


async def test_port_is_closed_at_the_end() -> None:
    """After the block nobody answers any more."""
    async with answering(answers()) as url:
        pass
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(f"{url}/healthz")


async def test_port_that_is_taken_is_named() -> None:
    """The error names the flag and the reason."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ListenError, match=rf"^--listen-address=127.0.0.1:{port} cannot be listened on: "
        ):
            async with serving_probes(ListenAddress("127.0.0.1", port), answers()):
                pytest.fail("it must not be served")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (ListenAddress("", 8080), ":8080"),
        (ListenAddress("127.0.0.1", 1), "127.0.0.1:1"),
        (ListenAddress("::1", 80), "[::1]:80"),
    ],
)
def test_address_is_shown_as_it_is_written(address: ListenAddress, shown: str) -> None:
    """What an error shows can be given to the flag."""
    assert str(address) == shown


# Readiness


def store(*links: ClusterLink, listed: bool = True) -> Store:
    made = Store(Options())
    for link in links:
        made.put_link(link)
    for kind in (Service, EndpointSlice, ClusterLink) if listed else (Service, ClusterLink):
        made.mark_listed(kind)
    return made


C1 = ClusterLink(ObjectMeta("c1"))
UNREACHABLE = Observation(Problem(LinkReason.UNREACHABLE, "no route"))


def test_replica_that_has_not_listed_the_main_cluster_is_not_ready() -> None:
    """It could not take over."""
    assert Readiness(store(listed=False)).obstacle() is not None


def test_replica_is_not_ready_before_every_link_was_tried() -> None:
    """The clusters it has not heard of are named; one that cannot be reached, or is switched off, is no obstacle."""
    off = ClusterLink(ObjectMeta("off"), ClusterLinkSpec(enabled=False))
    known = store(C1, ClusterLink(ObjectMeta("c2")), off)
    health = Readiness(known)
    assert health.obstacle() == "not heard of yet: c1, c2"
    known.set_connection("c1", SYNCED)
    assert health.obstacle() == "not heard of yet: c2"
    known.observe("c2", UNREACHABLE)
    assert health.obstacle() is None


def test_ready_replica_stays_ready_when_a_link_is_added() -> None:
    """A new cluster that takes its time is no reason to take a replica out of service."""
    known = store()
    health = Readiness(known)
    assert health.obstacle() is None
    known.put_link(C1)
    assert health.obstacle() is None


# The pulse


async def test_pulse_feels_a_loop_that_was_held_up() -> None:
    """A callback that does not give way shows as lateness, and the longest is kept."""
    felt: list[float] = []
    pulse = LoopLag(felt.append)
    beating = asyncio.create_task(pulse.run())
    await eventually(lambda: bool(felt))
    before = len(felt)
    time.sleep(0.5)  # noqa: ASYNC251 - to hold up the loop is the test
    await eventually(lambda: len(felt) > before + 1)
    beating.cancel()
    assert pulse.longest >= 0.35
    assert pulse.longest == max(felt)
    assert pulse.last == felt[-1]
