"""Of several replicas one works, and it stops before another begins, whatever the API server does.

Real: the elector, client, sockets and TLS. Substituted: the API server, by a small one; the seconds of a Lease, by
fractions of them; and the end of the process, which is noted instead.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from attrs import define, field
from structlog.testing import capture_logs

from svclink_controller import clock
from svclink_controller.election import leader
from svclink_controller.election.leader import Elector, Timing
from svclink_controller.election.watchdog import Watchdog
from tests.unit.controller.servers import (
    Cluster,
    Server,
    answer,
    connected,
    eventually,
    refusal,
    serving,
)

FAST = Timing(lease=2, renew=1.5, retry=0.3)
KEY = ("leases", "svclink", "svclink")


@define
class Notes(Watchdog):
    """A watchdog that does not bite."""

    set_to: float | None = None

    def set(self, deadline: float) -> None:
        self.set_to = deadline

    def clear(self) -> None:
        self.set_to = None


@define
class Replica:
    """An elector whose work is only to be there."""

    elector: Elector
    notes: Notes
    is_working: bool = False
    begun: int = 0
    failure: Exception | None = None
    reluctance: float = 0
    task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.task = asyncio.create_task(self.elector.run(self.work))

    async def work(self) -> None:
        self.is_working = True
        self.begun += 1
        try:
            if self.failure is not None:
                raise self.failure
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(self.reluctance)
            self.is_working = False

    async def stop(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait({self.task})

    async def is_leading(self) -> None:
        await eventually(lambda: self.is_working)


@define
class World:
    """A main cluster, and replicas made for it."""

    cluster: Cluster
    server: Server
    replicas: list[Replica] = field(factory=list)

    @property
    def spec(self) -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects[KEY]["spec"]
        return found

    def put(self, **spec: Any) -> None:
        """Somebody writes the Lease."""
        metadata = {"name": "svclink", "namespace": "svclink", "labels": {"of": "mine"}}
        self.cluster._store("leases", {"metadata": metadata, "spec": spec})

    def refuse(self, *methods: str, code: int = 503) -> None:
        """From now on such requests are refused."""

        async def refuse(request: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(code) if request.method in methods else None

        self.cluster.override = refuse

    def hang(self) -> None:
        """From now on nothing is answered."""

        async def hang(_: web.BaseRequest) -> web.StreamResponse | None:
            return await asyncio.Event().wait()  # type: ignore[return-value]

        self.cluster.override = hang

    def recover(self) -> None:
        self.cluster.override = None


@asynccontextmanager
async def worlds(*names: str) -> AsyncIterator[tuple[World, list[Replica]]]:
    """Replicas of these names, not started."""
    cluster = Cluster()
    async with serving(cluster) as server, connected(server.url) as client:
        world = World(cluster, server)
        for name in names:
            notes = Notes()
            world.replicas.append(Replica(Elector(client, "svclink", name, FAST, notes), notes))
        try:
            yield world, world.replicas
        finally:
            world.recover()
            for replica in world.replicas:
                await replica.stop()


# Taking the Lease


async def test_lease_is_made_where_there_is_none() -> None:
    """The first replica on a new cluster creates the Lease and works."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        assert a.elector.may_write()
        assert world.spec["holderIdentity"] == "a"
        assert world.spec["leaseDurationSeconds"] == FAST.lease
        assert world.spec["leaseTransitions"] == 0
        for time in (world.spec["acquireTime"], world.spec["renewTime"]):
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", time)


