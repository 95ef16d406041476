"""The Services of one namespace that a selector selects: they count once their slices are read.

Which EndpointSlices are read depends on which Services there are. A Service that gets its labels
later would look as if it had no endpoints, until its EndpointSlices were listed.
"""

from __future__ import annotations

import asyncio

from attrs import define, evolve, field

from svclink_controller.api.spending import Reading
from svclink_controller.reflect.sinks import ObjectSink
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core.budget import footprint
from svclink_core.core_v1 import Service
from svclink_core.meta_v1 import NamespacedName


@define
class SelectedServices:
    """Puts Services into the store once their EndpointSlices are read.

    EndpointSlices of Services that are gone are still read, unless they outnumber the others: if
    they stay, the Service is not gone, but lost its labels.

    Args:
        sink: Puts Services into the store.
        reading: Counts the memory of Services that wait.
        held: The Services in the store.
        has_waiting: Set while Services wait for their EndpointSlices.
    """

    sink: ObjectSink[Service]
    reading: Reading
    held: set[NamespacedName]
    has_waiting: asyncio.Event = field(factory=asyncio.Event)
    _gone: set[NamespacedName] = field(factory=set)
    _waiting: dict[NamespacedName, Service] = field(factory=dict)

    def widen(self) -> frozenset[NamespacedName]:
        """Begin to read the EndpointSlices of the Services that wait: all whose slices to read."""
        self.has_waiting.clear()
        if len(self._gone) > len(self.held) + len(self._waiting):
            self._gone.clear()
        return frozenset(self.held | self._gone | self._waiting.keys())

    def release(self, read: frozenset[NamespacedName]) -> None:
        """Put the Services into the store that have waited until these were read."""
        for key in self._waiting.keys() & read:
            item = self._forget(key)
            self.held.add(key)
            self.sink.apply(item)

    async def replace(self, listing: Listing[Service]) -> None:
        """Take a complete list."""
        listed = {item.metadata.key: item for item in listing.items}
        for key in self._waiting.keys() - listed.keys():
            self._forget(key)
        known = self.held | self._gone
        for key in listed.keys() - known:
            self._wait(listed[key])
        here = {key: item for key, item in listed.items() if key in known}
        undecodable = {each.key for each in listing.undecodable}
        self._gone = known - here.keys() - undecodable
        self.held = here.keys() | (self.held & undecodable)
        await self.sink.replace(evolve(listing, items=list(here.values())))

    def apply(self, item: Service) -> None:
        """Add or change a Service."""
        key = item.metadata.key
        if key in self.held or key in self._gone:
            self._gone.discard(key)
            self.held.add(key)
            self.sink.apply(item)
        else:
            self._wait(item)

    def remove(self, key: NamespacedName) -> None:
        """Remove a Service that is gone, or that lost its labels."""
        if key in self._waiting:
            self._forget(key)
            return
        self.held.discard(key)
        self._gone.add(key)
        self.sink.remove(key)

    def mark_undecodable(self, each: Undecodable) -> None:
        """Note that a Service exists but could not be decoded."""
        if each.key in self._waiting:
            self._forget(each.key)
        self.sink.mark_undecodable(each)

    def _wait(self, item: Service) -> None:
        if item.metadata.key in self._waiting:
            self._forget(item.metadata.key)
        self._waiting[item.metadata.key] = item
        self.has_waiting.set()
        self.reading.grow(footprint(item))

    def _forget(self, key: NamespacedName) -> Service:
        item = self._waiting.pop(key)
        self.reading.shrink(footprint(item))
        return item
