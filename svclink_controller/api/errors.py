"""What can go wrong with a request to an API server: it refuses, or no answer comes."""

from __future__ import annotations

import ssl

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from svclink_controller.wire.messages import Status, clean_text
from svclink_core.errors import SvclinkError


class ApiError(SvclinkError):
    """The API server refused a request; `status` says how."""

    def __init__(self, status: Status) -> None:
        super().__init__(f"{status.code} {status.reason}: {status.message}")
        self.status = status


class TransportError(SvclinkError):
    """No answer came from the API server, or not all of it. `is_certificate`: its certificate was not accepted."""

    def __init__(self, message: str, *, is_certificate: bool = False) -> None:
        super().__init__(message)
        self.is_certificate = is_certificate


class TooLargeError(TransportError):
    """An answer was given up at the limit: a smaller page may be within it."""


class SilenceError(TransportError):
    """A watch said nothing for `WATCH_SILENCE_SECONDS`: most likely nothing happened."""


class FencedError(TransportError):
    """A write was not sent, because another replica may be at work."""


def retry_after(error: Exception) -> float:
    """Seconds for which the server asked to be left alone, 0 where it did not."""
    return (error.status.retry_after or 0) if isinstance(error, ApiError) else 0


class transport_errors:  # noqa: N801 - a context manager, used like a function
    """Turns what aiohttp, ssl and the socket raise into `TransportError`, without what might be secret."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        match error:
            case aiohttp.SocketTimeoutError():
                raise SilenceError(f"{self._host} was silent for too long") from error
            case TimeoutError():
                raise TransportError(f"{self._host} did not answer in time") from error
            case aiohttp.ClientConnectorCertificateError() | ssl.CertificateError():
                message = f"the certificate of {self._host} was not accepted: {_reason(error)}"
                raise TransportError(message, is_certificate=True) from error
            case aiohttp.ClientSSLError() | ssl.SSLError():
                raise TransportError(
                    f"TLS with {self._host} failed: {_reason(error)}", is_certificate=True
                ) from error
            case aiohttp.ClientPayloadError():
                raise TransportError(
                    f"{self._host} broke off in the middle of an answer"
                ) from error
            case aiohttp.ClientError() | OSError() | HttpProcessingError() | RuntimeError():
                raise TransportError(f"{self._host} cannot be reached: {_reason(error)}") from error
            case _:
                return


def _reason(error: BaseException) -> str:
    """The innermost reason in one line: `Connection refused` rather than five wrappings of it."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    text = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or str(inner)
    return clean_text(text) or type(inner).__name__
