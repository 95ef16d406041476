"""Confirms with the main API server that a link is gone before its slices are deleted.

The watch of links can lag behind the watch of slices: that of a replica that has just become the
leader, or of a controller whose links are not those of another. A slice of a link that seems not to
exist may have been created a moment ago, for a link that was created shortly before.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.resources import CLUSTER_LINKS
from svclink_core.plans import Change
from svclink_core.well_known import Reason

log = structlog.get_logger()


@define
class LinkRemoval:
    """Confirms that links are gone.

    Args:
        client: The main cluster.
    """

    client: Client
    _next_reads: dict[str, asyncio.Future[bool]] = field(factory=dict)
    _reading: asyncio.Lock = field(factory=asyncio.Lock)

    async def proven(self, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes without the deletions for a link that exists or may exist.

        The proof is a complete list that was requested after the slices were seen: it would
        contain the link that they were created for.
        """
        names = {
            change.cluster
            for change in changes
            if change.reason is Reason.LINK_GONE and change.cluster
        }
        unproven = {name for name in sorted(names) if not await self._is_gone(name)}
        if not unproven:
            return changes
        return [
            change
            for change in changes
            if change.reason is not Reason.LINK_GONE or change.cluster not in unproven
        ]

    async def _is_gone(self, name: str) -> bool:
        """The result of the next read of a link; Services that ask meanwhile share it."""
        if (read := self._next_reads.get(name)) is None:
            read = self._next_reads[name] = asyncio.ensure_future(self._read_next(name))
        # A Service whose worker is cancelled must not cancel the read of the others.
        return await asyncio.shield(read)

    async def _read_next(self, name: str) -> bool:
        async with self._reading:
            # The request begins now: a slice that is seen later needs another one.
            del self._next_reads[name]
            return await self._read(name)

    async def _read(self, name: str) -> bool:
        """Whether no link has the name; links of the Go release can have it in any namespace."""
        reflector = Reflector(self.client, CLUSTER_LINKS, field_selector=f"metadata.name={name}")
        try:
            links = await reflector.list_all()
        except (ApiError, TransportError, WireError) as error:
            log.warning(
                "kept slices whose link could not be looked up", link=name, problem=str(error)
            )
            return False
        return not links.items and not links.undecodable
