"""`svclink shift`: the steps that it writes, and how it ends.

Real: commands, kubeconfigs, HTTP, TLS, signals, the core. Substituted: the API servers and the
controller.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from svclink_core import (
    ClusterTraffic,
    EndpointConditions,
    TrafficPolicy,
    TrafficPolicyStatus,
)
from svclink_core.codec import structure, unstructure_status
from svclink_core.standby import with_standby
from svclink_core.traffic_edits import share_of
from svclink_core.traffic_policy_v1alpha1 import ClusterTrafficStatus
from tests.builders.keys import WEB
from tests.builders.values import endpoint, mirrored_slice, remote_slice, service, traffic_policy
from tests.unit.controller.faults import Refuse, ends_with
from tests.unit.controller.fleets import Fleet, fleet
from tests.unit.controller.waiting import eventually

LOCAL = remote_slice("web-local", *[f"10.9.0.{number}" for number in range(1, 10)])
ADDRESSES = [f"10.0.0.{number}" for number in range(1, 10)]
FAILED = EndpointConditions(ready=False, serving=False, terminating=False)
SHIFT = ("shift", "default/web", "--to", "c1", "--every", "1ms")


def prepare(world: Fleet) -> None:
    """Nine local Pods of default/web, and nine in c1."""
    world.link("c1")
    world.main.put(service())
    world.main.put(LOCAL)
    world.main.put(mirrored_slice(None, *ADDRESSES))
    world.remotes["c1"].put(service())
    world.remotes["c1"].put(remote_slice("web-abc", *ADDRESSES))


def stored(world: Fleet) -> TrafficPolicy | None:
    """The policy."""
    found = world.main.all("trafficpolicies")
    return structure(found[0], TrafficPolicy) if found else None


def put_status(world: Fleet, share: int | None, active: int, ready: int = 9) -> None:
    """What svclink writes: the mirror first, then the status."""
    endpoints = [
        endpoint(address) if number < ready else endpoint(address, conditions=FAILED)
        for number, address in enumerate(ADDRESSES)
    ]
    mirror = mirrored_slice(endpoints=endpoints)
    world.main.put(with_standby(mirror, ADDRESSES[:active], is_fallback=True))
    (policy,) = world.main.all("trafficpolicies")
    clusters = (ClusterTrafficStatus("c1", 0, ready, active, share, 10 * active),)
    generation = policy["metadata"].get("generation", 0)
    status = TrafficPolicyStatus(clusters=clusters, observed_generation=generation)
    world.main.put_raw("trafficpolicies", policy | {"status": unstructure_status(status)})


@asynccontextmanager
async def applying(
    world: Fleet, *, failing_at: int | None = None
) -> AsyncIterator[list[int | None]]:
    """A controller that applies each share; from the share `failing_at` on no Pod is ready."""
    applied: list[int | None] = []

    async def work() -> None:
        while True:
            policy = stored(world)
            share = share_of(policy, "c1")
            if policy is not None and (not applied or applied[-1] != share):
                applied.append(share)
                is_failing = failing_at is not None and share == failing_at
                put_status(world, share, len(applied), 0 if is_failing else 9)
            await asyncio.sleep(0.01)

    working = asyncio.create_task(work())
    try:
        yield applied
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working


async def test_shift_goes_through_all_steps(tmp_path: Path) -> None:
    """Each step is announced, applied and reported; a Service without a policy gets one."""
    async with fleet(tmp_path, "c1") as world, applying(world) as applied:
        prepare(world)
        said = (await world.ask(*SHIFT, "--steps", "10,25")).splitlines()
    assert applied == [10, 25]
    assert said[:3] == [
        "step 1 of 2 will be 10%: 1 of 9 endpoints active, for an actual share of 10%",
        "step 2 of 2 will be 25%: 3 of 9 endpoints active, for an actual share of 25%",
        "an interrupt (Ctrl-C) ends the shift, and the share stays at the current step",
    ]
    assert said[-1] == "done: c1 has a share of 25% (actual: 20%)"


async def test_shift_sets_the_share_back_if_pods_fail(tmp_path: Path) -> None:
    """The share is the one before the first step, everything else of the policy stays."""
    async with fleet(tmp_path, "c1") as world, applying(world, failing_at=50) as applied:
        prepare(world)
        world.main.put(traffic_policy(ClusterTraffic("c1", 5), min_ready=3))
        done = await world.run(*SHIFT, "--steps", "10,50,90", "-o", "json")
        policy = stored(world)
    assert done.exit_code == 2, done.output
    assert applied[-3:] == [10, 50, 5]
    assert policy is not None
    assert policy.spec == traffic_policy(ClusterTraffic("c1", 5), min_ready=3).spec
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert reports[-1]["message"] == "restored c1's share to 5%, because c1 had no ready endpoint"
    assert {"Planned", "Watching"} <= {each.get("state") for each in reports}


async def test_shift_sees_pods_that_fail_before_the_status_does(tmp_path: Path) -> None:
    """The numbers of the status are written now and then; the mirrors change at once."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        command = ("shift", "default/web", "--to", "c1", "--every", "1h", "--steps", "10")
        running = asyncio.create_task(world.run(*command))
        await eventually(lambda: share_of(stored(world), "c1") == 10)
        put_status(world, 10, 1)
        (policy,) = world.main.all("trafficpolicies")
        world.main.put(mirrored_slice(endpoints=[endpoint(ADDRESSES[0], conditions=FAILED)]))
        await eventually(lambda: share_of(stored(world), "c1") is None)
        after = world.main.all("trafficpolicies")[0]
        assert after["status"] == policy["status"]
        put_status(world, None, 0)
        assert (await running).exit_code == 2


