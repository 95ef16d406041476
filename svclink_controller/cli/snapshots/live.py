"""The main cluster and every linked one, read once: what a command looks at. Nothing is written."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Final

import structlog
from attrs import frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.cli.snapshots.view import FleetView
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.reflect.reflector import INSTALL_CRD, Reflector
from svclink_controller.reflect.sinks import LinkSink
from svclink_controller.remotes.problems import EXPECTED, problem_of
from svclink_controller.remotes.secret_kubeconfigs import kubeconfig_in
from svclink_controller.remotes.session import Session, identify, open_session
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, WireError
from svclink_controller.wire.reading import T, decode_object
from svclink_controller.wire.resources import (
    CLUSTER_LINKS,
    ENDPOINT_SLICES,
    NAMESPACES,
    SECRETS,
    SERVICES,
    Resource,
)
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import SvclinkError
from svclink_core.link_identity import Claim, Problem, known_cluster, refusals, why_changed
from svclink_core.link_target import LinkTarget
from svclink_core.snapshot import PENDING, SYNCED, Connection, Options, Unreachable
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import MAIN, LinkReason

KEPT_AWAY: Final = (
    LinkReason.INVALID_KUBECONFIG,
    LinkReason.INSECURE_KUBECONFIG,
    LinkReason.SELF_LINK,
    LinkReason.DUPLICATE_CLUSTER,
    LinkReason.CLUSTER_CHANGED,
)
"""Problems of a link whose cluster may not be asked: what was mirrored is kept, whatever the policy for a lost one."""


class MainUnreadableError(SvclinkError):
    """The main cluster could not be read; the message says what to do."""


@frozen
class Scope:
    """What to read.

    Args:
        options: Settings that decisions depend on.
        home: The controller's namespace, where Secrets with kubeconfigs are.
        namespace: Read only what concerns Services of this namespace; empty: of all.
        trust: What remote clusters may do.
    """

    options: Options
    home: str
    namespace: str = ""
    trust: Trust = STRICT


async def read_links(client: Client, _: Scope) -> list[ClusterLink]:
    """Every ClusterLink of the main cluster, by name. One that is not understood holds only its place.

    Raises:
        MainUnreadableError: They could not be listed completely.
    """
    store = Store(Options())
    await LinkSink(store, _ignore).replace(await _list(client, CLUSTER_LINKS))
    return [link for name in sorted(store.links) for link in store.link_index.of(name)]


async def read_main(client: Client, scope: Scope) -> Store:
    """The main cluster as it is: Services, EndpointSlices and ClusterLinks. Of the remotes nothing is known.

    Raises:
        MainUnreadableError: Something of it could not be listed completely.
    """
    links, services, slices = await asyncio.gather(
        _list(client, CLUSTER_LINKS),
        _list(client, SERVICES, scope.namespace),
        _list(client, ENDPOINT_SLICES, scope.namespace),
    )
    store = Store(scope.options)
    await LinkSink(store, _ignore).replace(links)
    store.replace(MAIN, Service, services)
    store.replace(MAIN, EndpointSlice, slices)
    if scope.options.sync_services:
        store.replace_namespaces(await _list(client, NAMESPACES))
    return store


async def read_view(client: Client, scope: Scope) -> FleetView:
    """The main cluster and all linked ones, these side by side; of one that cannot be read, why.

    A remote is read with the credentials of its link and through the same allow-list as by the controller.

    Raises:
        MainUnreadableError: Something of the main cluster could not be read.
    """
    store = await read_main(client, scope)
    main_id = await _main_id(client)
    enabled = [link for link in store.links.values() if link.spec.enabled]
    sessions = await asyncio.gather(*(_open(client, link, scope) for link in enabled))
    opened = {link.metadata.name: each for link, each in zip(enabled, sessions, strict=True)}
    problems = {name: each for name, each in opened.items() if isinstance(each, Problem)}
    connected = {name: each for name, each in opened.items() if isinstance(each, Session)}
    try:
        problems |= _refused(main_id, connected, store)
        for link in enabled:
            name = link.metadata.name
            if name not in problems:
                connected[name].hand_over(store, name)
            store.set_connection(name, _connection(link, problems.get(name)))
    finally:
        await asyncio.gather(*(session.close() for session in connected.values()))
    return FleetView(store.snapshot(), problems)


def _refused(
    main_id: str | None, connected: dict[str, Session], store: Store
) -> dict[str, Problem]:
    """The links that must not be used for the clusters they lead to, as after a start of the controller."""
    claims = {
        name: Claim(store.links[name], session.cluster_id)
        for name, session in connected.items()
        if session.cluster_id is not None
    }
    changed = {
        name: why_changed(claim.link, known_cluster(claim.link), claim.cluster_id)
        for name, claim in claims.items()
    }
    return {name: each for name, each in changed.items() if each is not None} | refusals(
        main_id, claims
    )


def _connection(link: ClusterLink, problem: Problem | None) -> Connection:
    """What the controller would know of the cluster. How long it is lost, the link's own status says."""
    if problem is None:
        return SYNCED
    if problem.reason in KEPT_AWAY:
        return PENDING
    ready = next((each for each in link.status.conditions if each.type == "Ready"), None)
    since = clock.now() if ready is None or ready.status == "True" else ready.last_transition_time
    return Unreachable(since, datetime.fromisoformat(since).timestamp())


