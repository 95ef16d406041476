"""Shows in the status of a link that the events of its cluster take more time than they get."""

from __future__ import annotations

import asyncio
from typing import Final

from attrs import define, evolve

from svclink_controller.api.spending import Account
from svclink_controller.state.store import Store

LATENESS_SECONDS: Final = 30
"""How long a cluster is observed before its link shows that it is late, or that it no longer is."""


@define
class Lateness:
    """Whether the events of one cluster wait for their share of the event loop.

    Args:
        store: Holds what is observed of the connection.
        cluster: The name of the link.
        account: What the cluster spends of its budget.
    """

    store: Store
    cluster: str
    account: Account

    async def observe_forever(self) -> None:
        """Observe until cancelled: the cluster is late if it was held back half of the time."""
        try:
            while True:
                before = self.account.loop.paused_seconds
                await asyncio.sleep(LATENESS_SECONDS)
                is_late = self.account.loop.paused_seconds - before > LATENESS_SECONDS / 2
                self._show(self.account.budget.loop_excess if is_late else None)
        finally:
            self._show(None)

    def _show(self, excess: str | None) -> None:
        observation = self.store.observation(self.cluster)
        self.store.observe(self.cluster, evolve(observation, excess=excess))
