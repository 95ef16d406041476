"""The port serves probes and metrics.

Real: server, sockets, HTTP, metrics and store. Substituted: the clock of one test.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from structlog.testing import capture_logs

from svclink_controller.monitoring.listen_address import ListenAddress
from svclink_controller.monitoring.loop_lag import PROBE_INTERVAL_SECONDS, LoopLag
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.monitoring.readiness import Readiness
from svclink_controller.monitoring.server import Answers, ListenError, serving_probes
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    LinkReason,
    ObjectMeta,
    Options,
    Service,
)
from svclink_core.link_identity import Problem
from tests.unit.controller.virtual_time import VirtualTimeLoop, virtual_time


def answers(not_ready_reason: str | None = None) -> Answers:
    return Answers(Metrics().registry, lambda: 0.25, lambda: not_ready_reason, lambda: "leading")


@asynccontextmanager
async def answering(given: Answers) -> AsyncIterator[str]:
    """The address of a port that gives these answers."""
    with capture_logs() as logs:
        async with serving_probes(ListenAddress("127.0.0.1", 0), given):
            (line,) = logs
            yield f"http://{line['address'][0]}"


async def get(url: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and text of a response."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Accept": accept}) as response,
    ):
        return response.status, response.headers["Content-Type"], await response.text()


async def test_healthz_reports_the_lag_of_the_event_loop() -> None:
    """The response itself shows that the event loop runs."""
    async with answering(answers()) as url:
        assert (await get(f"{url}/healthz"))[::2] == (200, "ok, event loop lag 0.250 s\n")


async def test_readyz_reports_the_role() -> None:
    """A leader and a standby are both ready."""
    async with answering(answers()) as url:
        assert (await get(f"{url}/readyz"))[::2] == (200, "ok, leading\n")


async def test_readyz_reports_why_a_replica_is_not_ready() -> None:
    """The reason is in the response, and so in the events of the Pod."""
    async with answering(answers("the main cluster is not listed")) as url:
        assert (await get(f"{url}/readyz"))[::2] == (
            503,
            "not ready: the main cluster is not listed\n",
        )


async def test_metrics_have_the_accepted_format() -> None:
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


async def test_other_paths_and_methods_are_rejected() -> None:
    """Other paths and methods are rejected."""
    async with answering(answers()) as url:
        assert (await get(url))[0] == 404
        async with aiohttp.ClientSession() as session, session.post(f"{url}/metrics") as response:
            assert response.status == 405


@pytest.mark.parametrize(
    "request_text",
    [
        b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"GET /metrics HTTP/1.1\r\nBad Header: 1\r\n\r\n",
        b"GET /metrics HTTP/9.9x\r\n\r\n",
        b"POST /metrics HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
        bytes.fromhex("1603010200010001fc0303") + b"\r\n\r\n",
    ],
    ids=["gone", "header", "version", "chunk", "TLS"],
)
async def test_faults_of_clients_are_not_logged(
    request_text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """A port scanner, or a client that does not wait for its answer, leaves no traceback."""
    async with answering(answers()) as url:
        for turns in range(8):
            host, port = url.rpartition("/")[2].split(":")
            with socket.create_connection((host, int(port))) as client:
                client.sendall(request_text)
                for _ in range(turns):
                    await asyncio.sleep(0)
            assert (await get(f"{url}/healthz"))[0] == 200
    assert caplog.text == ""


async def test_failure_of_the_program_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """It is told apart from a client that speaks no HTTP."""

    def lag() -> float:
        raise ValueError("a fault")

    given = Answers(Metrics().registry, lag, lambda: None, lambda: "leading")
    async with answering(given) as url:
        assert (await get(f"{url}/healthz"))[0] == 500
    assert "ValueError: a fault" in caplog.text


async def test_port_is_closed_at_the_end() -> None:
    """After the block nothing listens."""
    async with answering(answers()) as url:
        pass
    with pytest.raises(aiohttp.ClientConnectorError):
        await get(f"{url}/healthz")


async def test_port_in_use_is_an_error() -> None:
    """The error names the flag, the cause and the fix."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            ListenError,
            match=rf"^cannot listen on --listen-address=127.0.0.1:{port}: Address already in use:"
            " pass a different --listen-address or off$",
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
def test_address_has_the_format_of_the_flag(address: ListenAddress, shown: str) -> None:
    """An address in an error can be passed to the flag."""
    assert str(address) == shown


# Readiness


def listed_store(*links: ClusterLink, complete: bool = True) -> Store:
    made = Store(Options(), lambda _: None)
    for link in links:
        made.put_link(link)
    for kind in PLANNED_KINDS if complete else (Service, ClusterLink):
        made.mark_listed(kind)
    return made


C1 = ClusterLink(ObjectMeta("c1"))
UNREACHABLE = Observation(Problem(LinkReason.UNREACHABLE, "no route"))


def test_replica_is_not_ready_before_the_main_cluster_is_listed() -> None:
    """Without a complete list, it could not take over."""
    assert Readiness(listed_store(complete=False)).not_ready_reason() is not None


def test_replica_is_not_ready_before_every_link_was_tried() -> None:
    """Untried clusters are named; unreachable and disabled ones do not count."""
    off = ClusterLink(ObjectMeta("off"), ClusterLinkSpec(enabled=False))
    store = listed_store(C1, ClusterLink(ObjectMeta("c2")), off)
    readiness = Readiness(store)
    assert readiness.not_ready_reason() == "no connection attempt has finished for: c1, c2"
    store.set_connection("c1", SYNCED)
    assert readiness.not_ready_reason() == "no connection attempt has finished for: c2"
    store.observe("c2", UNREACHABLE)
    assert readiness.not_ready_reason() is None


def test_ready_replica_stays_ready_when_a_link_is_added() -> None:
    """A new cluster that is slow does not take a replica out of service."""
    store = listed_store()
    readiness = Readiness(store)
    assert readiness.not_ready_reason() is None
    store.put_link(C1)
    assert readiness.not_ready_reason() is None


# The lag of the event loop


@virtual_time
async def test_loop_lag_measures_a_blocked_loop() -> None:
    """A callback that blocks the loop shows as lag, and the longest lag is kept."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    observed: list[float] = []
    loop_lag = LoopLag(observed.append)
    sampling = asyncio.create_task(loop_lag.run())
    loop.call_later(2.5 * PROBE_INTERVAL_SECONDS, loop.advance, 0.5)
    await asyncio.sleep(2)
    sampling.cancel()
    assert loop_lag.longest == max(observed) == pytest.approx(0.5 - PROBE_INTERVAL_SECONDS / 2)
    assert loop_lag.last == observed[-1] == pytest.approx(0)
