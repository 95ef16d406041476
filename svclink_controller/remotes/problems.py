"""What an error of a remote cluster means for its link: a reason, and a message with the fix."""

from __future__ import annotations

from typing import Final, TypeAlias, assert_never

from attrs import evolve

from svclink_controller.api.certificate_faults import CertificateFault
from svclink_controller.api.errors import (
    ApiError,
    BudgetExceededError,
    ForbiddenError,
    MissingApiError,
    TransportError,
)
from svclink_controller.credentials.kubeconfig import KubeconfigError
from svclink_controller.remotes.session import RefusedError
from svclink_controller.wire.messages import WireError
from svclink_core.link_identity import Problem
from svclink_core.link_reasons import LinkReason

ConnectError: TypeAlias = KubeconfigError | RefusedError | ApiError | TransportError | WireError
EXPECTED: Final = (KubeconfigError, RefusedError, ApiError, TransportError, WireError)
"""Errors that a cluster or its link causes. Any other exception is a bug in svclink."""


def problem_of(error: ConnectError, expired: str = "") -> Problem:
    """The problem that a link shows for an error.

    Args:
        error: What went wrong.
        expired: Which credentials of the link have expired, and when.
    """
    problem = _problem_of(error)
    if not expired or problem.reason not in _BY_EXPIRY:
        return problem
    return evolve(problem, message=f"{expired}: {problem.message}", expired=expired)


def _problem_of(error: ConnectError) -> Problem:
    match error:
        case RefusedError():
            return error.problem
        case KubeconfigError():
            reason = _BY_CODE[error.reason]
        case MissingApiError():
            return Problem(LinkReason.UNREACHABLE, f"{error}: {error.fix}", is_answer=True)
        case ForbiddenError():
            return Problem(LinkReason.FORBIDDEN, f"{error}: {error.fix}", is_answer=True)
        case ApiError():
            reason = _BY_STATUS.get(error.status.code, LinkReason.UNREACHABLE)
        case TransportError(fault=CertificateFault() as fault):
            return Problem(LinkReason.CERTIFICATE_INVALID, f"{error}: {fault.value}")
        case BudgetExceededError():
            reason = LinkReason.BUDGET_EXCEEDED
        case TransportError() | WireError():
            reason = LinkReason.UNREACHABLE
        case unexpected:
            assert_never(unexpected)
    return Problem(reason, f"{error}: {reason.sentence}")


def while_kept(problem: Problem) -> Problem:
    """A problem of new credentials, while the session of the previous ones stays in use."""
    return evolve(problem, message=f"{problem.message} (the previous kubeconfig stays in use)")


_BY_EXPIRY: Final = {LinkReason.UNAUTHORIZED, LinkReason.CERTIFICATE_INVALID}
"""What becomes of a link whose token, client certificate or CA has expired."""

_BY_CODE: Final = {reason.code: reason for reason in LinkReason}
_BY_STATUS: Final = {401: LinkReason.UNAUTHORIZED, 403: LinkReason.FORBIDDEN}
