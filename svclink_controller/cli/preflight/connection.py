"""Whether the cluster of a link can be read, and what its credentials allow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Final

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.cli.permissions import REMOTE_IDENTITY, REMOTE_MIRRORED, Permission
from svclink_controller.cli.preflight.clock import check_clock
from svclink_controller.cli.preflight.credentials import check_credentials
from svclink_controller.cli.preflight.permissions import check_permissions
from svclink_controller.cli.preflight.results import REQUEST_ERRORS, Result
from svclink_controller.cli.snapshots.live import Scope, read_request
from svclink_controller.credentials.kubeconfig import (
    Credentials,
    KubeconfigError,
    decode_base64,
    parse_kubeconfig,
)
from svclink_core.link_identity import Problem, duplicate_name
from svclink_core.link_target import LinkTarget
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM, LinkReason

_FIXES: Final[dict[LinkReason, str]] = {
    LinkReason.SELF_LINK: "kubectl delete clusterlink {link}",
    LinkReason.DUPLICATE_CLUSTER: "kubectl delete clusterlink {link}",
    LinkReason.DUPLICATE_NAME: "kubectl delete clusterlink -n {namespace} {link}",
    LinkReason.CLUSTER_CHANGED: (
        """kubectl patch clusterlink {link} --type merge -p '{{"spec":{{"clusterID":"UID"}}}}'"""
        "  # UID: kubectl get namespace kube-system -o jsonpath={{.metadata.uid}}"
        " in the right cluster"
    ),
    LinkReason.UNREACHABLE: (
        "kubectl --kubeconfig KUBECONFIG_OF_THE_LINK get --raw /version  # where svclink runs"
    ),
}


def check_connection(link: ClusterLink, problem: Problem | None) -> Result:
    """Whether the cluster of a link could be read.

    Args:
        link: The link.
        problem: Why it could not be read, or why the link is not used.
    """
    name = link.metadata.name
    if not link.spec.enabled:
        return Result("ok", name, "connection", "is disabled: its EndpointSlices stay as they are")
    if problem is None:
        return Result("ok", name, "connection", "everything could be listed")
    fix = _FIXES.get(problem.reason, renew_credentials(name))
    message = f"{problem.reason.code}: {problem.message}"
    return Result(
        "fail",
        name,
        "connection",
        message,
        fix.format(link=name, namespace=link.metadata.namespace),
    )


async def check_link(client: Client, link: ClusterLink, scope: Scope) -> list[Result]:
    """Check the credentials of a link, and the clock of its cluster and the permissions there.

    There is no line about what cannot be read: `check_connection` says why.
    """
    target = await read_request(client, link, scope)
    if not isinstance(target, LinkTarget):
        return []
    if (credentials := await _accepted(target, scope)) is None:
        return []
    name = link.metadata.name
    results = check_credentials(name, credentials, clock.seconds(), renew_credentials(name))
    try:
        remote = await remote_client(credentials, scope.trust)
    except KubeconfigError:
        return results
    try:
        skew, permissions = await asyncio.gather(
            check_clock(remote, name),
            check_permissions(remote, name, _needed(target.namespaces), renew_credentials(name)),
        )
    except REQUEST_ERRORS:
        return results
    finally:
        await remote.close()
    return [*results, *skew, *permissions]


def why_unused(link: ClusterLink, used: Iterable[ClusterLink]) -> Problem | None:
    """Why a link is not used: with the Go release's namespaced CRD, another link has its name."""
    for other in used:
        if other.metadata.name == link.metadata.name and other is not link:
            return duplicate_name(other)
    return None


def renew_credentials(link: str) -> str:
    """The command that creates credentials with every permission and puts them into a link."""
    context = f"CONTEXT_OF_{link.upper().replace('-', '_')}"
    return f"svclink export-kubeconfig {context} --link {link} | kubectl apply -f -"


async def _accepted(target: LinkTarget, scope: Scope) -> Credentials | None:
    """What the allow-list accepts of a kubeconfig; None if it refuses it."""
    try:
        return await asyncio.to_thread(
            lambda: parse_kubeconfig(decode_base64(target.kubeconfig), scope.trust)
        )
    except KubeconfigError:
        return None


def _needed(namespaces: Sequence[str]) -> list[tuple[Permission, str]]:
    """The permissions that a link needs: in the namespaces that it reads, or (none) in all."""
    mirrored = [
        (permission, namespace)
        for permission in REMOTE_MIRRORED
        for namespace in namespaces or ("",)
    ]
    return mirrored + [(permission, NAMESPACE_KUBE_SYSTEM) for permission in REMOTE_IDENTITY]
