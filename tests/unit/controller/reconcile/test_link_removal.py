"""A link counts as gone only after a read that began after its slices were seen.

Real: the confirmation, the client, sockets and TLS. Substituted: the main API server, by a fake
one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from attrs import define

from svclink_controller.reconcile.link_removal import LinkRemoval
from svclink_core import Change, Delete, Precondition, Reason
from tests.builders.values import link, mirrored_slice
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Fault, Garbage, HangUp, Hold, Refuse
from tests.unit.controller.http_server import connected, serving
from tests.unit.controller.responses import page
from tests.unit.controller.waiting import eventually


def deletion(
    service: str = "web", cluster: str = "c1", reason: Reason = Reason.LINK_GONE
) -> Delete:
    mirror = mirrored_slice(f"{service}-{cluster}", key=f"default/{service}", cluster=cluster)
    return Delete(mirror, Precondition(f"uid-of-{service}", "1"), reason)


@define
class Main:
    """A fake main cluster, and the confirmation under test."""

    cluster: FakeApiServer
    link_removal: LinkRemoval

    @property
    def reads(self) -> int:
        return len(self.cluster.requests)

    async def prove(self, *changes: Change) -> list[Change]:
        return [*await self.link_removal.proven(changes)]

    def ask(self, *changes: Change) -> asyncio.Task[list[Change]]:
        return asyncio.create_task(self.prove(*changes))


@asynccontextmanager
async def mains() -> AsyncIterator[Main]:
    cluster = FakeApiServer()
    async with serving(cluster) as server, connected(server.url) as client:
        yield Main(cluster, LinkRemoval(client))


async def test_slices_of_a_link_that_is_gone_may_be_deleted() -> None:
    """The API server has no link of that name."""
    async with mains() as main:
        main.cluster.put(link("other"))
        assert await main.prove(deletion()) == [deletion()]


async def test_slices_of_a_link_that_exists_stay() -> None:
    """Only the deletions for that link are taken out of the plan."""
    async with mains() as main:
        main.cluster.put(link("c1"))
        changes = [deletion(), deletion(cluster="c2"), deletion("api", reason=Reason.SOURCE_GONE)]
        assert await main.prove(*changes) == changes[1:]


async def test_link_that_cannot_be_decoded_exists() -> None:
    """An object that svclink does not understand is still a link."""
    async with mains() as main:
        main.cluster.put_raw("clusterlinks", {"metadata": {"name": "c1"}, "spec": 7})
        assert await main.prove(deletion()) == []


@pytest.mark.parametrize("fault", [Refuse(403), Refuse(404), Refuse(500), HangUp(), Garbage()])
async def test_failed_read_proves_nothing(fault: Fault) -> None:
    """What could not be read is not gone, not even if the kind itself is not found."""
    async with mains() as main:
        main.cluster.fail(fault)
        assert await main.prove(deletion()) == []


async def test_plan_that_deletes_for_other_reasons_reads_nothing() -> None:
    """Only a link that seems to be gone is looked up."""
    async with mains() as main:
        changes = [deletion(reason=Reason.SOURCE_GONE)]
        assert await main.prove(*changes) == changes
        assert main.reads == 0


async def test_read_that_began_earlier_proves_nothing() -> None:
    """A slice seen during a read may be of a link created meanwhile, and needs another read."""
    async with mains() as main:
        released = asyncio.Event()

        async def decide_and_wait(_: web.BaseRequest) -> web.StreamResponse:
            main.cluster.override = None
            await released.wait()
            return page()

        main.cluster.override = decide_and_wait
        early = main.ask(deletion())
        await eventually(lambda: main.reads == 1)
        main.cluster.put(link("c1"))
        late = main.ask(deletion("api"))
        await asyncio.sleep(0)
        released.set()
        assert (await early, await late, main.reads) == ([deletion()], [], 2)


async def test_read_is_shared_by_the_services_that_wait_for_it() -> None:
    """A deleted link with many Services costs few requests."""
    async with mains() as main:
        asked = [main.ask(deletion(f"web-{number}")) for number in range(20)]
        assert [len(await each) for each in asked] == [1] * 20
        assert main.reads <= 2


async def test_cancelled_service_does_not_cancel_the_read_of_others() -> None:
    """A worker that ends leaves the proof to the others."""
    async with mains() as main:
        hold = Hold()
        main.cluster.fail(hold, times=1)
        cancelled, other = main.ask(deletion()), main.ask(deletion("api"))
        await eventually(lambda: main.reads == 1)
        cancelled.cancel()
        await asyncio.wait({cancelled})
        hold.released.set()
        assert await other == [deletion("api")]
