"""Looks names up in threads of their own: a dead name delays the links that use it, and no others.

`getaddrinfo` cannot be interrupted, and takes up to 40 s for a name server that does not answer. In
the pool of asyncio a few dead names held up every link, the parsing of kubeconfigs and TLS.

A library without threads (c-ares) would not read nsswitch.conf, nor ask the resolver of a VPN: a
link would lead to another address than the same kubeconfig does with kubectl.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, TypeAlias
from weakref import WeakKeyDictionary

from aiohttp.abc import AbstractResolver, ResolveResult
from attrs import define, frozen

LOOKUP_SECONDS: Final = 20
"""How long a look-up may take; with one dead name server of two it takes over 5 s."""

MAX_LOOKUPS: Final = 256
"""Look-ups, and threads, at a time. A link has one or two names."""

_FOUND_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV

_Infos: TypeAlias = Sequence[
    tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str | int | bytes, ...]]
]


@frozen
class _Name:
    host: str
    port: int
    family: socket.AddressFamily


_RUNNING: Final[
    WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Name, asyncio.Future[_Infos]]]
] = WeakKeyDictionary()
"""DNS look-ups in progress.

A look-up that timed out keeps running, and later callers for the same name wait for it.
"""


@define
class ThreadResolver(AbstractResolver):
    """Looks names up as other programs on this machine do.

    Args:
        seconds: How long a look-up may take.
    """

    seconds: float = LOOKUP_SECONDS

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of a name. Raises OSError if there are none, or none in time."""
        try:
            async with asyncio.timeout(self.seconds):
                infos = await asyncio.shield(_look_up(_Name(host, port, family)))
        except TimeoutError as error:
            message = f"looking up {host} took more than {self.seconds:g} s"
            raise OSError(errno.ETIMEDOUT, message) from error
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=found,
                proto=protocol,
                flags=_FOUND_NUMERIC,
            )
            for found, _, protocol, _, address in infos
        ]

    async def close(self) -> None:
        """Nothing is kept open. Look-ups under way end by themselves."""


def _look_up(name: _Name) -> asyncio.Future[_Infos]:
    """Start looking a name up, unless that is under way already."""
    loop = asyncio.get_running_loop()
    running = _RUNNING.setdefault(loop, {})
    if (joined := running.get(name)) is not None:
        return joined
    if len(running) >= MAX_LOOKUPS:
        raise OSError(errno.EAGAIN, f"{MAX_LOOKUPS} other names are being looked up")
    future: asyncio.Future[_Infos] = loop.create_future()
    running[name] = future

    def end(result: _Infos | OSError) -> None:
        del running[name]
        if isinstance(result, OSError):
            future.set_exception(result)
            future.exception()  # The look-up may have been given up.
        else:
            future.set_result(result)

    def work() -> None:
        result = _addresses(name)
        with suppress(RuntimeError):  # The event loop was closed meanwhile.
            loop.call_soon_threadsafe(end, result)

    # A daemon: the process does not wait for a name server when it ends.
    threading.Thread(target=work, name=f"lookup {name.host}", daemon=True).start()
    return future


def _addresses(name: _Name) -> _Infos | OSError:
    try:
        return socket.getaddrinfo(
            name.host, name.port, name.family, socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG
        )
    except (OSError, UnicodeError) as error:
        return error if isinstance(error, OSError) else OSError(errno.EINVAL, str(error))
