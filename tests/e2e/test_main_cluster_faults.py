"""Outages and deletions in the main cluster while the controller writes to it."""

from __future__ import annotations

import time

import pytest

from tests.builders.manifests import endpoint_slice, service

from .api_client import ApiError
from .polling import consistently, eventually
from .world import RecordMeasure, World, endpoints, slice_name

OUTAGE_SECONDS = 60
# The retry interval grows to 30 s while the API server is down.
RECOVERY_SECONDS = 45


# The outage of a minute, and the recovery.
@pytest.mark.timeout(150, func_only=True)
def test_changes_during_an_outage_of_main_are_mirrored_afterwards(
    linked: World, record_measure: RecordMeasure
) -> None:
    """Remote changes during a minute without main are mirrored, and nothing else is written."""
    for name in ("web", "old", "new"):
        linked.declare(name)
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.publish(linked.c2, "web", "10.2.0.1")
    linked.publish(linked.c1, "old", "10.1.1.1")
    linked.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    linked.await_mirrored("old", c1=["10.1.1.1"])
    untouched = linked.versions("web", "c2")

    linked.main.kill()
    try:
        linked.set_addresses(linked.c1, "web", "10.1.0.2")
        linked.withdraw(linked.c1, "old")
        linked.publish(linked.c2, "new", "10.2.2.1")
        consistently(OUTAGE_SECONDS, linked.controller.assert_healthy)
    finally:
        linked.main.recover()

    started = time.monotonic()
    eventually(
        lambda: linked.assert_mirrored("web", c1=["10.1.0.2"], c2=["10.2.0.1"]), RECOVERY_SECONDS
    )
    eventually(lambda: linked.assert_mirrored("new", c2=["10.2.2.1"]), RECOVERY_SECONDS)
    linked.await_mirrored("old")
    record_measure(
        "seconds from the return of the main API server to convergence", time.monotonic() - started
    )
    assert linked.versions("web", "c2") == untouched
    linked.links.await_ready("c1", "c2")


def test_recreated_service_adopts_its_mirrors(linked: World, record_measure: RecordMeasure) -> None:
    """Mirrors of a re-created Service get the new owner and are not garbage collected."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.publish(linked.c2, "web", "10.2.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    gaps = []

    for _ in range(5):
        linked.main.api.delete("services", "web", linked.namespace)
        uid = linked.declare("web")["metadata"]["uid"]
        started = time.monotonic()
        eventually(lambda: assert_owned(linked, uid))  # noqa: B023 - called before uid changes
        gaps.append(time.monotonic() - started)

    consistently(5, lambda: assert_owned(linked, uid))
    record_measure(
        "longest time in seconds until a re-created Service owned its mirrors", max(gaps)
    )


def assert_owned(world: World, uid: str) -> None:
    """Assert that both mirrors exist and are owned by the Service with this uid."""
    world.assert_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    owners = {
        owner["uid"]
        for item in world.mirrors("web").values()
        for owner in item["metadata"]["ownerReferences"]
    }
    assert owners == {uid}


def test_namespace_can_be_deleted_while_its_slices_change(linked: World) -> None:
    """A namespace whose slices change can be deleted, and is mirrored again when re-created."""
    deleted, names = f"{linked.namespace}-deleted", [f"web-{number}" for number in range(20)]
    for cluster in (linked.main, linked.c1):
        cluster.create_namespace(deleted)
        for name in names:
            cluster.api.create(service(f"{deleted}/{name}"))
    for name in names:
        linked.c1.api.create(endpoint_slice(None, "10.1.0.1", key=f"{deleted}/{name}"))
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])

    def assert_all_mirrored() -> None:
        for name in names:
            assert_mirrored_in(linked, deleted, name, "10.1.0.1")

    eventually(assert_all_mirrored)

    linked.main.api.delete("namespaces", deleted)
    rounds = change_until_deleted(linked, deleted, names)

    linked.set_addresses(linked.c1, "web", "10.1.0.2")
    linked.await_mirrored("web", c1=["10.1.0.2"])
    linked.main.create_namespace(deleted)
    linked.main.api.create(service(f"{deleted}/{names[0]}"))
    eventually(lambda: assert_mirrored_in(linked, deleted, names[0], f"10.1.{rounds}.1"))
    linked.links.await_ready("c1", "c2")
    for cluster in (linked.main, linked.c1):
        cluster.delete_namespace(deleted)


def change_until_deleted(world: World, namespace: str, names: list[str]) -> int:
    """Change all slices until main has deleted the namespace; return the number of rounds."""
    rounds = 0
    while exists(world, namespace):
        rounds += 1
        for name in names:
            changed = {"endpoints": endpoints(f"10.1.{rounds}.1")}
            world.c1.api.patch("endpointslices", slice_name(name), namespace, changed)
        assert rounds < 200, f"{namespace} still exists"
    return rounds


def exists(world: World, namespace: str) -> bool:
    try:
        world.main.api.get("namespaces", namespace)
    except ApiError as error:
        if error.status != 404:
            raise
        return False
    return True


def assert_mirrored_in(world: World, namespace: str, name: str, address: str) -> None:
    item = world.main.api.get("endpointslices", f"{name}-c1", namespace)
    assert [member["addresses"] for member in item["endpoints"]] == [[address]]
