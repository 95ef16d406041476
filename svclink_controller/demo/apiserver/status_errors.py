"""Errors of the API server, with the codes and messages of k8s.io/apimachinery, api/errors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from attrs import asdict, frozen

JsonObject: TypeAlias = dict[str, Any]
"""A Kubernetes object as decoded JSON. A stored object is never changed in place."""


@frozen
class Cause:
    """An invalid field, with a reason such as `FieldValueInvalid` and a sentence."""

    field: str
    reason: str
    message: str


class StatusError(Exception):
    """An error response: the HTTP code, reason, message and details of a meta/v1 Status."""

    def __init__(self, code: int, reason: str, message: str, **details: object) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details

    @property
    def status(self) -> JsonObject:
        """The body of the response."""
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
    """400: the request is malformed."""
    return StatusError(400, "BadRequest", message)


def unauthorized() -> StatusError:
    """401: the credentials of the request are invalid."""
    return StatusError(401, "Unauthorized", "Unauthorized")


def not_found(resource: str, name: str) -> StatusError:
    """404: the object does not exist."""
    return _object_error(404, "NotFound", f'{resource} "{name}" not found', resource, name)


def already_exists(resource: str, name: str) -> StatusError:
    """409: an object of this name exists."""
    message = f'{resource} "{name}" already exists'
    return _object_error(409, "AlreadyExists", message, resource, name)


def conflict(resource: str, name: str, why: str) -> StatusError:
    """409: the object has another uid or resourceVersion than the request expects."""
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return _object_error(409, "Conflict", message, resource, name)


def unknown_path() -> StatusError:
    """404: the path names no resource type, or a subresource that it does not have."""
    return StatusError(404, "NotFound", "the server could not find the requested resource")


def invalid(kind: str, name: str, causes: Iterable[Cause]) -> StatusError:
    """422: fields of the object are invalid."""
    listed = [asdict(cause) for cause in causes]
    text = ", ".join(f"{cause['field']}: {cause['message']}" for cause in listed)
    text = f"[{text}]" if len(listed) > 1 else text
    message = f'{kind} "{name}" is invalid: {text}'
    return StatusError(422, "Invalid", message, name=name, kind=kind, causes=listed)


def expired(message: str) -> StatusError:
    """410: the requested resourceVersion is too old."""
    return StatusError(410, "Expired", message)


def _object_error(code: int, reason: str, message: str, resource: str, name: str) -> StatusError:
    return StatusError(code, reason, message, name=name, kind=resource.partition(".")[0])
