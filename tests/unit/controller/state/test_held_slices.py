"""Equal slices are held once, and an older state never replaces a newer one.

Real: the store and the core. Substituted: reflectors and workers, by direct calls.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_controller.state.shared_values import reuse_held
from svclink_core import (
    ClusterLinkSpec,
    Endpoint,
    EndpointSlice,
)
from svclink_core.discovery_v1 import CONDITIONS
from svclink_core.mirroring import normal_endpoints
from svclink_core.well_known import ANNOTATION_SOURCE_SLICE, MAIN
from tests.builders.keys import WEB
from tests.builders.stores import replace_objects
from tests.builders.values import link, mirrored_slice, remote_slice
from tests.unit.controller.state.stores import (
    MIRROR,
    SOURCE,
    linked,
    listing,
    undecodable,
)

# Equal values are held once


def remote_and_mirror() -> tuple[EndpointSlice, EndpointSlice]:
    """A remote slice and its decoded mirror, which share no objects."""
    addresses = ("10.0.0.2", "10.0.0.1")
    remote, mirror = (
        tuple(Endpoint((address,), CONDITIONS[True, True, False]) for address in each)
        for each in (addresses, sorted(addresses))
    )
    metadata = evolve(
        mirrored_slice().metadata, annotations=((ANNOTATION_SOURCE_SLICE, SOURCE.name),)
    )
    return evolve(remote_slice(), endpoints=remote), EndpointSlice(metadata, "IPv4", mirror)


def test_mirror_gets_the_endpoints_of_its_source() -> None:
    """A decoded mirror takes no memory for endpoints that its source slice has."""
    made = linked("c1")
    remote, mirror = remote_and_mirror()
    made.store.put("c1", remote)
    read = reuse_held(made.store, MAIN, mirror)
    assert read == mirror
    normal = normal_endpoints(remote)
    assert normal is not None
    assert all(one is other for one, other in zip(read.endpoints, normal, strict=True))


@pytest.mark.parametrize("cluster", [MAIN, "c1"])
def test_equal_slice_is_the_held_one(cluster: str) -> None:
    """A list of unchanged slices takes no memory."""
    made = linked("c1")
    made.store.put(cluster, held := remote_slice())
    assert reuse_held(made.store, cluster, remote_slice()) is held


@pytest.mark.parametrize(
    "why", ["other endpoints", "not a mirror", "source unknown", "cluster unknown"]
)
def test_slice_without_an_equal_stays_as_decoded(why: str) -> None:
    """A slice of the main cluster without an equal held one stays as it is."""
    made = linked("c1")
    remote, mirror = remote_and_mirror()
    made.store.put("c1", remote)
    match why:
        case "other endpoints":
            mirror = evolve(mirror, endpoints=mirror.endpoints[:1])
        case "not a mirror":
            mirror = evolve(mirror, metadata=evolve(mirror.metadata, labels=remote.metadata.labels))
        case "source unknown":
            mirror = evolve(mirror, metadata=mirrored_slice(source="gone").metadata)
        case _:
            mirror = evolve(mirror, metadata=mirrored_slice(cluster="c2").metadata)
    made.store.put(MAIN, evolve(mirror, endpoints=()))
    assert reuse_held(made.store, MAIN, mirror) is mirror


# The main cluster's watch lags behind svclink's own writes


def test_older_event_does_not_overwrite_a_written_slice() -> None:
    """A watch event that is older than a write of svclink is ignored."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(None, "10.0.0.1", "10.0.0.2", version="10"))
    made.changes.clear()
    made.store.put(MAIN, mirrored_slice(None, "10.0.0.1", version="9"))
    assert made.store.snapshot().main.names[MIRROR].metadata.resource_version == "10"
    assert made.enqueued == []


def test_slice_is_held_in_one_version() -> None:
    """Exactly the held version of an object is held, and none of an undecodable object."""
    made, key = linked("c1"), MIRROR
    assert not made.store.has_slice(key, "uid-of-web-c1", "10")
    made.store.put(MAIN, mirrored_slice(version="10"))
    assert made.store.has_slice(key, "uid-of-web-c1", "10")
    assert not made.store.has_slice(key, "uid-of-web-c1", "11")
    assert not made.store.has_slice(key, "uid-of-another", "10")
    made.store.put(MAIN, mirrored_slice(version=""))
    assert not made.store.has_slice(key, "uid-of-web-c1", "")
    made.store.put(MAIN, mirrored_slice(version="12"))
    made.store.mark_undecodable(MAIN, EndpointSlice, undecodable(key.name))
    assert not made.store.has_slice(key, "uid-of-web-c1", "12")


def test_slice_that_a_write_does_not_find_is_removed() -> None:
    """A late answer to a write can bring a deleted slice back, until the next write gets a 404."""
    made, key = linked("c1"), MIRROR
    made.store.put(MAIN, mirrored_slice(version="10"))
    made.store.remove(MAIN, EndpointSlice, key)
    made.store.put(MAIN, mirrored_slice(version="10"))

    made.store.mark_gone(key, "uid-of-another")
    assert key in made.store.snapshot().main.names
    made.changes.clear()
    made.store.mark_gone(key, "uid-of-web-c1")

    assert key not in made.store.snapshot().main.names
    assert WEB in made.enqueued


def test_versions_compare_as_numbers() -> None:
    """Version 10 is newer than version 9."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="9"))
    made.store.put(MAIN, mirrored_slice(version="10"))
    assert made.store.snapshot().main.names[MIRROR].metadata.resource_version == "10"


@pytest.mark.parametrize("version", ["", "abc", "-1", "\u0663", "1.5"])
def test_version_that_is_not_a_number_is_newer(version: str) -> None:
    """If two versions cannot be compared, the one that arrives later counts."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="10"))
    made.store.put(MAIN, mirrored_slice(version=version))
    assert made.store.snapshot().main.names[MIRROR].metadata.resource_version == version


def test_recreated_slice_replaces_any_version() -> None:
    """Versions of two objects with different uids are not compared."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="10"))
    again = mirrored_slice(version="9")
    made.store.put(MAIN, evolve(again, metadata=evolve(again.metadata, uid="another")))
    assert made.store.snapshot().main.names[MIRROR].metadata.uid == "another"


def test_list_with_older_versions_counts() -> None:
    """After a restore from a backup the versions are lower, and the list is current."""
    made = linked("c1")
    made.store.put(MAIN, mirrored_slice(version="10"))
    made.store.put_link(link(version="10"))
    replace_objects(made.store, MAIN, EndpointSlice, listing(mirrored_slice(version="9")))
    made.store.put_link(link(version="9"), listed=True)
    assert made.store.snapshot().main.names[MIRROR].metadata.resource_version == "9"
    assert made.store.links["c1"].metadata.resource_version == "9"


def test_older_state_does_not_overwrite_a_link() -> None:
    """The answer to a status write is ignored if the link was edited since."""
    made = linked("c1")
    edited = link(version="11", spec=ClusterLinkSpec(enabled=False))
    made.store.put_link(edited)
    made.store.put_link(link(version="10"))
    assert made.store.links["c1"] == edited


def test_events_of_a_remote_are_never_too_old() -> None:
    """Only the watch changes the objects of a remote cluster, so its events count in order."""
    made = linked("c1")
    made.store.put("c1", remote_slice(version="10"))
    made.store.put("c1", remote_slice(version="9"))
    (found,) = made.store.snapshot().remotes["c1"].endpoint_slices[WEB]
    assert found.metadata.resource_version == "9"
