"""Objects of the official Python client are read as what they stand for, in each form the client gives.

Real: the models of `kubernetes.client`. Substituted: nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from kubernetes import client
from kubernetes.aio import client as aio_client

from svclink_core import (
    BadInputError,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    Service,
    ServicePort,
    ServiceSpec,
)
from svclink_core.codec import structure
from svclink_core.core_v1 import ClientIPConfig, SessionAffinityConfig

SERVICE: Final = client.V1Service(
    metadata=client.V1ObjectMeta(
        name="web",
        namespace="shop",
        uid="u1",
        resource_version="7",
        generation=2,
        creation_timestamp=datetime(2026, 1, 1, 12, tzinfo=UTC),
        deletion_timestamp=datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=2))),
        labels={"svclink.cloudpilot.ai/imported": "true", "cluster_ip": "a label, and no field"},
        annotations={"service.kubernetes.io/topology-mode": "Auto"},
    ),
    spec=client.V1ServiceSpec(
        type="NodePort",
        cluster_ip="10.96.0.1",
        ip_families=["IPv4", "IPv6"],
        traffic_distribution="PreferClose",
        ip_family_policy="PreferDualStack",
        session_affinity="ClientIP",
        session_affinity_config=client.V1SessionAffinityConfig(client_ip=client.V1ClientIPConfig(timeout_seconds=30)),
        publish_not_ready_addresses=True,
        ports=[client.V1ServicePort(port=80, name="http", protocol="TCP", app_protocol="http", target_port="web")],
    ),
)

PIECE: Final = client.V1EndpointSlice(
    metadata=client.V1ObjectMeta(
        name="web-abc",
        owner_references=[
            client.V1OwnerReference(
                api_version="v1", kind="Service", name="web", uid="u1", controller=True, block_owner_deletion=False
            )
        ],
    ),
    address_type="IPv4",
    endpoints=[
        client.V1Endpoint(
            addresses=["10.0.0.1"],
            conditions=client.V1EndpointConditions(ready=True, serving=True, terminating=False),
            hints=client.V1EndpointHints(for_zones=[client.V1ForZone(name="z")]),
            hostname="h",
            node_name="n",
            target_ref=client.V1ObjectReference(kind="Pod", namespace="shop", name="p", uid="u2"),
            zone="z",
        )
    ],
    ports=[client.DiscoveryV1EndpointPort(name="http", port=8080, protocol="TCP", app_protocol="http")],
)


def test_service_of_the_client_is_read() -> None:
    """Every field arrives, under whatever name Python has for it, and times as the API server writes them."""
    assert structure(SERVICE, Service) == Service(
        ObjectMeta(
            "web",
            "shop",
            "u1",
            "7",
            2,
            "2026-01-01T12:00:00Z",
            "2026-01-02T00:00:00+02:00",
            (("svclink.cloudpilot.ai/imported", "true"),),
            (("service.kubernetes.io/topology-mode", "Auto"),),
        ),
        ServiceSpec(
            "NodePort",
            "10.96.0.1",
            ("IPv4", "IPv6"),
            (ServicePort(80, "http", "TCP", "http", "web"),),
            "PreferClose",
            "PreferDualStack",
            "ClientIP",
            SessionAffinityConfig(ClientIPConfig(30)),
            publish_not_ready_addresses=True,
        ),
    )


def test_slice_of_the_client_is_read() -> None:
    """An EndpointSlice arrives whole, hints, references and owners included."""
    assert structure(PIECE, EndpointSlice) == EndpointSlice(
        ObjectMeta(
            "web-abc",
            owner_references=(
                OwnerReference("v1", "Service", "web", "u1", controller=True, block_owner_deletion=False),
            ),
        ),
        "IPv4",
        (
            Endpoint(
                ("10.0.0.1",),
                EndpointConditions(ready=True, serving=True, terminating=False),
                "z",
                EndpointHints(("z",)),
                "h",
                "n",
                ObjectReference("Pod", "shop", "p", "u2"),
            ),
        ),
        (EndpointPort("http", "TCP", 8080, "http"),),
    )


@pytest.mark.parametrize(("content", "kind"), [(SERVICE, Service), (PIECE, EndpointSlice)], ids=["Service", "slice"])
def test_sanitized_objects_are_the_same(content: object, kind: type[Service | EndpointSlice]) -> None:
    """What `sanitize_for_serialization` makes of an object is read as the object itself."""
    sanitized = client.ApiClient().sanitize_for_serialization(content)  # type: ignore[no-untyped-call]
    assert structure(sanitized, kind) == structure(content, kind)  # type: ignore[type-var]


def test_models_of_the_asynchronous_client_are_read() -> None:
    """The models of `kubernetes.aio` are other classes with the same fields."""
    piece = aio_client.V1EndpointSlice(
        metadata=aio_client.V1ObjectMeta(name="web-abc"), address_type="IPv6", endpoints=[]
    )
    assert structure(piece, EndpointSlice) == EndpointSlice(ObjectMeta("web-abc"), "IPv6")


def test_fault_in_an_object_of_the_client_names_the_field() -> None:
    """The path in an error is that of JSON, whatever form the object had."""
    service = client.V1Service(spec=client.V1ServiceSpec(ports=[]))
    with pytest.raises(BadInputError, match=r"^\$\.metadata: required field missing$"):
        structure(service, Service)


def test_time_without_a_zone_is_refused() -> None:
    """A time that could be any of 24 is no time."""
    content = {"metadata": {"name": "web", "creationTimestamp": datetime(2026, 1, 1)}}  # noqa: DTZ001 - the fault
    with pytest.raises(BadInputError, match=r"creationTimestamp: must be a string, is datetime$"):
        structure(content, Service)


def test_time_of_a_yaml_reader_is_taken() -> None:
    """A YAML reader makes a `datetime` of a time without quotes."""
    content = {"metadata": {"name": "web", "creationTimestamp": datetime(2026, 1, 1, tzinfo=UTC)}}
    assert structure(content, Service).metadata.creation_timestamp == "2026-01-01T00:00:00Z"
