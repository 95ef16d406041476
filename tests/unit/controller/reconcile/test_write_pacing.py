"""Writes are sent at once unless a rate, a pause or an earlier write holds them back.

Real: the pace and timers. Substituted: the clock.
"""

from __future__ import annotations

import asyncio

from svclink_controller.reconcile.write_pacing import REST_SECONDS, WritePace
from svclink_core import NamespacedName
from tests.unit.controller.virtual_time import loop_time, virtual_time

WEB, API = NamespacedName("default", "web-c1"), NamespacedName("default", "api-c1")


@virtual_time
async def test_turns_keep_to_the_rate() -> None:
    """With a limit of 4 writes per second, turns are a quarter of a second apart."""
    pace, turns = WritePace(per_second=4), []
    for _ in range(4):
        await pace.take_turn()
        turns.append(loop_time())
    assert turns == [0, 0.25, 0.5, 0.75]


@virtual_time
async def test_unused_turns_are_not_saved() -> None:
    """After an idle time there is no burst of writes."""
    pace, turns = WritePace(per_second=4), []
    await asyncio.sleep(100)
    for _ in range(3):
        await pace.take_turn()
        turns.append(loop_time())
    assert turns == [100, 100.25, 100.5]


@virtual_time
async def test_object_rests_after_a_write() -> None:
    """During a write and for a while after it, an object has a delay; other objects do not."""
    pace = WritePace()
    with pace.writing(WEB):
        assert (pace.delay_of(WEB), pace.delay_of(API)) == (REST_SECONDS, 0)
    assert (pace.delay_of(WEB), pace.delay_of(API)) == (REST_SECONDS, 0)
    await asyncio.sleep(2 * REST_SECONDS)
    assert pace.delay_of(WEB) == 0
    assert not pace._resting_until


@virtual_time
async def test_pause_delays_every_object() -> None:
    """The longest pause that the API server asked for counts."""
    pace = WritePace()
    pace.pause(10)
    pace.pause(3)
    assert (pace.delay_of(WEB), pace.delay_of(API)) == (10, 10)
    await asyncio.sleep(10)
    assert pace.delay_of(WEB) == 0
