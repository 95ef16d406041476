"""One connection to a remote cluster: opened, listed completely, then followed until it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Generic, TypeVar

import structlog
from attrs import define

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.credentials.kubeconfig import decode_base64, parse_kubeconfig
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.reflect.sinks import ObjectSink
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing
from svclink_controller.wire.reading import decode_uid, decode_version
from svclink_controller.wire.resources import REMOTE_ENDPOINT_SLICES, SERVICES, Resource
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import SvclinkError
from svclink_core.link_identity import Problem
from svclink_core.link_target import LinkTarget

HEARTBEAT_SECONDS: Final = 30
HEARTBEAT_TIMEOUT_SECONDS: Final = 10
"""A cluster whose API server hangs is noticed after 30 + 2 x 10 seconds, however quiet its watches are by nature."""

IDENTIFIABLE: Final = (
    "grant svclink get on the namespace kube-system, whose uid tells one cluster from another: else a second link to"
    " it, or one to the main cluster itself, goes unnoticed"
)

T = TypeVar("T", Service, EndpointSlice)

log = structlog.get_logger()


class RefusedError(SvclinkError):
    """The link must not be used for the cluster it leads to."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


@define
class Listed(Generic[T]):
    """One kind, listed in one namespace or in all, and where to watch it from."""

    reflector: Reflector[T]
    kind: type[T]
    listing: Listing[T]


@define
class Session:
    """An open connection with everything listed. Nothing is in the store before `hand_over`."""

    target: LinkTarget
    client: Client
    version: str
    cluster_id: str | None
    services: list[Listed[Service]]
    slices: list[Listed[EndpointSlice]]

    def hand_over(self, store: Store, cluster: str) -> None:
        """Replace what the store holds of the cluster, in one go: Services and slices belong together."""
        store.replace(cluster, Service, _merge(each.listing for each in self.services))
        store.replace(cluster, EndpointSlice, _merge(each.listing for each in self.slices))
        for services in self.services:
            services.listing.items.clear()
        for slices in self.slices:
            slices.listing.items.clear()

    async def follow(self, store: Store, cluster: str) -> None:
        """Feed the store with every change; returns never, raises what broke the connection."""
        try:
            async with asyncio.TaskGroup() as group:
                for services in self.services:
                    group.create_task(_watch(services, store, cluster))
                for slices in self.slices:
                    group.create_task(_watch(slices, store, cluster))
                group.create_task(_beat(self.client))
        except* Exception as broken:
            raise _first(broken) from broken

    async def close(self) -> None:
        """Close the connection."""
        await self.client.close()


async def open_session(
    target: LinkTarget,
    admit: Callable[[str | None], Problem | None],
    trust: Trust = STRICT,
    resource: Resource[EndpointSlice] = REMOTE_ENDPOINT_SLICES,
) -> Session:
    """Connect, find out who answers, and list everything.

    Args:
        target: What to read the cluster with.
        admit: Says why a cluster of this identity must not be used, or None.
        trust: What an administrator allows it.
        resource: How its EndpointSlices are read.

    Raises:
        KubeconfigError: The kubeconfig is not one svclink uses.
        RefusedError: The cluster it leads to must not be used.
        ApiError, TransportError, WireError: The cluster refused, or did not answer.
    """
    credentials = await asyncio.to_thread(
        lambda: parse_kubeconfig(decode_base64(target.kubeconfig), trust)
    )
    client = await remote_client(credentials, trust)
    try:
        return await _list_everything(target, client, admit, resource)
    except BaseException:
        await client.close()
        raise


async def _list_everything(
    target: LinkTarget,
    client: Client,
    admit: Callable[[str | None], Problem | None],
    resource: Resource[EndpointSlice],
) -> Session:
    version = decode_version(await client.get("/version"))
    cluster_id = await identify(client)
    if (problem := admit(cluster_id)) is not None:
        raise RefusedError(problem)
    try:
        async with asyncio.TaskGroup() as group:
            services = group.create_task(_list(target, client, SERVICES, Service))
            slices = group.create_task(_list(target, client, resource, EndpointSlice))
    except* Exception as broken:
        raise _first(broken) from broken
    return Session(target, client, version, cluster_id, services.result(), slices.result())


async def _list(
    target: LinkTarget, client: Client, resource: Resource[T], kind: type[T]
) -> list[Listed[T]]:
    """One kind, in one namespace after the other: lists are large, and few are held in the memory at once."""
    reflectors = [
        Reflector(client, resource, namespace) for namespace in target.namespaces or ("",)
    ]
    return [Listed(each, kind, await each.list_all()) for each in reflectors]


async def _watch(listed: Listed[T], store: Store, cluster: str) -> None:
    sink = ObjectSink(store, cluster, listed.kind, listed.reflector.namespace)
    listed.reflector.heard = partial(
        store.propagation.hear, cluster, listed.reflector.resource.plural
    )
    listed.reflector.heard()  # It was listed just now.
    await listed.reflector.watch(listed.listing.resource_version, sink)


async def identify(client: Client) -> str | None:
    """The uid of `kube-system`, which no other cluster has; None where the credentials do not reach that far."""
    try:
        return decode_uid(await client.get("/api/v1/namespaces/kube-system"))
    except ApiError as error:
        if error.status.code != 403:
            raise
        log.warning("cluster not identified", problem=str(error), mend=IDENTIFIABLE)
        return None


async def _beat(client: Client) -> None:
    """Ask for the version now and then: a server that hangs keeps its connections, and its watches look quiet."""
    while True:
        await asyncio.sleep(HEARTBEAT_SECONDS)
        try:
            await _require_life(client)
        except TransportError:
            await _require_life(client)


async def _require_life(client: Client) -> None:
    """Any answer will do, also that of a server with too much to do, but that the credentials count no more."""
    try:
        await client.get("/version", seconds=HEARTBEAT_TIMEOUT_SECONDS)
    except ApiError as error:
        if error.status.code == 401:
            raise


def _merge(listings: Iterable[Listing[T]]) -> Listing[T]:
    """The lists of several namespaces as one."""
    merged: Listing[T] = Listing([], [], "")
    for listing in listings:
        merged.items.extend(listing.items)
        merged.undecodable.extend(listing.undecodable)
    return merged


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    """The exception that broke a group; the others are its consequences."""
    found = group.exceptions[0]
    return _first(found) if isinstance(found, BaseExceptionGroup) else found
