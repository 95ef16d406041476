"""A controller that dies again and again in the middle of a lot of work."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor

from .control_planes import Cluster
from .objects import endpoint_slice, endpoints, service
from .polling import eventually
from .world import World

SERVICES = 300
CRASHES = 20


def test_a_controller_killed_at_any_moment_is_made_up_for_by_the_next(world: World) -> None:
    """Killed 20 times while it mirrors 300 Services that change: nothing is doubled, missing, wrong or left over."""
    dice = random.Random(1)  # noqa: S311 - it is to be repeatable
    wanted = {f"web-{number:03}": ["10.1.0.1"] for number in range(SERVICES)}
    with ThreadPoolExecutor(2) as pool:  # one thread a cluster, as each has one connection
        list(pool.map(lambda cluster: fill(world, cluster, list(wanted)), (world.main, world.c1)))
    world.controller.start()
    world.links.add("c1", world.c1.remote_kubeconfig())

    for crash in range(CRASHES):
        time.sleep(dice.uniform(0, 2))
        world.controller.kill()
        for name in dice.sample(sorted(wanted), 30):
            wanted[name] = [f"10.1.{crash + 1}.1"]
            world.set_endpoints(world.c1, name, endpoints(*wanted[name]))
        world.controller.start()

    eventually(lambda: assert_mirrored(world, wanted), 60)
    world.links.await_ready("c1")


def fill(world: World, cluster: Cluster, names: list[str]) -> None:
    for name in names:
        cluster.api.create(service(world.namespace, name))
        if cluster is world.c1:
            cluster.api.create(
                endpoint_slice(world.namespace, name, endpoints("10.1.0.1"), name=name)
            )


def assert_mirrored(world: World, wanted: dict[str, list[str]]) -> None:
    """One mirror for each Service, under its own name and with its addresses, and no other."""
    actual = {
        name: [address for member in item["endpoints"] for address in member["addresses"]]
        for name, item in world.mirrors().items()
    }
    assert actual == {f"{name}-c1": addresses for name, addresses in wanted.items()}
