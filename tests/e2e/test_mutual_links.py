"""Two clusters that link each other, each with a controller of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from .control_planes import Cluster
from .controller_process import controller_of
from .objects import endpoint_slice, endpoints, slice_name
from .polling import eventually, throughout
from .world import Links, World

QUIET_SECONDS = 60


@pytest.fixture(scope="module")
def second_main(c1: Cluster, crd: Path) -> Cluster:
    """The first remote, which can be a main cluster, too."""
    c1.admit_controller()
    c1.api.request(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        yaml.safe_load(crd.read_text()),
    )
    eventually(lambda: c1.api.find("clusterlinks"))
    return c1


@pytest.fixture
def mirrored_back(linked: World, second_main: Cluster, tmp_path: Path) -> Iterator[World]:
    """As seen from the first remote: it is the main cluster, and the main cluster is a remote of it."""
    with controller_of(second_main.controller_kubeconfig(), tmp_path, "second") as controller:
        controller.start()
        links = Links(second_main.api)
        world = World(second_main, linked.main, linked.c2, linked.namespace, controller, links)
        world.link(linked.main)
        yield world
        world.clean()


# The minute, and the time before.
@pytest.mark.timeout(150, func_only=True)
def test_clusters_that_link_each_other_mirror_only_what_is_their_own(
    linked: World, mirrored_back: World
) -> None:
    """Each has one mirror of the other's slice, which nothing writes to for a minute; changes go across once."""
    for world, address in ((linked, "10.0.0.1"), (mirrored_back, "10.1.0.1")):
        world.declare("web")
        world.create(world.main, endpoint_slice(world.namespace, "web", endpoints(address)))
    assert_across(linked, mirrored_back, "10.0.0.1", "10.1.0.1")

    rewrite_own(linked, "10.0.0.2")
    rewrite_own(mirrored_back, "10.1.0.2")
    assert_across(linked, mirrored_back, "10.0.0.2", "10.1.0.2")

    before = everything(linked), everything(mirrored_back)
    throughout(
        QUIET_SECONDS,
        lambda: assert_unchanged(before, (everything(linked), everything(mirrored_back))),
    )
    for world, name in ((linked, "c1"), (mirrored_back, "main")):
        world.links.await_ready(name)


def rewrite_own(world: World, address: str) -> None:
    world.set_endpoints(world.main, slice_name("web"), endpoints(address))


def assert_across(linked: World, mirrored_back: World, address: str, address_back: str) -> None:
    linked.await_mirrored("web", c1=[address_back])
    mirrored_back.await_mirrored("web", main=[address])


def everything(world: World) -> dict[str, str]:
    """Every slice of the Service in a cluster, with its version."""
    items = world.main.api.find("endpointslices", world.namespace)
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}


def assert_unchanged(before: tuple[dict[str, str], ...], now: tuple[dict[str, str], ...]) -> None:
    assert now == before
