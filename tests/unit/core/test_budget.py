"""What a budget allows, and how much memory objects take, one fact in each test."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.budget import MEBIBYTE, Budget, footprint
from svclink_core.core_v1 import Service, ServicePort, ServiceSpec
from svclink_core.discovery_v1 import Endpoint, EndpointPort, EndpointSlice
from svclink_core.meta_v1 import ObjectMeta, OwnerReference


def metadata(number: int = 0) -> ObjectMeta:
    return ObjectMeta(f"web-{number}", "default", uid=f"{number:036}", resource_version=f"{number}")


def slice_of(*endpoints: Endpoint, ports: tuple[EndpointPort, ...] = ()) -> EndpointSlice:
    return EndpointSlice(metadata(), "IPv4", endpoints, ports)


def usual_slice(number: int) -> EndpointSlice:
    endpoints = (Endpoint((f"10.0.{number}.{each}",), zone="zone-a") for each in range(100))
    labels = (("kubernetes.io/service-name", f"web-{number}"),)
    return EndpointSlice(evolve(metadata(number), labels=labels), "IPv4", tuple(endpoints))


def usual_service(number: int) -> Service:
    ports = (ServicePort(80, "http", target_port=8080),)
    return Service(metadata(number), ServiceSpec(cluster_ip=f"10.1.0.{number}", ports=ports))


def many_addresses(number: int) -> EndpointSlice:
    each = tuple(f"{number}-{address}" for address in range(10_000))
    return EndpointSlice(metadata(number), "IPv4", (Endpoint(each),))


def long_addresses(number: int) -> EndpointSlice:
    each = Endpoint((f"{number}" * 10_000, "\U0001f600" + f"{number}" * 10_000))
    return EndpointSlice(metadata(number), "IPv4", (each,))


def many_ports(number: int) -> Service:
    ports = (ServicePort(each, f"port-{number}-{each}") for each in range(1000, 2000))
    return Service(metadata(number), ServiceSpec(ports=tuple(ports)))


@pytest.mark.parametrize(
    "make", [usual_slice, usual_service, many_addresses, long_addresses, many_ports]
)
def test_footprint_is_about_the_memory(
    make: Callable[[int], EndpointSlice] | Callable[[int], Service],
) -> None:
    """Objects of any shape take at most a quarter more than their footprint says."""
    make(0)
    gc.collect()
    tracemalloc.start()
    try:
        objects = [make(number) for number in range(1, 60)]
        memory, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert memory < 1.25 * sum(map(footprint, objects)) < 3 * memory


def test_a_usual_endpoint_takes_240_bytes() -> None:
    """100,000 endpoints in slices of 100 need less than a third of the default budget."""
    assert 230 * 100 < footprint(usual_slice(1)) - 1000 < 250 * 100
    assert 1000 * footprint(usual_slice(1)) < Budget().memory / 3


@given(st.lists(st.text(max_size=3), max_size=5), st.text(max_size=5))
def test_more_content_takes_more_memory(addresses: list[str], text: str) -> None:
    """Each endpoint, address, port, label, owner and character counts."""
    endpoint = Endpoint(tuple(addresses))
    small = slice_of(endpoint)
    owner = OwnerReference("v1", "Service", text, "uid")
    larger = (
        slice_of(endpoint, endpoint),
        slice_of(evolve(endpoint, addresses=(*addresses, text))),
        slice_of(endpoint, ports=(EndpointPort(app_protocol=text or None),)),
        evolve(small, metadata=evolve(metadata(), labels=(("a", text),))),
        evolve(small, metadata=evolve(metadata(), annotations=(("a", text),))),
        evolve(small, metadata=evolve(metadata(), owner_references=(owner,))),
        evolve(small, metadata=evolve(metadata(), name="a-longer-name")),
    )
    for each in larger:
        assert footprint(each) > footprint(small)


def test_ports_and_owners_of_a_slice_count() -> None:
    """A port takes 160 bytes, and an owner 350, besides what they are called."""
    owner = OwnerReference("v1", "Service", "web", "uid")
    owned = evolve(metadata(), owner_references=(owner,))
    plain, port = footprint(slice_of()), EndpointPort("http", app_protocol="h2c")
    assert footprint(slice_of(ports=(port, port))) == plain + 2 * 163
    assert footprint(evolve(slice_of(), metadata=owned)) == plain + 356


@pytest.mark.parametrize("target", [None, 8080, "http"])
def test_ports_of_a_service_count(target: int | str | None) -> None:
    """A port may have a name as its target."""
    service = Service(metadata())
    ports = (ServicePort(80, target_port=target, app_protocol="h2c"),)
    assert footprint(evolve(service, spec=ServiceSpec(ports=ports))) > footprint(service)


def test_messages_have_the_number_and_the_flag() -> None:
    """The condition says what to change."""
    budget = Budget(memory=64 * MEBIBYTE, list_seconds=30)
    assert "64 MiB" in budget.memory_excess
    assert "512 MiB" in budget.list_bytes_excess
    for message in (budget.memory_excess, budget.list_bytes_excess):
        assert "raise --max-memory-per-remote" in message
    assert "30 s" in budget.list_seconds_excess
    assert "25%" in budget.loop_excess
