"""What is svclink's is kept right; what is not is left alone."""

from __future__ import annotations

import pytest

from .api_client import Object
from .controller_process import Controller
from .objects import (
    ANNOTATION_SOURCE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
    MANAGED_BY_SVCLINK,
    endpoint_slice,
    endpoints,
    port,
)
from .polling import eventually
from .world import World, content


@pytest.fixture
def mirroring(world: World, idle_controller: Controller) -> World:
    """The Service `web` mirrored from both remotes, by a controller that has nothing but its watches to go by."""
    idle_controller.start(sync_interval="10m")
    world.link(world.c1, world.c2)
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    return world


EDITS: dict[str, Object] = {
    "endpoints": {"endpoints": endpoints("10.9.9.9")},
    "no_endpoints": {"endpoints": []},
    "ports": {"ports": [port("http", 9999)]},
    "owner": {"metadata": {"ownerReferences": None}},
    "source": {"metadata": {"annotations": {ANNOTATION_SOURCE: None}}},
    "other_source": {"metadata": {"annotations": {ANNOTATION_SOURCE: "web-00000"}}},
    "cluster": {"metadata": {"labels": {LABEL_CLUSTER: "nobody"}}},
    "service": {"metadata": {"labels": {LABEL_SERVICE: "other"}}},
}


def test_a_slice_that_is_edited_by_hand_is_repaired(
    mirroring: World, subtests: pytest.Subtests
) -> None:
    """Whatever field is changed, there is soon one slice of the cluster again, with the right content."""
    right = content(mirroring.mirror("web-c1"))
    other = mirroring.versions("web", "c2")

    def is_repaired() -> None:
        assert [content(item) for item in mirroring.mirrors(cluster="c1").values()] == [right]

    for what, edit in EDITS.items():
        with subtests.test(what):
            name = next(iter(mirroring.mirrors("web", "c1")))
            mirroring.main.api.patch("endpointslices", name, mirroring.namespace, edit)
            eventually(is_repaired)
    mirroring.shows("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    assert mirroring.versions("web", "c2") == other
    assert not mirroring.main.api.find(
        "endpointslices", mirroring.namespace, {LABEL_CLUSTER: "nobody"}
    )


def test_a_slice_that_is_deleted_by_hand_comes_back(mirroring: World) -> None:
    """A mirrored slice belongs there for as long as its source is there."""
    right = content(mirroring.mirror("web-c1"))

    mirroring.main.api.delete("endpointslices", "web-c1", mirroring.namespace)

    mirroring.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    assert content(mirroring.mirror("web-c1")) == right


def test_a_foreign_slice_of_the_wanted_name_is_left_alone(
    world: World, controller: Controller
) -> None:
    """Whoever had the name first keeps it; the mirror gets another one, and keeps that."""
    world.declare("web")
    foreign = foreign_slice(world, "web-c1", managed_by="somebody.example.org")
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)

    world.await_mirrored("web", c1=["10.1.0.1"])
    (name,) = world.mirrors("web")
    assert name != "web-c1"

    world.rewrite(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"])
    assert list(world.mirrors("web")) == [name]
    assert world.main.api.get("endpointslices", "web-c1", world.namespace) == foreign
    assert controller.running


def test_foreign_slices_of_a_mirrored_service_are_left_alone(
    world: World, controller: Controller
) -> None:
    """The local endpoints of a Service, and those that anybody else adds, are nothing to svclink."""
    world.declare("web")
    foreign = [
        foreign_slice(world, "web-local", managed_by="endpointslice-controller.k8s.io"),
        foreign_slice(world, "web-theirs", managed_by="somebody.example.org"),
        foreign_slice(world, "web-c2", managed_by=None),
    ]
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])

    world.links.remove("c1")
    world.await_mirrored("web")

    for item in foreign:
        assert (
            world.main.api.get("endpointslices", item["metadata"]["name"], world.namespace) == item
        )
    assert controller.running


def foreign_slice(world: World, name: str, *, managed_by: str | None) -> Object:
    """A slice of `web` in the main cluster that svclink did not write, even if it looks as if."""
    item = endpoint_slice(world.namespace, "web", endpoints("10.0.0.1"), name=name)
    item["metadata"]["labels"] |= {LABEL_CLUSTER: "c1", LABEL_MANAGED_BY: managed_by}
    if managed_by is None:
        del item["metadata"]["labels"][LABEL_MANAGED_BY]
    return world.create(world.main, item)


def test_slices_of_a_link_that_no_longer_exists_are_removed(linked: World) -> None:
    """A slice that says it is svclink's, of a cluster that nobody links, goes; no link has to have been seen."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    orphan = endpoint_slice(linked.namespace, "web", endpoints("10.9.0.1"), name="web-gone")
    orphan["metadata"]["labels"] |= {LABEL_CLUSTER: "gone", LABEL_MANAGED_BY: MANAGED_BY_SVCLINK}
    linked.create(linked.main, orphan)

    linked.await_mirrored("web", c1=["10.1.0.1"])
