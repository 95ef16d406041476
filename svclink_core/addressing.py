"""The canonical form of IP addresses, and which of them the API server rejects."""

from __future__ import annotations

import re
from collections.abc import Collection
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

IPV4 = "IPv4"
IPV6 = "IPv6"
FQDN = "FQDN"


def canonical_addresses(addresses: tuple[str, ...], address_type: str) -> tuple[str, ...]:
    """The addresses in canonical form, each once; empty if the API server would reject one."""
    if len(addresses) == 1:
        only = canonical_address(addresses[0], address_type)
        return () if only is None else addresses if only == addresses[0] else (only,)
    found = [canonical_address(address, address_type) for address in addresses]
    return (
        ()
        if None in found
        else tuple(dict.fromkeys(address for address in found if address is not None))
    )


def canonical_address(address: str, address_type: str) -> str | None:
    """An IP address in canonical form, or None if the API server would reject it.

    >>> canonical_address("FD00::0:1", "IPv6"), canonical_address("010.0.0.1", "IPv4")
    ('fd00::1', '10.0.0.1')
    >>> canonical_address("127.0.0.1", "IPv4") is None
    True

    It rejects addresses of another family, unspecified, loopback and link-local ones (unicast and
    multicast), and what is not an address.
    Source: ValidateEndpointIP in k8s.io/kubernetes pkg/apis/core/validation.
    """
    if address_type == IPV4 and _CANONICAL_IPV4.fullmatch(address):
        return None if address.startswith(_REFUSED_IPV4) or address == "0.0.0.0" else address  # noqa: S104 - refused
    try:
        parsed = ip_address(_without_leading_zeros(address))
    except ValueError:
        return None
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    if isinstance(parsed, IPv4Address) is not (address_type == IPV4) or _is_refused(parsed):
        return None
    return str(parsed)


def are_canonical(addresses: Collection[str], address_type: str) -> bool:
    """Whether all addresses are canonical already. False can also mean that each has to be checked.

    One match over all of them is several times as fast as one for each.
    """
    text = "\n".join(("", *addresses, ""))
    if text.count("\n") != len(addresses) + 1:
        return False
    if address_type == IPV4:
        return bool(_ALL_CANONICAL_IPV4.fullmatch(text))
    return address_type == IPV6 and bool(_ALL_CANONICAL_IPV6.fullmatch(text))


_OCTET: Final = r"(?:1[0-9]{0,2}+|2[0-4][0-9]?+|25[0-5]?+|[2-9][0-9]?+|0)"
_CANONICAL_IPV4: Final = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_REFUSED_IPV4: Final = ("127.", "169.254.", "224.0.0.")
_ALL_CANONICAL_IPV4: Final = re.compile(
    rf"\n(?>(?!0\.0\.0\.0\n|127\.|169\.254\.|224\.0\.0\.){_OCTET}\.{_OCTET}\.{_OCTET}\.{_OCTET}\n)*"
)
"""Lines are atomic groups: in Python 3.11.2, repeated possessively, they match `0.0.0.0` too."""
_HEX: Final = r"[1-9a-f][0-9a-f]{0,3}"
_HEXES: Final = rf"{_HEX}(?::(?:0:)?{_HEX})*"
_ALL_CANONICAL_IPV6: Final = re.compile(
    r"\n(?>(?!fe[89ab][0-9a-f]:|ff[0-9a-f]2:)"
    rf"(?:(?=(?:[0-9a-f]+:){{7}}[0-9a-f]+\n){_HEXES}|(?=(?:[0-9a-f]*:){{2,6}}[0-9a-f]+\n){_HEXES}::{_HEXES})\n)*",
)
"""A subset of canonical addresses: no second run of zeros, and no zeros at the end."""
_DOTTED: Final = re.compile(r"\d{1,9}(?:\.\d{1,9}){3}", re.ASCII)


def _without_leading_zeros(address: str) -> str:
    """Kubernetes before 1.36 accepts `010.0.0.1` and reads it as decimal; 1.36 rejects it."""
    return (
        ".".join(str(int(octet)) for octet in address.split("."))
        if _DOTTED.fullmatch(address)
        else address
    )


def _is_refused(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address):
        is_link_local_multicast = address.packed[0] == 0xFF and address.packed[1] & 0x0F == 0x02
        if address.scope_id is not None or is_link_local_multicast:
            return True
        return address.is_unspecified or address.is_loopback or address.is_link_local
    return str(address).startswith(_REFUSED_IPV4) or address.is_unspecified
