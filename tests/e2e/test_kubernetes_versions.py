"""What a main cluster accepts depends on its version; docs/reference/support.md says how.

Real: main, of the version that the tests are run with. A remote of a newer version is played by an
HTTP server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from .controller_process import Controller
from .polling import eventually
from .served_remotes import ServedRemote, serving_remotes
from .version_differences import BEGINS_WITH_A_DIGIT, NAMES_A_ZONE_OR_NODE, minor_of
from .world import World

pytestmark = pytest.mark.real_servers("the embedded server is of one version")


@contextmanager
def newer_remote(world: World, name: str, **spec: str) -> Iterator[None]:
    """Link a remote that has a Service, with these fields in its spec."""
    remote = ServedRemote("newer", f"{world.namespace}/{name}", spec=spec)
    with serving_remotes([remote]) as server:
        world.links.add("newer", server.kubeconfig("newer"), includedNamespaces=[world.namespace])
        yield
        world.links.remove("newer")


@pytest.mark.parametrize("distribution", ["PreferSameNode", "PreferSameZone", "PreferClose"])
def test_created_service_has_the_traffic_distribution_that_main_knows(
    world: World, idle_controller: Controller, distribution: str
) -> None:
    """Before 1.34, `PreferClose` takes the place of the values that name a zone or a node."""
    idle_controller.start("--sync-services-to-local-cluster")
    with newer_remote(world, "web", trafficDistribution=distribution):
        created = eventually(lambda: world.main.api.get("services", "web", world.namespace))
        world.await_mirrored("web", newer=["10.66.0.1"])

    known = minor_of(world.main) >= NAMES_A_ZONE_OR_NODE
    assert created["spec"]["trafficDistribution"] == (distribution if known else "PreferClose")


def test_service_name_that_begins_with_a_digit(world: World, idle_controller: Controller) -> None:
    """From 1.36 on such a Service is created; before, the link says what it takes."""
    idle_controller.start("--sync-services-to-local-cluster")
    with newer_remote(world, "1st"):
        if minor_of(world.main) >= BEGINS_WITH_A_DIGIT:
            world.await_mirrored("1st", newer=["10.66.0.1"])
        else:
            refused = world.links.await_condition("newer", "False", "WriteFailed", kind="Synced")
            assert (
                "before Kubernetes 1.36, a Service name cannot start with a digit"
                in refused["message"]
            )
