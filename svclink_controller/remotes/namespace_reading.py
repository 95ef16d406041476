"""Reads the namespaces of one cluster. One that cannot be read does not hold up the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final, Generic, TypeVar

import structlog
from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, missing_means
from svclink_controller.backoff import Backoff
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.reflect.sinks import ObjectSink
from svclink_controller.remotes.silences import Silences
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing
from svclink_controller.wire.resources import REMOTE_ENDPOINT_SLICES, SERVICES, Resource
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.link_reasons import LinkReason
from svclink_core.link_target import LinkTarget, goes_on_without
from svclink_core.snapshot import SYNCED, Synced

CORRECT_SERVER: Final = (
    "correct the server in the kubeconfig, which is not the URL of a Kubernetes API server"
)
UPGRADE_KUBERNETES: Final = (
    "the server has no EndpointSlices of discovery.k8s.io/v1: upgrade it to Kubernetes 1.21"
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
    """Both kinds, listed in one namespace, or in all of them (`namespace` is empty)."""

    namespace: str
    services: Listed[Service]
    slices: Listed[EndpointSlice]


@define
class NamespaceReader:
    """Lists the namespaces that a link asks for.

    Args:
        client: The cluster.
        target: What the link asks to be read.
        resource: How EndpointSlices are decoded.
        missing: The namespaces that could not be read when they were last tried.
        longest_pause: The longest pause before such a namespace is tried again, in seconds.
    """

    client: Client
    target: LinkTarget
    resource: Resource[EndpointSlice] = REMOTE_ENDPOINT_SLICES
    missing: set[str] = field(factory=set)
    longest_pause: float = 30

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces to list; one empty name stands for all."""
        return self.target.namespaces or ("",)

    @property
    def connection(self) -> Synced:
        """What is known of the cluster once the others are listed."""
        return Synced(frozenset(self.missing)) if self.missing else SYNCED

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
            services, slices = await _both(
                self._list(SERVICES, Service, namespace, listings.append),
                self._list(self.resource, EndpointSlice, namespace, listings.append),
            )
        except BaseException:  # What was listed of one kind is not used without the other.
            self.client.reading.shrink(sum(each.memory for each in listings))
            raise
        return ListedNamespace(namespace, services, slices)

    def mark_missing(self, namespace: str, error: ApiError) -> None:
        """Go on without a namespace. Raises the error if that concerns the others, too."""
        missing = self.missing | {namespace}
        if not goes_on_without(self.target, missing, error.status.code):
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

    def __attrs_post_init__(self) -> None:
        self._silences = Silences(self.store, self.cluster)

    async def follow(self, namespace: str, listed: ListedNamespace | None) -> None:
        """Apply every change of a namespace to the store; try one that cannot be read until it can.

        Never returns; raises what ends the session.

        Args:
            namespace: The namespace; empty for all.
            listed: What the store holds already; None if the namespace could not be read.
        """
        loop = asyncio.get_running_loop()
        backoff = Backoff(base=1, cap=self.reader.longest_pause)
        while True:
            if listed is None:
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
        await _both(self._watch_kind(listed.services), self._watch_kind(listed.slices))

    async def _watch_kind(self, listed: Listed[T]) -> None:
        reflector, plural = listed.reflector, listed.reflector.resource.plural
        record_activity = self.store.propagation.record_activity
        reflector.on_activity = partial(record_activity, self.cluster, plural)
        reflector.on_silence = partial(self._silences.record, plural, reflector.namespace)
        await reflector.watch(listed.listing.resource_version, self._sink(listed))

    async def _take(self, namespace: str) -> ListedNamespace:
        """Put a namespace that can be read again into the store. It counts once it is complete."""
        listed = await self.reader.list_one(namespace)
        await self._replace(listed.services)
        await self._replace(listed.slices)
        self.reader.missing.discard(namespace)
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
