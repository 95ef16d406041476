"""Which links may be used, by the identity of the clusters they lead to.

A link is refused if it leads to the main cluster, to a cluster that an older link uses, or to a
cluster other than the one it is meant for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

from attrs import frozen

from svclink_core.link_reasons import LinkReason
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec


class SecretFault(Enum):
    """Why a Secret gives no kubeconfig, although it may hold a good one."""

    MISSING = "it does not exist"
    UNREADABLE = "it could not be read"


@frozen
class Problem:
    """Why a link does not work.

    Args:
        reason: The reason of its Ready condition.
        message: What happened, and the fix.
        is_answer: Whether an unreachable cluster does respond, so that it is not lost.
        expired: Which of the link's credentials have expired, if that is the cause. The
            message starts with this text.
        secret_fault: Why the Secret that the link refers to provides no kubeconfig; None if it
            does.
    """

    reason: LinkReason
    message: str
    is_answer: bool = False
    expired: str = ""
    secret_fault: SecretFault | None = None


@frozen
class Claim:
    """A link and its cluster. The uid of the namespace `kube-system` identifies a cluster.

    Args:
        link: The link.
        cluster_id: The cluster that its kubeconfig points to now.
        known_id: The cluster that the link pointed to before, without an edit since; None if not
            known.
    """

    link: ClusterLink
    cluster_id: str
    known_id: str | None = None


def refusals(main_id: str | None, claims: Mapping[str, Claim]) -> dict[str, Problem]:
    """Return the links that must not be used, each with the reason, by the keys of the claims.

    A link to the main cluster would mirror that cluster into itself. A second link to the same
    cluster would double its endpoints, so only the oldest link is used. A link that now reaches
    a different cluster would replace what is mirrored, but does not prevent other links from
    using that cluster.

    Args:
        main_id: Identity of the main cluster, or None if it is not known.
        claims: Every link whose cluster is known, by any key that distinguishes links.
    """
    used: dict[str, ClusterLink] = {}
    refused = {}
    for key in sorted(claims, key=lambda key: (by_age(claims[key].link), key)):
        claim = claims[key]
        problem = _why_refused(claim, main_id, used.get(claim.cluster_id))
        if problem is None:
            used[claim.cluster_id] = claim.link
        else:
            refused[key] = problem
    return refused


def _why_refused(claim: Claim, main_id: str | None, older: ClusterLink | None) -> Problem | None:
    """Why a link must not be used, or None. `older` is a link that uses its cluster."""
    if claim.cluster_id == main_id:
        return _problem(LinkReason.SELF_LINK, "the kubeconfig points to the main cluster itself")
    if older is not None:
        name = older.metadata.name
        message = f"the kubeconfig points to the same cluster as the older ClusterLink {name}"
        return _problem(LinkReason.DUPLICATE_CLUSTER, message)
    return why_changed(claim.link, claim.known_id, claim.cluster_id)


def known_cluster(link: ClusterLink) -> str | None:
    """The cluster that a link led to before svclink started, by its status; None if not known.

    After an edit the link may lead elsewhere on purpose.
    """
    is_edited = link.metadata.generation != link.status.observed_generation
    return None if is_edited else link.status.cluster_id


def names_same_credentials(one: ClusterLinkSpec, other: ClusterLinkSpec) -> bool:
    """Whether two versions of a link name the same kubeconfig, or the same key of a Secret.

    What the Secret holds may differ.
    """
    return (one.kubeconfig, one.kubeconfig_secret_ref) == (
        other.kubeconfig,
        other.kubeconfig_secret_ref,
    )


def why_changed(link: ClusterLink, known_id: str | None, cluster_id: str) -> Problem | None:
    """Why a link must not be used for the cluster it leads to, if it is meant for another; or None.

    DNS, a restore, a reassigned address or a changed Secret can lead a link to another cluster
    although it was not edited.

    Args:
        link: The link. Its `spec.clusterID` overrides `known_id`.
        known_id: The cluster that the link pointed to before, without an edit since; None if not
            known.
        cluster_id: The cluster it leads to now.
    """
    pinned = link.spec.cluster_id
    expected = known_id if pinned is None else pinned
    if expected is None or expected == cluster_id:
        return None
    message = (
        f"the link was not edited but now reaches cluster {cluster_id} instead of {known_id}"
        if pinned is None
        else f"the kubeconfig points to cluster {cluster_id}, but spec.clusterID is {pinned}"
    )
    return _problem(LinkReason.CLUSTER_CHANGED, message)


def by_age(link: ClusterLink) -> tuple[str, str, str]:
    """A sort key: the oldest link first, then by name and namespace.

    Creation times have a resolution of one second. Only a link read from a file or one that could
    not be decoded has none; it sorts first.
    """
    metadata = link.metadata
    return metadata.creation_timestamp or "", metadata.name, metadata.namespace


def oldest_of_same_name(links: Iterable[ClusterLink]) -> ClusterLink:
    """The oldest of several links with one name, which is the one that counts.

    Only the CRD of the Go release is namespaced. A link without a creation time could not be
    decoded, and counts only if there is no other.

    Args:
        links: The links with one name; at least one.
    """
    return min(links, key=lambda link: (link.metadata.creation_timestamp is None, by_age(link)))


def duplicate_name(counts: ClusterLink) -> Problem:
    """Why a link is not used while an older link with the same name, `counts`, exists."""
    message = f"the ClusterLink {counts.metadata.key} has the same name and was created first"
    return _problem(LinkReason.DUPLICATE_NAME, message)


def _problem(reason: LinkReason, message: str) -> Problem:
    return Problem(reason, f"{message}: {reason.sentence}")
