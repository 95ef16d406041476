"""A key is queued once, handled by one worker at a time, and retried after a failure.

Real: the queue and timers. Substituted: the work, and the clock in tests of delays.
"""

from __future__ import annotations

import asyncio
from typing import Final

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.reconcile.workqueue import (
    OWN_LANE,
    RETRY_BASE_SECONDS,
    RETRY_CAP_SECONDS,
    RETRY_LANE,
    SWEEP_LANE,
    Settling,
    WorkQueue,
)
from tests.unit.controller.virtual_time import virtual_time


def queued(queue: WorkQueue[str]) -> list[str]:
    """The keys that workers could get at once."""
    return list(queue._queued_at)


async def test_handled_keys_are_unfinished() -> None:
    """A key is finished when its worker is done, and delayed ones are not waited for."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a", "b"])
    queue.postpone("c", 3600)
    key = await queue.get()
    assert queue.unfinished == {"a", "b"}
    queue.done(key)
    assert queue.unfinished == {"b"}
    queue.close()


async def test_keys_are_handled_in_order() -> None:
    """First in, first out."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["b", "a"])
    queue.add(["c"])
    assert [await queue.get() for _ in range(3)] == ["b", "a", "c"]


async def test_queued_key_is_not_added_again() -> None:
    """However often a key is added while it is queued, it is handled once."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a", "a"])
    queue.add(["a"])
    assert queued(queue) == ["a"]


async def test_key_added_while_handled_is_queued_afterwards() -> None:
    """Changes during the work are not lost, and no second worker gets the key meanwhile."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a"])
    key = await queue.get()
    queue.add(["a", "a"])
    assert queued(queue) == []
    queue.done(key)
    assert queued(queue) == ["a"]


async def test_finished_key_is_not_queued() -> None:
    """A key that was not added again is done."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a"])
    queue.done(await queue.get())
    assert queued(queue) == []


async def test_worker_waits_for_a_key() -> None:
    """A worker of an empty queue gets the next key that is added."""
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not worker.done()
    queue.add(["a"])
    assert await worker == "a"


async def test_cancelled_worker_does_not_lose_a_key() -> None:
    """A key that is added while a worker is cancelled goes to another one."""
    queue: WorkQueue[str] = WorkQueue()
    cancelled, other = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(["a"])
    cancelled.cancel()
    assert await other == "a"
    with pytest.raises(asyncio.CancelledError):
        await cancelled


@virtual_time
async def test_failed_key_is_retried() -> None:
    """A failed key is queued again after a delay."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a"])
    key = await queue.get()
    queue.retry(key)
    queue.done(key)
    assert queued(queue) == []
    assert await queue.get() == "a"


@virtual_time
async def test_forget_cancels_the_retry() -> None:
    """A key that was added and succeeded before its retry is not queued again."""
    queue: WorkQueue[str] = WorkQueue()
    queue.retry("a")
    queue.forget("a")
    queue.retry("b", after=4 * RETRY_BASE_SECONDS)
    assert await queue.get() == "b"


@virtual_time
async def test_later_retry_replaces_the_earlier() -> None:
    """A key has one delay, the last one set, and is queued once."""
    queue: WorkQueue[str] = WorkQueue()
    queue.retry("a")
    queue.retry("a", after=0.2)
    queue.retry("b", after=0.3)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert queued(queue) == []


@virtual_time
async def test_delay_is_at_least_what_the_server_asked_for() -> None:
    """A delay from a Retry-After header is the minimum."""
    queue: WorkQueue[str] = WorkQueue()
    assert queue.retry("a", after=17) >= 17
    queue.forget("a")


@virtual_time
async def test_delay_grows_with_failures_up_to_the_cap() -> None:
    """A key is never dropped: after any number of failures it is retried within the cap."""
    queue: WorkQueue[str] = WorkQueue()
    delays = [queue.retry("a") for _ in range(500)]
    assert delays[0] <= RETRY_BASE_SECONDS
    assert max(delays) <= RETRY_CAP_SECONDS
    assert max(delays) > 4 * RETRY_BASE_SECONDS
    queue.forget("a")
    assert queue.retry("a") <= RETRY_BASE_SECONDS
    queue.forget("a")


