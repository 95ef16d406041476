"""What happens to the main cluster while the controller works on it."""

from __future__ import annotations

import time

import pytest

from .api_client import ApiError
from .objects import endpoint_slice, endpoints, service, slice_name
from .polling import eventually, throughout
from .world import RecordMeasure, World

AWAY_SECONDS = 60
# Waits between two tries grow to 30 s while the API server is away.
RETURN_SECONDS = 45


# The minute, and the time afterwards.
@pytest.mark.timeout(150, func_only=True)
def test_a_main_cluster_that_is_away_for_a_minute_misses_nothing(
    linked: World, record_measure: RecordMeasure
) -> None:
    """What changed in the remotes meanwhile is mirrored when it is back; what did not change is not written."""
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
        linked.rewrite(linked.c1, "web", "10.1.0.2")
        linked.withdraw(linked.c1, "old")
        linked.publish(linked.c2, "new", "10.2.2.1")
        throughout(AWAY_SECONDS, linked.controller.is_as_told)
    finally:
        linked.main.recover()

    started = time.monotonic()
    eventually(lambda: linked.shows("web", c1=["10.1.0.2"], c2=["10.2.0.1"]), RETURN_SECONDS)
    eventually(lambda: linked.shows("new", c2=["10.2.2.1"]), RETURN_SECONDS)
    linked.await_mirrored("old")
    record_measure(
        "seconds from the return of the main API server to convergence", time.monotonic() - started
    )
    assert linked.versions("web", "c2") == untouched
    linked.links.await_ready("c1", "c2")


def test_a_service_that_is_re_created_keeps_its_mirrors(
    linked: World, record_measure: RecordMeasure
) -> None:
    """They soon belong to the new Service, again and again, and the garbage collector takes none that do."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.publish(linked.c2, "web", "10.2.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    gaps = []

    for _ in range(5):
        linked.main.api.delete("services", "web", linked.namespace)
        uid = linked.declare("web")["metadata"]["uid"]
        started = time.monotonic()
        eventually(lambda: assert_owned(linked, uid))  # noqa: B023 - it is called before uid changes
        gaps.append(time.monotonic() - started)

    throughout(5, lambda: assert_owned(linked, uid))
    record_measure(
        "longest time without the mirrors of a re-created Service, in seconds", max(gaps)
    )


def assert_owned(world: World, uid: str) -> None:
    """Both mirrors are there, and of the Service with this uid."""
    world.shows("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    owners = {
        owner["uid"]
        for item in world.mirrors("web").values()
        for owner in item["metadata"]["ownerReferences"]
    }
    assert owners == {uid}


def test_a_namespace_is_deleted_while_it_is_written_to(linked: World) -> None:
    """It can go, nothing else is held up by it, and when it is back it is filled again."""
    doomed, names = f"{linked.namespace}-doomed", [f"web-{number}" for number in range(20)]
    for cluster in (linked.main, linked.c1):
        cluster.create_namespace(doomed)
        for name in names:
            cluster.api.create(service(doomed, name))
    for name in names:
        linked.c1.api.create(endpoint_slice(doomed, name, endpoints("10.1.0.1")))
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    for name in names:
        eventually(lambda: assert_mirrored_in(linked, doomed, name, "10.1.0.1"))  # noqa: B023 - called at once

    linked.main.api.delete("namespaces", doomed)
    rounds = rewrite_until_gone(linked, doomed, names)

    linked.rewrite(linked.c1, "web", "10.1.0.2")
    linked.await_mirrored("web", c1=["10.1.0.2"])
    linked.main.create_namespace(doomed)
    linked.main.api.create(service(doomed, names[0]))
    eventually(lambda: assert_mirrored_in(linked, doomed, names[0], f"10.1.{rounds}.1"))
    linked.links.await_ready("c1", "c2")
    for cluster in (linked.main, linked.c1):
        cluster.delete_namespace(doomed)


def rewrite_until_gone(world: World, namespace: str, names: list[str]) -> int:
    """Give all slices other addresses until the main cluster has no such namespace; returns how often."""
    rounds = 0
    while exists(world, namespace):
        rounds += 1
        for name in names:
            changed = {"endpoints": endpoints(f"10.1.{rounds}.1")}
            world.c1.api.patch("endpointslices", slice_name(name), namespace, changed)
        assert rounds < 200, f"{namespace} is still there"
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
