"""What became of a change: a value, not an exception, because every refusal has its consequence."""

from __future__ import annotations

from enum import Enum
from typing import Final

import structlog
from attrs import frozen

from svclink_controller.api.errors import ApiError
from svclink_controller.wire.resources import ENDPOINT_SLICES, NAMESPACES, SERVICES
from svclink_core.diffing import Delete
from svclink_core.ownership import service_of
from svclink_core.plans import Change
from svclink_core.refusal_messages import (
    ABOUT_CONTENT,
    RefusalSource,
    explain_refusal,
    refusal_source,
)
from svclink_core.service_creation import CreateNamespace, CreateService
from svclink_core.write_retries import (
    FIXED_BY_CONTENT,
    FIXED_BY_OTHERS,
    FIXED_BY_PLANNING,
    NO_ANSWER,
    RetryPauses,
)

UPGRADE_SECONDS: Final = 300
"""The pause before a write that fails until the main cluster is upgraded, from the first time."""

log = structlog.get_logger()


class WriteStatus(Enum):
    """The status of a change; a value is the label `result` of the metric svclink_writes_total."""

    APPLIED = "applied"
    SUPERSEDED = "superseded"
    """The object is not the one that the plan was made for: plan again."""
    REFUSED = "refused"
    """The API server, or a policy of its administrators, rejects this content."""
    FAILED = "failed"
    """A later attempt may succeed."""
    POSTPONED = "postponed"
    """Not sent: a deletion before its replacement, the pace of writes, a pause, or a drain."""


@frozen
class WriteResult:
    """The result of one change.

    Args:
        change: The change.
        status: What became of it.
        message: Why it was not applied. For one that was postponed: why the attempt before failed,
            if one did.
        retry_after: Seconds until it may be sent; None if that depends on other changes.
        pauses: The pauses before it is sent again.
    """

    change: Change
    status: WriteStatus
    message: str = ""
    retry_after: float | None = None
    pauses: RetryPauses = FIXED_BY_OTHERS

    @property
    def is_failure(self) -> bool:
        """Whether an administrator has to act; the others resolve themselves."""
        is_attempt = self.status in (WriteStatus.REFUSED, WriteStatus.FAILED)
        return is_attempt or (self.status is WriteStatus.POSTPONED and bool(self.message))


def result_of(change: Change, error: ApiError) -> WriteResult:
    """The result of a rejected write."""
    status = error.status
    is_deleted = isinstance(change, Delete) and status.code == 404
    # Two Services can need one Namespace.
    already_exists = (status.code, status.reason) == (409, "AlreadyExists")
    if is_deleted or (isinstance(change, CreateNamespace) and already_exists):
        return WriteResult(change, WriteStatus.APPLIED)
    pauses = pauses_of(error)
    if pauses == FIXED_BY_PLANNING:
        return WriteResult(change, WriteStatus.SUPERSEDED, str(error), status.retry_after, pauses)
    message = explain(error, _permission(change), change.key.namespace)
    outcome = WriteStatus.REFUSED if pauses == FIXED_BY_CONTENT else WriteStatus.FAILED
    is_for_upgrade = refusal_source(status.code, status.message) is RefusalSource.SERVICE_NAME
    pause = UPGRADE_SECONDS if is_for_upgrade else status.retry_after
    return WriteResult(change, outcome, message, pause, pauses)


NOT_FROM_THE_SERVER: Final = (502, 503, 504)
"""Codes of a load balancer whose API server is away, or of an API server that is not ready."""


def pauses_of(error: Exception) -> RetryPauses:
    """The pauses before a write is sent again that failed with this error."""
    if not isinstance(error, ApiError):
        return NO_ANSWER
    status = error.status
    if status.code in NOT_FROM_THE_SERVER:
        return NO_ANSWER
    if status.code in (404, 409) or "NamespaceTerminating" in status.causes:
        return FIXED_BY_PLANNING
    is_about_content = refusal_source(status.code, status.message) in ABOUT_CONTENT
    return FIXED_BY_CONTENT if is_about_content else FIXED_BY_OTHERS


def explain(error: Exception, permission: str, namespace: str = "") -> str:
    """Who refused a write, and the error. Arguments as for `explain_refusal`."""
    if not isinstance(error, ApiError):
        return str(error)
    source = refusal_source(error.status.code, error.status.message)
    return explain_refusal(source, str(error), permission, namespace)


def _permission(change: Change) -> str:
    """The permission that a change needs, as in `grant svclink permission to ...`."""
    match change:
        case CreateNamespace():
            return f"create {NAMESPACES.plural}"
        case CreateService():
            return f"create {SERVICES.plural} in namespace {change.key.namespace}"
        case _:
            where = f"{ENDPOINT_SLICES.plural} in namespace {change.key.namespace}"
            return f"{change.verb} {where}"


def log_result(result: WriteResult) -> None:
    """Log what became of a change."""
    change = result.change
    fields = {
        "kind": change.kind,
        "verb": change.verb,
        "name": str(change.key).removeprefix("/"),
        **_service_field(change),
        "cluster": change.cluster,
        "reason": change.reason.code,
    }
    if result.status is WriteStatus.APPLIED:
        log.info("written", **fields)
    elif result.status is WriteStatus.SUPERSEDED:
        log.debug("changed in the meantime", **fields, problem=result.message)
    else:
        log.warning("not written", **fields, problem=result.message)


def _service_field(change: Change) -> dict[str, str]:
    """The Service of a slice; a Service is named already, and a Namespace belongs to several."""
    if isinstance(change, CreateNamespace | CreateService):
        return {}
    return {"service": str(service_of(change.endpoint_slice))}
