"""Opens TCP connections to mirrored endpoints, and closes them at once. No data is sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Final

from attrs import frozen

from svclink_core.addressing import IPV6
from svclink_core.meta_v1 import NamespacedName

CONNECT_SECONDS: Final = 3.0
"""A connection within a data center takes milliseconds; the second SYN is sent after 1 s."""

CONCURRENT: Final = 300


@frozen
class Probe:
    """A connection to try.

    Args:
        cluster: The name of the link.
        family: `IPv4` or `IPv6`.
        address: An address of a Pod.
        port: A TCP port of it.
        endpoint_slice: The mirror that has both.
        service: The Service of the mirror.
    """

    cluster: str
    family: str
    address: str
    port: int
    endpoint_slice: NamespacedName
    service: NamespacedName

    @property
    def where(self) -> str:
        """Address and port, for example `10.0.0.1:80` or `[fd00::1]:80`."""
        address = f"[{self.address}]" if self.family == IPV6 else self.address
        return f"{address}:{self.port}"


@frozen
class ProbeOutcome:
    """The result of a probe.

    Args:
        probe: The probe.
        problem: Why there was no connection; empty if there was one.
        answered: Whether the address answered at all: it accepted or refused the connection.
    """

    probe: Probe
    problem: str
    answered: bool


async def try_all(probes: Iterable[Probe], seconds: float = CONNECT_SECONDS) -> list[ProbeOutcome]:
    """Try all probes concurrently, each for so many seconds at most."""
    slots = asyncio.Semaphore(CONCURRENT)

    async def in_turn(probe: Probe) -> ProbeOutcome:
        async with slots:
            return await _try(probe, seconds)

    return await asyncio.gather(*map(in_turn, probes))


async def _try(probe: Probe, seconds: float) -> ProbeOutcome:
    try:
        await _connect(probe, seconds)
    except ConnectionRefusedError:
        return ProbeOutcome(probe, "connection refused", answered=True)
    except TimeoutError:
        return ProbeOutcome(probe, f"no response within {seconds:g} s", answered=False)
    except OSError as error:
        return ProbeOutcome(probe, error.strerror or str(error), answered=False)
    return ProbeOutcome(probe, "", answered=True)


async def _connect(probe: Probe, seconds: float) -> None:
    family = socket.AF_INET6 if probe.family == IPV6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as connection:
        connection.settimeout(0)
        async with asyncio.timeout(seconds):
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, (probe.address, probe.port))
