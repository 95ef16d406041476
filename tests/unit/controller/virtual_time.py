"""An event loop whose clock jumps to the next timer: tests of timers take no time.

Real: asyncio. Substituted: the clock, and waiting for it. Tests with sockets or threads cannot use
this loop, because it does not wait for them.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from attrs import define

Params = ParamSpec("Params")


class _Selector(selectors.DefaultSelector):
    """Advances the clock of its loop instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: every task waits, and no timer is set")
        self.now += max(timeout, 0)
        return super().select(0)


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that starts at time 0 and never waits."""

    def __init__(self) -> None:
        self._clock = _Selector()
        super().__init__(self._clock)

    def time(self) -> float:
        return self._clock.now

    def advance(self, seconds: float) -> None:
        """Let time pass while nothing runs, as a callback that blocks the loop does."""
        self._clock.now += seconds


@define
class ManualClock:
    """A clock that a test advances."""

    now: float = 1000

    def __call__(self) -> float:
        return self.now


def loop_time() -> float:
    """The clock of the running loop, to be injected in place of the wall clock."""
    return asyncio.get_running_loop().time()


def virtual_time(
    test: Callable[Params, Coroutine[Any, Any, None]],
) -> Callable[Params, None]:
    """Run an asynchronous test in a `VirtualTimeLoop`."""

    @functools.wraps(test)
    def run(*args: Params.args, **kwargs: Params.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run
