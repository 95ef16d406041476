"""Which link leads to which cluster. A link learns here whether it may be used, and is told when that may change."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field

from svclink_core.identifying import Claim, Problem, refusals
from svclink_core.svclink_v1alpha1 import ClusterLink


@define
class Identities:
    """The clusters that links were last connected to, and the links that wait for one that another holds.

    Args:
        main_id: Identity of the main cluster.
    """

    main_id: str | None = None
    _claims: dict[str, Claim] = field(factory=dict)
    _holders: dict[str, Callable[[], None]] = field(factory=dict)
    _waiting: dict[str, Callable[[], None]] = field(factory=dict)

    def refusal(self, link: ClusterLink, cluster_id: str) -> Problem | None:
        """Why a link must not be used for a cluster, or None."""
        claims = self._claims | {link.metadata.name: Claim(link, cluster_id)}
        return refusals(self.main_id, claims).get(link.metadata.name)

    def wait(self, name: str, reconsider: Callable[[], None]) -> None:
        """A link was refused: `reconsider` is called once, when another link lets go of its cluster."""
        self._waiting[name] = reconsider

    def claim(self, link: ClusterLink, cluster_id: str, reconsider: Callable[[], None]) -> None:
        """A link is connected to a cluster: `reconsider` is called when another one claims a cluster after it."""
        name, before = link.metadata.name, self._claims.get(link.metadata.name)
        others = [call for other, call in self._holders.items() if other != name]
        self._claims[name], self._holders[name] = Claim(link, cluster_id), reconsider
        self._waiting.pop(name, None)
        for call in others:
            call()
        if before is not None and before.cluster_id != cluster_id:
            self._wake()

    def release(self, name: str) -> None:
        """A link is disabled or gone. One that only lost its connection keeps its claim: it will come back."""
        self._waiting.pop(name, None)
        if self._claims.pop(name, None) is not None:
            del self._holders[name]
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            call()
