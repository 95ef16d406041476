"""File descriptors, tasks and memory of a controller whose links come and go."""

from __future__ import annotations

import random
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .controller_process import Controller
from .fault_proxy import FaultProxy, ProxyTo
from .faults import Hanging, Throttling
from .loopback_ports import reserve_ports
from .polling import eventually
from .resource_usage import resident_megabytes
from .world import RecordMeasure, World

CYCLES = 200
WARM_UP = 50
TOLERATED_DESCRIPTORS = 2
TOLERATED_MEGABYTES = 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_deleted_links_leave_no_resources_behind(
    world: World,
    idle_controller: Controller,
    proxy_to: ProxyTo,
    silent_server: str,
    record_measure: RecordMeasure,
) -> None:
    """After 200 links the controller holds no more than after the first 50."""
    controller = idle_controller
    (metrics_port,) = reserve_ports(1)
    controller.start(f"--listen-address=127.0.0.1:{metrics_port}")
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    kubeconfigs = various_kubeconfigs(world, proxy_to(world.c1), proxy_to(world.c2), silent_server)
    choices = random.Random(1)  # noqa: S311 - must be repeatable
    eventually(lambda: get(metrics_port, "/readyz"))
    tasks = asyncio_tasks(metrics_port)

    add_and_remove_links(world, kubeconfigs, range(WARM_UP), choices)
    eventually(lambda: assert_at_most(asyncio_tasks(metrics_port), tasks))
    descriptors, megabytes = open_descriptors(controller), resident_megabytes(controller.process_id)
    add_and_remove_links(world, kubeconfigs, range(WARM_UP, CYCLES), choices)

    eventually(
        lambda: assert_at_most(open_descriptors(controller), descriptors + TOLERATED_DESCRIPTORS)
    )
    eventually(lambda: assert_at_most(asyncio_tasks(metrics_port), tasks))
    growth = resident_megabytes(controller.process_id) - megabytes
    record_measure("growth of memory in MB after 150 links", growth)
    assert_at_most(growth, TOLERATED_MEGABYTES)
    world.await_mirrored("web")


def various_kubeconfigs(
    world: World, hanging: FaultProxy, slow: FaultProxy, silent_server: str
) -> list[str]:
    """Kubeconfigs that work, hang, are slow, unauthorized, silent, refused and invalid."""
    hanging.fail(Hanging())
    slow.fail(Throttling(20_000))
    (free,) = reserve_ports(1)
    c1, c2 = world.c1, world.c2
    return [
        c1.remote_kubeconfig(),
        c1.remote_kubeconfig(),
        c2.remote_kubeconfig(),
        c1.kubeconfig({"token": c1.token()}, **hanging.cluster_entry),
        c2.kubeconfig({"token": c2.token()}, **slow.cluster_entry),
        c2.kubeconfig({"token": "of.another.cluster"}),
        c1.kubeconfig({"token": "any"}, server=silent_server),
        c1.kubeconfig({"token": "any"}, server=f"https://127.0.0.1:{free}"),
        "no kubeconfig",
    ]


def add_and_remove_links(
    world: World, kubeconfigs: list[str], numbers: range, choices: random.Random
) -> None:
    """Add and remove links one after the other, most of them at a random moment of their start."""
    for number in numbers:
        name, which = f"link-{number}", number % len(kubeconfigs)
        world.links.add(name, kubeconfigs[which])
        if which == 0:
            world.links.await_ready(name)
        else:
            time.sleep(choices.uniform(0, 0.2))
        world.links.remove(name)


def open_descriptors(controller: Controller) -> int:
    return len(list(Path(f"/proc/{controller.process_id}/fd").iterdir()))


def asyncio_tasks(metrics_port: int) -> float:
    """The number of unfinished asyncio tasks, from the metrics of the controller."""
    families = text_string_to_metric_families(get(metrics_port, "/metrics"))
    (value,) = (
        family.samples[0].value for family in families if family.name == "svclink_asyncio_tasks"
    )
    return value


def get(port: int, path: str) -> str:
    """The response of the controller's own server; an error status raises OSError."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as response:
        return str(response.read().decode())


def assert_at_most(actual: float, most: float) -> None:
    assert actual <= most
