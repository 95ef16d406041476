"""Long work leaves the event loop to others in between.

Real: everything. What is counted are turns of the event loop, not time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from svclink_controller import loop_turns as turns
from svclink_controller.loop_turns import in_turns, next_turn


class Turn:
    """Counts the turns of the event loop."""

    def __init__(self) -> None:
        self.number = 0

    async def count(self) -> None:
        while True:
            await asyncio.sleep(0)
            self.number += 1


@pytest.fixture
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn is over after one value."""
    monkeypatch.setattr(turns, "TURN_SECONDS", 0)


async def seen_by(turn: Turn, size: int) -> list[int]:
    """In which turns the values of a long work were computed."""

    def work() -> Iterator[int]:
        for _ in range(size):
            yield turn.number

    return await in_turns(work())


@pytest.mark.usefixtures("_short")
async def test_others_get_their_turn() -> None:
    """Between two turns of the work, everybody else who is due was served."""
    turn = Turn()
    counting = asyncio.create_task(turn.count())
    await asyncio.sleep(0)
    seen = await seen_by(turn, 20)
    counting.cancel()
    assert len(set(seen)) == 20


@pytest.mark.usefixtures("_short")
async def test_only_one_works_in_a_turn() -> None:
    """However many work at once, others wait for one turn of one of them."""
    turn = Turn()
    counting = asyncio.create_task(turn.count())
    seen = await asyncio.gather(*[seen_by(turn, 5) for _ in range(10)])
    counting.cancel()
    numbers = [number for each in seen for number in each]
    assert len(set(numbers)) == len(numbers) == 50


async def test_those_who_wait_for_a_turn_get_one_each() -> None:
    """However many want to work, others wait for one of them only."""
    turn = Turn()
    counting = asyncio.create_task(turn.count())

    async def work() -> int:
        await next_turn()
        return turn.number

    seen = await asyncio.gather(*[work() for _ in range(20)])
    counting.cancel()
    assert len(set(seen)) == 20


async def test_short_work_is_done_in_one_turn() -> None:
    """What does not take long is there at once, and in its order."""
    assert await in_turns(number * 2 for number in range(3)) == [0, 2, 4]
    assert await in_turns([]) == []


@pytest.mark.usefixtures("_short")
async def test_fault_in_the_middle_is_raised_and_holds_up_nobody() -> None:
    """What the computing raises comes out, and the next work gets its turn."""

    def work() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await in_turns(work())
    assert await in_turns([1, 2]) == [1, 2]
