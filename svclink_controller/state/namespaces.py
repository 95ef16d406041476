"""The Namespaces of the main cluster."""

from __future__ import annotations

from collections.abc import Collection

from attrs import define, field

from svclink_controller.state.versioned_map import VersionedMap
from svclink_controller.wire.messages import Listing
from svclink_core.core_v1 import Namespace
from svclink_core.meta_v1 import ObjectMeta


@define
class Namespaces:
    """Which Namespaces exist and which of them are being deleted.

    Both are unknown before the first list.
    """

    _existing: VersionedMap[str, Namespace] | None = None
    _terminating: VersionedMap[str, Namespace] = field(factory=VersionedMap)

    def replace(self, listing: Listing[Namespace]) -> None:
        """Take a complete list. An undecodable Namespace exists all the same."""
        self._existing, self._terminating = VersionedMap(), VersionedMap()
        for each in listing.undecodable:
            self.put(Namespace(ObjectMeta(each.key.name)))
        for namespace in listing.items:
            self.put(namespace)

    def put(self, namespace: Namespace) -> bool:
        """Add or change a Namespace. Returns whether the Namespaces are known."""
        if self._existing is None:
            return False
        name = namespace.metadata.name
        self._existing.set(name, namespace)
        if namespace.is_terminating:
            self._terminating.set(name, namespace)
        else:
            self._terminating.pop(name)
        return True

    def remove(self, name: str) -> bool:
        """Remove a Namespace. Returns whether it existed."""
        self._terminating.pop(name)
        return self._existing is not None and self._existing.pop(name) is not None

    def names(self) -> Collection[str] | None:
        """The names of all Namespaces, None before the first list."""
        return None if self._existing is None else self._existing.version()

    def terminating(self) -> Collection[str]:
        """The names of the Namespaces that are being deleted."""
        return self._terminating.version()