async def test_lanes_take_turns() -> None:
    """However many keys one lane holds, a key of another waits for one of them."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a1", "a2", "a3", "a4"], "a")
    queue.add(["b1"], "b")
    assert [await queue.get() for _ in range(2)] == ["a1", "b1"]
    queue.add(["b2", "b3"], "b")
    assert [await queue.get() for _ in range(5)] == ["a2", "b2", "a3", "b3", "a4"]


async def test_lane_is_chosen_when_the_turn_comes() -> None:
    """Workers that wait for a turn of the event loop have not chosen their keys yet."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a1", "a2", "a3"], "a")
    workers = [asyncio.create_task(queue.get()) for _ in range(3)]
    await asyncio.sleep(0)
    queue.add(["b1"], "b")
    assert await asyncio.gather(*workers) == ["a1", "b1", "a2"]


async def test_key_in_several_lanes_is_handled_once() -> None:
    """It is handled when its first lane has its turn."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a", "b"], "first")
    queue.add(["b"], "second")
    assert [await queue.get() for _ in range(2)] == ["a", "b"]
    assert queued(queue) == []
    assert not queue._lanes


REST: Final = 0.05


@virtual_time
async def test_handled_key_rests_before_its_lane_has_it_handled_again() -> None:
    """A key that is added all the time is handled at intervals; others are handled at once."""
    queue: WorkQueue[str] = WorkQueue(rest_seconds=REST)
    loop = asyncio.get_running_loop()
    queue.add(["a"], "c1")
    started, handled = loop.time(), []
    for _ in range(4):
        key = await queue.get()
        queue.add(["a"], "c1")
        handled.append(loop.time() - started)
        queue.done(key)
        queue.add(["a"], "c1")
    assert handled == pytest.approx([0, REST, 2 * REST, 3 * REST])
    queue.add(["b"], "c1")
    assert queued(queue) == ["b"]
    assert sorted(queue.unfinished) == ["a", "b"]
    queue.close()


@virtual_time
async def test_resting_key_is_handled_for_another_lane() -> None:
    """What one cluster changes all the time is handled at once for a change of another."""
    queue: WorkQueue[str] = WorkQueue(rest_seconds=REST)
    queue.add(["a"], "c1")
    queue.done(await queue.get())
    queue.add(["a"], "c1")
    assert queued(queue) == []
    queue.add(["a"], "c2")
    assert queued(queue) == ["a"]
    queue.done(await queue.get())
    await asyncio.sleep(2 * REST)
    assert queue.is_idle


@virtual_time
@pytest.mark.parametrize("lane", [OWN_LANE, RETRY_LANE, SWEEP_LANE])
async def test_keys_of_trusted_lanes_do_not_rest(lane: str) -> None:
    """Changes of the main cluster, retries and resyncs are not what floods a queue."""
    queue: WorkQueue[str] = WorkQueue(rest_seconds=REST)
    queue.add(["a"], lane)
    queue.done(await queue.get())
    queue.add(["a"], lane)
    assert queued(queue) == ["a"]


@virtual_time
async def test_retries_have_a_lane() -> None:
    """However many keys come back after a delay, a key that was added waits for one of them."""
    queue: WorkQueue[str] = WorkQueue()
    for number in range(10):
        queue.postpone(f"{number}", 1)
    await asyncio.sleep(2)
    queue.add(["a"])
    assert "a" in [await queue.get() for _ in range(2)]


@virtual_time
async def test_keys_of_a_lane_are_known() -> None:
    """Those that wait for a worker or rest, and not those that a worker has."""
    queue: WorkQueue[str] = WorkQueue(rest_seconds=REST)
    queue.add(["a", "b"], "c1")
    queue.add(["b", "c"], "c2")
    queue.add(["d"])
    assert sorted(queue.queued_in("c1")) == ["a", "b"]
    assert sorted(queue.queued_in("c1", "c2")) == ["a", "b", "c"]
    queue.done(await queue.get())
    assert sorted(queue.queued_in("c1")) == ["b"]
    queue.add(["a"], "c1")
    assert sorted(queue.queued_in("c1")) == ["a", "b"]
    queue.close()


async def test_worker_that_is_cancelled_in_its_turn_leaves_the_key_to_another() -> None:
    """A worker that was promised a key, and has not chosen one, takes none away."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a"])
    cancelled = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    assert await queue.get() == "a"


