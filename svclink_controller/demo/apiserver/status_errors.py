"""What the API server says no to, worded and coded as Kubernetes does (k8s.io/apimachinery, api/errors)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from attrs import frozen

JsonObject: TypeAlias = dict[str, Any]
"""A Kubernetes object as JSON gives it. One that is stored is never changed in place."""


@frozen
class Cause:
    """One bad field: the reason in CamelCase, as `FieldValueInvalid`, and a sentence."""

    field: str
    reason: str
    message: str


class StatusError(Exception):
    """An error answer: HTTP status, reason and message of a meta/v1 Status."""

    def __init__(self, code: int, reason: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details

    @property
    def status(self) -> JsonObject:
        """The meta/v1 Status."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": str(self),
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }


def bad_request(message: str) -> StatusError:
    """400: the request makes no sense."""
    return StatusError(400, "BadRequest", message)


def not_found(resource: str, name: str) -> StatusError:
    """404: there is no such object."""
    return StatusError(
        404,
        "NotFound",
        f'{resource} "{name}" not found',
        name=name,
        kind=resource.partition(".")[0],
    )


def already_exists(resource: str, name: str) -> StatusError:
    """409: the name is taken."""
    message = f'{resource} "{name}" already exists'
    return StatusError(409, "AlreadyExists", message, name=name, kind=resource.partition(".")[0])


def conflict(resource: str, name: str, why: str) -> StatusError:
    """409: the object is not the one, or not in the state, that the request was made for."""
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return StatusError(409, "Conflict", message, name=name, kind=resource.partition(".")[0])


def invalid(kind: str, name: str, causes: Iterable[Cause]) -> StatusError:
    """422: fields of the object are not valid."""
    found = list(causes)
    text = ", ".join(f"{cause.field}: {cause.message}" for cause in found)
    text = f"[{text}]" if len(found) > 1 else text
    listed = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in found
    ]
    return StatusError(
        422, "Invalid", f'{kind} "{name}" is invalid: {text}', name=name, kind=kind, causes=listed
    )


def expired(message: str) -> StatusError:
    """410: what is asked for is no longer remembered."""
    return StatusError(410, "Expired", message)
