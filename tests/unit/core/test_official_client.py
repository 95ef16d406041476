"""Objects of the official Python client are decoded, in each form that the client gives.

Real: the models of `kubernetes.client`. Substituted: nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from types import ModuleType
from typing import Final

import pytest
from kubernetes import client
from kubernetes.aio import client as aio_client

from svclink_core import BadInputError, EndpointSlice, Service
from svclink_core.codec import Json, structure
from tests.unit.client_classes import whole_client

from .manifests import SERVICE, SLICE


@pytest.fixture(autouse=True)
def uses_the_library() -> Iterator[None]:
    """Programs that use the library have the whole client, not what the image has of it."""
    with whole_client():
        yield


# More fields of a Service, and a label with the name of a field of the client.
FULL: Final[dict[str, Json]] = {
    **SERVICE,
    "metadata": {
        "name": "web",
        "creationTimestamp": "2026-01-01T12:00:00Z",
        "deletionTimestamp": "2026-01-02T00:00:00+02:00",
        "labels": {"svclink.cloudpilot.ai/imported": "true", "cluster_ip": "a label, and no field"},
    },
    "spec": {
        "type": "NodePort",
        "ipFamilyPolicy": "PreferDualStack",
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 30}},
        "publishNotReadyAddresses": True,
        "ports": [{"port": 80, "targetPort": "web"}],
    },
}


@pytest.mark.parametrize("module", [client, aio_client], ids=["synchronous", "asynchronous"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [(SERVICE, Service), (FULL, Service), (SLICE, EndpointSlice)],
    ids=["Service", "full Service", "EndpointSlice"],
)
async def test_objects_of_the_client_are_read(
    module: ModuleType, content: dict[str, Json], kind: type[Service | EndpointSlice]
) -> None:
    """Both forms of a response that each client gives decode to the same value as the response."""
    async with aio_client.ApiClient() as other:
        api = client.ApiClient() if module is client else other
        model = api.deserialize(json.dumps(content), f"V1{kind.__name__}", "application/json")
        sanitized = api.sanitize_for_serialization(model)
    assert isinstance(model, getattr(module, f"V1{kind.__name__}"))
    expected = structure(content, kind)  # type: ignore[type-var]
    assert structure(model, kind) == expected  # type: ignore[type-var]
    assert structure(sanitized, kind) == expected  # type: ignore[type-var]


def test_fault_in_an_object_of_the_client_names_the_field() -> None:
    """The path in an error uses the JSON names, whatever form the object has."""
    service = client.V1Service(spec=client.V1ServiceSpec(ports=[]))
    with pytest.raises(BadInputError, match=r"^\$\.metadata: required field missing$"):
        structure(service, Service)


def test_time_without_a_zone_is_refused() -> None:
    """A time without a zone is ambiguous."""
    content = {"metadata": {"name": "web", "creationTimestamp": datetime(2026, 1, 1)}}  # noqa: DTZ001 - the fault
    with pytest.raises(
        BadInputError, match=r"creationTimestamp: must be a string but is datetime$"
    ):
        structure(content, Service)


def test_datetime_of_a_yaml_decoder_is_accepted() -> None:
    """A YAML decoder turns an unquoted time into a `datetime`."""
    content = {"metadata": {"name": "web", "creationTimestamp": datetime(2026, 1, 1, tzinfo=UTC)}}
    assert structure(content, Service).metadata.creation_timestamp == "2026-01-01T00:00:00Z"
