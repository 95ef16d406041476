"""Wake-ups of a remote keep their cause and their order; only an edit interrupts work."""

from __future__ import annotations

import asyncio

import pytest

from svclink_controller.remotes.inbox import Inbox
from svclink_core.link_target import LINK_DISABLED
from svclink_core.remote_lifecycle import (
    Broken,
    ClaimMoved,
    CredentialsChanged,
    Edited,
    TimeToRetry,
    WakeUp,
)
from tests.unit.controller.waiting import eventually

EDITED = Edited(LINK_DISABLED)


def test_wake_ups_are_taken_in_order() -> None:
    """The oldest comes first; none is lost or merged."""
    inbox = Inbox()
    for each in (Broken(), EDITED, ClaimMoved(), ClaimMoved()):
        inbox.put(each)
    taken = [inbox.take() for _ in range(5)]
    assert taken == [Broken(), EDITED, ClaimMoved(), ClaimMoved(), None]


@pytest.mark.parametrize(
    ("wake_up", "interrupts"),
    [
        (EDITED, True),
        (Edited(LINK_DISABLED, is_other=False), False),
        (CredentialsChanged(LINK_DISABLED), True),
        (ClaimMoved(), False),
        (Broken(), False),
        (TimeToRetry(), False),
    ],
)
async def test_only_edits_interrupt(wake_up: WakeUp, *, interrupts: bool) -> None:
    """Any wake-up ends a wait for something to happen; an edit also ends work."""
    inbox = Inbox()
    waiting, working = asyncio.create_task(inbox.any()), asyncio.create_task(inbox.interruption())
    inbox.put(wake_up)
    await eventually(waiting.done)
    assert working.done() is interrupts
    working.cancel()


async def test_empty_inbox_waits_again() -> None:
    """A wake-up that was taken neither ends the next wait nor interrupts the next work."""
    inbox = Inbox()
    inbox.put(EDITED)
    while inbox.take() is not None:
        pass
    for waiting in (inbox.any(), inbox.interruption()):
        task = asyncio.create_task(waiting)
        await asyncio.sleep(0)
        assert not task.done()
        task.cancel()
