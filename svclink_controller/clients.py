"""HTTP to Kubernetes API servers: bytes in, bytes out. The only module that knows the `kubernetes` package.

Of that package it uses configuration, authentication and transport. The transport is hardened, because a remote API
server is not trusted: no proxies or passwords from the environment, no cookies, no redirect to another origin, limits
on what is read, and keepalive on the socket so that a peer that vanished is noticed.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final, TypeAlias, cast
from urllib.parse import quote, urlencode

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from attrs import define, evolve, frozen
from kubernetes.aio import config
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config.config_exception import ConfigException
from yarl import URL

from svclink_controller.encoding import encode
from svclink_controller.kubeconfig import Credentials, KubeconfigError
from svclink_controller.kubeconfig_yaml import INVALID
from svclink_controller.trust import STRICT, Trust
from svclink_controller.wire import MAX_RETRY_AFTER, Status, clean_text, decode_status
from svclink_core.codec import Json
from svclink_core.errors import SvclinkError

MAX_BODY: Final = 32 * 2**20
"""Bytes of one answer, unpacked: a page of 250 EndpointSlices of the usual 100 endpoints is about 9 MB.

Where a page is larger, the list is asked for in smaller ones. One of this size is taken apart in 45 ms.
"""

MAX_LINE: Final = 4 * 2**20
"""Bytes of one watch event: etcd holds objects of at most 1.5 MiB."""

CONNECT_SECONDS: Final = 10
REQUEST_SECONDS: Final = 30

WATCH_SILENCE_SECONDS: Final = 75
"""How long a watch may be silent: the API server sends a bookmark about every minute.

Whoever is silent is asked something else: a server that hangs is noticed within 90 s.
"""

CHECK_SECONDS: Final = 5
"""After so long without a byte of an answer, its connection is looked at."""

USER_AGENT: Final = "svclink"

Body: TypeAlias = dict[str, Json] | bytes
"""An object, or the JSON of one."""

SERVICE_ACCOUNT_NAMESPACE: Final = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"


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


class ConfigurationError(SvclinkError):
    """The main cluster's kubeconfig or in-cluster configuration cannot be used."""


