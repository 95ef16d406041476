"""The IPv4 addresses that an IPv6 address stands for, in every form that hosts and gateways know.

A name or a kubeconfig can lead to an IPv4 address without showing it: the host itself or a gateway
on the way translates `64:ff9b::a9fe:a9fe` to 169.254.169.254.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final, TypeAlias

IPAddress: TypeAlias = IPv4Address | IPv6Address

_LOW_32: Final = 0xFFFF_FFFF

_FIXED_FORMS: Final[tuple[tuple[IPv6Network, int], ...]] = (
    (IPv6Network("::ffff:0:0/96"), 0),  # IPv4-mapped (RFC 4291)
    (IPv6Network("64:ff9b::/96"), 0),  # NAT64 (RFC 6052)
    (IPv6Network("::ffff:0:0:0/96"), 0),  # IPv4-translated (RFC 2765)
    (IPv6Network("2002::/16"), 80),  # 6to4 (RFC 3056)
    (IPv6Network("2001::/32"), 64),  # the server of Teredo (RFC 4380)
)
"""Networks whose addresses hold an IPv4 address, and how many bits follow it."""

_TEREDO: Final = IPv6Network("2001::/32")
_COMPATIBLE: Final = IPv6Network("::/96")
_LOCAL_NAT64: Final = IPv6Network("64:ff9b:1::/48")
_THIS_NETWORK: Final = IPv4Network("0.0.0.0/8")


def meanings(address: IPAddress) -> Iterator[IPAddress]:
    """The address itself, and every IPv4 address that it may stand for."""
    yield address
    if isinstance(address, IPv4Address):
        return
    number = int(address)
    for network, bits_after in _FIXED_FORMS:
        if address in network:
            yield IPv4Address(number >> bits_after & _LOW_32)
    if address in _TEREDO:  # Its client, whose bits are inverted.
        yield IPv4Address(~number & _LOW_32)
    for guess in _guesses(address):
        # Of such forms 0.0.0.0/8 is only what the zeros of another form look like.
        if guess not in _THIS_NETWORK:
            yield guess


def _guesses(address: IPv6Address) -> Iterator[IPv4Address]:
    """The IPv4 addresses of forms that do not show in the address whether they are used."""
    number = int(address)
    if address in _COMPATIBLE or _is_isatap(number):
        yield IPv4Address(number & _LOW_32)
    if address in _LOCAL_NAT64:
        # Operators choose a prefix of 48, 56, 64 or 96 bits in it (RFC 8215). In the shorter three
        # the IPv4 address skips the bits 64 to 71 (RFC 6052).
        yield IPv4Address(number & _LOW_32)
        without_gap = number >> 64 << 56 | number & 2**56 - 1
        yield from (IPv4Address(without_gap >> bits & _LOW_32) for bits in (40, 32, 24))


def _is_isatap(number: int) -> bool:
    """Whether the interface identifier is one of ISATAP (RFC 5214), with its u bit or without."""
    return number >> 32 & 0xFDFF_FFFF == 0x0000_5EFE
