"""One link: can its cluster be read, with what, and may its credentials do what they are for?"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.cli.permissions import REMOTE_IDENTITY, REMOTE_MIRRORED, Permission
from svclink_controller.cli.preflight.access import UNANSWERED, check_clock, check_permissions
from svclink_controller.cli.preflight.credentials import check_credentials
from svclink_controller.cli.preflight.results import Result
from svclink_controller.cli.snapshots.live import Scope, link_kubeconfig
from svclink_controller.credentials.kubeconfig import (
    Credentials,
    KubeconfigError,
    decode_base64,
    parse_kubeconfig,
)
from svclink_core.link_identity import Problem, duplicate_name, elected
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM, LinkReason


def mend_of(link: str) -> str:
    """The command that makes fresh credentials, with all permissions, and puts them into a link."""
    return f"svclink export-kubeconfig CONTEXT_OF_{link.upper().replace('-', '_')} --link {link} | kubectl apply -f -"


_MENDS: Final[dict[LinkReason, str]] = {
    LinkReason.SELF_LINK: "kubectl delete clusterlink {link}",
    LinkReason.DUPLICATE_CLUSTER: "kubectl delete clusterlink {link}",
    LinkReason.DUPLICATE_NAME: "kubectl delete clusterlink -n {namespace} {link}",
    LinkReason.CLUSTER_CHANGED: (
        """kubectl patch clusterlink {link} --type merge -p '{{"spec":{{"clusterID":"UID"}}}}'"""
        "  # UID: kubectl get namespace kube-system -o jsonpath={{.metadata.uid}} in the right cluster"
    ),
    LinkReason.UNREACHABLE: "kubectl --kubeconfig KUBECONFIG_OF_THE_LINK get --raw /version  # where svclink runs",
}


async def check_link(client: Client, link: ClusterLink, scope: Scope) -> list[Result]:
    """What can be said of a link without reading its whole cluster. Why that cannot be read, `connection` says."""
    credentials = await _credentials_of(client, link, scope) if link.spec.enabled else None
    if credentials is None:
        return []
    name = link.metadata.name
    results = check_credentials(name, credentials, clock.seconds(), mend_of(name))
    try:
        remote = await remote_client(credentials, scope.trust)
    except KubeconfigError:
        return results
    try:
        asked = await asyncio.gather(
            check_clock(remote, name),
            check_permissions(remote, name, _wanted(link, scope), mend_of(name)),
        )
    except UNANSWERED:
        return results
    finally:
        await remote.close()
    return [*results, *(result for part in asked for result in part)]


def check_connection(link: ClusterLink, problem: Problem | None) -> Result:
    """Whether the cluster of a link could be read."""
    name = link.metadata.name
    if not link.spec.enabled:
        return Result("ok", name, "connection", "is disabled: its EndpointSlices stay as they are")
    if problem is None:
        return Result("ok", name, "connection", "everything could be listed")
    mend = _MENDS.get(problem.reason, mend_of(name)).format(
        link=name, namespace=link.metadata.namespace
    )
    return Result("fail", name, "connection", f"{problem.reason.code}: {problem.message}", mend)


def why_second(link: ClusterLink, links: Iterable[ClusterLink]) -> Problem | None:
    """Why a link does not count, where another of its name does: the CRD of the Go release is namespaced."""
    counts = elected(each for each in links if each.metadata.name == link.metadata.name)
    return None if counts is link else duplicate_name(counts)


async def _credentials_of(client: Client, link: ClusterLink, scope: Scope) -> Credentials | None:
    """What the allow-list lets through of the kubeconfig of a link, None where it is refused."""
    kubeconfig = await link_kubeconfig(client, link, scope.home)
    if isinstance(kubeconfig, Problem):
        return None
    try:
        return await asyncio.to_thread(
            lambda: parse_kubeconfig(decode_base64(kubeconfig), scope.trust)
        )
    except KubeconfigError:
        return None


def _wanted(link: ClusterLink, scope: Scope) -> list[tuple[Permission, str]]:
    """Where a link names namespaces, rights in these will do."""
    namespaces = sorted(scope.options.included_namespaces or link.spec.included_namespaces) or [""]
    mirrored = [
        (permission, namespace) for permission in REMOTE_MIRRORED for namespace in namespaces
    ]
    return mirrored + [(permission, NAMESPACE_KUBE_SYSTEM) for permission in REMOTE_IDENTITY]
