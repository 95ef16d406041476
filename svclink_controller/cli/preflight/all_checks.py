"""All checks, in the order of the output: the main cluster, each link, then all together."""

from __future__ import annotations

import asyncio

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli.permissions import MAIN_PERMISSIONS, OWN_NAMESPACE, Permission
from svclink_controller.cli.preflight.addresses import check_addresses, propose_ranges
from svclink_controller.cli.preflight.clock import check_clock
from svclink_controller.cli.preflight.connection import check_connection, check_link, why_unused
from svclink_controller.cli.preflight.controllers import check_leaders, check_namespace
from svclink_controller.cli.preflight.crd import check_crd
from svclink_controller.cli.preflight.credentials import check_credentials
from svclink_controller.cli.preflight.leftovers import check_leftovers
from svclink_controller.cli.preflight.permissions import check_permissions
from svclink_controller.cli.preflight.pod_network import check_pod_network
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, REQUEST_ERRORS, Result
from svclink_controller.cli.preflight.services import check_services, uses_ovn_kubernetes
from svclink_controller.cli.snapshots.live import (
    MainUnreadableError,
    Scope,
    find_home,
    read_main,
    read_remotes,
)
from svclink_controller.cli.snapshots.partial import ClusterContent, used_links
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_controller.remotes.session import read_version
from svclink_core.controller_namespace import ControllerNamespace
from svclink_core.endpoint_groups import endpoint_group_findings
from svclink_core.errors import SvclinkError
from svclink_core.full_planning import plan
from svclink_core.snapshot import Snapshot
from svclink_core.target_ports import target_port_findings

APPLY_DEPLOYMENT = "kubectl apply -f deploy/deployment.yaml"
RENEW_KUBECONFIG = (
    "kubectl config view --minify  # replace the expiring credential in this kubeconfig"
)


async def run_all_checks(
    client: Client, scope: Scope, credentials: Credentials, account: str | None = None
) -> list[Result]:
    """Run every check. Nothing is written.

    Args:
        client: The main cluster.
        scope: The controller's options and namespace.
        credentials: Those of the client that do not renew themselves.
        account: The ServiceAccount whose permissions in the main cluster are checked, as
            `namespace:name`; None for the credentials in use.
    """
    own = check_credentials(MAIN_SUBJECT, credentials, clock.seconds(), RENEW_KUBECONFIG)
    results = await _check_api(client)
    if any(each.level == "fail" for each in results):
        return results + [each for each in own if each.level != "ok"]
    results += own
    try:
        home = await find_home(client, scope)
        results += await _check_controller(client, home, account)
        main = await read_main(client, scope)
        return results + await _check_links(client, main, scope, home)
    except MainUnreadableError as error:
        return [*results, Result("fail", MAIN_SUBJECT, "objects", str(error), "svclink check")]
    except REQUEST_ERRORS as error:
        return [*results[:1], _unanswered("no longer responds", error)]


def needed_permissions(home: ControllerNamespace) -> list[tuple[Permission, str]]:
    """The permissions that svclink needs in its main cluster, each with its namespace (empty: all).

    Args:
        home: The namespace of the controller.
    """
    everywhere = [(each, "") for each in MAIN_PERMISSIONS]
    return everywhere + [(each, namespace) for namespace in home.names for each in OWN_NAMESPACE]


async def _check_api(client: Client) -> list[Result]:
    """Whether the main API server answers, and knows ClusterLinks."""
    results: list[Result] = []
    try:
        version = await read_version(client) or "version unknown"
        results.append(Result("ok", MAIN_SUBJECT, "api", f"responds (Kubernetes {version})"))
        results += await check_clock(client, MAIN_SUBJECT)
        results += await check_crd(client)
    except REQUEST_ERRORS as error:
        what = "no longer responds" if results else "does not respond"
        return [*results[:1], _unanswered(what, error)]
    return results


def _unanswered(what: str, error: SvclinkError) -> Result:
    return Result("fail", MAIN_SUBJECT, "api", f"{what}: {error}", "kubectl cluster-info")


async def _check_controller(
    client: Client, home: ControllerNamespace, account: str | None
) -> list[Result]:
    """The checks of the controllers in the main cluster, and of what they may do."""
    needed = needed_permissions(home)
    return [
        check_namespace(home),
        *await check_leaders(client, home),
        *await check_permissions(client, MAIN_SUBJECT, needed, APPLY_DEPLOYMENT, account),
    ]


async def _check_links(
    client: Client, main: ClusterContent, scope: Scope, home: ControllerNamespace
) -> list[Result]:
    """The checks of each link, and those that compare clusters."""
    used = used_links(main.links)
    partial, parts = await asyncio.gather(
        read_remotes(client, main, scope, home),
        asyncio.gather(*(check_link(client, each, scope, home) for each in used)),
    )
    results: list[Result] = []
    for link, part in zip(used, parts, strict=True):
        problem = partial.problems.get(link.metadata.name)
        results += [check_connection(link, problem, home), *part]
    for link in main.links:
        if (problem := why_unused(link, used)) is not None:
            results.append(check_connection(link, problem, home))
    results += _check_together(partial.snapshot, is_ovn=await uses_ovn_kubernetes(client))
    return results + await check_pod_network(partial.snapshot, scope)


def _check_together(snapshot: Snapshot, *, is_ovn: bool) -> list[Result]:
    """The checks that compare clusters."""
    planned = plan(snapshot, clock.seconds())
    target_ports = target_port_findings(snapshot, planned) if is_ovn else ()
    groups = endpoint_group_findings(snapshot, planned)
    return [
        *check_addresses(snapshot),
        *propose_ranges(snapshot, planned.decisions),
        *check_services((*planned.findings, *target_ports, *groups)),
        *check_leftovers(snapshot),
    ]
