"""Which links may be used, by the identity of the clusters they lead to: never the main cluster, no cluster twice."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import frozen

from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import LinkReason


@frozen
class Problem:
    """Why a link does not work: the reason of its Ready condition, and the message that says what to do."""

    reason: LinkReason
    message: str


@frozen
class Claim:
    """A link and the cluster it leads to: the uid of that cluster's `kube-system` namespace."""

    link: ClusterLink
    cluster_id: str


def refusals(main_id: str | None, claims: Mapping[str, Claim]) -> dict[str, Problem]:
    """The links that must not be used, by name.

    A link to the main cluster would mirror it into itself; a second link to one cluster would double its endpoints. Of
    several the oldest is used, and of those of one second the first by name.

    Args:
        main_id: Identity of the main cluster, None where it is not known.
        claims: Every link whose cluster is known, by the link's name.
    """
    owners: dict[str, str] = {}
    refused = {}
    for name in sorted(claims, key=lambda name: (claims[name].link.metadata.creation_timestamp or "", name)):
        cluster_id = claims[name].cluster_id
        if cluster_id == main_id:
            refused[name] = _problem(LinkReason.SELF_LINK, "the kubeconfig leads to the main cluster itself")
        elif (owner := owners.setdefault(cluster_id, name)) != name:
            message = f"the kubeconfig leads to the cluster of the older ClusterLink {owner}"
            refused[name] = _problem(LinkReason.DUPLICATE_CLUSTER, message)
    return refused


def _problem(reason: LinkReason, message: str) -> Problem:
    return Problem(reason, f"{message}: {reason.sentence}")