async def test_shift_goes_on_where_slices_cannot_be_read(tmp_path: Path) -> None:
    """Then the numbers of the status count: not known is not none."""
    async with fleet(tmp_path, "c1") as world, applying(world) as applied:
        prepare(world)
        running = asyncio.create_task(world.run(*SHIFT, "--steps", "10,25"))
        await eventually(lambda: stored(world) is not None)
        world.main.fail(Refuse(403), ends_with("/endpointslices"))
        assert (await running).exit_code == 0
    assert applied == [10, 25]


async def test_shift_leaves_the_share_of_another_client_alone(tmp_path: Path) -> None:
    """It ends with a sentence, and writes nothing more."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        running = asyncio.create_task(world.run(*SHIFT, "--steps", "10,25"))
        await eventually(lambda: stored(world) is not None)
        world.main.put(traffic_policy(ClusterTraffic("c1", 7)))
        done = await running
        assert share_of(stored(world), "c1") == 7
    assert str(done.exception).startswith(
        "another client changed the share: c1 now has a share of 7%"
    )


async def test_shift_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """A step that is not possible, too few ready endpoints."""
    async with fleet(tmp_path, "c1", "c2") as world:
        prepare(world)
        world.link("c2")
        few = await world.run(*SHIFT, "--steps", "10", "--min-ready", "10")
        assert stored(world) is None
        world.main.put(traffic_policy(ClusterTraffic("c2", 60)))
        before = world.main.revision
        much = await world.run(*SHIFT, "--steps", "10,50")
        assert world.main.revision == before
    assert str(few.exception) == (
        f"c1 has 9 ready endpoints for {WEB}, fewer than --min-ready 10: wait until more are ready"
    )
    assert "the shares add up to 110" in str(much.exception)


async def interrupted(world: Fleet, *more: str) -> tuple[int | None, list[str]]:
    """The exit code and output of a shift that gets SIGHUP at its first step."""
    command = [*SHIFT, "--steps", "10,25", "--kubeconfig", str(world.file), *more]
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "svclink_controller", *command),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": ""},
    )
    await eventually(lambda: share_of(stored(world), "c1") == 10)
    os.kill(child.pid, signal.SIGHUP)
    out, errors = await child.communicate()
    assert errors == b""
    return child.returncode, out.decode().splitlines()


async def test_interrupted_shift_stays_and_prints_how_to_go_on(tmp_path: Path) -> None:
    """The share stays, and two commands go on and back, although the PATH has no svclink."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        code, said = await interrupted(world)
        assert share_of(stored(world), "c1") == 10
    flags = f"--kubeconfig {world.file}"
    program = shlex.quote(str(Path(sys.executable).with_name("svclink")))
    assert code == 130
    assert said[-3:] == [
        "interrupted: the share stays at the current step",
        (
            f"to continue: {program} shift {WEB} --to c1 --steps 10,25 --every 1ms"
            f" --min-ready 1 {flags}"
        ),
        f"to go back: {program} traffic {WEB} --set c1=none {flags}",
    ]


async def test_interrupted_shift_goes_back_if_asked(tmp_path: Path) -> None:
    """It waits until the share before is applied, too."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        running = asyncio.create_task(interrupted(world, "--revert-on-interrupt"))
        await eventually(lambda: share_of(stored(world), "c1") == 10)
        await eventually(lambda: share_of(stored(world), "c1") is None)
        put_status(world, None, 9)
        code, said = await running
    assert code == 130
    assert said[2] == "an interrupt (Ctrl-C) ends the shift and removes c1's share"
    assert said[-1] == "removed c1's share, because the shift was interrupted"
