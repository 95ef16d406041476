"""The namespaces of one cluster that a selector selects, and what changes when labels do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet

from attrs import define, field

from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.link_target import LinkTarget
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import UnreadNamespace
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM


@define
class SelectedNamespaces:
    """Which namespaces are read, out of those that the link includes.

    All namespaces are listed, and not only those that the selector selects: else one that was
    deleted could not be told from one that lost its labels, which is meant.
    """

    target: LinkTarget
    _selected: dict[str, bool | None] = field(factory=dict)

    def take(self, listing: Listing[Namespace]) -> None:
        """Take a complete list. Of one that could not be decoded, the labels are not known."""
        self._selected = dict.fromkeys(each.key.name for each in listing.undecodable)
        for each in listing.items:
            self._selected[each.metadata.name] = each.is_selected

    @property
    def names(self) -> tuple[str, ...]:
        """The namespaces to read."""
        return tuple(sorted(filter(self.is_read, self._selected)))

    @property
    def unread(self) -> dict[str, UnreadNamespace]:
        """Why nothing is read of the others that exist, unless the link leaves them out by name."""
        return {
            name: UnreadNamespace.NOT_LISTED if selected is None else UnreadNamespace.NOT_SELECTED
            for name, selected in self._selected.items()
            if not selected
        }

    @property
    def known(self) -> AbstractSet[str]:
        """All namespaces that exist."""
        return self._selected.keys()

    def is_read(self, name: str) -> bool:
        """Whether a namespace is selected, and not left out for another reason."""
        is_included = not self.target.namespaces or name in self.target.namespaces
        may_be_read = is_included and name != NAMESPACE_KUBE_SYSTEM
        return may_be_read and bool(self._selected.get(name))

    def set(self, name: str, *, is_selected: bool | None) -> None:
        """Note whether a namespace is selected; None: its labels are not known."""
        self._selected[name] = is_selected

    def discard(self, name: str) -> None:
        """Note that a namespace does not exist."""
        self._selected.pop(name, None)


@define
class SelectedNamespaceSink:
    """Starts and stops reading namespaces as their labels change.

    Args:
        store: The state.
        cluster: The name of the link.
        selected: Which namespaces are read.
        start: Starts to read a namespace.
        stop: Stops to read one.
    """

    store: Store
    cluster: str
    selected: SelectedNamespaces
    start: Callable[[str], None]
    stop: Callable[[str], None]

    async def replace(self, listing: Listing[Namespace]) -> None:
        """Take a complete list."""
        listed = {each.metadata.name for each in listing.items}
        listed |= {each.key.name for each in listing.undecodable}
        for name in self.selected.known - listed:
            self.remove(NamespacedName("", name))
        for item in listing.items:
            self.apply(item)
        for each in listing.undecodable:
            self.mark_undecodable(each)

    def apply(self, item: Namespace) -> None:
        """Add or change a Namespace."""
        name = item.metadata.name
        was_read = self.selected.is_read(name)
        self.selected.set(name, is_selected=item.is_selected)
        if was_read == self.selected.is_read(name):
            if not item.is_selected:
                self._set(name, UnreadNamespace.NOT_SELECTED)
        elif was_read:
            self.stop(name)
            self._set(name, UnreadNamespace.NOT_SELECTED)
            self._remove_objects(name)
        else:
            self._set(name, UnreadNamespace.NOT_LISTED)
            self.start(name)

    def remove(self, key: NamespacedName) -> None:
        """Remove a Namespace. What it had went with it."""
        if self.selected.is_read(key.name):
            self.stop(key.name)
            self._remove_objects(key.name)
        self.selected.discard(key.name)
        self._set(key.name, None)

    def mark_undecodable(self, each: Undecodable) -> None:
        """Leave a Namespace as it was, because its labels are not known."""
        if each.key.name not in self.selected.known:
            self.selected.set(each.key.name, is_selected=None)
            self._set(each.key.name, UnreadNamespace.NOT_LISTED)

    def _set(self, name: str, why: UnreadNamespace | None) -> None:
        self.store.set_unread_namespace(self.cluster, name, why)

    def _remove_objects(self, name: str) -> None:
        services: Listing[Service] = Listing([], [], "")
        slices: Listing[EndpointSlice] = Listing([], [], "")
        _exhaust(self.store.replacing(self.cluster, Service, services, name))
        _exhaust(self.store.replacing(self.cluster, EndpointSlice, slices, name))


def _exhaust(steps: Iterable[None]) -> None:
    for _ in steps:
        pass
