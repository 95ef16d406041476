"""Long work lets other tasks of the event loop run in between.

Real: everything. The tests count turns of the event loop, not time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from svclink_controller.loop_turns import in_turns, next_turn


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
