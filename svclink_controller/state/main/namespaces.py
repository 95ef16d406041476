"""The Namespaces of the main cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attrs import define, field

from svclink_controller.state.versioned_map import VersionedMap
from svclink_controller.wire.messages import Listing
from svclink_core.core_v1 import Namespace
from svclink_core.enqueueing import ClusterChanged, Event, NamespaceChanged
from svclink_core.meta_v1 import ObjectMeta
from svclink_core.well_known import MAIN


@define
class Namespaces:
    """Which Namespaces exist and which of them are being deleted.

    Both are unknown before the first list.

    Args:
        changed: Called after every change.
    """

    changed: Callable[[Event], None]
    _existing: VersionedMap[str, Namespace] | None = None
    _terminating: VersionedMap[str, Namespace] = field(factory=VersionedMap)

    def replace(self, listing: Listing[Namespace]) -> None:
        """Take a complete list. An undecodable Namespace exists all the same."""
        self._existing, self._terminating = VersionedMap(), VersionedMap()
        for each in listing.undecodable:
            self._set(self._existing, Namespace(ObjectMeta(each.key.name)))
        for namespace in listing.items:
            self._set(self._existing, namespace)
        self.changed(ClusterChanged(MAIN))

    def put(self, namespace: Namespace) -> None:
        """Add or change a Namespace. It is ignored before the first list."""
        if self._existing is not None:
            self._set(self._existing, namespace)
            self.changed(NamespaceChanged(namespace.metadata.name))

    def remove(self, name: str) -> None:
        """Remove a Namespace."""
        self._terminating.pop(name)
        if self._existing is not None and self._existing.pop(name) is not None:
            self.changed(NamespaceChanged(name))

    def names(self) -> Collection[str] | None:
        """The names of all Namespaces, None before the first list."""
        return None if self._existing is None else self._existing.version()

    def terminating(self) -> Collection[str]:
        """The names of the Namespaces that are being deleted."""
        return self._terminating.version()

    def _set(self, existing: VersionedMap[str, Namespace], namespace: Namespace) -> None:
        name = namespace.metadata.name
        existing.set(name, namespace)
        if namespace.is_terminating:
            self._terminating.set(name, namespace)
        else:
            self._terminating.pop(name)
