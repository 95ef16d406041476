"""The fault proxy of the other tests, in front of a small HTTPS server."""

from __future__ import annotations

import http.client
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

import pytest
import trustme

from .fault_proxy import FaultProxy, Interception
from .faults import (
    Answering,
    Corrupting,
    CuttingIdle,
    Delaying,
    Fault,
    Flooding,
    Hanging,
    Refusing,
    Shortening,
    Silencing,
    Throttling,
    Truncating,
)
from .polling import eventually

BODY: Final = b"x" * 100_000
EVENT: Final = b'{"type": "MODIFIED"}\n'
WATCH: Final = "/events?watch=true"
AUTHORITY: Final = trustme.CA()


class Handler(BaseHTTPRequestHandler):
    """Responds with the requested path and a long body, or to a watch with one event."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == WATCH:
            self.send_event()
            return
        body = self.path.encode() + b"\n" + BODY
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_event(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        time.sleep(0.1)  # An API server sends the head before the first event.
        self.wfile.write(b"%x\r\n%s\r\n" % (len(EVENT), EVENT))
        time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of an HTTPS server."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://127.0.0.1:{running.server_address[1]}"
        running.shutdown()
        thread.join()


class Client:
    """Sends requests through the proxy, on one connection while it stays open."""

    def __init__(self, proxy: FaultProxy, context: ssl.SSLContext) -> None:
        self.proxy = proxy
        self.connection = http.client.HTTPSConnection(
            proxy.url.removeprefix("https://"), context=context, timeout=0.5
        )

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            self.connection.request("GET", path)
            with self.connection.getresponse() as response:
                return response.status, response.read()
        except BaseException:
            self.connection.close()
            raise

    def works(self) -> bool:
        return self.get("/here") == (200, b"/here\n" + BODY)


@pytest.fixture(params=["bytes", "tls"])
def client(request: pytest.FixtureRequest, server: str) -> Iterator[Client]:
    """A client of a proxy that forwards bytes, and of one that terminates TLS."""
    interception = Interception(trusting(AUTHORITY)) if request.param == "tls" else None
    proxy = FaultProxy(server, interception)
    created = Client(proxy, trusting(AUTHORITY if interception is None else interception.authority))
    yield created
    created.connection.close()
    proxy.close()


def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


# Errors of a client whose connection was reset, depending on what it does at that moment.
BROKEN: Final = (ConnectionError, ssl.SSLEOFError)

FAULTS: Final[dict[Fault, type[Exception] | tuple[type[Exception], ...]]] = {
    Hanging(): TimeoutError,
    Delaying(0.8): TimeoutError,
    Throttling(10_000): TimeoutError,
    Truncating(50_000): (http.client.IncompleteRead, *BROKEN),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: type(fault).__name__)
@pytest.mark.parametrize("is_open", [True, False], ids=["open", "new"])
def test_fault_breaks_connections_until_it_is_removed(
    client: Client, fault: Fault, *, is_open: bool
) -> None:
    """A fault applies to existing and new connections, and afterwards new connections work."""
    if is_open:
        assert client.works()

    client.proxy.fail(fault)
    with pytest.raises(FAULTS[fault]):
        client.get("/here")

    client.proxy.heal()
    client.proxy.reset_connections()
    assert client.works()


@pytest.mark.parametrize("client", ["bytes"], indirect=True)
def test_flipped_bits_break_end_to_end_tls(client: Client) -> None:
    """With end-to-end TLS, the client rejects corrupted data."""
    client.proxy.fail(Corrupting(50_000))
    with pytest.raises((ssl.SSLError, TimeoutError)):
        client.get("/here")


@pytest.mark.parametrize("client", ["tls"], indirect=True)
def test_flipped_bits_reach_the_client_when_tls_is_terminated(client: Client) -> None:
    """The response has the right length, and is corrupted after some bytes."""
    client.proxy.fail(Corrupting(50_000))
    _, body = client.get("/here")
    assert body[:40_000] == (b"/here\n" + BODY)[:40_000]
    assert body[-40_000:] == bytes([ord("x") ^ 0x80]) * 40_000


def test_hanging_request_is_answered_after_the_fault(client: Client) -> None:
    """A request that hangs gets its response when the fault is removed."""
    assert client.works()
    client.proxy.fail(Hanging())
    timer = threading.Timer(0.3, client.proxy.heal)
    timer.start()

    assert client.works()
    timer.join()


def test_refusing_proxy_keeps_existing_connections(client: Client) -> None:
    """New connections are refused and existing ones go on; later the port is the same."""
    assert client.works()
    client.proxy.fail(Refusing())
    assert client.works()
    client.proxy.reset_connections()
    with pytest.raises(BROKEN):
        client.get("/here")
    with pytest.raises(ConnectionRefusedError):
        client.get("/here")

    client.proxy.heal()

    assert client.works()


def test_reset_connection_fails_and_a_new_one_works(client: Client) -> None:
    """After a reset, the next request on the connection fails, and a new connection works."""
    assert client.works()
    client.proxy.reset_connections()
    with pytest.raises(BROKEN):
        client.get("/here")
    assert client.works()


@pytest.mark.parametrize("client", ["tls"], indirect=True)
def test_proxy_answers_matching_requests(client: Client) -> None:
    """The proxy answers matching requests with its status and body, and forwards the others."""
    assert client.works()
    client.proxy.fail(Answering(429, "/here", b"slow down", ("Retry-After: 1",)))
    assert client.get("/here") == (429, b"slow down")
    status, _ = client.get("/there")
    assert status == 200
    client.proxy.heal()
    assert client.works()


@pytest.mark.parametrize("client", ["tls"], indirect=True)
def test_proxy_shortens_watches(client: Client) -> None:
    """The server receives a shorter watch timeout than the client sent."""
    client.proxy.fail(Shortening(2))
    _, body = client.get("/pods?watch=true&timeoutSeconds=341")
    assert body.startswith(b"/pods?watch=true&timeoutSeconds=002\n")


def test_idle_connection_is_cut(client: Client) -> None:
    """A connection that carries nothing is closed, and a new one works as long as it is used."""
    assert client.works()
    client.proxy.fail(CuttingIdle(0.3))
    assert client.works()

    eventually(lambda: assert_connections(client.proxy, 0))

    with pytest.raises(BROKEN):
        client.get("/here")
    assert client.works()


def assert_connections(proxy: FaultProxy, count: int) -> None:
    assert proxy.connections == count


@pytest.mark.parametrize("client", ["tls"], indirect=True)
def test_silent_watch_is_answered_without_events(client: Client) -> None:
    """A matching watch gets its head at once, and its events when the fault is over."""
    client.proxy.fail(Silencing("/events"))
    with pytest.raises(TimeoutError):
        client.get(WATCH)
    assert client.works()

    client.connection.request("GET", WATCH)
    with client.connection.getresponse() as response:
        client.proxy.heal()
        assert response.read() == EVENT


@pytest.mark.parametrize("client", ["tls"], indirect=True)
def test_silence_of_other_watches_is_not_noticed(client: Client) -> None:
    """A watch whose request line does not match gets its events."""
    client.proxy.fail(Silencing("clusterlinks"))
    assert client.get(WATCH) == (200, EVENT)


@pytest.mark.parametrize("client", ["tls"], indirect=True)
def test_flooding_proxy_repeats_events(client: Client) -> None:
    """Every event of a watch comes many times; other responses are unchanged."""
    client.proxy.fail(Flooding(5))
    assert client.get(WATCH) == (200, EVENT * 5)
    assert client.works()
