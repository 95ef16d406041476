"""svclink repairs its own EndpointSlices, and never changes foreign ones."""

from __future__ import annotations

import pytest

from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.manifests import Manifest, endpoint_slice, port

from .controller_process import Controller
from .polling import eventually
from .world import World, content, endpoints


@pytest.fixture
def mirroring(world: World, idle_controller: Controller) -> World:
    """The Service `web` is mirrored from both remotes, and there is no resync."""
    idle_controller.start(sync_interval="10m")
    world.link(world.c1, world.c2)
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    return world


EDITS: dict[str, Manifest] = {
    "endpoints": {"endpoints": endpoints("10.9.9.9")},
    "no_endpoints": {"endpoints": []},
    "ports": {"ports": [port("http", 9999)]},
    "owner": {"metadata": {"ownerReferences": None}},
    "source": {"metadata": {"annotations": {ANNOTATION_SOURCE_SLICE: None}}},
    "other_source": {"metadata": {"annotations": {ANNOTATION_SOURCE_SLICE: "web-00000"}}},
    "cluster": {"metadata": {"labels": {LABEL_CLUSTER: "unknown"}}},
    "service": {"metadata": {"labels": {LABEL_SERVICE_NAME: "other"}}},
}


def test_edited_mirror_is_repaired(mirroring: World, subtests: pytest.Subtests) -> None:
    """After an edit of any field, the cluster again has one mirror with the correct content."""
    correct = content(mirroring.mirror("web-c1"))
    other = mirroring.versions("web", "c2")

    def assert_repaired() -> None:
        assert [content(item) for item in mirroring.mirrors(cluster="c1").values()] == [correct]

    for field, edit in EDITS.items():
        with subtests.test(field):
            name = next(iter(mirroring.mirrors("web", "c1")))
            mirroring.main.api.patch("endpointslices", name, mirroring.namespace, edit)
            eventually(assert_repaired)
    mirroring.assert_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    assert mirroring.versions("web", "c2") == other
    assert not mirroring.main.api.find(
        "endpointslices", mirroring.namespace, {LABEL_CLUSTER: "unknown"}
    )


def test_deleted_mirror_is_written_again(mirroring: World) -> None:
    """A mirror that another client deletes is written again with the same content."""
    correct = content(mirroring.mirror("web-c1"))

    mirroring.main.api.delete("endpointslices", "web-c1", mirroring.namespace)

    mirroring.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    assert content(mirroring.mirror("web-c1")) == correct


def test_what_others_put_on_a_mirror_stays(mirroring: World) -> None:
    """Labels, annotations and finalizers of others are still there after an update."""
    added: Manifest = {
        "labels": {"team": "a"},
        "annotations": {"example.com/note": "x"},
        "finalizers": ["example.com/hold"],
    }
    api, namespace = mirroring.main.api, mirroring.namespace
    api.patch("endpointslices", "web-c1", namespace, {"metadata": added})
    try:
        mirroring.set_addresses(mirroring.c1, "web", "10.1.0.9")
        mirroring.await_mirrored("web", c1=["10.1.0.9"], c2=["10.2.0.1"])
        found = mirroring.mirror("web-c1")["metadata"]
        assert found["labels"].items() >= added["labels"].items()
        assert found["annotations"].items() >= added["annotations"].items()
        assert found["finalizers"] == added["finalizers"]
    finally:
        api.patch("endpointslices", "web-c1", namespace, {"metadata": {"finalizers": None}})


def test_foreign_slice_with_the_name_of_a_mirror_stays_unchanged(
    world: World, controller: Controller
) -> None:
    """If a foreign slice has the usual name, the mirror gets another name and keeps it."""
    world.declare("web")
    foreign = foreign_slice(world, "web-c1", managed_by="other.example.org")
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)

    world.await_mirrored("web", c1=["10.1.0.1"])
    (name,) = world.mirrors("web")
    assert name != "web-c1"

    world.set_addresses(world.c1, "web", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.2"])
    assert list(world.mirrors("web")) == [name]
    assert world.main.api.get("endpointslices", "web-c1", world.namespace) == foreign
    assert controller.running


def test_foreign_slices_of_a_mirrored_service_stay_unchanged(
    world: World, controller: Controller
) -> None:
    """svclink does not change slices of a mirrored Service that other controllers manage."""
    world.declare("web")
    foreign = [
        foreign_slice(world, "web-local", managed_by="endpointslice-controller.k8s.io"),
        foreign_slice(world, "web-theirs", managed_by="other.example.org"),
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


def foreign_slice(world: World, name: str, *, managed_by: str | None) -> Manifest:
    """Create a slice of `web` in main that has a cluster label but another manager."""
    item = endpoint_slice(name, "10.0.0.1", key=f"{world.namespace}/web")
    item["metadata"]["labels"] |= {LABEL_CLUSTER: "c1", LABEL_MANAGED_BY: managed_by}
    if managed_by is None:
        del item["metadata"]["labels"][LABEL_MANAGED_BY]
    return world.create(world.main, item)


def test_mirrors_without_a_link_are_removed(linked: World) -> None:
    """A mirror of a cluster without a link is deleted, even if svclink never saw the link."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    orphan = endpoint_slice("web-gone", "10.9.0.1", key=f"{linked.namespace}/web")
    orphan["metadata"]["labels"] |= {LABEL_CLUSTER: "gone", LABEL_MANAGED_BY: MANAGED_BY}
    linked.create(linked.main, orphan)

    linked.await_mirrored("web", c1=["10.1.0.1"])
