"""A name that cannot be looked up delays its own link alone.

Real: threads, sockets, TLS and the client. Substituted: name servers, by a function.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from svclink_controller.api.errors import TransportError
from svclink_controller.api.resolving import MAX_LOOKUPS, ThreadResolver
from tests.unit.controller.api.peers import say_yes
from tests.unit.controller.http_server import connecting, credentials, serving
from tests.unit.controller.waiting import eventually

DEAD: Final = "dead.test"


class NameServers:
    """Answers at once for names in `localhost`, and for dead ones only after `released`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()
        self._real = socket.getaddrinfo

    def __call__(self, host: str, *arguments: Any, **keywords: Any) -> list[Any]:
        self.asked.append(host)
        if host.endswith(DEAD):
            self.released.wait()
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return self._real(
            "127.0.0.1" if host.endswith("alive.test") else host, *arguments, **keywords
        )


@pytest.fixture
def name_servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServers]:
    servers = NameServers()
    monkeypatch.setattr(socket, "getaddrinfo", servers)
    yield servers
    servers.released.set()


def failing(name: str) -> Callable[[], Any]:
    async def ask() -> None:
        async with connecting(credentials(f"https://{name}:6443")) as client:
            await client.get("/version")

    return ask


async def test_dead_names_do_not_delay_others(name_servers: NameServers) -> None:
    """With more dead names than the machine has threads in its pool, a healthy link connects."""
    dead = [asyncio.create_task(failing(f"{number}.{DEAD}")()) for number in range(60)]
    await eventually(lambda: len(name_servers.asked) == 60)
    async with serving(say_yes) as server:
        url = server.url.replace("127.0.0.1", "alive.test")
        wanted = credentials(url, tls_server_name="localhost")
        async with connecting(wanted) as client:
            assert await client.get("/version") == b'{"said": "yes"}'
    assert await asyncio.to_thread(lambda: 1) == 1
    assert not any(each.done() for each in dead)
    name_servers.released.set()
    for each in await asyncio.gather(*dead, return_exceptions=True):
        assert isinstance(each, TransportError)


async def test_look_up_that_takes_too_long_is_an_error(name_servers: NameServers) -> None:
    """The error names the name, and further look-ups of it join the one under way."""
    for _ in range(3):
        with pytest.raises(OSError, match=rf"looking up {DEAD} took more than 0\.01 s"):
            await ThreadResolver(seconds=0.01).resolve(DEAD)
    assert name_servers.asked == [DEAD]
    waiting = asyncio.create_task(ThreadResolver().resolve(DEAD))
    await asyncio.sleep(0)
    name_servers.released.set()
    with pytest.raises(socket.gaierror):
        await waiting
    with pytest.raises(socket.gaierror):
        await ThreadResolver().resolve(DEAD)
    assert name_servers.asked == [DEAD, DEAD]


async def test_look_ups_are_bounded(name_servers: NameServers) -> None:
    """However many names are dead, they take a bounded number of threads."""
    names = [f"{number}.{DEAD}" for number in range(MAX_LOOKUPS)]
    waiting = [asyncio.create_task(ThreadResolver().resolve(name)) for name in names]
    await eventually(lambda: len(name_servers.asked) == MAX_LOOKUPS)
    with pytest.raises(OSError, match="other names are being looked up"):
        await ThreadResolver().resolve(f"one-more.{DEAD}")
    assert len(name_servers.asked) == MAX_LOOKUPS
    name_servers.released.set()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_name_has_all_its_addresses(name_servers: NameServers) -> None:
    """The result has what a connection needs: address, port and family."""
    (found,) = await ThreadResolver().resolve("alive.test", 6443)
    assert (found["hostname"], found["host"], found["port"]) == ("alive.test", "127.0.0.1", 6443)
    assert found["family"] is socket.AF_INET
    assert name_servers.asked == ["alive.test"]


async def test_name_that_is_not_encodable_is_an_error() -> None:
    """A label of more than 63 characters is an error like an unknown name."""
    with pytest.raises(OSError, match="label"):
        await ThreadResolver().resolve("a" * 64 + ".test")
