"""An IPv6 address means every IPv4 address that a host or a gateway may translate it to."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.credentials.embedded_addresses import meanings

METADATA: Final = IPv4Address("169.254.169.254")


def embedded(address: str) -> set[str]:
    """Every meaning of an address besides itself."""
    return {str(each) for each in meanings(ip_address(address))} - {address}


@pytest.mark.parametrize(
    "address",
    [
        "::ffff:169.254.169.254",
        "::a9fe:a9fe",
        "::ffff:0:a9fe:a9fe",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "2001::5601:5601",
        "2001:db8::5efe:a9fe:a9fe",
        "fe80::200:5efe:a9fe:a9fe",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:abcd::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "64:ff9b:1:a9fe:a9:fe00:0:77",
        "64:ff9b:1:aa9:fe:a9fe::",
        "64:ff9b:1:abcd:a9:fea9:fe00::",
    ],
)
def test_embedded_ipv4_address_is_found(address: str) -> None:
    """Each form of 169.254.169.254: RFC 2765, 3056, 4291, 4380, 5214, 6052 and 8215."""
    assert str(METADATA) in embedded(address)


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "::1", "::", "fd00::1", "2001:db8::a9fe:a9fe", "2003:a9fe:a9fe::1"]
)
def test_address_of_another_form_means_only_itself(address: str) -> None:
    """An IPv6 address outside these forms stands for no IPv4 address."""
    assert embedded(address) == set()


def test_zeros_of_a_local_nat64_prefix_are_not_an_address() -> None:
    """With a prefix of 96 bits, the layouts of shorter prefixes find only zeros."""
    assert embedded("64:ff9b:1::10.0.0.1") - {"64:ff9b:1::a00:1"} == {"10.0.0.1"}


@given(st.ip_addresses(v=4))
def test_any_address_is_found_in_every_form(address: IPv4Address) -> None:
    """Every IPv4 address is found, except 0.0.0.0/8 in forms that may be something else."""
    number = int(address)
    certain = (
        0xFFFF << 32 | number,
        0xFFFF << 48 | number,
        0x64_FF9B << 96 | number,
        0x2002 << 112 | number << 80,
        0x2001 << 112 | number << 64,
        0x2001 << 112 | ~number & 0xFFFF_FFFF,
    )
    for each in certain:
        assert address in meanings(IPv6Address(each))
    if address not in IPv4Network("0.0.0.0/8"):
        assert address in meanings(IPv6Address(number))
        assert address in meanings(IPv6Address(0x64_FF9B_0001 << 80 | number))


@given(st.ip_addresses())
def test_address_means_itself_first(address: IPv4Address | IPv6Address) -> None:
    """Any address has at least one meaning: itself."""
    assert next(iter(meanings(address))) == address
