"""Whether this replica is ready: it has the state it needs to lead, or to take over at once."""

from __future__ import annotations

from attrs import define

from svclink_controller.state.store import Store
from svclink_core.snapshot import PENDING


@define
class Readiness:
    """The readiness of a replica, which stays ready once it has been ready.

    Replacing a replica would not help if a cluster is lost later.
    """

    store: Store
    _was_ready: bool = False

    def not_ready_reason(self) -> str | None:
        """Why the replica is not ready, or None."""
        if not self.store.is_complete:
            return "the main cluster has not been fully listed yet"
        if not self._was_ready and (names := self._untried()):
            return f"no connection attempt has finished for: {', '.join(names)}"
        self._was_ready = True
        return None

    def _untried(self) -> list[str]:
        """Links that are neither connected nor have a problem to show."""
        return sorted(
            name
            for name, link in self.store.links.items()
            if link.is_selected
            and link.spec.enabled
            and self.store.connections.get(name, PENDING) == PENDING
            and self.store.observation(name).problem is None
        )
