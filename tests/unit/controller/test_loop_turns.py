"""Long work lets other tasks of the event loop run in between.

Real: everything; in tests of shares the clock is substituted. The tests count turns of the event
loop, or time on that clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from svclink_controller.loop_turns import Line, LoopShare, in_turns, next_turn
from tests.unit.controller.virtual_time import VirtualTimeLoop, loop_time, virtual_time


class Turn:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.number = 0

    async def count(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.number += 1


async def seen_by(turn: Turn, size: int) -> list[int]:
    """The turns in which the values of long work were computed; each turn computes one value."""

    def work() -> Iterator[int]:
        for _ in range(size):
            yield turn.number

    return await in_turns(work(), turn_seconds=0)


async def test_other_tasks_run_between_turns() -> None:
    """Other tasks run between two turns of the work."""
    turn = Turn()
    counting = asyncio.create_task(turn.count())
    await asyncio.sleep(0)
    seen = await seen_by(turn, 20)
    counting.cancel()
    assert len(set(seen)) == 20


async def test_one_task_works_in_a_turn() -> None:
    """However many tasks work at once, other tasks wait for a single turn."""
    turn = Turn()
    counting = asyncio.create_task(turn.count())
    seen = await asyncio.gather(*[seen_by(turn, 5) for _ in range(10)])
    counting.cancel()
    numbers = [number for each in seen for number in each]
    assert len(set(numbers)) == len(numbers) == 50


async def test_each_waiting_task_gets_its_own_turn() -> None:
    """However many tasks wait for a turn, each gets another one."""
    turn = Turn()
    counting = asyncio.create_task(turn.count())

    async def work() -> int:
        await next_turn()
        return turn.number

    seen = await asyncio.gather(*[work() for _ in range(20)])
    counting.cancel()
    assert len(set(seen)) == 20


async def test_lines_take_turns() -> None:
    """Of many tasks in one line, one gets its turn before the first of the other line."""
    order: list[str] = []

    async def wait(name: str, line: Line) -> None:
        await next_turn(line)
        order.append(name)

    await asyncio.gather(
        *[wait(f"plan {number}", Line.PLANNING) for number in range(4)],
        *[wait(f"read {number}", Line.READING) for number in range(2)],
    )
    assert order == ["plan 0", "read 0", "plan 1", "read 1", "plan 2", "plan 3"]


async def test_lines_do_not_wait_for_an_empty_one() -> None:
    """A line alone has every turn, and a task that gives up its place holds up no other."""
    order: list[int] = []

    async def wait(number: int) -> None:
        await next_turn(Line.PLANNING)
        order.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[2].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == [1, 3]


async def test_short_work_takes_one_turn() -> None:
    """Values that are computed fast come back in order."""
    assert await in_turns(number * 2 for number in range(3)) == [0, 2, 4]
    assert await in_turns([]) == []


async def test_error_is_raised_and_frees_the_turn() -> None:
    """An error of the work is raised, and the next work gets its turn."""

    def work() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await in_turns(work(), turn_seconds=0)
    assert await in_turns([1, 2], turn_seconds=0) == [1, 2]


# The share of a cluster


def work(seconds: float) -> None:
    """Hold the event loop for this long."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    loop.advance(seconds)


async def work_in_share(share: LoopShare, pieces: int, seconds: float = 0.001) -> None:
    for _ in range(pieces):
        if share.is_turn_over:
            await share.turn()
        work(seconds)
        share.spend(seconds)


@virtual_time
async def test_cluster_takes_no_more_than_its_share() -> None:
    """A cluster that always has more work takes its burst, and a quarter of the time."""
    share = LoopShare(share=0.25, burst=1)
    await work_in_share(share, 1000)
    assert loop_time() < 1.01
    await work_in_share(share, 1000)
    assert 3.9 < loop_time() < 4.1
    await work_in_share(share, 1000)
    assert 7.9 < loop_time() < 8.1


@virtual_time
async def test_streams_of_a_cluster_share_its_budget() -> None:
    """With many streams a cluster takes no more of the event loop than with one."""
    share = LoopShare(share=0.25, burst=1)
    await asyncio.gather(*(work_in_share(share, 100) for _ in range(48)))
    assert 15 < loop_time() < 15.5


@virtual_time
async def test_burst_is_replenished() -> None:
    """A cluster that was quiet for a while works without pauses again, and no longer than once."""
    share = LoopShare(share=0.25, burst=1)
    await work_in_share(share, 1000)
    await asyncio.sleep(60)
    started = loop_time()
    await work_in_share(share, 1000)
    assert loop_time() - started < 1.01
    await work_in_share(share, 1000)
    assert loop_time() - started > 3.9


@virtual_time
async def test_long_turn_delays_the_next_one() -> None:
    """Work that takes longer than a turn counts in full."""
    share = LoopShare(share=0.25, burst=0)
    await work_in_share(share, 5, seconds=1)
    await share.turn()
    assert loop_time() > 19


@virtual_time
async def test_other_clusters_work_meanwhile() -> None:
    """Each of two busy clusters gets its share, and one with little work does not wait for them."""
    busy = [asyncio.create_task(work_in_share(LoopShare(0.25, 0), 1000)) for _ in range(2)]
    await asyncio.sleep(1)
    started = loop_time()
    await work_in_share(LoopShare(0.25, 1), 1)
    assert loop_time() - started < 0.01
    await asyncio.gather(*busy)
    assert loop_time() < 4.1


@virtual_time
async def test_whole_share_never_pauses() -> None:
    """The main cluster works in turns, and only others that want to run make it wait."""
    share = LoopShare()
    await work_in_share(share, 1000)
    assert loop_time() < 1.01


@virtual_time
async def test_lists_count_as_work_of_their_cluster() -> None:
    """Long work on a list is followed by a pause before the next."""
    share = LoopShare(share=0.25, burst=0)

    def values() -> Iterator[int]:
        for number in range(100):
            work(0.01)
            yield number

    assert await in_turns(values(), share=share) == list(range(100))
    assert loop_time() > 3.9
