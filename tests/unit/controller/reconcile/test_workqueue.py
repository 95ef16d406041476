"""A key is queued once, handled by one worker at a time, and retried after a failure.

Real: the queue and timers. Substituted: the work, and the clock in tests of delays.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.reconcile.workqueue import (
    RETRY_BASE_SECONDS,
    RETRY_CAP_SECONDS,
    Settling,
    WorkQueue,
)
from tests.unit.controller.virtual_time import virtual_time


def queued(queue: WorkQueue[str]) -> list[str]:
    """The keys that workers could get at once."""
    return list(queue._queue)


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


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(("add", "get", "done"))), max_size=40
    )
)
def test_every_added_key_is_handled_by_one_worker_at_a_time(steps: list[tuple[str, str]]) -> None:
    """In any order of adding, getting and finishing, no key is lost and none is out twice."""

    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue()
        out: list[str] = []
        owed: Counter[str] = Counter()
        for key, step in steps:
            if step == "add":
                queue.add([key])
                owed[key] = 1
            elif step == "get" and queued(queue):
                out.append(await queue.get())
                assert owed.pop(out[-1]) == 1
            elif step == "done" and out:
                queue.done(out.pop(0))
            assert len(set(out)) == len(out)
        while out or queued(queue):
            while queued(queue):
                out.append(await queue.get())
                assert owed.pop(out[-1]) == 1
            queue.done(out.pop())
        assert owed == {}

    asyncio.run(play())


@virtual_time
async def test_closed_queue_holds_nothing() -> None:
    """Keys that were queued, delayed or failed are dropped, and none is taken until it is open."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a", "b"])
    queue.done(await queue.get())
    queue.retry("c")
    queue.close()
    queue.add(["d"])
    await asyncio.sleep(2 * RETRY_CAP_SECONDS)
    assert (queued(queue), queue.is_idle, queue._failures, queue._delayed) == ([], True, {}, {})
    queue.open()
    queue.add(["e"])
    assert await queue.get() == "e"


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
