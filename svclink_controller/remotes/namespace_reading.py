"""Reads the namespaces of one cluster. One that cannot be read does not hold up the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Coroutine
from functools import partial
from typing import Any, Final, Generic, TypeVar

import structlog
from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, forbidden_means, missing_means
from svclink_controller.backoff import Backoff
from svclink_controller.reflect.reflector import Reflector, Sink
from svclink_controller.reflect.sinks import ObjectSink
from svclink_controller.remotes.selection.selected_namespaces import (
    SelectedNamespaces,
    SelectedNamespaceSink,
)
from svclink_controller.remotes.selection.selected_services import SelectedServices
from svclink_controller.remotes.silences import Silences
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing
from svclink_controller.wire.resources import (
    REMOTE_ENDPOINT_SLICES,
    SERVICES,
    Resource,
    namespaces_selected_by,
    services_selected_by,
    slices_of,
)
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.label_selector import EVERYTHING
from svclink_core.link_reasons import LinkReason
from svclink_core.link_target import LinkTarget, goes_on_without
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import SYNCED, Synced

CORRECT_SERVER: Final = (
    "the server in the kubeconfig is not the URL of a Kubernetes API server: correct it"
)
GRANT_NAMESPACES: Final = (
    "spec.namespaceSelector needs permission to list and watch namespaces in the cluster: grant it"
    " there, or list the namespaces in spec.includedNamespaces instead"
)
UPGRADE_KUBERNETES: Final = (
    "the server does not serve EndpointSlices in discovery.k8s.io/v1: upgrade it to Kubernetes 1.21"
    " or newer"
)
_MISSING: Final = {
    SERVICES.plural: CORRECT_SERVER,
    REMOTE_ENDPOINT_SLICES.plural: UPGRADE_KUBERNETES,
}

HEALTHY_NAMESPACE_SECONDS: Final = 60
"""A namespace that was followed for this long is tried again soon when it cannot be read."""

T = TypeVar("T", Service, EndpointSlice)
A = TypeVar("A")
B = TypeVar("B")

log = structlog.get_logger()


@define
class Listed(Generic[T]):
    """One kind, listed in one namespace or in all, and the reflector that goes on from there."""

    reflector: Reflector[T]
    kind: type[T]
    listing: Listing[T]


@define
class ListedNamespace:
    """Both kinds, listed in one namespace, or in all of them (`namespace` is empty).

    Args:
        namespace: The namespace.
        services: Its Services.
        slices: Its EndpointSlices.
        selected: The Services that exist, decodable or not, if a selector selects them; else None.
    """

    namespace: str
    services: Listed[Service]
    slices: Listed[EndpointSlice]
    selected: frozenset[NamespacedName] | None = None


@define
class NamespaceSelection:
    """Which namespaces are read, and the reflector that goes on from the list of them."""

    selected: SelectedNamespaces
    reflector: Reflector[Namespace]
    resource_version: str


@define
class NamespaceReader:
    """Lists the namespaces that a link asks for.

    Args:
        client: The cluster.
        target: What the link asks to be read.
        resource: How EndpointSlices are decoded.
        selection: Which namespaces are read, if the link selects them by their labels.
        missing: The namespaces that could not be read when they were last tried.
        longest_pause: The longest pause before such a namespace is tried again, in seconds.
    """

    client: Client
    target: LinkTarget
    resource: Resource[EndpointSlice] = REMOTE_ENDPOINT_SLICES
    selection: NamespaceSelection | None = None
    missing: set[str] = field(factory=set)
    longest_pause: float = 30

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces to list; one empty name stands for all."""
        if self.selection is not None:
            return self.selection.selected.names
        return self.target.namespaces or ("",)

    @property
    def connection(self) -> Synced:
        """What is known of the cluster once the others are listed."""
        return Synced(frozenset(self.missing)) if self.missing else SYNCED

    async def select_namespaces(self) -> None:
        """List the namespaces, if the link selects them by their labels.

        Raises:
            ApiError, TransportError, WireError: They cannot be listed.
        """
        selector = self.target.namespace_selector
        if selector == EVERYTHING:
            return
        reflector = Reflector(self.client, namespaces_selected_by(selector))
        with forbidden_means(GRANT_NAMESPACES):
            listing = await reflector.list_all()
        selected = SelectedNamespaces(self.target)
        selected.take(listing)
        self.selection = NamespaceSelection(selected, reflector, listing.resource_version)
        self.client.reading.shrink(listing.memory)

    async def list_all(self) -> list[ListedNamespace]:
        """Every namespace that can be read, one after the other, to hold few lists at a time.

        Raises:
            ApiError, TransportError, WireError: No namespace can be read, or the cluster failed.
        """
        listed = []
        for namespace in self.namespaces:
            try:
                listed.append(await self.list_one(namespace))
            except ApiError as error:
                self.mark_missing(namespace, error)
        return listed

    async def list_one(self, namespace: str) -> ListedNamespace:
        """Both kinds of one namespace."""
        listings: list[Listing[Service] | Listing[EndpointSlice]] = []
        try:
            if self.target.service_selector != EVERYTHING:
                return await self._list_selected(namespace, listings.append)
            services, slices = await _both(
                self._list(SERVICES, Service, namespace, listings.append),
                self._list(self.resource, EndpointSlice, namespace, listings.append),
            )
        except BaseException:  # What was listed of one kind is not used without the other.
            self.client.reading.shrink(sum(each.memory for each in listings))
            raise
        return ListedNamespace(namespace, services, slices)

    async def _list_selected(
        self, namespace: str, listed: Callable[[Listing[Service] | Listing[EndpointSlice]], None]
    ) -> ListedNamespace:
        """First the Services, which decide whose slices are read."""
        resource = services_selected_by(self.target.service_selector)
        services = await self._list(resource, Service, namespace, listed)
        listing = services.listing
        undecodable = {each.key for each in listing.undecodable}
        selected = frozenset(undecodable | {each.metadata.key for each in listing.items})
        slices = await self.list_slices(namespace, selected, listed)
        return ListedNamespace(namespace, services, slices, selected)

    async def list_slices(
        self,
        namespace: str,
        services: Collection[NamespacedName],
        listed: Callable[[Listing[EndpointSlice]], None] = lambda _: None,
    ) -> Listed[EndpointSlice]:
        """The EndpointSlices of some Services of a namespace."""
        resource = slices_of(self.resource, services)
        return await self._list(resource, EndpointSlice, namespace, listed)

    def mark_missing(self, namespace: str, error: ApiError) -> None:
        """Go on without a namespace. Raises the error if that concerns the others, too."""
        missing = self.missing | {namespace}
        if not goes_on_without(self.namespaces, missing, error.status.code):
            raise error
        if namespace not in self.missing:
            fix = LinkReason.NAMESPACES_MISSING.sentence
            log.warning("namespace not read", namespace=namespace, problem=str(error), fix=fix)
        self.missing.add(namespace)

    async def _list(
        self,
        resource: Resource[T],
        kind: type[T],
        namespace: str,
        listed: Callable[[Listing[T]], None],
    ) -> Listed[T]:
        reflector = Reflector(self.client, resource, namespace)
        with missing_means(_MISSING[resource.plural]):
            listing = await reflector.list_all()
        listed(listing)
        return Listed(reflector, kind, listing)


