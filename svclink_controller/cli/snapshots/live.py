"""The main cluster and every linked one, read once. Nothing is written."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable
from itertools import chain
from typing import Final, assert_never

import structlog
from attrs import evolve, frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import NOT_LISTABLE, NOT_SERVED, ApiError, TransportError
from svclink_controller.api.spending import Account
from svclink_controller.cli.snapshots.partial import (
    ClusterContent,
    FailedRead,
    PartialSnapshot,
    partial_snapshot,
    used_links,
)
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.election.leader import DEFAULT_LEASE_NAME
from svclink_controller.election.running_controllers import find_controller_namespace
from svclink_controller.reflect.reflector import INSTALL_CRD, Reflector
from svclink_controller.remotes.problems import EXPECTED, problem_of
from svclink_controller.remotes.secret_kubeconfigs import (
    kubeconfig_in,
    secret_reflector,
    unclear_home,
    undecodable_secret,
    unreadable_secret,
)
from svclink_controller.remotes.session import Session, identify, open_session
from svclink_controller.wire.api_server_callers import CALLERS
from svclink_controller.wire.messages import Listing, T, WireError, undecodable_link
from svclink_controller.wire.resources import (
    CLUSTER_LINKS,
    ENDPOINT_SLICES,
    NAMESPACES,
    PAGE_SIZE,
    SERVICES,
    TRAFFIC_POLICIES,
    Resource,
)
from svclink_core.api_server_calls import calls_by
from svclink_core.budget import MEBIBYTE, Budget
from svclink_core.controller_namespace import (
    CONTROLLER_NAMESPACE_FLAG,
    AmbiguousNamespace,
    ControllerNamespace,
    KnownNamespace,
)
from svclink_core.core_v1 import Namespace, Service
from svclink_core.credential_expiry import Expiry, expired_credentials
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import SvclinkError
from svclink_core.link_identity import Problem
from svclink_core.link_target import (
    SECRET_NOT_READ,
    LinkDisabled,
    LinkRequest,
    LinkTarget,
    SecretContent,
    SecretNotRead,
    link_target,
)
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import Options
from svclink_core.svclink_v1alpha1 import ClusterLink

OTHER_CLUSTER: Final = (
    "or, if this is the wrong cluster, choose the main cluster with --context or --kubeconfig"
)

COMMAND_BUDGET: Final = Budget(memory=4 * 2**10 * MEBIBYTE, loop_share=1)
"""A command reads every cluster once, and its user sees what it takes."""


class MainUnreadableError(SvclinkError):
    """The main cluster could not be read; the message says why."""


@frozen
class Scope:
    """What to read.

    Args:
        options: The settings of the controller that a plan depends on.
        controller_namespace: The namespace of the controller, as given or that of this Pod; None
            if it has to be found.
        context_namespace: The namespace of the kubeconfig's context.
        namespace: The only namespace whose Services are read; empty for all.
        trust: What remote clusters are allowed.
        in_pod: Whether this process runs in a Pod of the main cluster, and reads it as that Pod.
    """

    options: Options
    controller_namespace: str | None = None
    context_namespace: str = "default"
    namespace: str = ""
    trust: Trust = STRICT
    in_pod: bool = False


async def read_clusters(client: Client, scope: Scope) -> PartialSnapshot:
    """The main cluster and, concurrently, all linked ones.

    Raises:
        MainUnreadableError: Part of the main cluster could not be read.
    """
    main, home = await asyncio.gather(_read_steered(client, scope), find_home(client, scope))
    return await read_remotes(client, main, scope, home)


async def find_home(client: Client, scope: Scope) -> ControllerNamespace:
    """The controller's namespace, which contains the Secrets with kubeconfigs.

    Raises:
        MainUnreadableError: It could not be searched for.
    """
    if scope.controller_namespace is not None:
        return KnownNamespace(scope.controller_namespace)
    try:
        return await find_controller_namespace(client, DEFAULT_LEASE_NAME, scope.context_namespace)
    except (ApiError, TransportError, WireError) as error:
        raise MainUnreadableError(
            f"svclink's namespace cannot be determined: {error}: pass {CONTROLLER_NAMESPACE_FLAG}"
        ) from error


async def read_remotes(
    client: Client, main: ClusterContent, scope: Scope, home: ControllerNamespace
) -> PartialSnapshot:
    """Add every linked cluster to the main one, or the reason why it could not be read.

    A remote is read with the credentials of its link, through the same allow-list as by the
    controller.

    Raises:
        MainUnreadableError: The identity of the main cluster could not be read.
    """
    main.cluster_id = await _main_id(client)
    await add_calls(client, main)
    links = used_links(main.links)
    contents = await asyncio.gather(*(_read_remote(client, each, scope, home) for each in links))
    remotes = {
        link.metadata.name: each
        for link, each in zip(links, contents, strict=True)
        if each is not None
    }
    return partial_snapshot(main, remotes, scope.options)


async def add_calls(client: Client, main: ClusterContent) -> None:
    """Add the Services that the API server calls, and a warning for each kind not permitted.

    Raises:
        MainUnreadableError: A list failed for another reason, or is incomplete.
    """
    lists = await asyncio.gather(
        *(
            _list_unless(NOT_LISTABLE, client, evolve(each, page_size=PAGE_SIZE))
            for each in CALLERS.values()
        )
    )
    callers = [each for listed in lists if isinstance(listed, Listing) for each in listed.items]
    main.api_server_calls = calls_by(callers)
    main.warnings += [
        f"{error}: Services that the API server calls are treated like any other Service"
        for error in lists
        if isinstance(error, ApiError)
    ]


async def read_called_services(client: Client) -> ClusterContent | None:
    """The Services of the main cluster, and which of them its API server calls.

    None if the user is not permitted to list them, or what makes the API server call Services.

    Raises:
        MainUnreadableError: A list failed for another reason, or is incomplete.
    """
    services = await _list_unless(NOT_LISTABLE, client, SERVICES)
    if isinstance(services, ApiError):
        return None
    main = _content([services], [])
    await add_calls(client, main)
    return None if main.warnings else main


async def read_main(client: Client, scope: Scope) -> ClusterContent:
    """The objects of the main cluster. Namespaces are read only if Services are to be created.

    Raises:
        MainUnreadableError: One of the lists failed or is incomplete.
    """
    links, services, slices = await asyncio.gather(
        read_links(client, scope),
        _list(client, SERVICES, scope.namespace),
        _list(client, ENDPOINT_SLICES, scope.namespace),
    )
    content = _content([services], [slices])
    content.links = links
    if scope.options.sync_services:
        namespaces = await _list(client, NAMESPACES)
        unclear = [Namespace(ObjectMeta(each.key.name)) for each in namespaces.undecodable]
        content.namespaces = namespaces.items + unclear
    return content


async def read_main_traffic(client: Client, scope: Scope) -> PartialSnapshot:
    """The main cluster alone, with its policies: what is mirrored stands for the linked clusters.

    Raises:
        MainUnreadableError: Part of the main cluster could not be read.
    """
    return partial_snapshot(await _read_steered(client, scope), {}, scope.options)


async def _read_steered(client: Client, scope: Scope) -> ClusterContent:
    """The objects of the main cluster, with TrafficPolicies.

    If their CRD is not installed there are none. If they cannot be read, that is an error: the
    controller may know them.
    """
    main, policies = await asyncio.gather(
        read_main(client, scope),
        _list_unless((NOT_SERVED,), client, TRAFFIC_POLICIES, scope.namespace),
    )
    if isinstance(policies, Listing):
        main.traffic_policies = policies.items
        main.undecodable += _undecodable([policies])
    return main


async def read_links(client: Client, _: Scope) -> list[ClusterLink]:
    """Every ClusterLink, sorted by name. One that could not be decoded only says why.

    Raises:
        MainUnreadableError: The list failed or is incomplete.
    """
    listing = await _list(client, CLUSTER_LINKS)
    unclear = [undecodable_link(each) for each in listing.undecodable]
    return sorted(listing.items + unclear, key=lambda link: link.metadata.name)


async def read_request(
    client: Client, link: ClusterLink, scope: Scope, home: ControllerNamespace
) -> LinkRequest:
    """What a link asks to be read, with the kubeconfig from its spec or its Secret."""
    secret = await _read_secret(client, link, home)
    return link_target(link, scope.options, secret, scope.namespace)


async def _read_secret(
    client: Client, link: ClusterLink, home: ControllerNamespace
) -> SecretContent:
    if (reference := link.spec.kubeconfig_secret_ref) is None or not link.spec.enabled:
        return SECRET_NOT_READ
    if isinstance(home, AmbiguousNamespace):
        return unclear_home(home)
    try:
        listing = await secret_reflector(client, home.name, reference.name).list_all()
    except (ApiError, TransportError, WireError) as error:
        return unreadable_secret(reference.name, home, str(error))
    for each in listing.undecodable:
        return undecodable_secret(each)
    return kubeconfig_in(next(iter(listing.items), None), reference, home)


async def _read_remote(
    client: Client, link: ClusterLink, scope: Scope, home: ControllerNamespace
) -> ClusterContent | FailedRead | None:
    """The objects of the cluster of a link, or why reading failed; None if the link is disabled."""
    structlog.contextvars.bind_contextvars(cluster=link.metadata.name)
    request = await read_request(client, link, scope, home)
    match request:
        case LinkTarget():
            expiries: list[Expiry] = []
            account = Account(COMMAND_BUDGET)
            try:
                session = await open_session(
                    request,
                    lambda _: None,
                    scope.trust,
                    accepted=expiries.extend,
                    account=account,
                )
            except EXPECTED as error:
                expired = expired_credentials(expiries, clock.seconds())
                return FailedRead(request, problem_of(error, expired))
            await session.close()
            return _content_of(session)
        case Problem():
            return FailedRead(request, request)
        case LinkDisabled() | SecretNotRead():
            return None
        case unexpected:
            assert_never(unexpected)


def _content_of(session: Session) -> ClusterContent:
    services = [each.services.listing for each in session.listed]
    slices = [each.slices.listing for each in session.listed]
    content = _content(services, slices)
    content.cluster_id = session.cluster_id
    content.connection = session.connection
    content.unread_namespaces = dict(session.unread_namespaces)
    return content


def _content(
    services: Iterable[Listing[Service]], slices: Iterable[Listing[EndpointSlice]]
) -> ClusterContent:
    """The objects of some complete lists."""
    services, slices = list(services), list(slices)
    return ClusterContent(
        services=list(chain.from_iterable(each.items for each in services)),
        endpoint_slices=list(chain.from_iterable(each.items for each in slices)),
        undecodable=[*_undecodable(services), *_undecodable(slices)],
    )


def _undecodable(listings: Iterable[Listing[T]]) -> list[NamespacedName]:
    return [each.service for listing in listings for each in listing.undecodable]


async def _list(client: Client, resource: Resource[T], namespace: str = "") -> Listing[T]:
    try:
        return await Reflector(client, resource, namespace).list_all()
    except (ApiError, TransportError, WireError) as error:
        is_missing = isinstance(error, ApiError) and error.status.code == 404
        fix = f": {INSTALL_CRD}, {OTHER_CLUSTER}" if is_missing else ""
        raise MainUnreadableError(
            f"cannot list {resource.plural} in the main cluster: {error}{fix}"
        ) from error


async def _list_unless(
    codes: Collection[int], client: Client, resource: Resource[T], namespace: str = ""
) -> Listing[T] | ApiError:
    """A complete list, or the error of a server that refuses it with one of these codes."""
    try:
        return await _list(client, resource, namespace)
    except MainUnreadableError as error:
        cause = error.__cause__
        if isinstance(cause, ApiError) and cause.status.code in codes:
            return cause
        raise


async def _main_id(client: Client) -> str | None:
    try:
        return await identify(client)
    except (ApiError, TransportError, WireError) as error:
        raise MainUnreadableError(
            f"cannot read the kube-system namespace in the main cluster: {error}"
        ) from error
