"""What one cluster has spent of its budget: memory for what is read, and time on the event loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from attrs import Factory, define, field

from svclink_controller.api.errors import BudgetExceededError
from svclink_controller.loop_turns import LoopShare
from svclink_core.budget import UNDECODABLE_BYTES, UNLIMITED, Budget, footprint
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice

Stored: TypeAlias = Service | EndpointSlice


@define
class Account:
    """What one cluster spends, through all its connections.

    Args:
        budget: What it may spend.
        stored_bytes: Memory of its objects in the state.
        is_stored: Whether this very object is in the state.
    """

    budget: Budget = UNLIMITED
    stored_bytes: Callable[[], int] = lambda: 0
    is_stored: Callable[[Stored], bool] = lambda _: False
    reading_bytes: int = 0
    loop: LoopShare = field(
        default=Factory(
            lambda self: LoopShare(self.budget.loop_share, self.budget.loop_burst),
            takes_self=True,
        )
    )

    @property
    def is_limited(self) -> bool:
        """Whether the cluster is a remote one. The main cluster is trusted."""
        return self.budget is not UNLIMITED

    @property
    def list_share(self) -> LoopShare | None:
        """Counts the work on lists of a remote cluster; None for the main cluster."""
        return self.loop if self.is_limited else None

    def new_memory(self, read: object) -> int:
        """Memory that an object takes which was just read, 0 if it is in the state already."""
        if not self.is_limited:
            return 0
        if isinstance(read, Service | EndpointSlice):
            return 0 if self.stored_bytes() and self.is_stored(read) else footprint(read)
        return UNDECODABLE_BYTES

    def check(self) -> None:
        """Raise `BudgetExceededError` if the cluster needs more memory than it may."""
        if self.stored_bytes() + self.reading_bytes > self.budget.memory:
            raise BudgetExceededError(self.budget.memory_excess)


@define
class Reading:
    """Memory for what one connection is reading: lists, pages and unfinished lines."""

    account: Account = field(factory=Account)
    size: int = 0

    def grow(self, size: int) -> None:
        """Take memory. Raises `BudgetExceededError` if the cluster needs more than it may."""
        self.size += size
        self.account.reading_bytes += size
        self.account.check()

    def shrink(self, size: int) -> None:
        """Release memory; a no-op after `end`."""
        size = min(size, self.size)
        self.size -= size
        self.account.reading_bytes -= size

    def end(self) -> None:
        """Release all memory."""
        self.shrink(self.size)
