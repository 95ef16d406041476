"""Whether the cluster of a link can be read, and what its credentials allow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.cli.permissions import (
    REMOTE_IDENTITY,
    REMOTE_MIRRORED,
    REMOTE_NAMESPACES,
    Permission,
)
from svclink_controller.cli.preflight.clock import check_clock
from svclink_controller.cli.preflight.controllers import fix_unclear
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
from svclink_core.controller_namespace import AmbiguousNamespace, ControllerNamespace
from svclink_core.kubeconfig_place import replacement_advice, replacing_command
from svclink_core.label_selector import EVERYTHING
from svclink_core.link_identity import Problem, SecretFault, duplicate_name
from svclink_core.link_reasons import LinkReason
from svclink_core.link_target import LinkTarget
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM

_FIXES: Final[dict[LinkReason, str]] = {
    LinkReason.SELF_LINK: "kubectl delete clusterlink {link}",
    LinkReason.DUPLICATE_CLUSTER: "kubectl delete clusterlink {link}",
    LinkReason.DUPLICATE_NAME: "kubectl delete clusterlink -n {namespace} {link}",
    LinkReason.CLUSTER_CHANGED: (
        """kubectl patch clusterlink {link} --type merge -p '{{"spec":{{"clusterID":"UID"}}}}'"""
        "  # UID: kubectl get namespace kube-system -o jsonpath={{.metadata.uid}}"
        " in the right cluster"
    ),
    LinkReason.INVALID_SPEC: "kubectl edit clusterlink {link}",
    LinkReason.UNREACHABLE: (
        "curl --insecure SERVER/version  # run this where svclink runs; SERVER is the server in the"
        " kubeconfig"
    ),
    LinkReason.BUDGET_EXCEEDED: (
        "kubectl --context CONTEXT get endpointslices -A | wc -l  # CONTEXT is the remote cluster's"
    ),
}


def check_connection(
    link: ClusterLink, problem: Problem | None, home: ControllerNamespace
) -> Result:
    """Whether the cluster of a link could be read.

    Args:
        link: The link.
        problem: Why it could not be read, or why the link is not used.
        home: The namespace of the controller.
    """
    name = link.metadata.name
    if not link.spec.enabled:
        return Result("ok", name, "connection", "is disabled: its EndpointSlices stay unchanged")
    if problem is None:
        return Result("ok", name, "connection", "all objects were listed")
    message = f"{problem.reason.code}: {problem.message}"
    return Result("fail", name, "connection", message, _fix(link, problem, home))


async def check_link(
    client: Client, link: ClusterLink, scope: Scope, home: ControllerNamespace
) -> list[Result]:
    """Check the credentials of a link, and the clock of its cluster and the permissions there.

    There is no line about what cannot be read: `check_connection` says why.
    """
    target = await read_request(client, link, scope, home)
    if not isinstance(target, LinkTarget):
        return []
    if (credentials := await _accepted(target, scope)) is None:
        return []
    name, renewal = link.metadata.name, replacing_command(link, home)
    results = check_credentials(name, credentials, clock.seconds(), renewal)
    try:
        remote = await remote_client(credentials, scope.trust)
    except KubeconfigError:
        return results
    try:
        skew, permissions = await asyncio.gather(
            check_clock(remote, name),
            check_permissions(remote, name, _needed(target), renewal),
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


def _fix(link: ClusterLink, problem: Problem, home: ControllerNamespace) -> str:
    """The command that solves a problem, or else shows what to solve."""
    if advice := replacement_advice(problem, link, home):
        return advice
    if problem.secret_fault is SecretFault.UNREADABLE:
        if isinstance(home, AmbiguousNamespace):
            return fix_unclear(home)
        return f"kubectl auth can-i list secrets --namespace {home.name}"
    return _FIXES[problem.reason].format(link=link.metadata.name, namespace=link.metadata.namespace)


async def _accepted(target: LinkTarget, scope: Scope) -> Credentials | None:
    """What the allow-list accepts of a kubeconfig; None if it refuses it."""
    try:
        return await asyncio.to_thread(
            lambda: parse_kubeconfig(decode_base64(target.kubeconfig), scope.trust)
        )
    except KubeconfigError:
        return None


def _needed(target: LinkTarget) -> list[tuple[Permission, str]]:
    """The permissions that a link needs: in the namespaces that it reads, or (none) in all."""
    mirrored = [
        (permission, namespace)
        for permission in REMOTE_MIRRORED
        for namespace in target.namespaces or ("",)
    ]
    if target.namespace_selector != EVERYTHING:
        mirrored += [(permission, "") for permission in REMOTE_NAMESPACES]
    return mirrored + [(permission, NAMESPACE_KUBE_SYSTEM) for permission in REMOTE_IDENTITY]
