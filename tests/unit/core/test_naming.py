"""Names of mirrors, one fact in each test."""

from __future__ import annotations

import re
from collections.abc import Collection

import pytest

from svclink_core import NamespacedName
from svclink_core.naming import choose_name, hashed_name, is_unambiguous, services_named
from tests.builders.keys import WEB


def name(
    key: NamespacedName = WEB,
    cluster: str = "c1",
    source: str = "web-abc",
    clusters: Collection[str] = ("c1", "c2"),
    taken: Collection[str] = (),
) -> str:
    return choose_name(key, cluster, source, clusters, taken.__contains__)


def test_readable() -> None:
    """A Service of the usual size has one slice for each cluster, named `{service}-{cluster}`."""
    assert name() == "web-c1"


def test_a_taken_name_is_not_taken_again() -> None:
    """If another object holds the readable name, the name is hashed."""
    assert re.fullmatch(r"web-c1-[0-9a-f]{10}", name(taken=["web-c1"]))


def test_a_taken_hash_gives_another() -> None:
    """If another object holds the hashed name, another hash is used."""
    first = name(taken=["web-c1"])
    second = name(taken=["web-c1", first])
    assert re.fullmatch(r"web-c1-[0-9a-f]{10}", second)
    assert second != first


@pytest.mark.parametrize(
    ("key", "cluster", "source"),
    [
        (NamespacedName("prod", "web"), "c1", "web-abc"),
        (NamespacedName("default", "web2"), "c1", "web-abc"),
        (WEB, "c2", "web-abc"),
        (WEB, "c1", "web-xyz"),
    ],
)
def test_the_hash_is_over_everything(key: NamespacedName, cluster: str, source: str) -> None:
    """Namespace, Service, cluster and source slice all change the hash."""
    assert hashed_name(key, cluster, source, 0)[-10:] != hashed_name(WEB, "c1", "web-abc", 0)[-10:]


def test_the_hash_tells_where_a_part_ends() -> None:
    """Service a-b of cluster c and Service a of cluster b-c have different hashes."""
    one = hashed_name(NamespacedName("default", "a-b"), "c", "s", 0)
    other = hashed_name(NamespacedName("default", "a"), "b-c", "s", 0)
    assert one != other


def test_the_hash_does_not_change_between_releases() -> None:
    """Names never change, so a stale cache costs one conflict and no second slice."""
    assert hashed_name(WEB, "c1", "web-abc", 0) == "web-c1-5c5a9c3a06"


@pytest.mark.parametrize(("length", "is_readable"), [(60, True), (61, False)])
def test_63_characters_are_the_limit(length: int, is_readable: bool) -> None:
    """A readable name of 63 characters is used, one of 64 is not."""
    key = NamespacedName("default", "s" * length)
    chosen = name(key)
    assert (chosen == f"{key.name}-c1") is is_readable
    assert len(chosen) <= 63


def test_a_long_name_is_cut() -> None:
    """A hashed name begins with the readable name and has at most 63 characters."""
    chosen = name(NamespacedName("default", "s" * 63), "c" * 63)
    assert re.fullmatch(r"s{52}-[0-9a-f]{10}", chosen)


@pytest.mark.parametrize(("length", "is_whole"), [(52, True), (53, False)])
def test_a_cut_name_begins_with_a_name_of_52_characters(length: int, is_whole: bool) -> None:
    """A hashed name begins with the whole name of the Service if that has up to 52 characters.

    ingress-nginx finds the slices of a Service by this beginning: docs/reference/consumers.md.
    """
    key = NamespacedName("default", "s" * length)
    assert hashed_name(key, "c" * 63, "web-abc", 0).startswith(key.name) is is_whole


def test_a_cut_does_not_end_in_a_dash() -> None:
    """A name that is cut after a dash loses the dash."""
    chosen = name(NamespacedName("default", "s" * 51 + "-" + "t" * 11), "c" * 63)
    assert re.fullmatch(r"s{51}-[0-9a-f]{10}", chosen)


@pytest.mark.parametrize(
    ("cluster", "clusters", "expected"),
    [
        ("c", ["c"], True),
        ("c", ["c", "b-c"], False),
        ("b-c", ["c", "b-c"], True),
        ("c", ["c", "x-c"], True),
        ("c", ["c", "d"], True),
        ("c", ["c", "a-b-c"], True),
    ],
)
def test_ambiguous_names(cluster: str, clusters: list[str], expected: bool) -> None:
    """A name that could belong to a longer cluster name is left to that cluster."""
    assert is_unambiguous("a-b-c", cluster, clusters) is expected


def test_two_services_with_one_readable_name_get_two_names() -> None:
    """Service a-b of cluster c and Service a of cluster b-c never get the same name."""
    clusters = ["c", "b-c"]
    assert name(NamespacedName("default", "a"), "b-c", "s", clusters) == "a-b-c"
    assert name(NamespacedName("default", "a-b"), "c", "s", clusters) != "a-b-c"


def test_readers() -> None:
    """The Services that could want a name are those whose readable name it is."""
    assert services_named("a-b-c", ["c", "b-c", "a-b-c", "d"]) == ["a-b", "a"]
    assert services_named("-c", ["c"]) == []
