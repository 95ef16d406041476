"""Which link leads to which cluster. A link learns here whether it may be used, and is told when that may change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, evolve, field, frozen

from svclink_core.link_identity import Claim, Problem, known_cluster, refusals
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import LinkReason


@frozen
class _Known:
    """Where a kubeconfig led. `held_at` is the generation of the link at which it was held for leading elsewhere."""

    kubeconfig: str | None = field(repr=False, default=None)
    cluster_id: str | None = None
    held_at: int | None = None


_NOTHING: Final = _Known()


@define
class ClusterClaims:
    """The clusters that links were last connected to, and the links that wait for one that another holds.

    Args:
        main_id: Identity of the main cluster.
    """

    main_id: str | None = None
    _claims: dict[str, Claim] = field(factory=dict)
    _known: dict[str, _Known] = field(factory=dict)
    _holders: dict[str, Callable[[], None]] = field(factory=dict)
    _waiting: dict[str, Callable[[], None]] = field(factory=dict)

    def refusal(self, link: ClusterLink, kubeconfig: str, cluster_id: str) -> Problem | None:
        """Why a link must not be used for the cluster that its kubeconfig leads to, or None."""
        name = link.metadata.name
        known, generation = self._known.get(name, _NOTHING), link.metadata.generation
        # What is edited is taken at its word: another kubeconfig, or anything else after the link was held.
        is_unchanged = known.kubeconfig == kubeconfig and known.held_at in (None, generation)
        claim = Claim(link, cluster_id, known.cluster_id if is_unchanged else None)
        problem = refusals(self.main_id, self._claims | {name: claim}).get(name)
        is_held = problem is not None and problem.reason is LinkReason.CLUSTER_CHANGED
        if is_held and is_unchanged:
            self._known[name] = evolve(known, held_at=generation)
        return problem

    def remember(self, link: ClusterLink) -> None:
        """A link is seen for the first time since svclink started: its status tells where it led before."""
        self._known[link.metadata.name] = _Known(link.spec.kubeconfig, known_cluster(link))

    def forget(self, name: str) -> None:
        """A link is gone."""
        self.release(name)
        self._known.pop(name, None)

    def wait(self, name: str, reconsider: Callable[[], None]) -> None:
        """A link was refused: `reconsider` is called once, when another link lets go of its cluster."""
        self._waiting[name] = reconsider

    def claim(
        self, link: ClusterLink, kubeconfig: str, cluster_id: str, reconsider: Callable[[], None]
    ) -> None:
        """A link is connected to a cluster: `reconsider` is called when another one claims a cluster after it."""
        self._known[link.metadata.name] = _Known(kubeconfig, cluster_id)
        name, before = link.metadata.name, self._claims.get(link.metadata.name)
        others = [call for other, call in self._holders.items() if other != name]
        self._claims[name], self._holders[name] = Claim(link, cluster_id), reconsider
        self._waiting.pop(name, None)
        for call in others:
            call()
        if before is not None and before.cluster_id != cluster_id:
            self._wake()

    def release(self, name: str) -> None:
        """A link is disabled. One that only lost its connection keeps its claim: it will come back."""
        self._waiting.pop(name, None)
        if self._claims.pop(name, None) is not None:
            del self._holders[name]
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            call()
