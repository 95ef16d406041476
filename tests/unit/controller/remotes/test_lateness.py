"""A cluster that needs more than its share of the event loop is late, and its link shows it.

Real: the share, and the store. Substituted: the clock.
"""

from __future__ import annotations

import asyncio

from svclink_controller.api.spending import Account
from svclink_controller.remotes.lateness import LATENESS_SECONDS, Lateness
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core import Options
from svclink_core.budget import Budget
from tests.builders.values import link
from tests.unit.controller.virtual_time import VirtualTimeLoop, loop_time, virtual_time


async def work(account: Account, until: float) -> None:
    """Work without end, as for a watch that never pauses."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    while loop_time() < until:
        if account.loop.is_turn_over:
            await account.loop.turn()
        loop.advance(0.01)
        account.loop.spend(0.01)


def excess(store: Store) -> str | None:
    return store.observations.get("c1", Observation()).excess


@virtual_time
async def test_flood_shows_until_it_is_over() -> None:
    """The link shows the number while its cluster is held back, and no longer afterwards."""
    store, account = Store(Options()), Account(Budget())
    store.put_link(link("c1"))
    observing = asyncio.create_task(Lateness(store, "c1", account).observe_forever())
    await work(account, until=2.5 * LATENESS_SECONDS)
    assert excess(store) == account.budget.loop_excess
    await asyncio.sleep(2 * LATENESS_SECONDS)
    assert excess(store) is None
    await work(account, until=7 * LATENESS_SECONDS)
    assert excess(store) == account.budget.loop_excess
    observing.cancel()
    await asyncio.wait({observing})
    assert excess(store) is None


@virtual_time
async def test_burst_does_not_show() -> None:
    """A cluster with many changes at once is not late for that."""
    store, account = Store(Options()), Account(Budget())
    store.put_link(link("c1"))
    observing = asyncio.create_task(Lateness(store, "c1", account).observe_forever())
    await work(account, until=5)
    await asyncio.sleep(LATENESS_SECONDS)
    assert excess(store) is None
    observing.cancel()
