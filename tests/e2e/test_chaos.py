"""Random faults on the way to all clusters together with random changes in all of them."""

from __future__ import annotations

import time

import pytest

from .chaos import Chaos
from .control_planes import CONTROLLER, CONTROLLER_NAMESPACE
from .convergence import remaining_plan
from .fault_proxy import ProxyTo
from .polling import eventually
from .world import RecordMeasure, World

STEADY = ("steady-0", "steady-1", "steady-2")
# After faults the controller may wait up to 30 s before a retry, first for main and then for a
# remote.
CONVERGENCE_SECONDS = 150


@pytest.fixture
def chaos(proxy_to: ProxyTo, world: World, request: pytest.FixtureRequest) -> Chaos:
    """The controller mirrors a few Services, with a proxy between it and each cluster."""
    # proxy_to comes first, so that the proxies still work while the world is cleaned up.
    main, c1, c2 = world.main, world.c1, world.c2
    proxies = {
        "main": proxy_to(main, terminates_tls=True, user=CONTROLLER),
        "c1": proxy_to(c1, terminates_tls=True),
        "c2": proxy_to(c2),
    }
    world.controller.set_kubeconfig(
        main.kubeconfig({}, namespace=CONTROLLER_NAMESPACE, **proxies["main"].cluster_entry)
    )
    kubeconfigs = {
        each.name: each.kubeconfig({"token": each.token()}, **proxies[each.name].cluster_entry)
        for each in (c1, c2)
    }
    for number, name in enumerate(STEADY):
        world.declare(name)
        world.publish(c1, name, f"10.11.0.{number + 1}")
        world.publish(c2, name, f"10.12.0.{number + 1}")
    chaos = Chaos(world, proxies, kubeconfigs, request.config.getoption("--seed"))
    chaos.set_up()
    eventually(lambda: assert_converged(world))
    world.links.await_ready("c1", "c2")
    return chaos


# --minutes sets the duration.
@pytest.mark.timeout(0)
def test_mirrors_converge_after_random_faults(
    chaos: Chaos, request: pytest.FixtureRequest, record_measure: RecordMeasure
) -> None:
    """After the faults nothing is left to change, and unchanged mirrors were never written."""
    world = chaos.world
    untouched = {name: world.versions(name, "c1") for name in STEADY}
    assert all(untouched.values())

    chaos.run(60 * request.config.getoption("--minutes"))
    chaos.settle()

    started = time.monotonic()
    eventually(lambda: assert_converged(world), CONVERGENCE_SECONDS)
    record_measure("seconds from the end of the faults to convergence", time.monotonic() - started)
    assert {name: world.versions(name, "c1") for name in STEADY} == untouched
    world.links.await_ready("c1", "c2")


def assert_converged(world: World) -> None:
    """Assert that the core plans no changes for the current state of all clusters."""
    changes = remaining_plan(world.main, {"c1": world.c1, "c2": world.c2}).changes
    assert not changes, [
        f"{type(change).__name__} {change.key}: {change.reason.code}" for change in changes
    ]
