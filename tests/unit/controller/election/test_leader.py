"""One of several replicas works, and it stops before another starts, whatever the server does.

Real: the elector, client, sockets and TLS. Substituted: the API server, by a fake one; the times of
a Lease, by shorter ones; the watchdog, which only records its deadline.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, field
from structlog.testing import capture_logs

from svclink_controller import clock
from svclink_controller.election.leader import Elector, Timing
from svclink_controller.election.watchdog import Watchdog
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Answer, Fault, Hang, HangUp, Hold, Refuse, method
from tests.unit.controller.http_server import Server, connected, serving
from tests.unit.controller.virtual_time import ManualClock, loop_time
from tests.unit.controller.waiting import eventually

FAST = Timing(lease=2, renew=1.5, retry=0.3)
KEY = ("leases", "svclink", "svclink")


@define
class RecordedWatchdog(Watchdog):
    """A watchdog that records its deadline instead of ending the process."""

    deadline_set: float | None = None

    def set(self, deadline: float) -> None:
        self.deadline_set = deadline

    def clear(self) -> None:
        self.deadline_set = None


@define
class Replica:
    """An elector whose work waits until it is cancelled."""

    elector: Elector
    watchdog: RecordedWatchdog
    is_working: bool = False
    starts: int = 0
    failure: Exception | None = None
    stop_seconds: float = 0
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.elector.run(self.work))

    async def work(self) -> None:
        self.is_working = True
        self.starts += 1
        try:
            if self.failure is not None:
                raise self.failure
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self.stop_seconds)
            self.is_working = False

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})

    async def is_leading(self) -> None:
        await eventually(lambda: self.is_working)


@define
class World:
    """A fake main cluster, and its replicas."""

    cluster: FakeApiServer
    server: Server
    replicas: list[Replica] = field(factory=list)

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects[KEY]["spec"]
        return found

    def put(self, **spec: Any) -> None:
        """Another client writes the Lease."""
        metadata = {"name": "svclink", "namespace": "svclink", "labels": {"of": "mine"}}
        self.cluster._store("leases", {"metadata": metadata, "spec": spec})

    def refuse(self, *methods: str, code: int = 503) -> None:
        """Reject such requests from now on."""
        self.cluster.fail(Refuse(code), when=method(*methods))

    def hang(self) -> None:
        """Answer no request from now on."""
        self.cluster.fail(Hang())

    def recover(self) -> None:
        self.cluster.heal()


@asynccontextmanager
async def worlds(
    *names: str, now: Callable[[], float] | None = None, timing: Timing = FAST
) -> AsyncIterator[tuple[World, list[Replica]]]:
    """Replicas of these names, not started.

    Their clock stands still by default, so that a slow machine does not cost a leader its Lease.
    """
    clock = ManualClock() if now is None else now
    cluster = FakeApiServer()
    async with serving(cluster) as server, connected(server.url) as client:
        world = World(cluster, server)
        for name in names:
            watchdog = RecordedWatchdog()
            world.replicas.append(
                Replica(Elector(client, "svclink", name, timing, watchdog, now=clock), watchdog)
            )
        try:
            yield world, world.replicas
        finally:
            world.recover()
            for replica in world.replicas:
                await replica.stop()


# Acquiring the Lease


async def test_missing_lease_is_created() -> None:
    """The first replica of a new cluster creates the Lease and works."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        assert a.elector.may_write()
        assert world.spec["holderIdentity"] == "a"
        assert world.spec["leaseDurationSeconds"] == FAST.lease
        assert world.spec["leaseTransitions"] == 0
        for time in (world.spec["acquireTime"], world.spec["renewTime"]):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)


async def test_renewal_is_one_request() -> None:
    """A leader renews the Lease without reading it, and keeps the time it acquired it."""
    async with worlds("a", timing=Timing(lease=2, renew=1.5, retry=1)) as (world, [a]):
        a.start()
        await a.is_leading()
        since, first = world.spec["acquireTime"], world.spec["renewTime"]
        asked = len(world.server.requests)
        await eventually(lambda: world.spec["renewTime"] > first)
        await eventually(lambda: len(world.server.requests) >= asked + 3)
        assert {request.method for request in world.server.requests[asked:]} == {"PUT"}
        assert (world.spec["acquireTime"], world.spec["leaseTransitions"]) == (since, 0)
        assert a.starts == 1


async def test_standby_waits_until_the_leader_stops() -> None:
    """A leader that is cancelled stops its work and releases the Lease for the next one."""
    async with worlds("a", "b") as (world, [a, b]):
        a.start()
        await a.is_leading()
        b.start()
        await eventually(
            lambda: len([each for each in world.server.requests if each.method == "GET"]) >= 4
        )
        assert not b.elector.may_write()
        assert not b.starts
        await a.stop()
        assert not a.elector.may_write()
        assert not a.is_working
        await b.is_leading()
        assert (world.spec["holderIdentity"], world.spec["leaseTransitions"]) == ("b", 1)


