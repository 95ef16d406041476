"""Finds the namespaces in which controllers run, for those who do not run in a Pod of one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec
import structlog

from svclink_controller.api.client import Client
from svclink_controller.api.errors import NOT_LISTABLE, ApiError, TransportError
from svclink_controller.backoff import Backoff
from svclink_controller.election.access_reviews import is_allowed
from svclink_controller.election.live_leases import live_leases_anywhere
from svclink_controller.wire.messages import WireError
from svclink_core.controller_namespace import ControllerNamespace, controller_namespace

DEPLOYMENT_LABEL: Final = "app.kubernetes.io/name=svclink"
"""The label that the manifests and the chart put on the Deployment."""

log = structlog.get_logger()


async def find_controller_namespace(
    client: Client, lease_name: str, context: str
) -> ControllerNamespace:
    """Where controllers run: their Deployments tell, or else the Leases that are held.

    Nothing is requested that would be denied.

    Args:
        client: The main cluster.
        lease_name: The name of the Leases.
        context: The namespace of the kubeconfig's context.

    Raises:
        ApiError, TransportError, WireError: The cluster did not answer, or failed to.
    """
    deployments = await _deployments(client)
    # Deployments are the stronger evidence, so Leases need not be read beside them.
    leases = () if deployments else await _leases(client, lease_name)
    return controller_namespace((deployments, leases), context)


async def find_until_answered(
    client: Client,
    lease_name: str,
    context: str,
    failed: Callable[[ApiError | TransportError | WireError], None] = lambda _: None,
) -> ControllerNamespace:
    """`find_controller_namespace`, tried until the cluster answers.

    `failed` is called with why it does not.
    """
    backoff = Backoff(base=0.5, cap=30)
    while True:
        try:
            found = await find_controller_namespace(client, lease_name, context)
        except (ApiError, TransportError, WireError) as error:
            log.warning("main cluster not read", kind="deployments", problem=str(error))
            failed(error)
        else:
            log.info("controller namespace", found=found.sentence)
            return found
        await asyncio.sleep(backoff.next_delay())


async def _deployments(client: Client) -> set[str] | None:
    question = {"group": "apps", "resource": "deployments", "verb": "list"}
    try:
        if not await is_allowed(client, question):
            return None
        content = await client.get("/apis/apps/v1/deployments", {"labelSelector": DEPLOYMENT_LABEL})
    except ApiError as error:
        _require_refusal(error)
        return None
    try:
        return {each.metadata.namespace for each in _DEPLOYMENTS.decode(content).items}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        problem = f"the server's response is not a list of Deployments: {error}"
        raise WireError(problem) from error


async def _leases(client: Client, name: str) -> set[str] | None:
    try:
        found = await live_leases_anywhere(client, name)
    except ApiError as error:
        _require_refusal(error)
        return None
    return None if found is None else {each.namespace for each in found}


def _require_refusal(error: ApiError) -> None:
    """Raise the error again, unless it says that the kind may not or cannot be listed."""
    if error.status.code not in NOT_LISTABLE:
        raise error


class _Metadata(msgspec.Struct):
    namespace: str = ""


class _Deployment(msgspec.Struct):
    metadata: _Metadata


class _DeploymentList(msgspec.Struct):
    items: list[_Deployment] = []


_DEPLOYMENTS: Final = msgspec.json.Decoder(_DeploymentList)
