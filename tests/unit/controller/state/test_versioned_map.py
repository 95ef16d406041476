"""A versioned map is a dictionary, and the versions taken of it never change.

Real: the map and the library beneath it.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.state.versioned_map import VersionedMap

keys = st.integers(0, 20)
changes = st.lists(st.tuples(keys, st.none() | st.integers()) | st.none(), max_size=60)
"""Set a key, remove it (None), or take a version (None in place of a change)."""


@given(changes)
def test_content_is_that_of_a_dictionary(acts: list[tuple[int, int | None] | None]) -> None:
    """Whatever is set and removed, map and dictionary have the same content."""
    found: VersionedMap[int, int] = VersionedMap()
    expected: dict[int, int] = {}
    for act in acts:
        match act:
            case None:
                assert dict(found.version()) == expected
            case key, None:
                assert found.pop(key) == expected.pop(key, None)
            case key, value:
                found.set(key, value)
                expected[key] = value
        assert len(found) == len(expected)
        assert all(found.get(key) == expected.get(key) for key in range(21))
        assert all((key in found) is (key in expected) for key in range(21))


@given(changes)
def test_version_never_changes(acts: list[tuple[int, int | None] | None]) -> None:
    """Every version has the content of the moment at which it was taken."""
    found: VersionedMap[int, int] = VersionedMap()
    versions = [(found.version(), dict(found.version()))]
    for act in acts:
        match act:
            case None:
                versions.append((found.version(), dict(found.version())))
            case key, None:
                found.pop(key)
            case key, value:
                found.set(key, value)
    assert all(dict(version) == content for version, content in versions)


def test_version_is_the_same_object_until_a_change() -> None:
    """Taking a version twice, or removing an absent key, gives the same object."""
    found: VersionedMap[str, int] = VersionedMap()
    found.set("a", 1)
    version = found.version()
    found.pop("b")
    assert found.version() is version
    found.set("a", 2)
    assert found.version() is not version