@virtual_time
async def test_key_that_rested_is_handled_at_once() -> None:
    """A change that comes after the rest does not wait."""
    queue: WorkQueue[str] = WorkQueue(rest_seconds=REST)
    queue.add(["a"], "c1")
    queue.done(await queue.get())
    await asyncio.sleep(2 * REST)
    queue.add(["a"], "c1")
    assert queued(queue) == ["a"]


@virtual_time
async def test_rests_that_have_ended_are_forgotten() -> None:
    """The memory of a queue is proportional to the keys that it handled lately."""
    queue: WorkQueue[str] = WorkQueue(rest_seconds=REST)
    for number in range(10):
        queue.add([f"{number}"], "c1")
        queue.done(await queue.get())
        await asyncio.sleep(REST / 2)
    assert [key for _, key in queue._resting_until] == ["8", "9"]


STEPS: Final = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("abc"), st.sampled_from((OWN_LANE, "c1", "c2"))),
    st.tuples(st.sampled_from(("get", "done", "wait")), st.just(""), st.just("")),
)


@define
class Workers:
    """Workers of a queue, and the keys that they owe to those who added them."""

    queue: WorkQueue[str]
    out: list[str] = field(factory=list)
    owed: set[str] = field(factory=set)

    async def step(self, name: str, key: str, lane: str) -> None:
        if name == "add":
            self.queue.add([key], lane)
            self.owed.add(key)
        elif name == "get" and queued(self.queue):
            await self.get()
        elif name == "done" and self.out:
            self.queue.done(self.out.pop(0))
        elif name == "wait":
            await asyncio.sleep(REST / 2)
        assert self.queue._available._value == len(self.queue)

    async def get(self) -> None:
        key = await self.queue.get()
        assert key not in self.out
        self.out.append(key)
        self.owed.remove(key)

    async def finish(self) -> None:
        while not self.queue.is_idle:
            while queued(self.queue):
                await self.get()
            while self.out:
                self.queue.done(self.out.pop())
            await asyncio.sleep(REST)


@given(st.lists(STEPS, max_size=40), st.sampled_from((0, REST)))
def test_every_added_key_is_handled_by_one_worker_at_a_time(
    steps: list[tuple[str, str, str]], rest: float
) -> None:
    """In any order of adding, getting and finishing, no key is lost and none is out twice."""

    @virtual_time
    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue(rest_seconds=rest)
        workers = Workers(queue)
        for step in steps:
            await workers.step(*step)
        await workers.finish()
        assert (workers.owed, queue._lanes, queue._resting) == (set(), {}, {})

    play()


@virtual_time
async def test_closed_queue_holds_nothing() -> None:
    """Keys that were queued, delayed or failed are dropped, and none is taken until it is open."""
    queue: WorkQueue[str] = WorkQueue(rest_seconds=1)
    queue.add(["a", "b"], "c1")
    queue.done(await queue.get())
    queue.add(["a"], "c1")
    queue.retry("c")
    queue.close()
    queue.add(["d"])
    await asyncio.sleep(2 * RETRY_CAP_SECONDS)
    assert (queued(queue), queue.is_idle, queue._failures, queue._delayed) == ([], True, {}, {})
    queue.open()
    queue.add(["e", "a"], "c1")
    assert [await queue.get(), await queue.get()] == ["e", "a"]


def settling(*keys: str) -> Settling[str]:
    queue: WorkQueue[str] = WorkQueue()
    queue.add(keys)
    return Settling(queue)


async def test_keys_that_wait_at_first_are_waited_for() -> None:
    """What is queued later does not count, so that a full queue delays nothing."""
    found = settling("a", "b")
    found.begin()
    found.queue.add(["c"])
    found.begin()
    for key in ("c", "a"):
        found.done(key)
    assert not found.is_settled
    found.done("b")
    assert found.is_settled


async def test_nothing_is_settled_before_the_moment() -> None:
    """An empty queue says nothing while nothing can be queued yet."""
    found = settling()
    found.done("a")
    assert not found.is_settled
    found.begin()
    assert found.is_settled
