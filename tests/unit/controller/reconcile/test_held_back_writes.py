"""Failed writes are remembered while they are wanted, and no longer.

Real: the memory, the pauses and timers. Substituted: the clock and jitter.
"""

from __future__ import annotations

import asyncio

import pytest

from svclink_controller.reconcile.held_back_writes import FORGET_SECONDS, HeldBackWrites, Write
from svclink_core import NamespacedName
from svclink_core.write_retries import FIXED_BY_CONTENT, FIXED_BY_OTHERS
from tests.unit.controller.virtual_time import virtual_time

WEB: Write = ("create", "EndpointSlice", NamespacedName("default", "web-c1"))
API: Write = ("create", "EndpointSlice", NamespacedName("default", "api-c1"))


def longest_pauses() -> HeldBackWrites:
    """The pauses are as long as they can be."""
    return HeldBackWrites(jitter=lambda: 1)


@virtual_time
async def test_failed_write_has_a_growing_delay() -> None:
    """Other writes have none."""
    retries = longest_pauses()
    for pause in (0.1, 0.2, 0.4):
        assert retries.record_failure(WEB, "a", "full", FIXED_BY_OTHERS) == pytest.approx(pause)
        assert retries.delay_of(WEB, "a") == pytest.approx(pause)
        await asyncio.sleep(pause)
        assert retries.delay_of(WEB, "a") == 0
    assert (retries.message_of(WEB), retries.message_of(API)) == ("full", "")
    assert retries.delay_of(API, "a") == 0


@virtual_time
async def test_success_is_the_end_of_a_failure() -> None:
    """After a success the next failure is a first one."""
    retries = longest_pauses()
    for _ in range(9):
        retries.record_failure(WEB, "a", "", FIXED_BY_CONTENT)
    assert retries.delay_of(WEB, "a") > retries.delay_of(WEB, "b") > 9
    retries.record_success(WEB)
    retries.record_success(API)
    assert retries.delay_of(WEB, "a") == 0
    assert retries.record_failure(WEB, "a", "", FIXED_BY_CONTENT) == pytest.approx(0.1)


@virtual_time
async def test_write_that_is_no_longer_wanted_is_forgotten() -> None:
    """A Pod that comes and goes finds the pause as it left it; later the first one again."""
    retries = longest_pauses()
    retries.record_failure(WEB, "a", "", FIXED_BY_OTHERS)
    await asyncio.sleep(FORGET_SECONDS)
    assert retries.record_failure(WEB, "a", "", FIXED_BY_OTHERS) == pytest.approx(0.2)
    await asyncio.sleep(FORGET_SECONDS)
    assert len(retries._failed) == 1
    await asyncio.sleep(1)
    assert retries._failed == {}


@virtual_time
async def test_new_leader_begins_anew() -> None:
    """What failed in an earlier term says nothing about the next one."""
    retries = longest_pauses()
    retries.record_failure(WEB, "a", "full", FIXED_BY_OTHERS, at_least=100)
    retries.forget_all()
    assert (retries.delay_of(WEB, "a"), retries.message_of(WEB)) == (0, "")
    await asyncio.sleep(100 + FORGET_SECONDS)
    assert retries._failed == {}
