"""Which link leads to which cluster, and whether a link may be used for its cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from attrs import define, evolve, field, frozen

from svclink_core.link_identity import (
    Claim,
    Problem,
    known_cluster,
    names_same_credentials,
    refusals,
)
from svclink_core.link_reasons import LinkReason
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec


@frozen
class _Lead:
    """Where a link led.

    Args:
        spec: What the link said then.
        kubeconfig: The kubeconfig that was used, in base64.
        cluster_id: The cluster it led to.
        held_at: Generation of the link when it was refused for leading elsewhere.
    """

    spec: ClusterLinkSpec | None = None
    kubeconfig: str | None = field(repr=False, default=None)
    cluster_id: str | None = None
    held_at: int | None = None


@frozen
class _Interest:
    """A link that uses a cluster or would like to, and how to make it check again."""

    claim: Claim
    reconsider: Callable[[], None]


_NOWHERE: Final = _Lead()


@define
class ClusterClaims:
    """The clusters that links were last connected to, and the links that wait for one of these.

    A claim belongs to the uid of a link. A link that was deleted and created again is another one,
    whose claim does not end when the connection of its predecessor is closed at last.

    Args:
        main_id: Identity of the main cluster; None if it is not known.
    """

    main_id: str | None = None
    _leads: dict[str, _Lead] = field(factory=dict)
    _held: dict[str, _Interest] = field(factory=dict)
    _waiting: dict[str, _Interest] = field(factory=dict)

    def refusal(self, link: ClusterLink, kubeconfig: str, cluster_id: str) -> Problem | None:
        """Why a link must not be used for the cluster that its kubeconfig leads to, or None."""
        uid, generation = link.metadata.uid, link.metadata.generation
        lead = self._leads.get(uid, _NOWHERE)
        # Only an edit is intended: of the credentials, or any other after the link was refused.
        # A changed Secret is not an edit: a rotated token has to lead to the same cluster.
        is_unedited = lead.spec is not None and names_same_credentials(link.spec, lead.spec)
        is_unchanged = (is_unedited or lead.kubeconfig == kubeconfig) and (
            lead.held_at in (None, generation)
        )
        claim = Claim(link, cluster_id, lead.cluster_id if is_unchanged else None)
        problem = self._refusal_of(claim)
        is_held = problem is not None and problem.reason is LinkReason.CLUSTER_CHANGED
        if is_held and is_unchanged:
            self._leads[uid] = evolve(lead, held_at=generation)
        return problem

    def remember(self, link: ClusterLink) -> None:
        """Learn from its status where a link led before svclink started."""
        known_id = known_cluster(link)
        self._leads[link.metadata.uid] = _Lead(link.spec, link.spec.kubeconfig, known_id)

    def forget(self, uid: str) -> None:
        """Forget a link that was deleted."""
        self.release(uid)
        self._leads.pop(uid, None)

    def wait(self, link: ClusterLink, cluster_id: str, reconsider: Callable[[], None]) -> None:
        """Call `reconsider` once, when the refusal of a link for a cluster changes."""
        self._waiting[link.metadata.uid] = _Interest(Claim(link, cluster_id), reconsider)

    def claim(
        self, link: ClusterLink, kubeconfig: str, cluster_id: str, reconsider: Callable[[], None]
    ) -> None:
        """Note that a link is connected to a cluster.

        `reconsider` is called whenever a later claim changes whether the link may be used for it.
        """
        uid = link.metadata.uid
        self._leads[uid] = _Lead(link.spec, kubeconfig, cluster_id)
        self._waiting.pop(uid, None)
        self._move(uid, _Interest(Claim(link, cluster_id), reconsider))

    def release(self, uid: str) -> None:
        """Note that a link is disabled. A link that lost its connection keeps its cluster."""
        self._waiting.pop(uid, None)
        self._move(uid, None)

    def _move(self, uid: str, interest: _Interest | None) -> None:
        """Change the cluster that a link holds, and wake the links that this allows or refuses."""
        before = self._refusals()
        self._held.pop(uid, None)
        if interest is not None:
            self._held[uid] = interest
        reached = self._refusals()
        calls: dict[str, Callable[[], None]] = {}
        for other in [each for each in self._waiting if before[0][each] != reached[0][each]]:
            calls[other] = self._waiting.pop(other).reconsider
        for other, held in self._held.items():
            if other != uid and before[1].get(other) != reached[1].get(other):
                calls[other] = held.reconsider
        for call in calls.values():
            call()

    def _refusals(self) -> tuple[Mapping[str, Problem | None], Mapping[str, Problem]]:
        """Why each waiting link is refused, and each link that holds a cluster."""
        waiting = {uid: self._refusal_of(each.claim) for uid, each in self._waiting.items()}
        return waiting, refusals(self.main_id, self._claims)

    def _refusal_of(self, claim: Claim) -> Problem | None:
        uid = claim.link.metadata.uid
        return refusals(self.main_id, self._claims | {uid: claim}).get(uid)

    @property
    def _claims(self) -> dict[str, Claim]:
        return {uid: each.claim for uid, each in self._held.items()}
