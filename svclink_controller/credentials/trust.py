"""How far remote clusters are trusted: which addresses they may have, and what an administrator's flags allow."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

from attrs import evolve, frozen

IPAddress: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network

ALWAYS_DENIED: Final[tuple[tuple[str, tuple[Network, ...]], ...]] = (
    ("link-local", (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))),
    ("unspecified", (IPv4Network("0.0.0.0/8"), IPv6Network("::/128"))),
    (
        "multicast or broadcast",
        (IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32"), IPv6Network("ff00::/8")),
    ),
    ("that of a cloud's metadata", (IPv6Network("fd00:ec2::254/128"),)),
)
"""No API server is there, but what tells a machine its secrets is."""

LOOPBACK_NETWORKS: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""In a Pod: the controller's own ports and those of its sidecars."""

_NAT64: Final = IPv6Network("64:ff9b::/96")


@frozen
class Trust:
    """What remote clusters may do.

    Args:
        denied: Networks their API servers are not in, besides those that are always denied.
        allows_insecure: `insecure-skip-tls-verify` counts, else it is refused.
        allows_proxies: `proxy-url` counts, else it is refused. A proxy looks names up itself, so the address of an API
            server behind it is not checked.
    """

    denied: tuple[Network, ...] = ()
    allows_insecure: bool = False
    allows_proxies: bool = False

    def in_pod(self) -> Trust:
        """The same in a Pod, where loopback is denied too."""
        return evolve(self, denied=(*self.denied, *LOOPBACK_NETWORKS))

    def why_denied(self, text: str) -> str | None:
        """What an address is that is not connected to, or None. However it is written, it is what it leads to."""
        for address in _meanings(ipaddress.ip_address(text.partition("%")[0])):
            for what, networks in (
                *ALWAYS_DENIED,
                *((f"in {each}", (each,)) for each in self.denied),
            ):
                if any(address in network for network in networks):
                    return what
        return None


STRICT: Final = Trust()
"""What holds where an administrator says nothing."""


def _meanings(address: IPAddress) -> Iterator[IPAddress]:
    """An address, and those of IPv4 that some network on the way makes of it."""
    yield address
    if isinstance(address, IPv6Address):
        embedded = (
            address.ipv4_mapped,
            address.sixtofour,
            address.teredo[1] if address.teredo else None,
        )
        yield from (each for each in embedded if each is not None)
        if address in _NAT64:
            yield IPv4Address(int(address) & 0xFFFFFFFF)