async def test_lease_is_renewed_by_one_request() -> None:
    """A leader writes the Lease again and again, reads it no more, and has held it since it took it."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        since, first = world.spec["acquireTime"], world.spec["renewTime"]
        asked = len(world.server.requests)
        await eventually(lambda: world.spec["renewTime"] > first)
        await eventually(lambda: len(world.server.requests) >= asked + 3)
        assert {request.method for request in world.server.requests[asked:]} == {"PUT"}
        assert (world.spec["acquireTime"], world.spec["leaseTransitions"]) == (since, 0)
        assert a.begun == 1


async def test_second_replica_waits_until_the_first_ends() -> None:
    """A leader that is told to end stops its work, gives up the Lease, and the next one takes it."""
    async with worlds("a", "b") as (world, [a, b]):
        a.start()
        await a.is_leading()
        b.start()
        await eventually(
            lambda: len([each for each in world.server.requests if each.method == "GET"]) >= 4
        )
        assert not b.elector.may_write()
        assert not b.begun
        await a.stop()
        assert not a.elector.may_write()
        assert not a.is_working
        await b.is_leading()
        assert (world.spec["holderIdentity"], world.spec["leaseTransitions"]) == ("b", 1)


async def test_lease_that_is_given_up_is_free_at_once() -> None:
    """What is left says that nobody holds it, as client-go writes it."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        await a.stop()
        assert (world.spec["holderIdentity"], world.spec["leaseDurationSeconds"]) == ("", 1)


async def test_lease_of_another_is_not_given_up() -> None:
    """A replica that ends without leading leaves the Lease alone."""
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
async def test_lease_of_the_dead_is_taken_whatever_its_clock_said(time: str | None) -> None:
    """How long a Lease was not renewed is measured here, not told by the times in it."""
    async with worlds("a") as (world, [a]):
        world.put(holderIdentity="dead", leaseDurationSeconds=2, renewTime=time, leaseTransitions=6)
        loop = asyncio.get_running_loop()
        before = loop.time()
        a.start()
        await a.is_leading()
        assert loop.time() >= before + 2
        assert (world.spec["holderIdentity"], world.spec["leaseTransitions"]) == ("a", 7)
        assert world.cluster.objects[KEY]["metadata"]["labels"] == {"of": "mine"}


async def test_lease_without_content_is_free() -> None:
    """A Lease that somebody created empty is held by nobody."""
    async with worlds("a") as (world, [a]):
        world.put()
        a.start()
        await a.is_leading()
        assert world.spec["holderIdentity"] == "a"


async def test_lease_that_does_not_say_for_how_long_is_waited_for_as_ours() -> None:
    """Without a duration in it, the Lease of another is taken to last as long as one of ours."""
    async with worlds("a") as (world, [a]):
        world.put(holderIdentity="dead")
        before = asyncio.get_running_loop().time()
        a.start()
        await a.is_leading()
        assert asyncio.get_running_loop().time() >= before + FAST.lease


async def test_replicas_that_start_together_do_not_work_together() -> None:
    """Where several want a free Lease at the same moment, one gets it."""
    names = [f"r{number}" for number in range(8)]
    async with worlds(*names) as (world, replicas):
        for replica in replicas:
            replica.start()
        await eventually(lambda: any(replica.is_working for replica in replicas))
        await eventually(lambda: len(world.server.requests) >= 30)
        working = [replica for replica in replicas if replica.begun]
        assert [replica.elector.identity for replica in working] == [world.spec["holderIdentity"]]


# Losing it


@pytest.mark.parametrize("trouble", ["hang", "refuse", "break"])
async def test_leader_that_cannot_renew_stops_and_comes_back(trouble: str) -> None:
    """A hanging, refusing or vanished API server ends the work in time, and the replica works again afterwards."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()

        async def hang_up(request: web.BaseRequest) -> web.StreamResponse | None:
            assert request.transport is not None
            request.transport.abort()
            return None

        match trouble:
            case "hang":
                world.hang()
            case "refuse":
                world.refuse("PUT")
            case _:
                world.cluster.override = hang_up
        await eventually(lambda: not a.is_working)
        assert not a.elector.may_write()
        world.recover()
        await a.is_leading()
        assert a.elector.may_write()
        assert (a.begun, world.spec["leaseTransitions"]) == (2, 0)


async def test_trouble_that_passes_in_time_is_nothing() -> None:
    """One refused renewal is tried again, and the work goes on."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        asked = len(world.server.requests)
        world.refuse("PUT")
        await eventually(lambda: len(world.server.requests) > asked)
        world.recover()
        last = world.spec["renewTime"]
        await eventually(lambda: world.spec["renewTime"] > last)
        assert a.begun == 1


