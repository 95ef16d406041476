"""A mutable map that returns its current content as an immutable value."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

from attrs import define, field
from immutables import Map, MapMutation

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@define
class VersionedMap(Generic[K, V]):
    """A dictionary with versions. Taking a version copies nothing, and a version never changes.

    Changes between two versions share one mutation of the persistent map: a long list copies each
    of its nodes once, not once for each object. Versions share all nodes that did not change
    between them.
    """

    _version: Map[K, V] = field(factory=Map)
    _mutation: MapMutation[K, V] | None = None

    def version(self) -> Map[K, V]:
        """The current content. It is the same object as long as nothing changes."""
        if self._mutation is not None:
            self._version, self._mutation = self._mutation.finish(), None
        return self._version

    def get(self, key: K) -> V | None:
        """The value of a key, None if the key is absent."""
        return self._version.get(key) if self._mutation is None else self._mutation.get(key)

    def set(self, key: K, value: V) -> None:
        """Add a key or replace its value."""
        self._changing().set(key, value)

    def pop(self, key: K) -> V | None:
        """Remove a key. Returns its value, None if the key was absent."""
        return self._changing().pop(key, None) if key in self else None

    def __contains__(self, key: K) -> bool:
        return key in (self._version if self._mutation is None else self._mutation)

    def __len__(self) -> int:
        return len(self._version if self._mutation is None else self._mutation)

    def _changing(self) -> MapMutation[K, V]:
        if self._mutation is None:
            self._mutation = self._version.mutate()
        return self._mutation
