"""The normal form of endpoints, which a mirror has, one fact in each test."""

from __future__ import annotations

from random import Random
from typing import Final

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from svclink_core import Endpoint, EndpointConditions, EndpointHints, EndpointSlice, ObjectReference
from svclink_core.cidrs import CIDRs
from svclink_core.diffing import are_equal
from svclink_core.discovery_v1 import WRITTEN_OUT
from svclink_core.hints import Topology
from svclink_core.mirroring import mirror_each_endpoint, mirror_endpoints, normal_endpoints
from tests.builders.values import READY, endpoint, remote_slice
from tests.unit.core.strategies.drawing import mostly
from tests.unit.core.strategies.endpoints import endpoints, ipv4_addresses, ipv6_addresses
from tests.unit.core.strategies.links import allowed_cidrs


def test_endpoints_in_normal_form_are_used_themselves() -> None:
    """Sorted endpoints in normal form are not copied, so a mirror of them takes no memory."""
    endpoint_slice = remote_slice("web-abc", "10.0.0.1", "10.0.0.2")
    assert normal_endpoints(endpoint_slice) is endpoint_slice.endpoints


def test_endpoints_in_normal_form_are_sorted() -> None:
    """Unsorted endpoints in normal form are the same objects, sorted by address."""
    endpoint_slice = remote_slice("web-abc", "10.0.0.9", "10.0.0.10")
    found = normal_endpoints(endpoint_slice)
    assert found is not None
    assert all(
        one is other for one, other in zip(found, reversed(endpoint_slice.endpoints), strict=True)
    )


@pytest.mark.parametrize("conditions", sorted(set(WRITTEN_OUT.values()), key=str), ids=str)
def test_any_conditions_that_are_written_out_are_normal(conditions: EndpointConditions) -> None:
    """Endpoints that are not ready or are terminating also have a normal form."""
    assert normal_endpoints(remote_slice(endpoints=[endpoint(conditions=conditions)])) is not None


@pytest.mark.parametrize(
    "odd",
    [
        endpoint("010.0.0.1"),
        endpoint("127.0.0.1"),
        endpoint("fd00::1"),
        endpoint("10.0.0.2"),
        endpoint("10.0.0.1\n10.0.0.3"),
        Endpoint((), READY),
        Endpoint(("10.0.0.1", "10.0.0.3"), READY),
    ],
)
def test_one_address_that_is_not_canonical_is_enough(odd: Endpoint) -> None:
    """If an address would change, each endpoint is checked."""
    assert normal_endpoints(remote_slice(endpoints=[odd, endpoint("10.0.0.2")])) is None


@pytest.mark.parametrize(
    "rich",
    [
        endpoint(conditions=EndpointConditions(None, serving=True, terminating=False)),
        endpoint(conditions=EndpointConditions(ready=True, serving=None, terminating=False)),
        endpoint(conditions=EndpointConditions(ready=True, serving=True, terminating=None)),
        endpoint(zone=""),
        endpoint(hints=EndpointHints()),
        endpoint(hostname=""),
        endpoint(node_name=""),
        endpoint(target_ref=ObjectReference()),
    ],
)
def test_endpoints_with_other_fields_are_rebuilt(rich: Endpoint) -> None:
    """If one endpoint has other fields than a mirror, all are rebuilt in normal form."""
    plain = endpoint("10.0.0.2")
    assert normal_endpoints(remote_slice(endpoints=[plain, rich])) == (endpoint("10.0.0.1"), plain)


# Checking whole columns against checking each endpoint, which is how the rules are written.

ADDRESSES: Final = {"IPv4": ipv4_addresses, "IPv6": ipv6_addresses}


@st.composite
def slices(draw: DrawFn) -> EndpointSlice:
    """Slices with most endpoints in normal form, as in real clusters."""
    address_type = draw(st.sampled_from(("IPv4", "IPv6")))
    addresses = ADDRESSES[address_type]
    normal = st.builds(
        Endpoint,
        addresses.map(lambda address: (address,)),
        st.sampled_from(sorted(set(WRITTEN_OUT.values()), key=str)),
        st.sampled_from((None, "zone-a")),
    )
    found = draw(st.lists(mostly(normal, endpoints(addresses)), max_size=5))
    return remote_slice(endpoints=found, address_type=address_type)


@given(slices(), st.sampled_from(Topology), allowed_cidrs)
def test_columns_say_what_each_endpoint_says(
    endpoint_slice: EndpointSlice, topology: Topology, allowed: CIDRs
) -> None:
    """The check of whole columns gives the same endpoints as checking each one."""
    every = endpoint_slice.endpoints, endpoint_slice.address_type
    expected = mirror_each_endpoint(*every, Topology.NONE, allowed)
    normal = normal_endpoints(endpoint_slice, allowed)
    assert normal is None or (normal, []) == expected
    assert mirror_endpoints(endpoint_slice, topology, allowed) == mirror_each_endpoint(
        *every, topology, allowed
    )


@given(slices(), st.randoms(use_true_random=False))
def test_what_a_mirror_has_is_normal(endpoint_slice: EndpointSlice, random: Random) -> None:
    """Mirrored endpoints with one IPv4 address are in normal form, in any order."""
    found, _ = mirror_each_endpoint(
        endpoint_slice.endpoints, endpoint_slice.address_type, Topology.NONE
    )
    mirrored = tuple(each for each in found if len(each.addresses) == 1)
    mixed = evolve(endpoint_slice, endpoints=tuple(random.sample(mirrored, len(mirrored))))
    assert normal_endpoints(mixed) == mirrored or endpoint_slice.address_type == "IPv6"


@given(slices(), slices())
def test_columns_are_equal_where_endpoints_are(one: EndpointSlice, other: EndpointSlice) -> None:
    """Comparing columns gives the same result as comparing endpoints."""
    copy = tuple(evolve(each, conditions=evolve(each.conditions)) for each in one.endpoints)
    assert are_equal(copy, one.endpoints)
    assert are_equal(one.endpoints, other.endpoints) is (one.endpoints == other.endpoints)
    for place, endpoint_of_other in enumerate(other.endpoints[: len(copy)]):
        edited = (*copy[:place], endpoint_of_other, *copy[place + 1 :])
        assert are_equal(edited, one.endpoints) is (edited == one.endpoints)


@pytest.mark.parametrize(
    "edited",
    [
        endpoint("10.0.0.2"),
        endpoint(conditions=EndpointConditions(ready=False, serving=False, terminating=False)),
        endpoint(zone="zone-a"),
        endpoint(hints=EndpointHints(("zone-a",))),
        endpoint(hostname="web-0"),
        endpoint(node_name="worker-0"),
        endpoint(target_ref=ObjectReference("Pod")),
    ],
)
def test_every_field_counts(edited: Endpoint) -> None:
    """Endpoints that differ in one field are not equal."""
    one = (endpoint(), endpoint("10.0.0.3"))
    other = (edited, one[1])
    assert not are_equal(one, other)
    assert not are_equal(other, one)
    assert are_equal(other, (evolve(other[0]), one[1]))


def test_numbers_of_endpoints_count() -> None:
    """Slices with different numbers of endpoints are not equal."""
    assert not are_equal((endpoint(),), (endpoint(), endpoint("10.0.0.2")))
