"""Two clusters that link each other, each with its own controller."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.builders.manifests import endpoint_slice

from .control_planes import Cluster
from .controller_process import controller_of
from .polling import consistently, eventually
from .world import Links, World, endpoints, slice_name

QUIET_SECONDS = 60


@pytest.fixture(scope="module")
def second_main(c1: Cluster, crd: Path) -> Cluster:
    """The first remote, prepared to be a main cluster too."""
    c1.grant_controller_access()
    c1.api.request(
        "POST",
        "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
        yaml.safe_load(crd.read_text()),
    )
    eventually(lambda: c1.api.find("clusterlinks"))
    return c1


@pytest.fixture
def mirrored_back(linked: World, second_main: Cluster, tmp_path: Path) -> Iterator[World]:
    """The view from the first remote, which has the main cluster as a remote."""
    with controller_of(second_main.controller_kubeconfig(), tmp_path, "second") as controller:
        controller.start()
        links = Links(second_main.api)
        world = World(second_main, linked.main, linked.c2, linked.namespace, controller, links)
        world.link(linked.main)
        yield world
        world.clean_up()


# More than the minute in which nothing may change.
@pytest.mark.timeout(150, func_only=True)
def test_mutually_linked_clusters_mirror_only_local_slices(
    linked: World, mirrored_back: World
) -> None:
    """Each cluster mirrors the other's slice and its changes, and then writes nothing."""
    for world, address in ((linked, "10.0.0.1"), (mirrored_back, "10.1.0.1")):
        world.declare("web")
        world.create(world.main, endpoint_slice(None, address, key=f"{world.namespace}/web"))
    await_mirrored_both_ways(linked, mirrored_back, "10.0.0.1", "10.1.0.1")

    set_local_address(linked, "10.0.0.2")
    set_local_address(mirrored_back, "10.1.0.2")
    await_mirrored_both_ways(linked, mirrored_back, "10.0.0.2", "10.1.0.2")

    before = slice_versions(linked), slice_versions(mirrored_back)
    consistently(
        QUIET_SECONDS,
        lambda: assert_unchanged(before, (slice_versions(linked), slice_versions(mirrored_back))),
    )
    for world, name in ((linked, "c1"), (mirrored_back, "main")):
        world.links.await_ready(name)


def set_local_address(world: World, address: str) -> None:
    world.set_endpoints(world.main, slice_name("web"), endpoints(address))


def await_mirrored_both_ways(
    linked: World, mirrored_back: World, address: str, address_back: str
) -> None:
    linked.await_mirrored("web", c1=[address_back])
    mirrored_back.await_mirrored("web", main=[address])


def slice_versions(world: World) -> dict[str, str]:
    """The resourceVersion of every EndpointSlice of the namespace in a main cluster."""
    items = world.main.api.find("endpointslices", world.namespace)
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in items}


def assert_unchanged(before: tuple[dict[str, str], ...], now: tuple[dict[str, str], ...]) -> None:
    assert now == before
