"""The two forms of the builders describe the same objects."""

from __future__ import annotations

import pytest

from svclink_core import ClusterLink, EndpointSlice, NamespacedName, Service
from svclink_core.codec import structure
from tests.builders import manifests, values
from tests.builders.keys import key_of


def test_services_are_equal() -> None:
    """A served Service manifest decodes to the Service value."""
    assert structure(manifests.service(version="1"), Service) == values.service()


def test_slices_are_equal() -> None:
    """A served EndpointSlice manifest decodes to the slice value."""
    assert structure(manifests.endpoint_slice(version="1"), EndpointSlice) == values.remote_slice()


def test_mirrors_are_equal() -> None:
    """A mirrored EndpointSlice manifest decodes to the mirror value."""
    assert structure(manifests.mirrored_slice(), EndpointSlice) == values.mirrored_slice()


def test_links_are_equal() -> None:
    """A served ClusterLink manifest decodes to the link value."""
    served = manifests.cluster_link(version="4", metadata={"generation": 1})
    assert structure(served, ClusterLink) == values.link(version="4")


def test_manifests_carry_nothing_of_the_api_server() -> None:
    """A manifest without a version can be created: it has no uid and no resourceVersion."""
    assert manifests.service()["metadata"] == {"name": "web", "namespace": "default"}
    assert set(manifests.service()["spec"]) == {"ports"}


@pytest.mark.parametrize("key", ["shop/web", NamespacedName("shop", "web")])
def test_keys(key: NamespacedName | str) -> None:
    """Builders accept a key in either form."""
    assert key_of(key) == values.service(key).metadata.key == NamespacedName("shop", "web")
