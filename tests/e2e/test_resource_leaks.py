"""What a controller holds on to when links come and go for a long time."""

from __future__ import annotations

import random
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .control_planes import reserve_ports
from .controller_process import Controller
from .fault_proxy import FaultProxy, Hanging, ProxyTo, Throttling
from .polling import eventually
from .world import RecordMeasure, World

CYCLES = 200
WARM_UP = 50
SPARE_DESCRIPTORS = 2
SPARE_MEGABYTES = 10


@pytest.mark.skipif(sys.platform != "linux", reason="counts what /proc shows")
def test_links_that_come_and_go_leave_nothing_behind(
    world: World,
    idle_controller: Controller,
    proxy_to: ProxyTo,
    silent_server: str,
    record_measure: RecordMeasure,
) -> None:
    """After 200 links, most of them deleted in the middle of something, it holds no more than after the first 50."""
    controller = idle_controller
    (metrics_port,) = reserve_ports(1)
    controller.start(f"--listen-address=127.0.0.1:{metrics_port}")
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    kubeconfigs = ways_to(world, proxy_to(world.c1), proxy_to(world.c2), silent_server)
    dice = random.Random(1)  # noqa: S311 - it is to be repeatable

    come_and_go(world, kubeconfigs, range(WARM_UP), dice)
    time.sleep(2)  # what was begun ends
    descriptors, megabytes = open_descriptors(controller), resident_megabytes(controller)
    tasks = asyncio_tasks(metrics_port)
    come_and_go(world, kubeconfigs, range(WARM_UP, CYCLES), dice)

    eventually(
        lambda: assert_at_most(open_descriptors(controller), descriptors + SPARE_DESCRIPTORS)
    )
    eventually(lambda: assert_at_most(asyncio_tasks(metrics_port), tasks))
    grown = resident_megabytes(controller) - megabytes
    record_measure("MB that 150 links left behind", grown)
    assert_at_most(grown, SPARE_MEGABYTES)
    world.await_mirrored("web")


def ways_to(world: World, hanging: FaultProxy, slow: FaultProxy, silent_server: str) -> list[str]:
    """Kubeconfigs that work, hang, are slow, are refused, are not accepted, and are none."""
    hanging.fail(Hanging())
    slow.fail(Throttling(20_000))
    (free,) = reserve_ports(1)
    c1, c2 = world.c1, world.c2
    return [
        c1.remote_kubeconfig(),
        c1.remote_kubeconfig(),
        c2.remote_kubeconfig(),
        c1.kubeconfig({"token": c1.token()}, **hanging.access),
        c2.kubeconfig({"token": c2.token()}, **slow.access),
        c2.kubeconfig({"token": "of.another.cluster"}),
        c1.kubeconfig({"token": "any"}, server=silent_server),
        c1.kubeconfig({"token": "any"}, server=f"https://127.0.0.1:{free}"),
        "no kubeconfig",
    ]


def come_and_go(world: World, kubeconfigs: list[str], numbers: range, dice: random.Random) -> None:
    for number in numbers:
        name, which = f"link-{number}", number % len(kubeconfigs)
        world.links.add(name, kubeconfigs[which])
        if which == 0:
            world.links.await_ready(name)
        else:
            time.sleep(dice.uniform(0, 0.2))
        world.links.remove(name)


def open_descriptors(controller: Controller) -> int:
    return len(list(Path(f"/proc/{controller.process_id}/fd").iterdir()))


def asyncio_tasks(metrics_port: int) -> float:
    """How many tasks have not ended, as it says itself."""
    with urllib.request.urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    (value,) = (
        family.samples[0].value for family in families if family.name == "svclink_asyncio_tasks"
    )
    return value


def resident_megabytes(controller: Controller) -> float:
    status = Path(f"/proc/{controller.process_id}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def assert_at_most(actual: float, most: float) -> None:
    assert actual <= most