async def test_standby_looks_at_the_lease_more_often_than_a_leader_renews_it() -> None:
    """A standby does not let the leader's interval pass before it takes a released Lease."""
    never = 1000
    timing = Timing(lease=never, renew=never, retry=never, look=0.01)
    async with worlds("a", "b", timing=timing) as (_, [a, b]):
        a.start()
        await a.is_leading()
        b.start()
        await a.stop()
        await b.is_leading()


async def test_standby_that_cannot_read_the_lease_looks_less_often() -> None:
    """An API server that refuses requests is not asked more often than by a leader."""
    timing = Timing(lease=1000, renew=1000, retry=1000, look=0.001)
    async with worlds("a", timing=timing) as (world, [a]):
        world.refuse("GET", code=500)
        with capture_logs() as logs:
            a.start()
            await eventually(lambda: bool(logs))
            await asyncio.sleep(0.05)
        assert len(logs) == 1


async def test_released_lease_is_free_at_once() -> None:
    """A released Lease has no holder, as client-go writes it."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        await a.stop()
        assert (world.spec["holderIdentity"], world.spec["leaseDurationSeconds"]) == ("", 1)


async def test_lease_that_changes_while_it_is_released_is_released() -> None:
    """A renewal may have been in flight when the leader was stopped."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        conflict = world.cluster.fail(Refuse(409), method("PUT"), times=1)
        await a.stop()
        assert conflict.hits == 1
        assert world.spec["holderIdentity"] == ""


async def test_lease_that_was_being_acquired_is_released() -> None:
    """A replica that is stopped before it learns that it leads leaves no Lease behind."""
    async with worlds("a") as (world, [a]):
        held_back = Hold()
        acquiring = world.cluster.fail(held_back, method("POST"), times=1)
        a.start()
        await eventually(lambda: acquiring.hits == 1)
        held_back.released.set()
        await a.stop()
        assert not a.starts
        assert world.spec["holderIdentity"] == ""


async def test_lease_of_another_replica_is_not_released() -> None:
    """A replica that stops without leading does not write the Lease."""
    async with worlds("a") as (world, [a]):
        world.put(holderIdentity="b", leaseDurationSeconds=3600)
        a.start()
        await eventually(lambda: len(world.server.requests) >= 2)
        await a.stop()
        assert {request.method for request in world.server.requests} == {"GET"}
        assert world.spec["holderIdentity"] == "b"


@pytest.mark.parametrize(
    "time", ["2001-01-01T00:00:00.000000Z", "2999-01-01T00:00:00.000000Z", "nonsense", None]
)
async def test_expired_lease_is_taken_whatever_its_times_say(time: str | None) -> None:
    """The time without renewal is measured locally, not read from the Lease."""
    clock = ManualClock()
    async with worlds("a", now=clock) as (world, [a]):
        world.put(holderIdentity="dead", leaseDurationSeconds=2, renewTime=time, leaseTransitions=6)
        a.start()
        await eventually(lambda: len(world.server.requests) >= 3)
        assert not a.starts
        clock.now += 2
        await a.is_leading()
        assert (world.spec["holderIdentity"], world.spec["leaseTransitions"]) == ("a", 7)
        assert world.cluster.objects[KEY]["metadata"]["labels"] == {"of": "mine"}


async def test_empty_lease_is_free() -> None:
    """An empty Lease that something else created has no holder."""
    async with worlds("a") as (world, [a]):
        world.put()
        a.start()
        await a.is_leading()
        assert world.spec["holderIdentity"] == "a"


async def test_lease_without_a_duration_lasts_as_long_as_ours() -> None:
    """The Lease of another replica without a duration expires after our own duration."""
    clock = ManualClock()
    async with worlds("a", now=clock) as (world, [a]):
        world.put(holderIdentity="dead")
        a.start()
        await eventually(lambda: len(world.server.requests) >= 3)
        assert not a.starts
        clock.now += FAST.lease
        await a.is_leading()


async def test_one_of_several_simultaneous_replicas_leads() -> None:
    """If several replicas want a free Lease at the same time, one gets it."""
    names = [f"r{number}" for number in range(8)]
    async with worlds(*names) as (world, replicas):
        for replica in replicas:
            replica.start()
        await eventually(lambda: any(replica.is_working for replica in replicas))
        await eventually(lambda: len(world.server.requests) >= 30)
        working = [replica for replica in replicas if replica.starts]
        assert [replica.elector.identity for replica in working] == [world.spec["holderIdentity"]]


# Losing the Lease


