"""Selectors of a link, over the labels of remote Services and Namespaces, and what the CRD refuses.

Real: the API servers, with their watches by labels, and the controller.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from svclink_controller.cli.permissions import REMOTE_NAMESPACES
from tests.builders.manifests import cluster_link

from .api_client import ApiError
from .control_planes import READER, SYSTEM_NAMESPACE
from .controller_process import Controller
from .polling import consistently
from .rbac import grant, service_account
from .world import World

GOLD: Final = {"matchLabels": {"tier": "gold"}}


def label(world: World, resource: str, name: str, tier: str | None) -> None:
    """Set the label `tier` of an object of the first remote, or remove it."""
    namespace = None if resource == "namespaces" else world.namespace
    world.c1.api.patch(resource, name, namespace, {"metadata": {"labels": {"tier": tier}}})


@pytest.fixture
def labelled(world: World, controller: Controller) -> World:
    """A Service with the label `tier: gold` and one without, linked with a selector."""
    assert controller.running
    for number, name in enumerate(("gold", "plain"), start=1):
        world.declare(name)
        world.publish(world.c1, name, f"10.1.0.{number}")
    label(world, "services", "gold", "gold")
    world.links.add("c1", world.c1.remote_kubeconfig(), serviceSelector=GOLD)
    world.await_mirrored("gold", c1=["10.1.0.1"])
    return world


def test_only_selected_services_are_mirrored(labelled: World) -> None:
    """A Service is mirrored while it has the labels, although its EndpointSlices lack them."""
    consistently(1, lambda: labelled.assert_mirrored("plain"))

    label(labelled, "services", "plain", "gold")
    labelled.await_mirrored("plain", c1=["10.1.0.2"])
    labelled.set_addresses(labelled.c1, "plain", "10.1.0.3")
    labelled.await_mirrored("plain", c1=["10.1.0.3"])

    label(labelled, "services", "plain", None)
    labelled.await_mirrored("plain")
    labelled.assert_mirrored("gold", c1=["10.1.0.1"])


def test_an_edited_selector_takes_effect(labelled: World) -> None:
    """What it no longer selects is removed, and what it selects now is mirrored."""
    labelled.links.edit("c1", serviceSelector={"matchLabels": {"tier": "other"}})
    labelled.await_mirrored("gold")

    labelled.links.edit("c1", serviceSelector=None)
    labelled.await_mirrored("gold", c1=["10.1.0.1"])
    labelled.await_mirrored("plain", c1=["10.1.0.2"])


@pytest.mark.real_servers("the embedded server does not check permissions")
def test_namespaces_are_selected_by_their_labels(world: World, controller: Controller) -> None:
    """It needs a permission that other links do not need. Labels that change take effect."""
    assert controller.running
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.links.add("c1", world.c1.remote_kubeconfig(), namespaceSelector=GOLD)
    condition = world.links.await_condition("c1", "False", "Forbidden")
    assert (
        "spec.namespaceSelector needs permission to list and watch namespaces"
        in condition["message"]
    )

    rules = [each.rule for each in REMOTE_NAMESPACES]
    reader = service_account(READER, SYSTEM_NAMESPACE)
    grant(world.c1.api, f"{world.namespace}-namespaces", rules, reader)
    world.links.await_ready("c1")
    world.assert_mirrored("web")

    label(world, "namespaces", world.namespace, "gold")
    world.await_mirrored("web", c1=["10.1.0.1"])
    label(world, "namespaces", world.namespace, None)
    world.await_mirrored("web")


REFUSED: Final[dict[str, tuple[dict[str, Any], str]]] = {
    "empty": ({}, " is empty and would select nothing; remove it or add a label"),
    "empty-labels": ({"matchLabels": {}, "matchExpressions": []}, " is empty and would select"),
    "no-values": (
        {"matchExpressions": [{"key": "tier", "operator": "In"}]},
        "must have values with the operators In and NotIn",
    ),
    "needless-values": (
        {"matchExpressions": [{"key": "tier", "operator": "Exists", "values": ["a"]}]},
        "must have values with the operators In and NotIn",
    ),
    "operator": (
        {"matchExpressions": [{"key": "tier", "operator": "Equals", "values": ["a"]}]},
        'supported values: "In", "NotIn", "Exists", "DoesNotExist"',
    ),
    "key": (
        {"matchExpressions": [{"key": "-a", "operator": "Exists"}]},
        "must be a valid label key",
    ),
    "value": (
        {"matchExpressions": [{"key": "a", "operator": "In", "values": ["a b"]}]},
        "must be a valid label value",
    ),
    "label-value": ({"matchLabels": {"tier": "a b"}}, "must be a valid label value"),
}


@pytest.mark.real_servers("the embedded server does not evaluate CEL rules")
@pytest.mark.parametrize("field", ["serviceSelector", "namespaceSelector"])
@pytest.mark.parametrize("fault", REFUSED)
def test_the_crd_refuses_invalid_selectors(world: World, field: str, fault: str) -> None:
    """An empty one above all: linkerd2#11309 mirrored everything."""
    selector, message = REFUSED[fault]
    link = cluster_link("refused", kubeconfig="YQ==")
    link["spec"][field] = selector
    with pytest.raises(ApiError) as refused:
        world.main.api.create(link)
    assert message in str(refused.value)
    assert f"spec.{field}" in str(refused.value)
