"""Objects that make an API server call Services are decoded to these Services."""

from __future__ import annotations

import json
import tracemalloc

import msgspec
import pytest

from svclink_controller.wire.api_server_callers import CALLERS
from svclink_controller.wire.reading import decode_page
from svclink_core import CALLER_KINDS, ApiServerCaller, NamespacedName
from tests.builders.keys import WEB
from tests.builders.manifests import (
    Manifest,
    api_service,
    definition,
    object_list,
    webhook_configuration,
)

API = NamespacedName("default", "api")


def decoded(content: Manifest) -> ApiServerCaller:
    return CALLERS[content["kind"]].decode(json.dumps(content).encode())


def test_every_kind_is_read() -> None:
    """Each kind has a path."""
    assert {kind: each.path() for kind, each in CALLERS.items()} == {
        "ValidatingWebhookConfiguration": (
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
        ),
        "MutatingWebhookConfiguration": (
            "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
        ),
        "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
        "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    }
    assert tuple(CALLERS) == CALLER_KINDS


@pytest.mark.parametrize(
    ("content", "services"),
    [
        (webhook_configuration("a", API, WEB, WEB), (API, WEB)),
        (webhook_configuration("a", WEB, kind="MutatingWebhookConfiguration"), (WEB,)),
        (webhook_configuration("a", WEB, service=None, url="https://10.0.0.1"), ()),
        (webhook_configuration() | {"webhooks": None}, ()),
        (api_service("a", API), (API,)),
        (api_service("a", None), ()),
        (definition("a", API), (API,)),
        (definition("a", strategy="None"), ()),
        (definition("a") | {"spec": {}}, ()),
        (definition("a") | {"spec": None}, ()),
    ],
    ids=lambda value: value.get("kind") if isinstance(value, dict) else None,
)
def test_services_that_it_names_are_decoded(
    content: Manifest, services: tuple[NamespacedName, ...]
) -> None:
    """Services in webhooks, APIServices and conversions count, URLs and local APIs do not."""
    assert decoded(content).services == services


def test_wrong_type_is_an_error_that_names_the_field() -> None:
    """A Service whose name is not text is an error of the decoder."""
    with pytest.raises(msgspec.ValidationError, match=r"\$\.spec\.service\.name"):
        decoded(api_service() | {"spec": {"service": {"name": 7}}})


def large(number: int) -> Manifest:
    """A definition with a schema of about 300 kB, more than 20,000 nested objects in it."""
    fields: Manifest = {f"f{each}": {"a": {}} for each in range(11_000)}
    made = definition(f"w{number}.example.com", API)
    return made | {"spec": made["spec"] | {"versions": [{"schema": fields}]}}


def test_large_definitions_take_no_memory() -> None:
    """A definition of any size is decoded, and only its name and its Services are kept."""
    content = json.dumps(object_list(*map(large, range(5)))).encode()
    tracemalloc.start()
    try:
        page = decode_page(content, CALLERS["CustomResourceDefinition"])
        found = list(page.objects)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [each.services for each in found if isinstance(each, ApiServerCaller)] == [(API,)] * 5
    assert peak < len(content) / 10
