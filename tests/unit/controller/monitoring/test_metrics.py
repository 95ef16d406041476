"""Metrics count and time the controller's work, and the reference lists them all.

Real: the whole controller, sockets and TLS. Substituted: the API servers, by fake ones.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Final

from cryptography.x509 import load_pem_x509_certificates
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from svclink_controller.manager import Manager
from svclink_core import ClusterLinkSpec
from tests.builders.values import link, remote_slice
from tests.unit.controller.faults import Refuse, method
from tests.unit.controller.http_server import AUTHORITY
from tests.unit.controller.waiting import eventually
from tests.unit.controller.whole_controller import World, worlds

ROOT: Final = Path(__file__).parents[4]
EXPIRATION: Final = "svclink_link_credentials_expiration_timestamp_seconds"


def value(controller: Manager, name: str, **labels: str) -> float | None:
    """The value of one sample as Prometheus would scrape it."""
    text = generate_latest(controller.metrics.registry).decode()
    found = {
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    }
    return found.pop() if found else None


async def shows(world: World, name: str, wanted: float, **labels: str) -> None:
    """Waits until a sample has a value."""
    await eventually(lambda: value(world.controller, name, **labels) == wanted)


async def happens(world: World, name: str, **labels: str) -> None:
    """Waits until a counter is above 0."""
    await eventually(lambda: (value(world.controller, name, **labels) or 0) > 0)


def series_of(controller: Manager, cluster: str) -> list[str]:
    """The lines that contain the name of a cluster."""
    return [
        line
        for line in generate_latest(controller.metrics.registry).decode().splitlines()
        if cluster in line
    ]


async def test_change_is_timed_from_its_event_to_its_write() -> None:
    """One change of a remote is one observation; the first list is not observed."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        assert value(world.controller, "svclink_propagation_seconds_count", cluster="c1") is None
        world.remote.put(remote_slice(None, "10.0.0.2"))
        await world.is_mirrored("10.0.0.2")
        await eventually(
            lambda: value(world.controller, "svclink_propagation_seconds_count", cluster="c1") == 1,
        )


async def test_retried_change_is_timed_until_it_is_written() -> None:
    """A change that is rejected first is observed once, when it is written."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        world.main.fail(Refuse(503), when=method("PUT"), times=2)
        world.remote.put(remote_slice(None, "10.0.0.2"))
        await world.is_mirrored("10.0.0.2")
        await eventually(
            lambda: value(world.controller, "svclink_propagation_seconds_count", cluster="c1") == 1
        )
        writes = "svclink_writes_total"
        assert (
            value(world.controller, writes, kind="EndpointSlice", verb="update", result="failed")
            == 2
        )
        assert (
            value(world.controller, writes, kind="EndpointSlice", verb="update", result="applied")
            == 1
        )
        assert (
            value(world.controller, writes, kind="EndpointSlice", verb="create", result="applied")
            == 1
        )


async def test_gauges_show_the_current_state() -> None:
    """Gauges show the state of links, the mirrored objects, the leader and the queue."""
    async with worlds() as world:
        world.main.put(world.link())
        world.main.put(link("off", ClusterLinkSpec(enabled=False)))
        world.main.put(link("bad", ClusterLinkSpec(kubeconfig="%%%")))
        world.start()
        await world.is_mirrored("10.0.0.1")
        await shows(world, "svclink_mirrored_slices", 1, cluster="c1")
        await shows(world, "svclink_link_state", 1, cluster="c1", state="synced")
        await shows(world, "svclink_link_state", 0, cluster="c1", state="unreachable")
        await shows(world, "svclink_link_state", 1, cluster="off", state="disabled")
        await shows(world, "svclink_link_state", 1, cluster="bad", state="unreachable")
        await shows(world, "svclink_mirrored_services", 1, cluster="c1")
        await shows(world, "svclink_mirrored_endpoints", 1, cluster="c1")
        await shows(world, "svclink_leader", 1)
        await shows(world, "svclink_queue_depth", 0)
        (authority,) = load_pem_x509_certificates(AUTHORITY.cert_pem.bytes())
        end = authority.not_valid_after_utc.timestamp()
        await shows(world, EXPIRATION, end, cluster="c1")
        assert [value(world.controller, EXPIRATION, cluster=each) for each in ("off", "bad")] == [
            None,
            None,
        ]
        for cluster in ("(main)", "c1"):
            for kind in ("services", "endpointslices"):
                age = value(
                    world.controller,
                    "svclink_watch_last_event_age_seconds",
                    cluster=cluster,
                    kind=kind,
                )
                assert age is not None


async def test_services_with_findings_are_shown() -> None:
    """By cluster and reason, while there are any."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        shown = {"cluster": "c1", "reason": "InvalidEndpoints"}
        assert value(world.controller, "svclink_services_with_findings", **shown) is None
        world.remote.put(remote_slice(None, "10.0.0.1", "127.0.0.1"))
        await shows(world, "svclink_services_with_findings", 1, **shown)


async def test_work_is_counted() -> None:
    """Queue waits, reconciliations, status writes and the lag of the event loop are observed."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        await happens(world, "svclink_queue_wait_seconds_count")
        await happens(world, "svclink_reconcile_seconds_count")
        await happens(world, "svclink_event_loop_lag_seconds_count")
        await happens(world, "svclink_status_writes_total", result="applied")


async def test_series_go_with_the_link() -> None:
    """After a link is deleted, no series contains its name."""
    async with worlds() as world:
        world.main.put(world.link())
        world.start()
        await world.is_mirrored("10.0.0.1")
        world.remote.put(remote_slice(None, "10.0.0.2"))
        await world.is_mirrored("10.0.0.2")
        await eventually(
            lambda: value(world.controller, "svclink_propagation_seconds_count", cluster="c1") == 1
        )
        assert series_of(world.controller, '"c1"')
        world.main.remove(world.link())
        await eventually(lambda: world.mirrored() == {})
        await eventually(lambda: series_of(world.controller, '"c1"') == [])


def test_reference_lists_every_metric() -> None:
    """`docs/reference/metrics.md` is the output of `hack/reference_metrics.py`."""
    command = [sys.executable, "hack/reference_metrics.py"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert printed == (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