@pytest.mark.parametrize("fault", [Hang(), Refuse(503), HangUp()], ids=["hang", "refuse", "break"])
async def test_leader_that_cannot_renew_stops_and_leads_again(fault: Fault) -> None:
    """A hanging, rejecting or vanished API server ends the work in time."""
    clock = ManualClock()
    async with worlds("a", now=clock) as (world, [a]):
        a.start()
        await a.is_leading()
        failures = world.cluster.fail(fault, when=method("PUT"))
        await eventually(lambda: failures.hits >= 1)
        clock.now += FAST.renew
        await eventually(lambda: not a.is_working)
        assert not a.elector.may_write()
        world.recover()
        await a.is_leading()
        assert a.elector.may_write()
        assert (a.starts, world.spec["leaseTransitions"]) == (2, 0)


async def test_failed_renewal_is_retried() -> None:
    """One rejected renewal is retried, and the work continues."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        asked = len(world.server.requests)
        world.refuse("PUT")
        await eventually(lambda: len(world.server.requests) > asked)
        world.recover()
        last = world.spec["renewTime"]
        await eventually(lambda: world.spec["renewTime"] > last)
        assert a.starts == 1


async def test_isolated_leader_stops_before_the_next_starts() -> None:
    """If the leader loses the API server, the two replicas never work at the same time."""
    async with worlds("a", "b", now=loop_time) as (world, [a, b]):
        a.start()
        await a.is_leading()
        world.cluster.fail(
            Hang(),
            when=lambda request: request.is_write and request.json["spec"]["holderIdentity"] == "a",
        )
        b.start()
        both = []
        while not b.is_working:
            both.append((a.elector.may_write() or a.is_working) and b.elector.may_write())
            await asyncio.sleep(0.001)
        assert not any(both)
        assert not a.is_working


async def test_lease_of_another_replica_ends_the_work_at_once() -> None:
    """If the API server shows another holder, the work stops without waiting."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.put(holderIdentity="b", leaseDurationSeconds=3600)
        await eventually(lambda: not a.is_working)
        assert world.spec["holderIdentity"] == "b"


async def test_conflict_with_an_edit_keeps_the_lease() -> None:
    """A conflict with a client that labels the Lease costs one request, and the label stays."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.put(**world.spec)
        last = world.spec["renewTime"]
        await eventually(lambda: world.spec["renewTime"] > last)
        assert (a.starts, world.spec["holderIdentity"]) == (1, "a")
        assert world.cluster.objects[KEY]["metadata"]["labels"] == {"of": "mine"}


async def test_deleted_lease_is_created_again() -> None:
    """Deleting the Lease of a leader does not end its work."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.cluster.remove_key(*KEY)
        await eventually(lambda: KEY in world.cluster.objects)
        assert (a.starts, world.spec["holderIdentity"]) == (1, "a")


async def test_response_that_is_not_a_lease_is_an_error() -> None:
    """An invalid response is logged, and the request is retried."""
    async with worlds("a") as (world, [a]):
        world.cluster.fail(Answer({"metadata": 5}))
        with capture_logs() as logs:
            a.start()
            await eventually(lambda: len(logs) >= 2)
        assert "not a Lease" in logs[0]["problem"]
        assert not a.starts
        world.recover()
        await a.is_leading()


# The work


async def test_failed_work_ends_the_replica_and_releases_the_lease() -> None:
    """A leader with an internal error does not keep the Lease."""
    async with worlds("a") as (world, [a]):
        a.failure = ValueError("broken")
        a.start()
        assert a.task is not None
        with pytest.raises(ValueError, match="broken"):
            await a.task
        assert world.spec["holderIdentity"] == ""


async def test_watchdog_is_armed_while_the_work_runs() -> None:
    """It is armed before the work starts, and cleared once the work has ended."""
    async with worlds("a") as (world, [a]):
        a.stop_seconds = 1
        a.start()
        await a.is_leading()
        assert a.watchdog.deadline_set is not None
        world.put(holderIdentity="b", leaseDurationSeconds=3600)
        await eventually(lambda: not a.elector.may_write())
        assert a.watchdog.deadline_set is not None
        await eventually(lambda: a.watchdog.deadline_set is None)
        assert not a.is_working


async def test_failed_release_does_not_delay_the_end() -> None:
    """A replica stops even if the API server no longer answers."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.hang()
        with capture_logs() as logs:
            await asyncio.wait_for(a.stop(), 10)
        assert "lease not released" in [entry["event"] for entry in logs]


def test_timing_is_that_of_client_go() -> None:
    """A leader stops five seconds before another may start, after five attempts to renew."""
    timing = Timing()
    assert (timing.lease, timing.renew, timing.retry) == (15, 10, 2)


def test_micro_time_always_has_six_digits() -> None:
    """The API server rejects a MicroTime with fewer digits, even at a whole second."""
    assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{6}Z", clock.micro_time()) for _ in range(1000))
