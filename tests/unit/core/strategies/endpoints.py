"""Addresses, endpoints and ports, valid in the main cluster and untrusted in a remote one.

An endpoint whose address the API would refuse is dropped and reported, never the whole slice.
"""

from __future__ import annotations

from itertools import product
from typing import Final

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    ObjectReference,
)
from svclink_core.api_rules import MAX_ADDRESSES
from tests.unit.core.strategies.drawing import mostly_of, seldom_true

IPV4_GOOD: Final = ("10.0.0.1", "10.0.0.2", "10.0.0.10", "192.168.1.1")
IPV4_LEGACY: Final = ("010.0.0.1", "10.0.0.01", "::ffff:10.0.0.1", "::FFFF:0a00:0002")
IPV4_REFUSED: Final = (
    "127.0.0.1", "127.000.0.1", "169.254.1.1", "0.0.0.0", "224.0.0.1", "256.1.1.1",
    "10.0.0", "10.0.0.1 ", "", "fd00::1",
)  # fmt: skip
IPV6_GOOD: Final = ("fd00::1", "fd00::2", "2001:db8::1:0:0:1")
IPV6_LEGACY: Final = ("FD00::1", "fd00:0:0::2", "fd00::0001")
IPV6_REFUSED: Final = (
    "::1",
    "fe80::1",
    "fd00::1%eth0",
    "ff02::1",
    "::",
    "::ffff:10.0.0.1",
    "10.0.0.1",
    "fd00::g",
)

_hosts = st.integers(1, 0xFFFF)
ipv4_good = mostly_of(IPV4_GOOD, _hosts.map(lambda host: f"10.1.{host >> 8}.{host & 0xFF}"))
ipv6_good = mostly_of(IPV6_GOOD, _hosts.map(lambda host: f"fd01::{host:x}"))
ipv4_addresses = mostly_of(
    IPV4_GOOD * 5 + IPV4_LEGACY + IPV4_REFUSED, st.ip_addresses(v=4).map(str)
)
ipv6_addresses = mostly_of(
    IPV6_GOOD * 5 + IPV6_LEGACY + IPV6_REFUSED, st.ip_addresses(v=6).map(str)
)
fqdn_addresses = st.sampled_from(("pod-1.example.com", "pod-2.example.com"))

_TRISTATE: Final = (None, True, False)
CONDITIONS: Final = tuple(
    EndpointConditions(*each) for each in product(_TRISTATE, _TRISTATE, _TRISTATE)
)
NOT_MIRRORED: Final = (
    Endpoint(()),
    Endpoint((), node_name="worker-0", target_ref=ObjectReference("Pod", "default", "web-0", "p1")),
    Endpoint(
        (),
        hints=EndpointHints(),
        hostname="web-0",
        node_name="worker-1",
        target_ref=ObjectReference(),
    ),
    Endpoint((), hints=EndpointHints(("zone-a",))),
    Endpoint((), hints=EndpointHints(("zone-a", "zone-b"), ("node-1",)), hostname="web-0"),
)
"""Fields that a mirror must not copy."""

_endpoint_templates = st.sampled_from(
    [
        evolve(endpoint, conditions=conditions, zone=zone)
        for endpoint, conditions, zone in product(
            NOT_MIRRORED, CONDITIONS, (None, "zone-a", "", "zone-a", "zone b")
        )
    ]
)
_more_addresses = st.sampled_from((1, 1, 1, 99, 100))
_endpoint_counts = st.sampled_from((1, 1, 1, 2, 2, 2, 3, 0))
not_mirrored = st.sampled_from(NOT_MIRRORED)


@st.composite
def endpoints(draw: DrawFn, addresses: SearchStrategy[str]) -> Endpoint:
    """Endpoints in all conditions, with fields that a mirror must not copy."""
    first, template = draw(addresses), draw(_endpoint_templates)
    if draw(seldom_true):
        more = (draw(addresses),) * draw(_more_addresses)
        return evolve(template, addresses=(first, *more))
    return evolve(template, addresses=(first,))


@st.composite
def endpoint_lists(draw: DrawFn, addresses: SearchStrategy[str]) -> tuple[Endpoint, ...]:
    """Up to three endpoints, seldom none, whose addresses may repeat."""
    one = endpoints(addresses)
    return tuple(draw(one) for _ in range(draw(_endpoint_counts)))


REMOTE_ENDPOINTS: Final = {
    "IPv4": endpoint_lists(ipv4_addresses),
    "IPv6": endpoint_lists(ipv6_addresses),
    "FQDN": endpoint_lists(fqdn_addresses),
}


def _accepted(endpoints: tuple[Endpoint, ...]) -> tuple[Endpoint, ...]:
    """The endpoints with no more addresses than an API server accepts."""
    return tuple(evolve(each, addresses=each.addresses[:MAX_ADDRESSES]) for each in endpoints)


MAIN_ENDPOINTS: Final = {
    "IPv4": endpoint_lists(ipv4_good).map(_accepted),
    "IPv6": endpoint_lists(ipv6_good).map(_accepted),
    "FQDN": endpoint_lists(fqdn_addresses).map(_accepted),
}

_endpoint_ports = st.builds(
    EndpointPort,
    name=st.sampled_from(("http", "dns", "web", "")),
    protocol=st.sampled_from(("TCP", "TCP", "UDP")),
    port=st.sampled_from((8080, 53, 1, 65_535, None, 0, -1, 65_536)),
    app_protocol=st.sampled_from(
        (None, "kubernetes.io/h2c", "", "not a name", "x" * 254, f"{'x' * 254}/h2c")
    ),
)
_USUAL_PORTS: Final[tuple[tuple[EndpointPort, ...], ...]] = (
    *((EndpointPort("http", port=8080),),) * 4,
    (EndpointPort("http", port=8080), EndpointPort("dns", "UDP", 53)),
    (EndpointPort("http", port=8080, app_protocol="http"), EndpointPort("dns", "UDP", 53)),
    (EndpointPort(port=8080),),
    (EndpointPort("web", port=80),),
    (EndpointPort("http", port=8443), EndpointPort("web", port=8080)),
    (EndpointPort("http", port=8080, app_protocol="not a name"),),
)
_REPEATED_PORTS: Final = (EndpointPort("http", port=8080), EndpointPort("http", port=8081))
_odd_ports = st.lists(_endpoint_ports, max_size=3).map(tuple) | st.just(_REPEATED_PORTS)
remote_ports = mostly_of(_USUAL_PORTS, _odd_ports, 4)
main_ports = remote_ports.map(
    lambda ports: tuple({port.name: evolve(port, app_protocol=None) for port in ports}.values())
)
