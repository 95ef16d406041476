"""Several controllers on one main cluster, each for the ClusterLinks that match its selector."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .control_planes import Cluster
from .controller_process import Controller, controller_of
from .world import World


@pytest.fixture
def other_controller(main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """One more controller for the main cluster."""
    with controller_of(main.controller_kubeconfig(), tmp_path, "other") as controller:
        yield controller


def set_shard(world: World, name: str, shard: str) -> None:
    """Set the label by which the controllers select links."""
    world.main.api.patch("clusterlinks", name, None, {"metadata": {"labels": {"shard": shard}}})


def test_relabelled_link_moves_to_the_other_controller_with_its_slices(
    other_controller: Controller, world: World
) -> None:
    """Each controller handles only its own links, and a moved link keeps its slices."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    for cluster, shard in ((world.c1, "a"), (world.c2, "b")):
        world.links.add(cluster.name, cluster.remote_kubeconfig())
        set_shard(world, cluster.name, shard)
    ours, other = world.controller, other_controller

    ours.start("--link-selector", "shard=a")
    world.await_mirrored("web", c1=["10.1.0.1"])
    world.links.await_ready("c1")
    world.assert_mirrored("web", c1=["10.1.0.1"])
    assert "conditions" not in world.main.api.get("clusterlinks", "c2")["status"]

    other.start("--link-selector", "shard in (b)")
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    world.links.await_ready("c2")
    before = world.versions("web")

    set_shard(world, "c1", "b")
    world.set_addresses(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"], c2=["10.2.0.1"])
    ours.stop()
    world.set_addresses(world.c1, "web", "10.1.0.3")
    world.await_mirrored("web", c1=["10.1.0.3"], c2=["10.2.0.1"])
    after = world.versions("web")
    assert {name: uid for name, (uid, _) in after.items()} == {
        name: uid for name, (uid, _) in before.items()
    }
    assert world.versions("web", "c2").items() <= before.items()

    ours.start("--link-selector", "shard=a")
    set_shard(world, "c1", "a")
    other.stop()
    world.set_addresses(world.c1, "web", "10.1.0.4")
    world.await_mirrored("web", c1=["10.1.0.4"], c2=["10.2.0.1"])
    world.links.remove("c1")
    world.await_mirrored("web", c2=["10.2.0.1"])
    assert world.versions("web", "c2").items() <= before.items()