async def test_leader_cut_off_has_stopped_before_the_next_begins() -> None:
    """Of two replicas, one of which loses the API server while it leads, never both work."""
    async with worlds("a", "b") as (world, [a, b]):
        a.start()
        await a.is_leading()

        async def hang_on_a(request: web.BaseRequest) -> web.StreamResponse | None:
            if request.method != "GET" and (await request.json())["spec"]["holderIdentity"] == "a":
                await asyncio.Event().wait()
            return None

        world.cluster.override = hang_on_a
        b.start()
        both = []
        while not b.is_working:
            both.append((a.elector.may_write() or a.is_working) and b.elector.may_write())
            await asyncio.sleep(0.001)
        assert not any(both)
        assert not a.is_working


async def test_lease_taken_by_another_ends_the_work_at_once() -> None:
    """Where the API server says that somebody else holds the Lease, there is nothing to wait for."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.put(holderIdentity="b", leaseDurationSeconds=3600)
        await eventually(lambda: not a.is_working)
        assert world.spec["holderIdentity"] == "b"


async def test_lease_that_is_only_edited_is_kept() -> None:
    """A conflict with somebody who put a label on the Lease costs one more request, and the label stays."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.put(**world.spec)
        last = world.spec["renewTime"]
        await eventually(lambda: world.spec["renewTime"] > last)
        assert (a.begun, world.spec["holderIdentity"]) == (1, "a")
        assert world.cluster.objects[KEY]["metadata"]["labels"] == {"of": "mine"}


async def test_lease_that_is_deleted_is_made_again() -> None:
    """Deleting the Lease of a leader does not end its work."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.cluster.remove_key(*KEY)
        await eventually(lambda: KEY in world.cluster.objects)
        assert (a.begun, world.spec["holderIdentity"]) == (1, "a")


async def test_answer_that_is_no_lease_is_an_error_like_others() -> None:
    """Nonsense from the server is logged, and asked for again."""
    async with worlds("a") as (world, [a]):

        async def nonsense(_: web.BaseRequest) -> web.StreamResponse | None:
            return answer({"metadata": 5})

        world.cluster.override = nonsense
        with capture_logs() as logs:
            a.start()
            await eventually(lambda: len(logs) >= 2)
        assert "no Lease" in logs[0]["problem"]
        assert not a.begun
        world.recover()
        await a.is_leading()


# The work


async def test_work_that_fails_ends_the_replica_and_frees_the_lease() -> None:
    """A broken leader does not hold the Lease for ever."""
    async with worlds("a") as (world, [a]):
        a.failure = ValueError("broken")
        a.start()
        assert a.task is not None
        with pytest.raises(ValueError, match="broken"):
            await a.task
        assert world.spec["holderIdentity"] == ""


async def test_watchdog_is_on_as_long_as_there_is_work() -> None:
    """It is armed before the work begins, and called off when the work has ended, not when it was told to."""
    async with worlds("a") as (world, [a]):
        a.reluctance = 1
        a.start()
        await a.is_leading()
        assert a.notes.set_to is not None
        world.put(holderIdentity="b", leaseDurationSeconds=3600)
        await eventually(lambda: not a.elector.may_write())
        assert a.notes.set_to is not None
        await eventually(lambda: a.notes.set_to is None)
        assert not a.is_working


async def test_lease_that_cannot_be_given_up_does_not_hold_up_the_end() -> None:
    """A replica ends also where the API server does not answer any more."""
    async with worlds("a") as (world, [a]):
        a.start()
        await a.is_leading()
        world.hang()
        with capture_logs() as logs:
            await asyncio.wait_for(a.stop(), 10)
        assert "lease not released" in [entry["event"] for entry in logs]


def test_timing_is_that_of_client_go() -> None:
    """A leader stops five seconds before another may begin, and has tried five times by then."""
    assert leader.Timing() == Timing(lease=15, renew=10, retry=2)


def test_micro_time_always_has_six_digits() -> None:
    """The API server refuses times with fewer, also when the moment is a whole second."""
    assert all(re.fullmatch(r"[\d-]{10}T[\d:]{8}\.\d{6}Z", clock.micro_time()) for _ in range(1000))
