"""Random faults on the way to all clusters together with random changes in all of them."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from svclink_core.standby import ready_addresses, without_standby

from .admission import WriteBan, write_ban
from .api_client import ApiError
from .chaos import Chaos
from .chaos_changes import ObjectChanges
from .chaos_faults import FaultyNetwork
from .chaos_operations import Operations
from .chaos_plan import CHANGES, FAULTS, TROUBLES, plan_of_moves
from .chaos_traffic import TrafficChanges
from .control_planes import CONTROLLER, CONTROLLER_NAMESPACE, Cluster
from .controller_process import Controller, controller_of
from .convergence import live_snapshot, outdated_policies, remaining_plan
from .fault_proxy import ProxyTo
from .polling import eventually
from .world import RecordMeasure, World

STEADY = ("steady-0", "steady-1", "steady-2")
# After faults the controller may wait up to 30 s before a retry, first for main and then for a
# remote.
CONVERGENCE_SECONDS = 150


pytestmark = pytest.mark.real_servers("the embedded server has no admission policies")


@pytest.fixture
def ban(main: Cluster) -> Iterator[WriteBan]:
    """The policy that can deny the controllers every write of a mirror."""
    with write_ban(main.api, CONTROLLER) as created:
        yield created


@pytest.fixture
def lease(main: Cluster) -> Iterator[None]:
    """The Lease of the controllers is deleted at the end."""
    yield
    with contextlib.suppress(ApiError):
        main.api.delete("leases", "svclink", CONTROLLER_NAMESPACE)


@pytest.fixture
def network(proxy_to: ProxyTo, main: Cluster, c1: Cluster, c2: Cluster) -> FaultyNetwork:
    """A proxy between each controller and main, and one in front of each remote."""
    return FaultyNetwork(
        {
            "main-a": proxy_to(main, terminates_tls=True, user=CONTROLLER),
            "main-b": proxy_to(main, terminates_tls=True, user=CONTROLLER),
            "c1": proxy_to(c1, terminates_tls=True),
            "c2": proxy_to(c2),
        }
    )


@pytest.fixture
def other_controller(main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The second replica, which must exit cleanly at the end."""
    with controller_of(main.controller_kubeconfig(), tmp_path, "other") as controller:
        yield controller


@pytest.fixture
def chaos(
    ban: WriteBan,
    network: FaultyNetwork,
    world: World,
    other_controller: Controller,
    request: pytest.FixtureRequest,
) -> Chaos:
    """Two controllers mirror a few Services, with a proxy on the way to each cluster."""
    # The fixtures before `world` still work while it is cleaned up.
    main, c1, c2 = world.main, world.c1, world.c2
    controllers = {"main-a": world.controller, "main-b": other_controller}
    for name, controller in controllers.items():
        entry = network.proxies[name].cluster_entry
        controller.set_kubeconfig(main.kubeconfig({}, namespace=CONTROLLER_NAMESPACE, **entry))
    for number, name in enumerate(STEADY):
        world.declare(name)
        world.publish(c1, name, f"10.11.0.{number + 1}")
        world.publish(c2, name, f"10.12.0.{number + 1}")
    operations = Operations(world, controllers, network, ban)
    seed = request.config.getoption("--seed")
    chaos = Chaos(ObjectChanges(world), TrafficChanges(world), operations, network, seed)
    chaos.set_up()
    eventually(lambda: assert_converged(world))
    world.links.await_ready("c1", "c2")
    return chaos


def test_seed_decides_the_plan() -> None:
    """A seed always gives the same moves, which are in order and of every kind."""
    plan = plan_of_moves(seed=7, seconds=180)

    assert plan == plan_of_moves(seed=7, seconds=180)
    assert plan != plan_of_moves(seed=8, seconds=180)
    assert plan == sorted(plan, key=lambda move: move.at)
    assert {move.name for move in plan} == {*CHANGES, *FAULTS, *itertools.chain(*TROUBLES)}


# --minutes sets the duration.
@pytest.mark.usefixtures("lease")
@pytest.mark.timeout(0)
def test_mirrors_converge_after_random_faults(
    chaos: Chaos, request: pytest.FixtureRequest, record_measure: RecordMeasure
) -> None:
    """After the faults nothing is left to change, and unchanged mirrors were never written.

    The statuses of policies say what is so, and no endpoint waits as a standby for nothing.
    """
    world = chaos.changes.world
    untouched = {name: world.versions(name, "c1") for name in STEADY}
    assert all(untouched.values())

    chaos.run(60 * request.config.getoption("--minutes"))
    chaos.settle()

    started = time.monotonic()
    eventually(lambda: assert_converged(world), CONVERGENCE_SECONDS)
    record_measure("seconds from the end of the faults to convergence", time.monotonic() - started)
    eventually(lambda: assert_statuses_true(world), CONVERGENCE_SECONDS)
    assert waiting_for_nothing(world) == set()
    assert {name: world.versions(name, "c1") for name in STEADY} == untouched
    world.links.await_ready("c1", "c2")


def assert_converged(world: World) -> None:
    """Assert that the core plans no changes for the current state of all clusters."""
    changes = remaining_plan(world.main, remotes(world)).changes
    assert not changes, [
        f"{type(change).__name__} {change.key}: {change.reason.code}" for change in changes
    ]


def assert_statuses_true(world: World) -> None:
    """Assert that every TrafficPolicy has the conditions that its Service gives it."""
    outdated = outdated_policies(world.main, remotes(world))
    assert outdated == {}, f"the conditions should be {outdated}"


def waiting_for_nothing(world: World) -> set[tuple[str, str]]:
    """The Services, by IP family, that have a standby and nothing that is active (law L17)."""
    mirrored = live_snapshot(world.main, remotes(world)).main.endpoint_slices
    waiting = {
        (str(key), each.address_type)
        for key, slices in mirrored.items()
        for each in slices
        if ready_addresses(without_standby(each)) != ready_addresses(each)
    }
    active = {
        (str(key), each.address_type)
        for key, slices in mirrored.items()
        for each in slices
        if ready_addresses(each)
    }
    return waiting - active


def remotes(world: World) -> dict[str, Cluster]:
    """The remotes by the names of their links."""
    return {"c1": world.c1, "c2": world.c2}
