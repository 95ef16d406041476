"""A controller that is killed repeatedly while it writes many mirrors."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

from tests.builders.manifests import endpoint_slice, service

from .control_planes import Cluster
from .polling import eventually
from .world import World, endpoints

SERVICES = 300
CRASHES = 20
CONVERGENCE_SECONDS = 60


def test_mirrors_converge_after_repeated_kills(world: World) -> None:
    """20 kills while 300 changing Services are mirrored leave no wrong mirror behind."""
    choices = random.Random(1)  # noqa: S311 - must be repeatable
    expected = {f"web-{number:03}": ["10.1.0.1"] for number in range(SERVICES)}
    with ThreadPoolExecutor(2) as pool:  # One thread per cluster: its client has one connection.
        list(
            pool.map(
                lambda cluster: create_services(world, cluster, list(expected)),
                (world.main, world.c1),
            )
        )
    world.controller.start()
    world.links.add("c1", world.c1.remote_kubeconfig())

    for crash in range(CRASHES):
        time.sleep(choices.uniform(0, 2))  # Kill at a random moment, also during the start.
        world.controller.kill()
        for name in choices.sample(sorted(expected), 30):
            expected[name] = [f"10.1.{crash + 1}.1"]
            world.set_endpoints(world.c1, name, endpoints(*expected[name]))
        world.controller.start()

    eventually(lambda: assert_mirrored(world, expected), CONVERGENCE_SECONDS)
    world.links.await_ready("c1")


def create_services(world: World, cluster: Cluster, names: list[str]) -> None:
    for name in names:
        cluster.api.create(service(f"{world.namespace}/{name}"))
        if cluster is world.c1:
            cluster.api.create(endpoint_slice(name, "10.1.0.1", key=f"{world.namespace}/{name}"))


def assert_mirrored(world: World, expected: dict[str, list[str]]) -> None:
    """Assert that each Service has exactly one mirror, with the usual name and its addresses."""
    actual = {
        name: [address for member in item["endpoints"] for address in member["addresses"]]
        for name, item in world.mirrors().items()
    }
    assert actual == {f"{name}-c1": addresses for name, addresses in expected.items()}
