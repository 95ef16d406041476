"""A cluster that needs more than its budget costs its own link alone, and what is mirrored stays.

Real: remotes, sessions, store, clients, sockets and TLS. Substituted: the remote API servers.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import pytest
from attrs import evolve

from svclink_controller.api.spending import Account
from svclink_controller.remotes.session import open_session_within
from svclink_core import SYNCED, Endpoint, LinkReason, Unreachable
from svclink_core.budget import Budget, footprint
from svclink_core.discovery_v1 import EndpointSlice
from tests.builders.values import remote_slice
from tests.unit.controller.faults import Garbage, ends_with
from tests.unit.controller.remotes.test_remote import World, worlds
from tests.unit.controller.waiting import eventually

SMALL: Final = Budget(memory=2 * 2**20)


def large_slice(number: int) -> EndpointSlice:
    endpoints = tuple(
        Endpoint((f"10.{number}.{each // 250}.{each % 250}",)) for each in range(1000)
    )
    return evolve(remote_slice(name=f"web-{number}"), endpoints=endpoints)


@asynccontextmanager
async def limited(budget: Budget = SMALL) -> AsyncIterator[tuple[World, Account]]:
    """A world where the cluster of the link `c1` has a small budget."""
    async with worlds() as world:
        stored = partial(world.store.memory, "c1")
        account = Account(budget, stored, partial(world.store.holds, "c1"))
        world.open_session = open_session_within(account)
        yield world, account


async def test_list_that_exceeds_the_budget() -> None:
    """A cluster that is too large is not lost, and takes no memory after it was refused."""
    async with limited() as (world, account):
        remote = await world.serve()
        for number in range(20):
            remote.cluster.put(large_slice(number))
        world.edit(remote.kubeconfig)
        await world.has_problem(LinkReason.BUDGET_EXCEEDED)
        problem = world.observation().problem
        assert problem is not None
        assert "more than 2 MiB" in problem.message
        assert "raise --max-memory-per-remote" in problem.message
        connection = world.store.connections["c1"]
        assert isinstance(connection, Unreachable)
        assert not connection.is_lost
        await eventually(lambda: account.reading_bytes == 0)
        assert world.store.memory("c1") == 0


async def test_watch_that_exceeds_the_budget() -> None:
    """New slices without end end the session, and the link is read again once it is edited."""
    async with limited() as (world, account):
        remote = await world.serve()
        world.edit(remote.kubeconfig)
        await world.is_synced()
        for number in range(20):
            remote.cluster.put(large_slice(number))
        await world.has_problem(LinkReason.BUDGET_EXCEEDED)
        await eventually(lambda: account.reading_bytes == 0)
        assert world.store.memory("c1") == 0
        for number in range(20):
            remote.cluster.remove(large_slice(number))
        world.edit(remote.kubeconfig, "default")
        await world.is_synced()
        assert world.observation().problem is None


async def test_cluster_that_fits_twice_is_listed_again() -> None:
    """A list takes no memory for what did not change, however large the cluster is."""
    async with limited(Budget(memory=5 * 2**20)) as (world, account):
        remote = await world.serve()
        slices = [large_slice(number) for number in range(12)]
        for each in slices:
            remote.cluster.put(each)
        world.edit(remote.kubeconfig)
        await world.is_synced()
        held = world.store.memory("c1")
        assert held > sum(map(footprint, slices))
        assert 2 * held > account.budget.memory
        remote.cluster.compact()
        remote.cluster.hang_up()
        await eventually(lambda: len(remote.server.lists) >= 4)
        world.edit(remote.kubeconfig, "default")
        await eventually(lambda: len(remote.server.lists) >= 6)
        await world.is_synced()
        assert world.observation().problem is None


@pytest.mark.parametrize(
    "items",
    ["1," * 100_000 + "1", '{"metadata":{"name":"a"},"endpoints":"' + "x" * 17_000_000 + '"}'],
    ids=["items without end", "one huge object"],
)
async def test_other_links_go_on(items: str) -> None:
    """Whatever a hostile cluster sends, another one is followed."""
    async with limited(Budget()) as (world, _):
        hostile, healthy = await world.serve(), await world.serve("uid-of-another")
        garbage = Garbage('{"metadata":{"resourceVersion":"1"},"items":[' + items + "]}")
        hostile.cluster.fail(garbage, when=ends_with("/endpointslices"))
        world.edit(hostile.kubeconfig)
        world.edit(healthy.kubeconfig, name="c2")
        await world.has_problem(LinkReason.BUDGET_EXCEEDED)
        await world.is_synced("c2")
        healthy.cluster.put(large_slice(1))
        await eventually(
            lambda: any(
                len(each.endpoints) == 1000
                for slices in world.store.snapshot().remotes["c2"].endpoint_slices.values()
                for each in slices
            )
        )
        assert world.store.connections["c2"] == SYNCED
