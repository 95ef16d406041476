"""Some addresses are always denied, others by an administrator, in every notation."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.credentials.trust import LOOPBACK_NETWORKS, STRICT, Trust


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254",
        "fe80::1",
        "fe80::1%eth0",
        "0.0.0.0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "ff02::1",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "fd00:c1::a9fe:a9fe",
        "fd00:100::100:200",
        "fd00:a9fe:a9fe::1",
        "fd00:42::42",
        "::ffff:168.63.129.16",
        "64:ff9b::6464:64c8",
        "64:ff9b:1::a9fe:a9fe",
        "64:ff9b:1:a9fe:a9:fe00::",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
    ],
)
def test_address_is_always_denied(address: str) -> None:
    """Link-local, unspecified, multicast and metadata addresses, also inside IPv6 addresses."""
    assert STRICT.why_denied(address) is not None


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "8.8.8.8",
        "fd00::1",
        "64:ff9b:1::a00:1",
        "2001:db8::1",
        "127.0.0.1",
        "::1",
    ],
)
def test_address_is_allowed_by_default(address: str) -> None:
    """Clusters are in private networks; loopback is denied in a Pod only."""
    assert STRICT.why_denied(address) is None


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"]
)
def test_loopback_can_be_denied(address: str) -> None:
    """In a Pod, no link can reach the ports of the Pod itself."""
    assert Trust(LOOPBACK_NETWORKS).why_denied(address) is not None


def test_reason_names_the_network() -> None:
    """The administrator finds the denied network in the message."""
    trust = Trust((ip_network("10.0.0.0/8"),))
    assert trust.why_denied("10.1.2.3") == "in 10.0.0.0/8"
    assert trust.why_denied("11.1.2.3") is None


@given(st.ip_addresses(v=4))
def test_ipv4_mapped_address_counts_as_ipv4(address: object) -> None:
    """An IPv4 address inside an IPv6 address is denied if it is denied by itself."""
    mapped = str(IPv6Address(f"::ffff:{address}"))
    assert (STRICT.why_denied(mapped) is None) is (STRICT.why_denied(str(address)) is None)
