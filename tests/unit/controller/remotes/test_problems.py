"""Errors of remote clusters become problems of their links."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_controller.api.certificate_faults import CertificateFault
from svclink_controller.api.errors import (
    ApiError,
    BudgetExceededError,
    TooLargeError,
    TransportError,
)
from svclink_controller.credentials.kubeconfig import KubeconfigError
from svclink_controller.remotes.problems import ConnectError, problem_of
from svclink_controller.remotes.session import RefusedError
from svclink_controller.wire.messages import Status, WireError
from svclink_core import LinkReason
from svclink_core.link_identity import Problem


def status(code: int) -> ApiError:
    return ApiError(Status(code, "Reason", "message"))


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KubeconfigError("InvalidKubeconfig", "users[0]", "is bad"), LinkReason.INVALID_KUBECONFIG),
        (
            KubeconfigError("InsecureKubeconfig", "users[0]", "is bad"),
            LinkReason.INSECURE_KUBECONFIG,
        ),
        (status(401), LinkReason.UNAUTHORIZED),
        (status(403), LinkReason.FORBIDDEN),
        (status(404), LinkReason.UNREACHABLE),
        (status(500), LinkReason.UNREACHABLE),
        (TransportError("no route"), LinkReason.UNREACHABLE),
        (BudgetExceededError("too much"), LinkReason.BUDGET_EXCEEDED),
        (TooLargeError("too long"), LinkReason.BUDGET_EXCEEDED),
        (WireError("HTML"), LinkReason.UNREACHABLE),
    ],
)
def test_error_becomes_a_reason_and_a_fix(error: ConnectError, reason: LinkReason) -> None:
    """The message says what happened, and how to fix it."""
    assert problem_of(error) == Problem(reason, f"{error}: {reason.sentence}")


def test_rejected_certificate_becomes_its_own_fix() -> None:
    """The message of a rejected certificate ends with the fix for what is wrong with it."""
    error = TransportError("bad CA", fault=CertificateFault.EXPIRED)
    message = f"bad CA: {CertificateFault.EXPIRED.value}"
    assert problem_of(error) == Problem(LinkReason.CERTIFICATE_INVALID, message)


@pytest.mark.parametrize(
    ("error", "is_explained"),
    [
        (status(401), True),
        (TransportError("bad CA", fault=CertificateFault.EXPIRED), True),
        (status(403), False),
        (TransportError("no route"), False),
    ],
)
def test_expired_credentials_explain_a_rejection(
    error: ConnectError, *, is_explained: bool
) -> None:
    """Where credentials that expired can be the cause, the message begins with them."""
    expired = "the token expired at 2026-01-01T00:00:00Z"
    plain, explained = problem_of(error), problem_of(error, expired)
    assert problem_of(error, "") == plain
    if is_explained:
        message = f"{expired}: {plain.message}"
        assert explained == evolve(plain, message=message, expired=expired)
    else:
        assert explained == plain


def test_refused_link_shows_the_refusal() -> None:
    """The rules for cluster identities word their problems themselves."""
    problem = Problem(LinkReason.SELF_LINK, "it is the main cluster")
    assert problem_of(RefusedError(problem)) == problem
