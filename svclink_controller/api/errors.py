"""Errors of API requests: the server rejected the request, or no complete response arrived."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from svclink_controller.api.certificate_faults import CertificateFault, certificate_fault, tls_fault
from svclink_controller.credentials.administrator.access import AccessError
from svclink_controller.wire.messages import Status, clean_text
from svclink_core.errors import SvclinkError

NOT_SERVED: Final = 404
"""Code of an API server that does not know a kind: its CRD is not installed."""

NOT_LISTABLE: Final = (403, NOT_SERVED)
"""Codes of an API server that does not let svclink list a kind, or does not serve the kind."""


class ApiError(SvclinkError):
    """The API server rejected a request; `status` holds its code, reason and message."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"{status.code} {status.reason}: {status.message}")
        self.status = status


class MissingApiError(ApiError):
    """The server has nothing at a path where every API server that svclink supports has something.

    Args:
        status: The response, with code 404.
        fix: What to do about it.
    """

    def __init__(self, status: Status, fix: str) -> None:
        super().__init__(status)
        self.fix = fix


@contextmanager
def missing_means(fix: str) -> Iterator[None]:
    """Gives the error of a 404 a fix of its own."""
    try:
        yield
    except ApiError as error:
        if error.status.code != 404:
            raise
        raise MissingApiError(error.status, fix) from error


class ForbiddenError(ApiError):
    """The server forbids what only one field of the link needs.

    Args:
        status: What the server says.
        fix: What to do.
    """

    def __init__(self, status: Status, fix: str) -> None:
        super().__init__(status)
        self.fix = fix


@contextmanager
def forbidden_means(fix: str) -> Iterator[None]:
    """Gives the error of a 403 a fix of its own."""
    try:
        yield
    except ApiError as error:
        if error.status.code != 403:
            raise
        raise ForbiddenError(error.status, fix) from error


class TransportError(SvclinkError):
    """No complete response arrived.

    Args:
        message: The server and the cause, in one printable line without secrets.
        fault: Why the TLS handshake failed, for example because of the certificate; None for any
            other cause.
    """

    def __init__(self, message: str, *, fault: CertificateFault | None = None) -> None:
        super().__init__(message)
        self.fault = fault


class BudgetExceededError(TransportError):
    """A cluster needs more than its budget. It answers, so it is not lost."""


class TooLargeError(BudgetExceededError):
    """A response exceeded the size limit; a smaller page may not."""


class CutError(TransportError):
    """A watch broke after it had begun. Only a new request shows whether the server is lost."""


class FencedError(TransportError):
    """A write was not sent, because another replica may be leading."""


EXCESS_PAUSE: Final = 60
"""Seconds until a cluster that exceeded its budget is read again, which is expensive."""


def retry_after(error: Exception) -> float:
    """The delay in seconds before another try: what the server asked for, else usually 0."""
    match error:
        case ApiError():
            return error.status.retry_after or 0
        case BudgetExceededError():
            return EXCESS_PAUSE
        case _:
            return 0


class transport_errors:  # noqa: N801 - a context manager, used like a function
    """Turns errors of aiohttp, ssl and sockets into `TransportError`, without possible secrets."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        host = self._host
        match error:
            case AccessError():
                raise TransportError(f"{host} was not contacted: {error}") from error
            case TimeoutError():
                raise TransportError(f"{host} did not answer in time") from error
            case aiohttp.ClientConnectorCertificateError() | ssl.CertificateError():
                message = f"the certificate of {host} was rejected: {_cause(error)}"
                raise TransportError(message, fault=certificate_fault(error)) from error
            case aiohttp.ClientError() | ssl.SSLError() if (fault := tls_fault(error)) is not None:
                message = f"TLS with {host} failed: {_cause(error)}"
                raise TransportError(message, fault=fault) from error
            case aiohttp.ClientPayloadError():
                message = f"{host} closed the connection in the middle of a response"
                raise TransportError(message) from error
            case aiohttp.ClientError() | OSError() | HttpProcessingError() | RuntimeError():
                # With a URL in its text, an error may show the password of a proxy in a traceback.
                shown = None if isinstance(error, _WITH_URL) else error
                raise TransportError(f"{host} cannot be reached: {_cause(error)}") from shown
            case _:
                return


_WITH_URL: Final = (aiohttp.ClientResponseError, aiohttp.InvalidURL)
"""Errors whose text has a URL, or what the server sent."""


def _cause(error: BaseException) -> str:
    """The innermost cause in one line, for example `Connection refused`, without its wrappers.

    It has no URL in it, whose user and password are secrets, and nothing that a proxy repeats.
    """
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy returned {error.status}"
    if isinstance(error, _WITH_URL):
        return type(error).__name__
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    text = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or str(inner)
    return clean_text(text) or type(inner).__name__
