"""One connection to a remote cluster: list everything, then follow it until it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

import structlog
from attrs import define, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.api.errors import ApiError, TransportError, missing_means
from svclink_controller.api.spending import Account
from svclink_controller.backoff import Backoff
from svclink_controller.credentials.expiry import expiries_of
from svclink_controller.credentials.kubeconfig import (
    Credentials,
    decode_base64,
    parse_kubeconfig,
)
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.loop_turns import TURN_SECONDS, in_turns
from svclink_controller.reflect.reflector import ReadError
from svclink_controller.remotes.lateness import Lateness
from svclink_controller.remotes.namespace_reading import (
    CORRECT_SERVER,
    ListedNamespace,
    NamespaceFollower,
    NamespaceReader,
)
from svclink_controller.state.store import Store
from svclink_controller.state.successor import Successor
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.reading import decode_uid, decode_version
from svclink_controller.wire.resources import REMOTE_ENDPOINT_SLICES, Resource
from svclink_core.core_v1 import Service
from svclink_core.credential_expiry import Expiry
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import SvclinkError
from svclink_core.link_identity import Problem
from svclink_core.link_target import LinkTarget
from svclink_core.snapshot import Synced, UnreadNamespace

IDENTIFIABLE: Final = (
    "allow svclink to get the kube-system namespace, whose uid identifies the cluster; without this"
    " permission, svclink does not notice a second link to the same cluster or a link to the main"
    " cluster itself"
)

CREATE_KUBE_SYSTEM: Final = (
    "svclink identifies a cluster by the uid of its kube-system namespace: create that namespace"
)

Admit: TypeAlias = Callable[[str | None], Problem | None]
"""Says why a cluster of this identity (None: not known) must not be used, or None."""

Accepted: TypeAlias = Callable[[tuple[Expiry, ...]], None]
"""Called when a kubeconfig was accepted, with the time when its credentials expire."""

log = structlog.get_logger()


@frozen
class Heartbeat:
    """How often a cluster has to answer, whatever its watches say.

    An API server that hangs keeps its connections open, so its watches only look quiet. Its cluster
    counts as lost after two heartbeats without an answer.

    Args:
        interval: Seconds between two heartbeats.
        timeout: Seconds that an answer may take.
    """

    interval: float = 30
    timeout: float = 10


HEARTBEAT: Final = Heartbeat()


class RefusedError(SvclinkError):
    """The link must not be used for the cluster it leads to.

    Args:
        problem: Why.
        cluster_id: Identity of the cluster; None if it is not known.
    """

    def __init__(self, problem: Problem, cluster_id: str | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.cluster_id = cluster_id


@define
class Session:
    """An open connection with everything listed. Its objects reach the store with `hand_over`."""

    reader: NamespaceReader
    version: str | None
    cluster_id: str | None
    listed: list[ListedNamespace]
    heartbeat: Heartbeat = HEARTBEAT
    turn_seconds: float = TURN_SECONDS

    @property
    def target(self) -> LinkTarget:
        """What is read."""
        return self.reader.target

    @property
    def client(self) -> Client:
        """The cluster."""
        return self.reader.client

    @property
    def connection(self) -> Synced:
        """What is known of the cluster, from `hand_over` on."""
        return self.reader.connection

    @property
    def unread_namespaces(self) -> Mapping[str, UnreadNamespace]:
        """The namespaces that the link does not select, and those whose labels are not known."""
        selection = self.reader.selection
        return {} if selection is None else selection.selected.unread

    async def hand_over(self, store: Store, cluster: str) -> None:
        """Replace what the store holds of the cluster, Services and slices in one step.

        The step is prepared in turns: for 79 MiB of small objects they take 0.3 s in all.
        """
        successor = store.successor(cluster)
        share = self.client.reading.account.list_share
        await in_turns(self._taking(successor), self.turn_seconds, share)
        store.take_over(cluster, successor)
        self.client.reading.end()

    def _taking(self, successor: Successor) -> Iterator[None]:
        for name, why in self.unread_namespaces.items():
            successor.objects.set_unread_namespace(name, why)
        for each in self.listed:
            yield from successor.taking(Service, each.services.listing)
            yield from successor.taking(EndpointSlice, each.slices.listing)
        yield from successor.noting_removals()

    async def follow(self, store: Store, cluster: str) -> None:
        """Apply every change to the store. Never returns; raises what ends the session."""
        follower = NamespaceFollower(self.reader, store, cluster)
        listed = {each.namespace: each for each in self.listed}
        try:
            async with asyncio.TaskGroup() as group:
                for namespace in self.reader.namespaces:
                    follower.start(group, namespace, listed.get(namespace))
                if (selection := self.reader.selection) is not None:
                    group.create_task(follower.follow_selection(group, selection))
                group.create_task(_beat(self.client, self.heartbeat))
                lateness = Lateness(store, cluster, self.client.reading.account)
                group.create_task(lateness.observe_forever())
        except ExceptionGroup as broken:  # Python 3.11.2 would wrap what `except*` raises.
            raise _first(broken) from broken

    async def close(self) -> None:
        """Close the connection."""
        await self.client.close()


async def open_session(
    target: LinkTarget,
    admit: Admit,
    trust: Trust = STRICT,
    resource: Resource[EndpointSlice] = REMOTE_ENDPOINT_SLICES,
    heartbeat: Heartbeat = HEARTBEAT,
    accepted: Accepted = lambda _: None,
    account: Account | None = None,
) -> Session:
    """Connect, identify the cluster, and list everything.

    Args:
        target: The kubeconfig to use, and the namespaces to read.
        admit: Says why the cluster must not be used, or None.
        trust: What the administrator allows remote clusters.
        resource: How EndpointSlices are decoded.
        heartbeat: How often the cluster has to answer once the session is open.
        accepted: Called with the time when the credentials expire, before they are used.
        account: What the cluster spends of its budget; None: it has no limits.

    Raises:
        KubeconfigError: svclink does not accept the kubeconfig.
        RefusedError: The cluster must not be used.
        ApiError, TransportError, WireError: The cluster refused a request, or did not answer.
    """
    credentials, expiries = await asyncio.to_thread(_credentials, target, trust)
    accepted(expiries)
    client = await remote_client(credentials, trust, account=account)
    try:
        version = await read_version(client, heartbeat.timeout)
        with missing_means(CREATE_KUBE_SYSTEM):
            cluster_id = await identify(client)
        _require_admission(admit, cluster_id)
        reader = NamespaceReader(client, target, resource)
        await reader.select_namespaces()
        return Session(reader, version, cluster_id, await reader.list_all(), heartbeat)
    except BaseException:
        await client.close()
        raise


OpenSession: TypeAlias = Callable[
    [LinkTarget, Admit, Trust, Resource[EndpointSlice], Heartbeat, Accepted],
    Coroutine[Any, Any, Session],
]
"""Opens a session, as `open_session` does."""


def open_session_within(account: Account) -> OpenSession:
    """`open_session`, for a cluster whose costs are counted."""
    return partial(open_session, account=account)


async def read_version(client: Client, seconds: float | None = None) -> str | None:
    """The version of Kubernetes, which is only shown; None if it may not be read.

    Clusters without the ClusterRole system:discovery, or public-info-viewer, do not show it.
    """
    try:
        with missing_means(CORRECT_SERVER):
            return decode_version(await client.get("/version", seconds=seconds))
    except ApiError as error:
        if error.status.code != 403:
            raise
        return None


async def identify(client: Client) -> str | None:
    """The uid of `kube-system`, which is unique to a cluster; None if it may not be read."""
    try:
        return decode_uid(await client.get("/api/v1/namespaces/kube-system"))
    except ApiError as error:
        if error.status.code != 403:
            raise
        log.warning("cluster not identified", problem=str(error), fix=IDENTIFIABLE)
        return None


async def identify_until_known(
    client: Client, failed: Callable[[ReadError], None] = lambda _: None
) -> str | None:
    """`identify`, tried until the cluster answers; `failed` is called with why it does not."""
    backoff = Backoff(base=0.5, cap=30)
    while True:
        try:
            with missing_means(CREATE_KUBE_SYSTEM):
                return await identify(client)
        except (ApiError, TransportError, WireError) as error:
            log.warning("main cluster not read", kind="namespaces", problem=str(error))
            failed(error)
        await asyncio.sleep(backoff.next_delay())


def _credentials(target: LinkTarget, trust: Trust) -> tuple[Credentials, tuple[Expiry, ...]]:
    """The credentials, and when they expire. A large kubeconfig takes long: call it in a thread."""
    credentials = parse_kubeconfig(decode_base64(target.kubeconfig), trust)
    return credentials, expiries_of(credentials)


def _require_admission(admit: Admit, cluster_id: str | None) -> None:
    if (problem := admit(cluster_id)) is not None:
        raise RefusedError(problem, cluster_id)


async def _beat(client: Client, heartbeat: Heartbeat) -> None:
    while True:
        await asyncio.sleep(heartbeat.interval)
        await require_answer(client, heartbeat.timeout)


async def require_answer(client: Client, seconds: float) -> None:
    """Request the version. One request may fail: a connection can break under it.

    Raises:
        ApiError, TransportError: The credentials expired, or the cluster did not answer.
    """
    try:
        await _require_life(client, seconds)
    except TransportError:
        await _require_life(client, seconds)


async def _require_life(client: Client, seconds: float) -> None:
    """Accept any response, even from an overloaded server, unless the credentials expired."""
    try:
        await client.get("/version", seconds=seconds)
    except ApiError as error:
        if error.status.code == 401:
            raise


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """The exception that broke a group; the others are its consequences."""
    found = group.exceptions[0]
    return _first(found) if isinstance(found, ExceptionGroup) else found
