"""Sinks, which store in the state what reflectors read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import structlog
from attrs import evolve, field, frozen

from svclink_controller.api.errors import NOT_LISTABLE, ApiError
from svclink_controller.api.spending import Account
from svclink_controller.loop_turns import TURN_SECONDS, in_turns
from svclink_controller.reflect.reflector import ReadError, grant_listing, warn_unread
from svclink_controller.state.main.api_server_callers import ApiServerCallers
from svclink_controller.state.main.namespaces import Namespaces
from svclink_controller.state.store import Store
from svclink_controller.wire.api_server_callers import CALLERS
from svclink_controller.wire.messages import Listing, Undecodable, undecodable_link
from svclink_core.api_server_calls import ApiServerCaller
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.svclink_v1alpha1 import ClusterLink

T = TypeVar("T", Service, EndpointSlice)

log = structlog.get_logger()


@frozen
class ObjectSink(Generic[T]):
    """Services or EndpointSlices of one cluster.

    Args:
        store: The state.
        cluster: The name of the link, or `MAIN`.
        kind: `Service` or `EndpointSlice`.
        namespace: The namespace that is read; empty means all.
        account: What the cluster spends of its budget.
        turn_seconds: How long a list may hold the event loop at a time.
    """

    store: Store
    cluster: str
    kind: type[T]
    namespace: str = ""
    account: Account = field(factory=Account)
    turn_seconds: float = TURN_SECONDS

    async def replace(self, listing: Listing[T]) -> None:
        """Take a complete list. Ten thousand slices take 0.1 s, and other tasks run in between."""
        steps = self.store.replacing(self.cluster, self.kind, listing, self.namespace)
        await in_turns(steps, self.turn_seconds, self.account.list_share)

    def apply(self, item: T) -> None:
        """Add or change an object. Raises `BudgetExceededError` if the cluster has too many."""
        self._record_change(item.metadata.key)
        self.store.put(self.cluster, item)
        self._record_change(item.metadata.key)
        self.account.check()

    def remove(self, key: NamespacedName) -> None:
        """Remove an object."""
        self._record_change(key)
        self.store.remove(self.cluster, self.kind, key)

    def mark_undecodable(self, each: Undecodable) -> None:
        """Note that an object exists but could not be decoded."""
        self.store.mark_undecodable(self.cluster, self.kind, each)
        self.account.check()

    def _record_change(self, key: NamespacedName) -> None:
        """Note a change of the Service that an object belongs to, before and after the change."""
        service = self.store.service_of(self.cluster, self.kind, key)
        if service is not None and self.cluster in self.store.links:
            self.store.propagation.record_change(self.cluster, service)


@frozen
class NamespaceSink:
    """Namespaces of the main cluster."""

    namespaces: Namespaces

    async def replace(self, listing: Listing[Namespace]) -> None:
        """Take a complete list."""
        self.namespaces.replace(listing)

    def apply(self, item: Namespace) -> None:
        """Add or change a Namespace."""
        self.namespaces.put(item)

    def remove(self, key: NamespacedName) -> None:
        """Remove a Namespace."""
        self.namespaces.remove(key.name)

    def mark_undecodable(self, each: Undecodable) -> None:
        """Note that a Namespace exists but could not be decoded."""
        self.namespaces.put(Namespace(ObjectMeta(each.key.name)))


@frozen
class CallerSink:
    """Objects of one kind that make the main cluster's API server call Services."""

    callers: ApiServerCallers
    kind: str

    async def replace(self, listing: Listing[ApiServerCaller]) -> None:
        """Take a complete list."""
        self.callers.replace(self.kind, listing)

    def apply(self, item: ApiServerCaller) -> None:
        """Add or change an object."""
        self.callers.put(item)

    def remove(self, key: NamespacedName) -> None:
        """Remove an object."""
        self.callers.remove(self.kind, key.name)

    def mark_undecodable(self, each: Undecodable) -> None:
        """Keep what the last decoded state of an object says."""

    def fail(self, error: ReadError) -> None:
        """Note that the kind cannot be read. That svclink may not read it is logged once."""
        plural = CALLERS[self.kind].plural
        is_refused = isinstance(error, ApiError) and error.status.code in NOT_LISTABLE
        is_new = self.callers.mark_unread(self.kind, is_refused=is_refused)
        if not is_refused:
            warn_unread(plural, error)
        elif is_new:
            log.warning(
                "api server calls unknown",
                kind=plural,
                problem=str(error),
                effect="Services that it makes the API server call are mirrored too",
                fix=grant_listing(plural),
            )


@frozen
class LinkSink:
    """ClusterLinks of the main cluster.

    Args:
        store: The state, which changes first.
        changed: Called with the name of each link that was added, changed or removed.
        is_everything_selected: Whether this controller works on all links. Else it leaves an
            undecodable link alone, because the labels of that link are unknown.
    """

    store: Store
    changed: Callable[[str], None]
    is_everything_selected: bool = True

    async def replace(self, listing: Listing[ClusterLink]) -> None:
        """Take a complete list."""
        listed = {link.metadata.key for link in listing.items}
        undecodable = {each.key for each in listing.undecodable}
        for key in self.store.link_index.keys() - listed - undecodable:
            self.remove(key)
        for link in listing.items:
            self.store.put_link(link, listed=True)
            self.changed(link.metadata.name)
        for each in listing.undecodable:
            self.mark_undecodable(each)
        self.store.mark_listed(ClusterLink)

    def apply(self, item: ClusterLink) -> None:
        """Add or change a link."""
        self.store.put_link(item)
        self.changed(item.metadata.name)

    def remove(self, key: NamespacedName) -> None:
        """Remove a link."""
        self.store.remove_link(key.name, key.namespace)
        self.changed(key.name)

    def mark_undecodable(self, each: Undecodable) -> None:
        """Keep the last decoded state of an undecodable link in force.

        Without one, add an empty link that says what is wrong.

        The mirrors of a link that exists must not be taken for those of a removed one.
        """
        held = self.store.link_index.get(each.key)
        if held is None:
            self.apply(undecodable_link(each, is_selected=self.is_everything_selected))
        elif held.undecodable and held.undecodable != each.problem:
            self.apply(evolve(held, undecodable=each.problem))