@define
class Client:
    """Requests to one API server. Raises `ApiError` for its refusals and `TransportError` where no answer came.

    Args:
        api: The transport.
        may_write: Asked before each request that changes something.
    """

    _api: ApiClient
    _may_write: Callable[[], bool] = lambda: True

    def fenced(self, may_write: Callable[[], bool]) -> Client:
        """A client with the same connections that sends no write, and raises `FencedError`, where it may not."""
        return evolve(self, may_write=may_write)

    async def get(self, path: str, query: Mapping[str, str] | None = None, seconds: float = REQUEST_SECONDS) -> bytes:
        """The body of a GET."""
        return await self._request("GET", path, query or {}, None, "application/json", seconds)

    async def post(self, path: str, body: Body) -> bytes:
        """Create an object."""
        return await self._request("POST", path, {}, body, "application/json", REQUEST_SECONDS)

    async def put(self, path: str, body: Body) -> bytes:
        """Replace an object."""
        return await self._request("PUT", path, {}, body, "application/json", REQUEST_SECONDS)

    async def merge_patch(self, path: str, body: Body) -> bytes:
        """Change fields of an object (RFC 7386: null removes a field)."""
        return await self._request("PATCH", path, {}, body, "application/merge-patch+json", REQUEST_SECONDS)

    async def delete(self, path: str, body: Body) -> bytes:
        """Delete an object; the body holds DeleteOptions."""
        return await self._request("DELETE", path, {}, body, "application/json", REQUEST_SECONDS)

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncGenerator[bytes, None]:
        """The lines of a watch until the server ends it."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=WATCH_SILENCE_SECONDS)
        async with self._response("GET", path, query, None, "application/json", limits) as response:
            rest = b""
            while chunk := await _next_chunk(response):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > MAX_LINE:
                    raise TransportError(f"the server sent a watch event of more than {MAX_LINE} bytes")
                for line in lines:
                    if line:
                        yield line

    async def server_seconds(self) -> float | None:
        """What the clock of the server says, as POSIX seconds without fractions; None where it does not say."""
        limits = aiohttp.ClientTimeout(total=REQUEST_SECONDS, sock_connect=CONNECT_SECONDS)
        async with self._response("GET", "/version", {}, None, "application/json", limits) as response:
            await _read(response)
            try:
                return parsedate_to_datetime(response.headers.get("Date", "")).timestamp()
            except ValueError:
                return None

    async def close(self) -> None:
        """Close every connection."""
        await self._api.close()  # type: ignore[no-untyped-call]

    async def _request(
        self, method: str, path: str, query: Mapping[str, str], body: Body | None, kind: str, seconds: float
    ) -> bytes:
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=CONNECT_SECONDS)
        if method != "GET" and not self._may_write():
            raise FencedError("nothing is written without the lease")
        async with self._response(method, path, query, body, kind, limits) as response:
            return await _read(response)

    @asynccontextmanager
    async def _response(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Body | None,
        kind: str,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        headers = {"Accept": "application/json", "Content-Type": kind, **self._api.default_headers}
        url = f"{self._api.configuration.host}{path}" + (f"?{urlencode(query, quote_via=quote)}" if query else "")
        content = encode(body) if isinstance(body, dict) else body
        transport = cast("_HardenedTransport", self._api.rest_client)  # As it was made here.
        with _transport_errors(self._api.configuration.host):
            await self._api.update_params_for_auth(headers, [], ["BearerToken"], path, method, None)
            response = await transport.send(method, url, headers, content, limits)
            async with response:
                if response.status >= 400:
                    raise ApiError(await _refusal(response))
                yield response


class _transport_errors:  # noqa: N801 - a context manager, used like a function
    """Turns what aiohttp, ssl and the socket raise into `TransportError`, without what might be secret."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        match error:
            case aiohttp.SocketTimeoutError():
                raise SilenceError(f"{self._host} was silent for too long") from error
            case TimeoutError():
                raise TransportError(f"{self._host} did not answer in time") from error
            case aiohttp.ClientConnectorCertificateError() | ssl.CertificateError():
                message = f"the certificate of {self._host} was not accepted: {_reason(error)}"
                raise TransportError(message, is_certificate=True) from error
            case aiohttp.ClientSSLError() | ssl.SSLError():
                raise TransportError(f"TLS with {self._host} failed: {_reason(error)}", is_certificate=True) from error
            case aiohttp.ClientPayloadError():
                raise TransportError(f"{self._host} broke off in the middle of an answer") from error
            case aiohttp.ClientError() | OSError() | HttpProcessingError() | RuntimeError():
                raise TransportError(f"{self._host} cannot be reached: {_reason(error)}") from error
            case _:
                return


