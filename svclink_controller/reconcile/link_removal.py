"""Asks the main cluster itself whether a link is gone, before anything is deleted for that.

A watch of links may lag behind that of slices. Where other controllers work on other links, a slice of a link that is
not known here may therefore be one that another controller just made for a new link.
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
    """Proves that links are gone.

    Args:
        client: The main cluster.
    """

    client: Client

    async def proven(self, changes: Sequence[Change]) -> Sequence[Change]:
        """The changes, without deletions for a link that exists, or of which nobody can tell.

        The proof is a complete list, made after the slices were seen: a link that they were made for would be in it.
        """
        names = {
            change.cluster
            for change in changes
            if change.reason is Reason.LINK_GONE and change.cluster
        }
        unproven = {name for name in sorted(names) if not await self._is_gone(name)}
        return [
            each
            for each in changes
            if each.reason is not Reason.LINK_GONE or each.cluster not in unproven
        ]

    async def _is_gone(self, name: str) -> bool:
        """Whether no link has the name; links of the Go release may have it in any namespace."""
        try:
            found = await Reflector(
                self.client, CLUSTER_LINKS, field_selector=f"metadata.name={name}"
            ).list_all()
        except (ApiError, TransportError, WireError) as error:
            log.warning("slices of an unknown link kept", link=name, problem=str(error))
            return False
        return not found.items and not found.undecodable
