"""How far remote clusters are trusted: denied addresses, and what an administrator allows."""

from __future__ import annotations

import ipaddress
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeAlias

from attrs import evolve, frozen

from svclink_controller.credentials.embedded_addresses import meanings

Network: TypeAlias = IPv4Network | IPv6Network

ALWAYS_DENIED: Final[tuple[tuple[str, tuple[Network, ...]], ...]] = (
    ("link-local", (IPv4Network("169.254.0.0/16"), IPv6Network("fe80::/10"))),
    ("unspecified", (IPv4Network("0.0.0.0/8"), IPv6Network("::/128"))),
    (
        "multicast or broadcast",
        (IPv4Network("224.0.0.0/4"), IPv4Network("255.255.255.255/32"), IPv6Network("ff00::/8")),
    ),
    (
        "a cloud metadata service",
        (
            IPv4Network("100.100.100.200"),  # Alibaba Cloud
            IPv4Network("168.63.129.16"),  # Azure, the host agent
            IPv4Network("192.0.0.192"),  # Oracle Cloud, the classic one
            IPv6Network("fd00:ec2::/32"),  # AWS, also for Pod identities and ECS tasks
            IPv6Network("fd20:ce::254"),  # Google Cloud
            IPv6Network("fd00:c1::a9fe:a9fe"),  # Oracle Cloud
            IPv6Network("fd00:100::100:200"),  # Alibaba Cloud
            IPv6Network("fd00:a9fe:a9fe::1"),  # Akamai
            IPv6Network("fd00:42::42"),  # Scaleway
        ),
    ),
)
"""No API server has such an address, but metadata services that hand out secrets do.

Most of them are link-local: 169.254.169.254, 169.254.170.2, 169.254.42.42, fe80::a9fe:a9fe.
"""

LOOPBACK_NETWORKS: Final[tuple[Network, ...]] = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""In a Pod these are the ports of the controller and its sidecars."""


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

        The IPv4 addresses that an IPv6 address stands for count as well.
        """
        denied = (*ALWAYS_DENIED, *((f"in {network}", (network,)) for network in self.denied))
        for address in meanings(ipaddress.ip_address(text.partition("%")[0])):
            for reason, networks in denied:
                if any(address in network for network in networks):
                    return reason
        return None


STRICT: Final = Trust()
"""The default, if the administrator sets no flag."""
