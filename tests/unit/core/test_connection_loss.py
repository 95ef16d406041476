"""When a cluster counts as lost, by the failure to read it."""

from __future__ import annotations

import pytest

from svclink_core import LinkReason, Problem
from svclink_core.connection_loss import Loss, connection_after, loss_of
from svclink_core.link_target import LINK_DISABLED, SECRET_NOT_READ, LinkRequest, LinkTarget
from svclink_core.snapshot import PENDING, SYNCED, Connection, Unreachable

NO_SECRET = Problem(LinkReason.INVALID_KUBECONFIG, "there is no Secret")
LOST = {LinkReason.UNREACHABLE}
UNKNOWN = {
    LinkReason.SELF_LINK,
    LinkReason.DUPLICATE_CLUSTER,
    LinkReason.CLUSTER_CHANGED,
    LinkReason.DUPLICATE_NAME,
    LinkReason.INVALID_KUBECONFIG,
    LinkReason.INSECURE_KUBECONFIG,
}


@pytest.mark.parametrize("reason", LinkReason)
def test_only_an_unreachable_cluster_is_lost(reason: LinkReason) -> None:
    """A cluster that rejects svclink is not lost, nor one that was not asked or must not be."""
    expected = Loss.LOST if reason in LOST else Loss.REJECTED
    expected = Loss.UNKNOWN if reason in UNKNOWN else expected
    assert loss_of(LinkTarget("abc"), Problem(reason, "")) is expected


def test_cluster_that_answers_without_an_api_is_not_lost() -> None:
    """A server without discovery.k8s.io/v1 is shown as unreachable, but it answers."""
    problem = Problem(LinkReason.UNREACHABLE, "404: upgrade Kubernetes", is_answer=True)
    assert loss_of(LinkTarget("abc"), problem) is Loss.REJECTED


@pytest.mark.parametrize("request_", [LINK_DISABLED, SECRET_NOT_READ, NO_SECRET])
def test_cluster_that_was_not_tried_is_not_lost(request_: LinkRequest) -> None:
    """A link without a usable kubeconfig keeps what is mirrored."""
    assert loss_of(request_, Problem(LinkReason.UNREACHABLE, "")) is Loss.UNKNOWN


@pytest.mark.parametrize(
    ("held", "loss", "expected"),
    [
        (SYNCED, Loss.LOST, Unreachable("now", 5)),
        (SYNCED, Loss.REJECTED, Unreachable("now", 5, is_lost=False)),
        (SYNCED, Loss.UNKNOWN, PENDING),
        (PENDING, Loss.LOST, Unreachable("now", 5, never_reached=True)),
        (Unreachable("then", 1), Loss.LOST, Unreachable("then", 1)),
        (Unreachable("then", 1), Loss.REJECTED, Unreachable("then", 5, is_lost=False)),
        (Unreachable("then", 1, is_lost=False), Loss.LOST, Unreachable("then", 5)),
        (Unreachable("then", 1), Loss.UNKNOWN, PENDING),
    ],
)
def test_connection_after_a_failure(held: Connection, loss: Loss, expected: Connection) -> None:
    """A cluster is unreachable since the first failure, and lost since it stopped answering."""
    assert connection_after(held, loss, "now", 5) == expected
