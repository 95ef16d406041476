"""Keys of objects have an order."""

from __future__ import annotations

from svclink_core.meta_v1 import NamespacedName


def test_keys_are_sorted_by_namespace_and_then_by_name() -> None:
    """The order does not depend on how the two are printed: `-` comes before `/`."""
    keys = [NamespacedName("a-b", "a"), NamespacedName("a", "b"), NamespacedName("a", "a")]
    assert sorted(keys) == [keys[2], keys[1], keys[0]]
