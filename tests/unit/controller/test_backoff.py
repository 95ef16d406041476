"""Delays between retries grow up to a limit, and start again after a success.

Real: everything.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.backoff import Backoff


@given(st.floats(0.001, 10), st.floats(1, 100), st.integers(0, 100))
def test_delay_is_between_zero_and_its_bound(base: float, factor: float, failures: int) -> None:
    """The n-th delay is at most base x 2^n, and never more than the cap."""
    backoff = Backoff(base, base * factor)
    for number in range(failures + 1):
        assert 0 <= backoff.next_delay() <= min(base * factor, base * 2**number)


def test_bound_doubles_up_to_the_cap() -> None:
    """Some of many draws come near the documented bound."""
    longest = [
        max(Backoff(1, 6, failures).next_delay() for _ in range(500)) for failures in range(5)
    ]
    assert [round(delay) for delay in longest] == [1, 2, 4, 6, 6]


def test_delays_are_spread() -> None:
    """Two clients that fail together do not retry together."""
    assert len({Backoff(1, 30).next_delay() for _ in range(50)}) > 40


def test_reset_starts_again_from_the_base() -> None:
    """After `reset`, the next failure counts as the first."""
    backoff = Backoff(1, 1000)
    for _ in range(10):
        backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() <= 1


def test_delay_stays_within_the_cap() -> None:
    """The delay after any number of failures is within the cap."""
    assert Backoff(0.1, 30, failures=10**9).next_delay() <= 30
