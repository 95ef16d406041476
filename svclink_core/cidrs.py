"""Ranges of IP addresses in CIDR notation: the parsed entries of a link's `allowedCIDRs`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, collapse_addresses, ip_network
from typing import Final, TypeAlias, cast

from attrs import frozen

from svclink_core.addressing import IPV4, IPV6, canonical_addresses


@frozen
class CIDR:
    """A range of IP addresses as an operator wrote it, for example `10.0.0.0/16`.

    Args:
        text: The range in CIDR notation.
        address_type: `IPv4` or `IPv6`; empty if the text is not valid.
        first: The first address of the range, as a number.
        last: The last one.
    """

    text: str
    address_type: str = ""
    first: int = 0
    last: int = -1


CIDRs: TypeAlias = tuple[CIDR, ...]


def parse_cidr(text: str) -> CIDR:
    """The range that a text stands for. One that is not valid contains no address.

    Bits after the prefix must be zero: `10.1.0.0/8` is more likely a mistake in the length than
    what it says. The CRD refuses the same texts.

    >>> parse_cidr("10.1.0.0/16").last - parse_cidr("10.1.0.0/16").first
    65535
    >>> invalid_cidrs(map(parse_cidr, ("10.1.0.0/8", "10.1.0.0/16", "10.0.0.0")))
    ['10.1.0.0/8', '10.0.0.0']
    """
    network = _network(text)
    if network is None:
        return CIDR(text)
    address_type = IPV4 if isinstance(network, IPv4Network) else IPV6
    return CIDR(text, address_type, int(network.network_address), int(network.broadcast_address))


def invalid_cidrs(cidrs: Iterable[CIDR]) -> list[str]:
    """The texts that are not valid ranges."""
    return [each.text for each in cidrs if not each.address_type]


def contain_all(cidrs: CIDRs, addresses: Iterable[str], address_type: str) -> bool:
    """Whether each of some canonical addresses of one type is in one of the ranges."""
    rest = list(map(_number_of[address_type], addresses))
    for each in cidrs:
        if each.address_type == address_type:
            rest = [number for number in rest if not each.first <= number <= each.last]
    return not rest


def outside(cidrs: CIDRs, addresses: Iterable[str], address_type: str) -> list[str]:
    """Those of some canonical addresses of one type that are in none of the ranges."""
    return [each for each in addresses if not contain_all(cidrs, (each,), address_type)]


def is_endpoint_allowed(cidrs: CIDRs, addresses: tuple[str, ...], address_type: str) -> bool:
    """Whether a link may mirror an endpoint with these addresses, which need not be canonical.

    An empty list of ranges allows everything, as do other empty lists of a link.
    """
    if not cidrs:
        return True
    found = canonical_addresses(addresses, address_type)
    return bool(found) and contain_all(cidrs, found, address_type)


_PREFIX: Final = re.compile(r"[^/]+/(?:0|[1-9][0-9]{0,2})", re.ASCII)
"""A prefix length, which `ipaddress` also accepts as a mask, with leading zeros, or not at all."""


def _network(text: str) -> IPv4Network | IPv6Network | None:
    if not _PREFIX.fullmatch(text):
        return None
    try:
        network = ip_network(text)
    except ValueError:
        return None
    address = network.network_address
    is_other_family = isinstance(address, IPv6Address) and (
        address.ipv4_mapped is not None or address.scope_id is not None
    )
    return None if is_other_family else network


_number_of: Final = {
    IPV4: lambda address: int.from_bytes(map(int, address.split("."))),
    IPV6: lambda address: int(IPv6Address(address)),
}
"""The numbers of canonical addresses. `ipaddress` checks the form again, and takes longer."""


# Proposals

PROPOSED_LENGTHS: Final = {IPV4: (16, 24), IPV6: (48, 64)}
"""How long the prefixes of a cluster's Pod network usually are, and of the part of one node."""


def proposed_cidrs(own: Iterable[str], others: Iterable[str], address_type: str) -> list[str]:
    """The ranges to allow for a cluster that has these addresses, without those of others.

    They are wide, because new nodes bring new addresses. Where another cluster has an address in
    the same wide range, only parts of it are proposed.

    >>> proposed_cidrs(["10.0.1.5", "10.0.2.7", "10.2.0.3"], ["10.2.9.1"], "IPv4")
    ['10.0.0.0/16', '10.2.0.0/24']

    Args:
        own: The addresses of the cluster, canonical.
        others: Those of other clusters.
        address_type: The type of all of them.
    """
    wide, narrow = PROPOSED_LENGTHS[address_type]
    taken = {_around(address, wide) for address in others}
    around = {address: _around(address, wide) for address in own}
    chosen = {
        _around(address, narrow) if network in taken else network
        for address, network in around.items()
    }
    # All are of one type.
    return [str(each) for each in collapse_addresses(cast("set[IPv4Network]", chosen))]


def _around(address: str, length: int) -> IPv4Network | IPv6Network:
    return ip_network((address, length), strict=False)