def _reason(error: BaseException) -> str:
    """The innermost reason in one line: `Connection refused` rather than five wrappings of it."""
    inner = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    text = getattr(inner, "verify_message", None) or getattr(inner, "strerror", None) or str(inner)
    return clean_text(text) or type(inner).__name__


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, within limits: a small answer can inflate to a very large one."""
    chunks, size = [], 0
    while chunk := await _next_chunk(response):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY:
            raise TooLargeError(f"the server sent an answer of more than {MAX_BODY} bytes")
    return b"".join(chunks)


async def _next_chunk(response: aiohttp.ClientResponse) -> bytes:
    """The next bytes of a body, none at its end.

    Where a malformed chunk makes aiohttp 3.14 close a connection, it forgets who reads from it, and its own timeouts
    end with the connection, too. Nobody would ever hear of it.
    """
    if response.content.at_eof():
        return b""
    if there := response.content.read_nowait():
        return there
    while True:
        check = asyncio.timeout(CHECK_SECONDS)
        try:
            async with check:
                return await response.content.readany()
        except TimeoutError as error:
            if not check.expired():
                raise
            if response.connection is None or response.connection.transport is None:
                raise TransportError("the server sent an answer that is not HTTP") from error


async def _refusal(response: aiohttp.ClientResponse) -> Status:
    """The Status of an error answer; `Retry-After` counts even where the body is no Status."""
    status = decode_status(await _read(response), response.status, response.reason or "")
    header = response.headers.get("Retry-After", "")
    is_number = header.isascii() and header.isdigit()
    retry_after = min(float(header), MAX_RETRY_AFTER) if is_number else status.retry_after
    return Status(response.status, status.reason, status.message, status.causes, retry_after)


# Making clients


async def main_client(kubeconfig: Path | None, context: str | None = None) -> Client:
    """A client of the main cluster: from a kubeconfig file, which is trusted, or from the Pod's ServiceAccount.

    Args:
        kubeconfig: The file, or several with `:` in between as in $KUBECONFIG; None: the ServiceAccount.
        context: The context of the kubeconfig to use; None: the current one.

    Raises:
        ConfigurationError: There is no such file, or it cannot be used; the message says which.
    """
    if kubeconfig is not None:
        return await user_client(kubeconfig, context)
    configuration = Configuration()
    try:
        config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except ConfigException as error:
        raise ConfigurationError(f"this is no Pod of a cluster ({error}): give --kubeconfig=FILE") from error
    return await asyncio.to_thread(_client, configuration)


async def user_client(kubeconfig: Path, context: str | None) -> Client:
    """A client of the cluster that a kubeconfig, which is trusted, and a context of it lead to.

    Raises:
        ConfigurationError: There is no such file or context, or it cannot be used; the message says which.
    """
    configuration = Configuration()
    file = str(kubeconfig)
    _require_one(file)
    try:
        with _complaints() as said:
            await config.load_kube_config(file, context, configuration)  # type: ignore[no-untyped-call]
        _check(configuration.host, said)
        return await asyncio.to_thread(_client, configuration)
    except Exception as error:  # The loader lets through whatever files, YAML, base64 and TLS raise.
        raise ConfigurationError(f"--kubeconfig={file} is no usable kubeconfig: {_why_unusable(error)}") from error


def _require_one(files: str) -> None:
    """Of several files, which $KUBECONFIG may name, those that are missing do not matter."""
    if not any(Path(file).exists() for file in files.split(os.pathsep)):
        raise ConfigurationError(f"--kubeconfig={files}: there is no such file")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """What the loader of kubeconfigs meanwhile logs and goes on: that a credential plugin gave no credentials."""
    said: list[str] = []
    listener, logger = logging.Handler(logging.ERROR), logging.getLogger(config.kube_config.__name__)
    listener.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(listener)
    try:
        yield said
    finally:
        logger.removeHandler(listener)


def _check(server: str, complaints: list[str]) -> None:
    """What the loader lets through."""
    if complaints:
        raise ConfigException(f"its credential plugin does not work: {complaints[0]}")
    try:
        URL(server)
    except ValueError as error:
        raise ConfigException(f"its server {server!r} is no URL: {error}") from error


def _why_unusable(error: Exception) -> str:
    """In one line, without what only means something to whoever knows the loader."""
    match error:
        case TypeError() | AttributeError() | KeyError() | RecursionError():
            return "it is not built as `kubectl config view` shows it"
        case UnicodeDecodeError():
            return "it is no text"
        case ssl.SSLError():
            return f"a certificate or key in it is no PEM: {error}"
        case _:
            return " ".join(str(error).split())


@frozen
class ClusterEntry:
    """How a kubeconfig says its cluster is reached; `authority` is PEM, None where it names none."""

    server: str
    authority: str | None
    tls_server_name: str | None


def cluster_entry(client: Client) -> ClusterEntry:
    """How a client reaches its cluster."""
    configuration = client._api.configuration  # noqa: SLF001 - a part of this module
    file = configuration.ssl_ca_cert
    authority = Path(file).read_text(encoding="ascii") if file else None
    return ClusterEntry(configuration.host, authority, configuration.tls_server_name)


def own_namespace(kubeconfig: Path | None, context: str | None = None) -> str:
    """The namespace of the controller: that of its Pod, or of the context of a kubeconfig, else `default`."""
    if kubeconfig is None:
        return Path(SERVICE_ACCOUNT_NAMESPACE).read_text(encoding="utf-8").strip()
    contexts, current = config.list_kube_config_contexts(config_file=str(kubeconfig))  # type: ignore[no-untyped-call]
    chosen = current if context is None else next(each for each in contexts if each["name"] == context)
    return str(chosen["context"].get("namespace") or "default")


async def remote_client(credentials: Credentials, trust: Trust = STRICT) -> Client:
    """A client of a remote cluster from credentials that passed the allow-list. It connects to no address denied.

    Raises:
        KubeconfigError: OpenSSL will not have a certificate or the key, because it is too short, say.
    """
    try:
        return await asyncio.to_thread(_remote_client, credentials, trust)
    except ssl.SSLError as error:
        why = (error.reason or str(error)).replace("_", " ").lower()
        problem = f"holds a certificate or key that OpenSSL does not accept ({why}); give another"
        raise KubeconfigError(INVALID, "kubeconfig", problem) from error


def _remote_client(credentials: Credentials, trust: Trust) -> Client:
    configuration = Configuration(host=credentials.server.rstrip("/"), ca_cert_data=credentials.ca_data or None)
    configuration.tls_server_name = credentials.tls_server_name
    configuration.verify_ssl = not credentials.insecure
    configuration.proxy = credentials.proxy
    if credentials.token is not None:
        configuration.api_key["BearerToken"] = f"Bearer {credentials.token}"
    client = _remote_client_of(configuration, credentials, trust)
    if credentials.disable_compression:
        client._api.default_headers["Accept-Encoding"] = "identity"  # noqa: SLF001 - a part of this module
    return client


def _remote_client_of(configuration: Configuration, credentials: Credentials, trust: Trust) -> Client:
    if credentials.client_certificate is None or credentials.client_key is None:
        return _client(configuration, trust)
    # OpenSSL reads certificate and key from files only; they exist, for this user alone, until the context is made.
    shared_memory = Path("/dev/shm")  # noqa: S108 - memory, where there is such a thing
    with tempfile.TemporaryDirectory(dir=shared_memory if os.access(shared_memory, os.W_OK) else None) as directory:
        configuration.cert_file = _private_file(Path(directory, "tls.crt"), credentials.client_certificate)
        configuration.key_file = _private_file(Path(directory, "tls.key"), credentials.client_key)
        return _client(configuration, trust)


def _private_file(path: Path, content: str) -> str:
    path.touch(mode=0o600)
    path.write_text(content, encoding="ascii")
    return str(path)


def _client(configuration: Configuration, trust: Trust | None = None) -> Client:
    """Builds TLS contexts, which reads files: call it in a thread. Without `trust`, it may connect to any address."""
    configuration.connection_pool_maxsize = 0  # A full pool queues without a word.
    api = ApiClient(configuration)
    api.user_agent = USER_AGENT
    api.rest_client = _HardenedTransport(configuration, trust)
    return Client(api)


class _HardenedTransport(RESTClientObject):
    """The client's transport with nothing taken from the environment and nothing trusted that a server says."""

    def __init__(self, configuration: Configuration, trust: Trust | None) -> None:
        super().__init__(configuration)
        self._trust = trust

    async def send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        """What `request` does, with a body that is JSON already and without what svclink has no use for."""
        if self.pool_manager is None:
            self.pool_manager = self._create_pool_manager()
        return await self.pool_manager.request(
            method,
            url,
            headers=headers,
            data=body,
            timeout=limits,
            proxy=self.proxy,
            proxy_headers=self.proxy_headers,
            server_hostname=self.configuration.tls_server_name,
        )

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, socket_factory=self._socket)

    def _socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        """After names are looked up and before a connection: what a name leads to by now is what counts."""
        address = str(info[4][0])
        if self._trust is not None and (what := self._trust.why_denied(address)) is not None:
            raise OSError(errno.EACCES, f"its address {address} is {what}, where svclink connects to no cluster")
        return _kept_alive_socket(info)

    def _create_pool_manager(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=self._create_connector(),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_refuse_other_origins(self.configuration.host),),
            read_bufsize=2**18,
        )


def _refuse_other_origins(host: str) -> aiohttp.ClientMiddlewareType:
    """A middleware that sees every hop, so that no request ever goes where the kubeconfig did not say."""
    origin = URL(host).origin()

    async def middleware(
        request: aiohttp.ClientRequest, handler: Callable[[aiohttp.ClientRequest], object]
    ) -> aiohttp.ClientResponse:
        if request.url.origin() != origin:
            raise aiohttp.ClientConnectionError(f"it redirects to another origin, {request.url.origin()}")
        return await handler(request)  # type: ignore[misc,no-any-return]

    return middleware


def _kept_alive_socket(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that finds out within about a minute that its peer is gone (20 s idle, then 4 probes 10 s apart)."""
    family, kind, protocol, _, _ = address
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in _KEEPALIVE.items():
        if (number := getattr(socket, option, None)) is not None:
            made.setsockopt(socket.IPPROTO_TCP, number, value)
    return made


_KEEPALIVE: Final = {"TCP_KEEPIDLE": 20, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 60_000}
