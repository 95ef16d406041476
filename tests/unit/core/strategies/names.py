"""Names and times. The alphabets are small, so that names, sources and addresses collide.

Law L6: names are injective over (namespace, service, cluster, source slice, shard).
"""

from __future__ import annotations

from itertools import product
from typing import Final

from attrs import frozen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    NamespacedName,
)

LONGEST: Final = "x" * 63
EARLIER: Final = "2026-01-01T00:00:00Z"
LATER: Final = "2026-01-01T00:05:00Z"

_SHORT_NAMES: Final = (
    "a",
    "b",
    *map("".join, product("ab", ("", "-"), "ab")),
    "a-b-a",
    "a-b-b",
    "b-a-b",
    "b-b-b",
)


def _names(*pool: str) -> SearchStrategy[str]:
    return st.sampled_from(pool * 2 + _SHORT_NAMES)


namespaces = _names("default", "prod", "kube-system", LONGEST)
service_names = _names("web", "a", "a-b", "kubernetes", LONGEST, "y" * 61, "1st")
cluster_names = _names("c", "b-c", "c1", LONGEST)
keys = st.builds(NamespacedName, namespaces, service_names)
source_names: Final = ("web-1", "web-2", "web-3", "x" * 253)
IMPOSSIBLE_NAMES: Final = ("web-1/1", "x" * 254, "")
"""Names that no API server gives a slice. The first one looks like a shard of another slice."""

sources = st.sampled_from(source_names)
remote_names = st.sampled_from(source_names * 3 + IMPOSSIBLE_NAMES)


@frozen
class Universe:
    """The few names that occur in one example. The clusters in `gone` have no ClusterLink."""

    keys: tuple[NamespacedName, ...]
    clusters: tuple[str, ...]
    gone: tuple[str, ...] = ("gone",)


AMBIGUOUS: Final = Universe(
    (NamespacedName("default", "a-b"), NamespacedName("default", "a")), ("c", "b-c")
)
"""Service `a-b` of cluster `c` and Service `a` of cluster `b-c` have the same readable name."""

ORDINARY: Final = Universe((NamespacedName("default", "web"),), ("c1", "c2"))


@st.composite
def any_universe(draw: DrawFn) -> Universe:
    """Up to two Services and up to two clusters, with any names."""
    some_keys = (draw(keys), draw(keys))
    some_clusters = (draw(cluster_names), draw(cluster_names))
    return Universe(tuple(dict.fromkeys(some_keys)), tuple(dict.fromkeys(some_clusters)))


RESERVED: Final = Universe((NamespacedName("kube-public", "web"),), ("c1",))
"""A namespace that svclink mirrors in, but creates no Service in."""

universes = st.sampled_from((ORDINARY, AMBIGUOUS)) | any_universe() | st.just(RESERVED)
