"""Which links may be used, by the identity of their clusters: not the main one, none twice, none instead of another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

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
    for name in sorted(
        claims, key=lambda name: (claims[name].link.metadata.creation_timestamp or "", name)
    ):
        cluster_id = claims[name].cluster_id
        if cluster_id == main_id:
            refused[name] = _problem(
                LinkReason.SELF_LINK, "the kubeconfig leads to the main cluster itself"
            )
        elif (owner := owners.setdefault(cluster_id, name)) != name:
            message = f"the kubeconfig leads to the cluster of the older ClusterLink {owner}"
            refused[name] = _problem(LinkReason.DUPLICATE_CLUSTER, message)
    return refused


def known_cluster(link: ClusterLink) -> str | None:
    """The cluster a link is known to lead to from before svclink started, by its status; None where it may be another.

    An edit since then is taken at its word. So is a kubeconfig in a Secret, of which nobody knows whether it is the
    same; there `spec.clusterID` pins a cluster.
    """
    is_edited = link.metadata.generation != link.status.observed_generation
    return (
        None if is_edited or link.spec.kubeconfig_secret_ref is not None else link.status.cluster_id
    )


def why_changed(link: ClusterLink, known: str | None, cluster_id: str) -> Problem | None:
    """Why a link must not be used for the cluster it leads to, which is not the one it is meant for; or None.

    DNS, a restore or a swapped address can lead an unchanged kubeconfig to another cluster, whose content would then
    replace what is mirrored.

    Args:
        link: The link. `spec.clusterID` overrules what is known.
        known: The cluster that its kubeconfig, as it is, led to before; None where that is not known.
        cluster_id: The cluster it leads to now.
    """
    pinned = link.spec.cluster_id
    if pinned is not None and pinned != cluster_id:
        message = f"the kubeconfig leads to cluster {cluster_id}, and spec.clusterID is {pinned}"
        return _problem(LinkReason.CLUSTER_CHANGED, message)
    if pinned is None and known is not None and known != cluster_id:
        message = (
            f"the kubeconfig is unchanged and leads to cluster {cluster_id} instead of {known}"
        )
        return _problem(LinkReason.CLUSTER_CHANGED, message)
    return None


def elected(links: Iterable[ClusterLink]) -> ClusterLink:
    """Of ClusterLinks of one name in several namespaces, the one that counts: the oldest, then the first by namespace.

    Only the CRD of the Go release is namespaced. One whose age is not known, because it cannot be read, comes last.

    Args:
        links: At least one.
    """

    def age(link: ClusterLink) -> tuple[bool, str, str]:
        created = link.metadata.creation_timestamp
        return created is None, created or "", link.metadata.namespace

    return min(links, key=age)


def duplicate_name(counts: ClusterLink) -> Problem:
    """Why a link is not used while another of its name counts."""
    message = f"the ClusterLink {counts.metadata.key} of the same name is older"
    return _problem(LinkReason.DUPLICATE_NAME, message)


def _problem(reason: LinkReason, message: str) -> Problem:
    return Problem(reason, f"{message}: {reason.sentence}")
