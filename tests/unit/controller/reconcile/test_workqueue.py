"""A key waits once, is worked on by one worker at a time, and comes back where that failed.

Real: the queue and the event loop. Substituted: the work.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.reconcile.workqueue import RETRY_BASE_SECONDS, RETRY_CAP_SECONDS, WorkQueue


def waiting(queue: WorkQueue[str]) -> list[str]:
    """The keys that could be had at once."""
    return list(queue._queue)


async def test_keys_come_in_the_order_they_were_added() -> None:
    """First come, first served."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["b", "a"])
    queue.add(["c"])
    assert [await queue.get() for _ in range(3)] == ["b", "a", "c"]


async def test_key_that_waits_is_not_added_again() -> None:
    """However often a key is added while it waits, it is worked on once."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a", "a"])
    queue.add(["a"])
    assert waiting(queue) == ["a"]


async def test_key_added_while_worked_on_comes_once_more_afterwards() -> None:
    """What happens during the work is not lost, and no second worker gets the key meanwhile."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a"])
    key = await queue.get()
    queue.add(["a", "a"])
    assert waiting(queue) == []
    queue.done(key)
    assert waiting(queue) == ["a"]


async def test_finished_key_does_not_come_back() -> None:
    """A key that nobody added again is done with."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a"])
    queue.done(await queue.get())
    assert waiting(queue) == []


async def test_worker_waits_for_a_key() -> None:
    """A worker that finds nothing gets the next key that is added."""
    queue: WorkQueue[str] = WorkQueue()
    worker = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    assert not worker.done()
    queue.add(["a"])
    assert await worker == "a"


async def test_cancelled_worker_takes_no_key_with_it() -> None:
    """A key that is added as a worker is cancelled goes to another one."""
    queue: WorkQueue[str] = WorkQueue()
    cancelled, other = asyncio.create_task(queue.get()), asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(["a"])
    cancelled.cancel()
    assert await other == "a"
    with pytest.raises(asyncio.CancelledError):
        await cancelled


async def test_failed_key_comes_again() -> None:
    """A key that failed is worked on again after a while."""
    queue: WorkQueue[str] = WorkQueue()
    queue.add(["a"])
    key = await queue.get()
    queue.retry(key)
    queue.done(key)
    assert waiting(queue) == []
    assert await queue.get() == "a"


async def test_key_that_succeeded_since_does_not_come_again() -> None:
    """`forget` takes back the retry: the key was added, and succeeded, before it was due."""
    queue: WorkQueue[str] = WorkQueue()
    queue.retry("a")
    queue.forget("a")
    queue.retry("b", after=4 * RETRY_BASE_SECONDS)
    assert await queue.get() == "b"


async def test_later_retry_replaces_the_earlier() -> None:
    """A key waits for one time, the last one said, and comes once."""
    queue: WorkQueue[str] = WorkQueue()
    queue.retry("a")
    queue.retry("a", after=0.2)
    queue.retry("b", after=0.3)
    assert [await queue.get(), await queue.get()] == ["a", "b"]
    assert waiting(queue) == []


async def test_delay_is_at_least_what_the_server_asked_for() -> None:
    """Where the server said when to come back, it is not asked earlier."""
    queue: WorkQueue[str] = WorkQueue()
    assert queue.retry("a", after=17) >= 17
    queue.forget("a")


async def test_delay_grows_with_failures_and_stays_within_the_cap() -> None:
    """A key is never given up: after any number of failures it comes back within the cap."""
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
def test_every_added_key_is_worked_on_by_one_worker_at_a_time(steps: list[tuple[str, str]]) -> None:
    """Whatever the order of adding, taking and finishing: no key is lost and none is out twice."""

    async def play() -> None:
        queue: WorkQueue[str] = WorkQueue()
        out: list[str] = []
        owed: Counter[str] = Counter()
        for key, step in steps:
            if step == "add":
                queue.add([key])
                owed[key] = 1
            elif step == "get" and waiting(queue):
                out.append(await queue.get())
                assert owed.pop(out[-1]) == 1
            elif step == "done" and out:
                queue.done(out.pop(0))
            assert len(set(out)) == len(out)
        while out or waiting(queue):
            while waiting(queue):
                out.append(await queue.get())
                assert owed.pop(out[-1]) == 1
            queue.done(out.pop())
        assert owed == {}

    asyncio.run(play())
