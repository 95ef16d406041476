"""Everything at once, at random: faults on the way to all clusters, and changes in all of them."""

from __future__ import annotations

import time

import pytest

from .chaos import Chaos
from .control_planes import CONTROLLER, CONTROLLER_NAMESPACE
from .convergence import true_plan
from .fault_proxy import ProxyTo
from .polling import eventually
from .world import RecordMeasure, World

STEADY = ("steady-0", "steady-1", "steady-2")
# After faults the controller may be waiting to try again, for 30 s at most, first for main and then for a remote.
CONVERGENCE_SECONDS = 150


@pytest.fixture
def chaos(proxy_to: ProxyTo, world: World, request: pytest.FixtureRequest) -> Chaos:
    """The controller, with a proxy between it and each of its clusters, at work on a few Services."""
    # The world is the second, to be cleaned up while the controller still has its ways.
    main, c1, c2 = world.main, world.c1, world.c2
    proxies = {
        "main": proxy_to(main, terminates_tls=True, user=CONTROLLER),
        "c1": proxy_to(c1, terminates_tls=True),
        "c2": proxy_to(c2),
    }
    world.controller.use(
        main.kubeconfig({}, namespace=CONTROLLER_NAMESPACE, **proxies["main"].access)
    )
    kubeconfigs = {
        each.name: each.kubeconfig({"token": each.token()}, **proxies[each.name].access)
        for each in (c1, c2)
    }
    for number, name in enumerate(STEADY):
        world.declare(name)
        world.publish(c1, name, f"10.11.0.{number + 1}")
        world.publish(c2, name, f"10.12.0.{number + 1}")
    chaos = Chaos(world, proxies, kubeconfigs, request.config.getoption("--seed"))
    chaos.begin()
    eventually(lambda: assert_right(world))
    world.links.await_ready("c1", "c2")
    return chaos


# The test ends by itself when its minutes and the wait afterwards are over.
@pytest.mark.timeout(0)
def test_what_is_mirrored_comes_right_after_any_faults(
    chaos: Chaos, request: pytest.FixtureRequest, record_measure: RecordMeasure
) -> None:
    """When it is quiet the core finds nothing to change; what nobody touched was neither deleted nor rewritten."""
    world = chaos.world
    untouched = {name: world.versions(name, "c1") for name in STEADY}
    assert all(untouched.values())

    chaos.rage(60 * request.config.getoption("--minutes"))
    chaos.calm()

    started = time.monotonic()
    eventually(lambda: assert_right(world), CONVERGENCE_SECONDS)
    record_measure("seconds from quiet to what is right", time.monotonic() - started)
    assert {name: world.versions(name, "c1") for name in STEADY} == untouched
    world.links.await_ready("c1", "c2")


def assert_right(world: World) -> None:
    """The mirrored set is what the core makes of the true state of all clusters."""
    changes = true_plan(world.main, {"c1": world.c1, "c2": world.c2}).changes
    assert not changes, [
        f"{type(change).__name__} {change.key}: {change.reason.code}" for change in changes
    ]
