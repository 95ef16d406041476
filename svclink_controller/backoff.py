"""Exponential back-off with full jitter, so that many clients do not retry at the same moment."""

from __future__ import annotations

import random

from attrs import define


@define
class Backoff:
    """Delays in seconds, each drawn between 0 and a bound that doubles from `base` up to `cap`.

    Call `reset` after a success.

    Source: "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """

    base: float
    cap: float
    failures: int = 0

    def next_delay(self) -> float:
        """The delay after one more failure."""
        bound = min(self.cap, self.base * 2 ** min(self.failures, 32))
        self.failures += 1
        return random.uniform(0, bound)  # noqa: S311 - spreads load, guards nothing

    def reset(self) -> None:
        """Start again from `base`."""
        self.failures = 0
