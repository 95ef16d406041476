"""Whether this replica is ready: it knows all it needs, to work or to take over at once."""

from __future__ import annotations

from attrs import define

from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core.snapshot import PENDING


@define
class Readiness:
    """A replica that was ready once stays so: a cluster that is lost later is no reason to replace it."""

    store: Store
    _was_ready: bool = False

    def obstacle(self) -> str | None:
        """What is missing, or None."""
        if not self.store.is_complete:
            return "the main cluster is not completely listed yet"
        if not self._was_ready and (names := self._untried()):
            return f"not heard of yet: {', '.join(names)}"
        self._was_ready = True
        return None

    def _untried(self) -> list[str]:
        """Links that neither work nor say why not."""
        return sorted(
            name
            for name, link in self.store.links.items()
            if link.is_selected
            and link.spec.enabled
            and self.store.connections.get(name, PENDING) == PENDING
            and self.store.observations.get(name, Observation()).problem is None
        )
