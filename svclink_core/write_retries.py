"""When a write that failed is tried again: each object has its own pauses.

The pause after each failure is twice the one before, whatever the code. Time does not shorten it:
neither a write that was postponed nor a Service that is planned again leads to an earlier attempt.

Other content may be what the API server accepts, so it does not wait for the end of a long pause.
But the pauses do not become short again either: endpoints that change every second would be refused
every second, and a full quota or a missing permission refuses all of them.

Attempts without an answer are counted apart. They say nothing about what the API server accepts: a
write that was refused once after an outage does not wait as if it had been refused all the time.

Source: docs/how-to/troubleshooting.md, "A Service has no mirrored EndpointSlice".
"""

from __future__ import annotations

from typing import Final

from attrs import frozen


@frozen
class RetryPauses:
    """The longest pauses after a kind of failure, in seconds.

    Args:
        longest: Before the same content is tried again.
        longest_for_other: Before other content is tried.
        is_answer: Whether the API server itself refused the write.
    """

    longest: float
    longest_for_other: float
    is_answer: bool = True


FIRST_PAUSE: Final = 0.1
"""The longest first pause, in seconds."""

FIXED_BY_OTHERS: Final = RetryPauses(300, 300)
"""The API server accepts no content, until a permission, a quota or its storage changes."""

FIXED_BY_CONTENT: Final = RetryPauses(300, 10)
"""The API server refuses this content: a fixed EndpointSlice is written within ten seconds."""

FIXED_BY_PLANNING: Final = RetryPauses(300, 1)
"""The object is not what the plan was made for: the next plan knows better."""

NO_ANSWER: Final = RetryPauses(30, 30, is_answer=False)
"""The API server does not answer, which costs it nothing: be there soon when it does."""


@frozen
class FailedWrite:
    """The last of several attempts to write an object that all failed.

    Args:
        content: What was to be written.
        message: Why it failed.
        refusals: How many attempts the API server refused since the last success.
        unanswered: How many attempts in a row, up to the last one, had no answer.
        at: When the last one failed, in seconds.
        pause: Seconds until the same content may be tried.
        pause_for_other: Seconds until other content may be tried.
    """

    content: object
    message: str
    refusals: int
    unanswered: int
    at: float
    pause: float
    pause_for_other: float


def failed_again(
    before: FailedWrite | None,
    content: object,
    message: str,
    *,
    pauses: RetryPauses,
    at: float,
    jitter: float,
    at_least: float = 0,
) -> FailedWrite:
    """The record of one more failed attempt.

    Args:
        before: The record of the attempts before; None after a success.
        content: What was to be written.
        message: Why it failed.
        pauses: The longest pauses.
        at: The time in seconds.
        jitter: From 0 to 1; it spreads the pauses of many objects, over half of each.
        at_least: The pause that the API server asked for, in seconds.
    """
    refusals = (0 if before is None else before.refusals) + pauses.is_answer
    unanswered = 0 if pauses.is_answer else 1 + (0 if before is None else before.unanswered)
    spread = (1 + jitter) / 2
    # Limited before it is raised: 2.0 ** 1024 is an error.
    growing = FIRST_PAUSE * 2.0 ** min((unanswered or refusals) - 1, 32)
    return FailedWrite(
        content=content,
        message=message,
        refusals=refusals,
        unanswered=unanswered,
        at=at,
        pause=max(spread * min(pauses.longest, growing), at_least),
        pause_for_other=max(spread * min(pauses.longest_for_other, growing), at_least),
    )


def delay_before(failed: FailedWrite, content: object, now: float) -> float:
    """Seconds until this content may be tried; 0 if it may be now."""
    pause = failed.pause if content == failed.content else failed.pause_for_other
    delay = failed.at + pause - now
    return delay if delay > _TIMER_SECONDS else 0


_TIMER_SECONDS: Final = 0.001
"""A timer that fires this much early is on time."""
