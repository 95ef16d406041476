"""The speed of decoding, and the cost of one changed Pod from the watch line to the request."""

from __future__ import annotations

import json
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from svclink_controller.state.store import Store
from svclink_controller.wire.encoding import encode_slice
from svclink_controller.wire.messages import Changed, Listing
from svclink_controller.wire.reading import decode_event, decode_object, decode_page
from svclink_controller.wire.resources import ENDPOINT_SLICES, REMOTE_ENDPOINT_SLICES, Resource
from svclink_core import (
    ClusterLink,
    EndpointSlice,
    ObjectMeta,
    Options,
    Service,
    TrafficPolicy,
    plan_service,
)
from svclink_core.codec import Json
from svclink_core.diffing import Create, Update
from svclink_core.snapshot import SYNCED
from svclink_core.well_known import LABEL_SERVICE_NAME, MAIN
from tests.bench_core.conftest import Report
from tests.bench_core.fleet import NOW, endpoint, key_of, service
from tests.builders.stores import replace_objects

SLICES: Final = 250
ENDPOINTS: Final = 100


def written(number: int, version: int, first: int = 0) -> dict[str, Json]:
    """A slice with every field that the endpointslice controller and an API server set."""
    key = key_of(number)
    pods = range(number * ENDPOINTS + first, number * ENDPOINTS + first + ENDPOINTS)
    return {
        "kind": "EndpointSlice",
        "apiVersion": "discovery.k8s.io/v1",
        "metadata": {
            "name": f"{key.name}-abcde",
            "namespace": key.namespace,
            "uid": f"uid-{number}",
            "resourceVersion": str(version),
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {LABEL_SERVICE_NAME: key.name},
        },
        "addressType": "IPv4",
        "endpoints": [endpoint(each, 0) for each in pods],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


@pytest.mark.parametrize(
    "resource", [REMOTE_ENDPOINT_SLICES, ENDPOINT_SLICES], ids=["remote", "main"]
)
def test_decoding(
    benchmark: BenchmarkFixture, report: Report, resource: Resource[EndpointSlice]
) -> None:
    """One page of a list, from bytes to the core's types."""
    content = json.dumps(
        {"metadata": {}, "items": [written(number, 1) for number in range(SLICES)]}
    ).encode()

    def decode() -> int:
        return len(list(decode_page(content, resource).objects))

    assert benchmark(decode) == SLICES
    assert benchmark.stats is not None
    speed = len(content) / 1e6 / float(benchmark.stats["min"])
    whose = "a remote cluster" if resource is REMOTE_ENDPOINT_SLICES else "the main cluster"
    report(f"slices of {whose} to the core's types, a page of {SLICES}", f"{speed:.0f} MB/s")


def test_one_event(benchmark: BenchmarkFixture) -> None:
    """A watch event of 100 endpoints, one of them new, through decoding, state and plan to a body.

    HTTP and TLS are left out.
    """
    store = Store(Options())
    store.put_link(ClusterLink(ObjectMeta("c1", uid="u", generation=1)))
    store.mark_listed(ClusterLink)
    store.mark_listed(TrafficPolicy)
    replace_objects(store, MAIN, Service, Listing([service(0, "main")], [], "1"))
    replace_objects(store, MAIN, EndpointSlice, Listing([], [], "1"))
    replace_objects(store, "c1", Service, Listing([service(0, "c1")], [], "1"))
    store.set_connection("c1", SYNCED)
    versions = iter(range(2, 1_000_000))

    def event() -> tuple[tuple[bytes], dict[str, object]]:
        version = next(versions)
        content = {"type": "MODIFIED", "object": written(0, version, version)}
        return (json.dumps(content).encode(),), {}

    def propagate(line: bytes) -> int:
        changed, _ = decode_event(line, REMOTE_ENDPOINT_SLICES)
        assert isinstance(changed, Changed)
        store.put("c1", changed.item)
        (change,) = plan_service(store.snapshot(), key_of(0), NOW).changes
        assert isinstance(change, Create | Update)
        body = encode_slice(change.endpoint_slice)
        version = str(next(versions))
        answer = body.replace(
            b'"metadata":{', b'"metadata":{"uid":"u","resourceVersion":"%s",' % version.encode(), 1
        )
        store.put(MAIN, decode_object(answer, ENDPOINT_SLICES))
        return len(plan_service(store.snapshot(), key_of(0), NOW).changes)

    assert benchmark.pedantic(propagate, setup=event, rounds=300) == 0  # type: ignore[no-untyped-call]
