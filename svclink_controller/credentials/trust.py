"""How far remote clusters are trusted: denied addresses, and what an administrator allows."""

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
    ("the metadata service of a cloud", (IPv6Network("fd00:ec2::254/128"),)),
)
"""No API server has such an address, but metadata services that hand out secrets do."""

LOOPBACK_NETWORKS: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""In a Pod these are the ports of the controller and its sidecars."""

_NAT64: Final = IPv6Network("64:ff9b::/96")


@frozen
class Trust:
    """What links to remote clusters may do.

    Args:
        denied: Networks that API servers may not be in, besides those that are always denied.
        allows_insecure: Accept `insecure-skip-tls-verify` instead of refusing it.
        allows_proxies: Accept `proxy-url` instead of refusing it. A proxy resolves names itself,
            so the address of an API server behind it is not checked.
    """

    denied: tuple[Network, ...] = ()
    allows_insecure: bool = False
    allows_proxies: bool = False

    def in_pod(self) -> Trust:
        """The same with loopback denied, for a controller in a Pod."""
        return evolve(self, denied=(*self.denied, *LOOPBACK_NETWORKS))

    def why_denied(self, text: str) -> str | None:
        """Why an address is denied, for example `link-local` or `in 10.0.0.0/8`; None if it is not.

        An IPv4 address inside an IPv6 address counts as well.
        """
        denied = (*ALWAYS_DENIED, *((f"in {network}", (network,)) for network in self.denied))
        for address in _meanings(ipaddress.ip_address(text.partition("%")[0])):
            for reason, networks in denied:
                if any(address in network for network in networks):
                    return reason
        return None


STRICT: Final = Trust()
"""The default, if the administrator sets no flag."""


def _meanings(address: IPAddress) -> Iterator[IPAddress]:
    """An address, and the IPv4 addresses that gateways on the way translate it to."""
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
