"""When a cluster counts as lost: the unreachable policy applies to lost clusters only.

A cluster is lost if it sends no response, or server errors such as 503. One that rejects svclink is
not: it answers, and its endpoints may be in perfect health.

Source: docs/how-to/troubleshooting.md, "Endpoints of a lost cluster are still there".
"""

from __future__ import annotations

from enum import Enum
from typing import Final

from svclink_core.link_identity import Problem
from svclink_core.link_reasons import LinkReason
from svclink_core.link_target import LinkRequest, LinkTarget
from svclink_core.snapshot import PENDING, Connection, Synced, Unreachable


class Loss(Enum):
    """What a failure to read a cluster says about the cluster."""

    LOST = "no response, or server errors such as 503: the unreachable policy applies"
    REJECTED = "the cluster answers, for example with 401 or 403, and may be healthy"
    UNKNOWN = "the cluster was not asked, or must not be"


_UNKNOWN: Final = frozenset(
    {
        LinkReason.SELF_LINK,
        LinkReason.DUPLICATE_CLUSTER,
        LinkReason.CLUSTER_CHANGED,
        LinkReason.DUPLICATE_NAME,
        # A kubeconfig that cannot be used is a mistake of the operator, like a missing Secret. It
        # says nothing about the cluster, so it must not cost endpoints.
        LinkReason.INVALID_KUBECONFIG,
        LinkReason.INSECURE_KUBECONFIG,
    }
)


def loss_of(request: LinkRequest, failure: Problem) -> Loss:
    """What a failure to read a cluster says about the cluster.

    Args:
        request: What the link asks to be read.
        failure: Why reading it failed.
    """
    if not isinstance(request, LinkTarget) or failure.reason in _UNKNOWN:
        return Loss.UNKNOWN
    is_lost = failure.reason is LinkReason.UNREACHABLE and not failure.is_answer
    return Loss.LOST if is_lost else Loss.REJECTED


def connection_after(held: Connection, loss: Loss, since: str, at: float) -> Connection:
    """The connection to a cluster that is not synced any more, or still not.

    It is unreachable since the first failure. The time of its policy begins when it is lost.

    Args:
        held: The connection before.
        loss: What the failure says about the cluster.
        since: The time, as RFC 3339.
        at: The same time, on the clock of `Unreachable.at`.
    """
    if loss is Loss.UNKNOWN:
        return PENDING
    is_lost = loss is Loss.LOST
    if not isinstance(held, Unreachable):
        never_reached = not isinstance(held, Synced)
        return Unreachable(since, at, is_lost=is_lost, never_reached=never_reached)
    return held if held.is_lost is is_lost else Unreachable(held.since, at, is_lost=is_lost)
