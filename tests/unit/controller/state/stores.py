"""Stores for tests, with a record of the changes that they report."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from attrs import define

from svclink_controller.state.changes import (
    LinkChanged,
    LinkStatusChanged,
    ServicesToPlan,
    StateChange,
)
from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    SYNCED,
    EndpointSlice,
    NamespacedName,
    Options,
    Service,
    Unreachable,
)
from tests.builders.keys import WEB, Key, key_of
from tests.builders.values import link, mirrored_slice, remote_slice

API: Final = NamespacedName("default", "api")
SOURCE: Final = remote_slice().metadata.key
MIRROR: Final = mirrored_slice().metadata.key
LOST: Final = Unreachable("2026-01-01T00:00:00Z", 1_767_225_600.0)


@define
class World:
    """A store, and the changes it reported."""

    store: Store
    changes: list[StateChange]

    @property
    def enqueued(self) -> list[NamespacedName]:
        """Services to plan again, in the order in which the store reported them."""
        reported = [change for change in self.changes if isinstance(change, ServicesToPlan)]
        return [key for change in reported for key in change.keys]

    @property
    def causes(self) -> list[str | None]:
        """The cluster of each report of Services to plan again."""
        return [each.cluster for each in self.changes if isinstance(each, ServicesToPlan)]

    @property
    def outdated_statuses(self) -> list[str]:
        """Links with a status that is out of date."""
        return [change.name for change in self.changes if isinstance(change, LinkStatusChanged)]

    @property
    def changed_links(self) -> list[str]:
        """Links that were added, edited or removed, or whose connection changed."""
        return [change.name for change in self.changes if isinstance(change, LinkChanged)]


def world(options: Options | None = None, *, is_complete: bool = True) -> World:
    """A store without links; it is complete if everything of the main cluster was listed."""
    changes: list[StateChange] = []
    store = Store(options or Options(), changes.append)
    for kind in PLANNED_KINDS if is_complete else ():
        store.mark_listed(kind)
    return World(store, changes)


def linked(*names: str, options: Options | None = None) -> World:
    """A complete store with synced links, and no changes recorded yet."""
    made = world(options)
    for name in names:
        made.store.put_link(link(name, version="1"))
        made.store.set_connection(name, SYNCED)
    made.changes.clear()
    return made


def listing(
    *items: Service | EndpointSlice, undecodable: Iterable[Undecodable] = ()
) -> Listing[Service]:
    """A complete list."""
    return Listing(list(items), list(undecodable), "1")  # type: ignore[arg-type]  # the store takes one kind at a time


def undecodable(name: str = SOURCE.name, key: Key = WEB) -> Undecodable:
    """An undecodable object of a Service."""
    key = key_of(key)
    return Undecodable(NamespacedName(key.namespace, name), key, "field missing")
