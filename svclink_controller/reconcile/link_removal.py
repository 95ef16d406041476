"""Confirms with the main API server that a link is gone before its slices are deleted.

The watch of links can lag behind the watch of slices. If other controllers handle other links, a
slice of an unknown link may be one that another controller has just created for a new link.
"""

from __future__ import annotations

from collections.abc import Sequence

import structlog
from attrs import frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.resources import CLUSTER_LINKS
from svclink_core.planning import Change
from svclink_core.well_known import Reason

log = structlog.get_logger()


@frozen
class LinkRemoval:
    """Confirms that links are gone.

    Args:
        client: The main cluster.
    """

    client: Client

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
        return [
            change
            for change in changes
            if change.reason is not Reason.LINK_GONE or change.cluster not in unproven
        ]

    async def _is_gone(self, name: str) -> bool:
        """Whether no link has the name; links of the Go release can have it in any namespace."""
        reflector = Reflector(self.client, CLUSTER_LINKS, field_selector=f"metadata.name={name}")
        try:
            links = await reflector.list_all()
        except (ApiError, TransportError, WireError) as error:
            log.warning("slices of an unknown link kept", link=name, problem=str(error))
            return False
        return not links.items and not links.undecodable
