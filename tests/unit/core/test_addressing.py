"""Addresses in canonical form, and addresses that the API server refuses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.addressing import are_canonical, canonical_address, canonical_addresses
from tests.unit.core.strategies.endpoints import ipv4_addresses, ipv6_addresses


@pytest.mark.parametrize(
    ("address_type", "address", "expected"),
    [
        ("IPv4", "10.0.0.1", "10.0.0.1"),
        ("IPv4", "255.255.255.255", "255.255.255.255"),
        ("IPv4", "010.0.0.001", "10.0.0.1"),
        ("IPv4", "::ffff:10.0.0.1", "10.0.0.1"),
        ("IPv4", "::FFFF:a00:1", "10.0.0.1"),
        ("IPv4", "224.0.1.1", "224.0.1.1"),
        ("IPv4", "128.0.0.1", "128.0.0.1"),
        ("IPv4", "169.253.0.1", "169.253.0.1"),
        ("IPv6", "fd00::1", "fd00::1"),
        ("IPv6", "FD00:0:0::1", "fd00::1"),
        ("IPv6", "fd00:0:0:1:0:0:0:1", "fd00:0:0:1::1"),
        ("IPv6", "ff05::2", "ff05::2"),
        ("IPv6", "fd02::2", "fd02::2"),
        ("IPv6", "::10.0.0.1", "::a00:1"),
    ],
)
def test_canonical_addresses(address_type: str, address: str, expected: str) -> None:
    """IPs are written in canonical form, even those that only older API servers accept."""
    assert canonical_address(address, address_type) == expected


@pytest.mark.parametrize(
    ("address_type", "address"),
    [
        ("IPv4", "127.0.0.1"),
        ("IPv4", "127.255.0.1"),
        ("IPv4", "0127.0.0.1"),
        ("IPv4", "::ffff:127.0.0.1"),
        ("IPv4", "169.254.0.1"),
        ("IPv4", "169.254.169.0254"),
        ("IPv4", "224.0.0.5"),
        ("IPv4", "0224.0.0.5"),
        ("IPv4", "0.0.0.0"),
        ("IPv4", "000.0.0.0"),
        ("IPv4", "fd00::1"),
        ("IPv4", "256.0.0.1"),
        ("IPv4", "10.0.0"),
        ("IPv4", "10.0.0.1\n"),
        ("IPv4", " 10.0.0.1"),
        ("IPv4", "10.0.0.1/32"),
        ("IPv4", "10.0.0.a"),
        ("IPv4", "\u0661\u0660.0.0.1"),
        ("IPv4", ""),
        ("IPv4", "web.example.com"),
        ("IPv6", "::1"),
        ("IPv6", "::"),
        ("IPv6", "fe80::1"),
        ("IPv6", "febf::1"),
        ("IPv6", "ff02::1"),
        ("IPv6", "ff12::1"),
        ("IPv6", "fd00::1%eth0"),
        ("IPv6", "::ffff:10.0.0.1"),
        ("IPv6", "10.0.0.1"),
        ("IPv6", "fd00::g"),
        ("IPv6", ""),
    ],
)
def test_refused_addresses(address_type: str, address: str) -> None:
    """Loopback, link-local, unspecified, unparsable and other-family addresses are refused."""
    assert canonical_address(address, address_type) is None
    assert not are_canonical([address], address_type)


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (("10.0.0.2", "10.0.0.1"), ("10.0.0.2", "10.0.0.1")),
        (("10.0.0.1", "010.0.0.1", "10.0.0.2"), ("10.0.0.1", "10.0.0.2")),
        (("010.0.0.1",), ("10.0.0.1",)),
        (("10.0.0.1", "127.0.0.1"), ()),
        (("127.0.0.1",), ()),
        ((), ()),
    ],
)
def test_several_addresses(addresses: tuple[str, ...], expected: tuple[str, ...]) -> None:
    """Addresses keep their order without duplicates; one refused address drops the endpoint."""
    assert canonical_addresses(addresses, "IPv4") == expected


@given(st.lists(ipv4_addresses | st.ip_addresses(v=4).map(str), max_size=4))
def test_many_ipv4_addresses(addresses: list[str]) -> None:
    """A list of IPv4 addresses is canonical if each address is."""
    assert are_canonical(addresses, "IPv4") is all(
        canonical_address(each, "IPv4") == each for each in addresses
    )


@pytest.mark.parametrize("place", range(4))
def test_every_octet(place: int) -> None:
    """Every octet from 0 to 255 is accepted in every place, and nothing else is."""
    for octet in (*map(str, range(400)), "00", "01", "001", "0255", "1000", "", "a", "\u0661"):
        octets = ["10", "20", "30", "40"]
        octets[place] = octet
        address = ".".join(octets)
        assert are_canonical([address], "IPv4") is (
            canonical_address(address, "IPv4") == address
        ), address


groups = st.sampled_from(
    ("0", "1", "f", "a0", "fd00", "ff02", "fe80", "ffff", "00", "0001", "A", "10000")
)
ipv6_texts = st.lists(groups, max_size=9).map(":".join) | st.builds(
    "{}::{}".format,
    st.lists(groups, max_size=8).map(":".join),
    st.lists(groups, max_size=8).map(":".join),
)


@given(st.lists(ipv6_addresses | ipv6_texts, max_size=3))
def test_many_ipv6_addresses(addresses: list[str]) -> None:
    """If a list of IPv6 addresses is canonical, each address is."""
    assert not are_canonical(addresses, "IPv6") or all(
        canonical_address(each, "IPv6") == each for each in addresses
    )


@pytest.mark.parametrize(
    "address",
    [
        "fd00::1",
        "2001:db8::1:2",
        "2600:1f14:0:6b02:9d44::3",
        "2600:1f18:4a4:6a00:8c2a:1:7b:1",
        "1:2:3:4:5:6:7:8",
        "1:2:3::4:5:6",
        "1:0:2:3:4:5:6:7",
    ],
)
def test_usual_ipv6_addresses(address: str) -> None:
    """The IPv6 addresses of usual networks pass the fast check."""
    assert are_canonical([address, address], "IPv6")
    assert canonical_address(address, "IPv6") == address


@pytest.mark.parametrize("address_type", ["IPv4", "IPv6"])
@pytest.mark.parametrize(
    "address", ["10.0.0.1\n10.0.0.2", "fd00::1\nfd00::2", "10.0.0.1\n", "\nfd00::1"]
)
def test_addresses_of_several_lines(address: str, address_type: str) -> None:
    """Two addresses separated by a line break are not an address."""
    assert not are_canonical([address], address_type)


def test_names_are_not_addresses() -> None:
    """A DNS name is never a canonical address, whatever it looks like."""
    assert not are_canonical(["10.0.0.1"], "FQDN")