# Reading


async def _list(client: Client, resource: Resource[T], namespace: str = "") -> Listing[T]:
    try:
        return await Reflector(client, resource, namespace).list_all()
    except (ApiError, TransportError, WireError) as error:
        mend = (
            f": {INSTALL_CRD}" if isinstance(error, ApiError) and error.status.code == 404 else ""
        )
        raise MainUnreadableError(
            f"the {resource.plural} of the main cluster cannot be read: {error}{mend}"
        ) from error


async def _main_id(client: Client) -> str | None:
    try:
        return await identify(client)
    except (ApiError, TransportError, WireError) as error:
        raise MainUnreadableError(
            f"the namespace kube-system of the main cluster cannot be read: {error}"
        ) from error


async def _open(client: Client, link: ClusterLink, scope: Scope) -> Session | Problem:
    """A connection to the cluster of a link with everything listed, or why there is none."""
    structlog.contextvars.bind_contextvars(cluster=link.metadata.name)
    kubeconfig = await link_kubeconfig(client, link, scope.home)
    if isinstance(kubeconfig, Problem):
        return kubeconfig
    try:
        return await open_session(
            LinkTarget(kubeconfig, _namespaces(link, scope)), lambda _: None, scope.trust
        )
    except EXPECTED as error:
        return problem_of(error)


async def link_kubeconfig(client: Client, link: ClusterLink, home: str) -> str | Problem:
    """The kubeconfig of a link, in base64: from its spec, or from the Secret of the controller's namespace it names."""
    if link.spec.kubeconfig is not None:
        return link.spec.kubeconfig
    if (reference := link.spec.kubeconfig_secret_ref) is None:
        message = "spec.kubeconfig is missing: put a kubeconfig, in base64, there"
        return Problem(LinkReason.INVALID_KUBECONFIG, message)
    try:
        secret = decode_object(await client.get(SECRETS.path(home, reference.name)), SECRETS)
    except ApiError as error:
        if error.status.code == 404:
            return kubeconfig_in(None, reference, home)
        return Problem(
            LinkReason.INVALID_KUBECONFIG, f"Secret {home}/{reference.name} cannot be read: {error}"
        )
    except (TransportError, WireError) as error:
        return Problem(
            LinkReason.INVALID_KUBECONFIG, f"Secret {home}/{reference.name} cannot be read: {error}"
        )
    return kubeconfig_in(secret, reference, home)


def _namespaces(link: ClusterLink, scope: Scope) -> tuple[str, ...]:
    """The namespaces to read of a remote: those the controller reads, or of them only the one asked for."""
    included = scope.options.included_namespaces or link.spec.included_namespaces
    if scope.namespace and (not included or scope.namespace in included):
        return (scope.namespace,)
    return tuple(sorted(included))


def _ignore(_: object) -> None:
    """Nobody waits for changes."""