@define
class NamespaceFollower:
    """Keeps the store up to date with the namespaces of one cluster.

    Args:
        reader: Lists the namespaces.
        store: Where the objects go.
        cluster: The name of the link.
    """

    reader: NamespaceReader
    store: Store
    cluster: str
    _silences: Silences = field(init=False)
    _following: dict[str, asyncio.Task[None]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self._silences = Silences(self.store, self.cluster)

    def start(
        self, group: asyncio.TaskGroup, namespace: str, listed: ListedNamespace | None = None
    ) -> None:
        """Follow a namespace from now on. Arguments as for `follow`."""
        self._following[namespace] = group.create_task(self.follow(namespace, listed))

    def stop(self, namespace: str) -> None:
        """No longer follow a namespace, which is not selected any more, or gone."""
        self._following.pop(namespace).cancel()
        self._silences.forget(namespace)
        if namespace in self.reader.missing:
            self.reader.missing.discard(namespace)
            self._report()

    async def follow_selection(
        self, group: asyncio.TaskGroup, selection: NamespaceSelection
    ) -> None:
        """Start and stop to follow namespaces as their labels change.

        Never returns; raises what ends the session.
        """
        sink = SelectedNamespaceSink(
            self.store, self.cluster, selection.selected, partial(self.start, group), self.stop
        )
        reflector = selection.reflector
        record_activity = self.store.propagation.record_activity
        reflector.on_activity = partial(record_activity, self.cluster, reflector.resource.plural)
        reflector.on_silence = partial(self._silences.record, reflector.resource.plural, "")
        await reflector.watch(selection.resource_version, sink)

    async def follow(self, namespace: str, listed: ListedNamespace | None) -> None:
        """Apply every change of a namespace to the store; try one that cannot be read until it can.

        Never returns; raises what ends the session.

        Args:
            namespace: The namespace; empty for all.
            listed: What the store holds already; None if the namespace was not read.
        """
        loop = asyncio.get_running_loop()
        backoff = Backoff(base=1, cap=self.reader.longest_pause)
        while True:
            if namespace in self.reader.missing:
                await asyncio.sleep(backoff.next_delay())
            started = loop.time()
            try:
                listed = listed or await self._take(namespace)
                await self._watch(listed)
            except ApiError as error:
                listed = None
                self.reader.mark_missing(namespace, error)
                self._silences.forget(namespace)
                self._report()
            if loop.time() - started > HEALTHY_NAMESPACE_SECONDS:
                backoff.reset()

    async def _watch(self, listed: ListedNamespace) -> None:
        """Watch both kinds until one of them fails."""
        services, slices = listed.services, listed.slices
        if listed.selected is None:
            await _both(
                self._watch_kind(services, self._sink(services)),
                self._watch_kind(slices, self._sink(slices)),
            )
            return
        reading, held = self.reader.client.reading, set(listed.selected)
        selected = SelectedServices(self._sink(services), reading, held)
        await _both(self._watch_kind(services, selected), self._watch_slices_of(selected, slices))

    async def _watch_slices_of(
        self, selected: SelectedServices, slices: Listed[EndpointSlice]
    ) -> None:
        """Watch the EndpointSlices of selected Services; list again when these become more."""
        while True:
            watching = self._watch_kind(slices, self._sink(slices))
            await _until(selected.has_waiting, watching)
            plural, namespace = slices.reflector.resource.plural, slices.reflector.namespace
            self._silences.record(plural, namespace, None)
            read = selected.widen()
            slices = await self.reader.list_slices(namespace, read)
            await self._replace(slices)
            selected.release(read)

    async def _watch_kind(self, listed: Listed[T], sink: Sink[T]) -> None:
        reflector, plural = listed.reflector, listed.reflector.resource.plural
        record_activity = self.store.propagation.record_activity
        reflector.on_activity = partial(record_activity, self.cluster, plural)
        reflector.on_silence = partial(self._silences.record, plural, reflector.namespace)
        await reflector.watch(listed.listing.resource_version, sink)

    async def _take(self, namespace: str) -> ListedNamespace:
        """Put a namespace that can be read again into the store. It counts once it is complete."""
        listed = await self.reader.list_one(namespace)
        await self._replace(listed.services)
        await self._replace(listed.slices)
        self.reader.missing.discard(namespace)
        self.store.set_unread_namespace(self.cluster, namespace, None)
        log.info("namespace read", namespace=namespace)
        self._report()
        return listed

    async def _replace(self, listed: Listed[T]) -> None:
        await self._sink(listed).replace(listed.listing)
        listed.listing.items.clear()
        self.reader.client.reading.shrink(listed.listing.memory)

    def _sink(self, listed: Listed[T]) -> ObjectSink[T]:
        account = self.reader.client.reading.account
        namespace = listed.reflector.namespace
        return ObjectSink(self.store, self.cluster, listed.kind, namespace, account)

    def _report(self) -> None:
        """Note which namespaces are missing, unless the link asks for others by now."""
        if isinstance(self.store.connections.get(self.cluster), Synced):
            self.store.set_connection(self.cluster, self.reader.connection)


async def _both(one: Coroutine[Any, Any, A], other: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Run two coroutines until both end or one fails.

    Before Python 3.13, a TaskGroup that is cancelled as a child fails hides the cancellation.
    """
    first, second = asyncio.create_task(one), asyncio.create_task(other)
    tasks = (first, second)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = next((each for each in tasks if each.done() and each.exception()), first)
        failed.result()
        return first.result(), second.result()
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _until(happened: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine until something happens. Raises what ends the coroutine before that."""
    working, waiting = asyncio.create_task(work), asyncio.create_task(happened.wait())
    try:
        await asyncio.wait((working, waiting), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
    finally:
        working.cancel()
        waiting.cancel()
        await asyncio.gather(working, waiting, return_exceptions=True)
