"""All checks, in the order of the output: the main cluster, each link, then all together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli.permissions import MAIN_PERMISSIONS, OWN_NAMESPACE, Permission
from svclink_controller.cli.preflight.addresses import check_addresses
from svclink_controller.cli.preflight.clock import check_clock
from svclink_controller.cli.preflight.connection import check_connection, check_link, why_unused
from svclink_controller.cli.preflight.crd import check_crd
from svclink_controller.cli.preflight.leaders import check_leaders
from svclink_controller.cli.preflight.leftovers import check_leftovers
from svclink_controller.cli.preflight.permissions import check_permissions
from svclink_controller.cli.preflight.pod_network import check_pod_network
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, REQUEST_ERRORS, Result
from svclink_controller.cli.preflight.services import check_services
from svclink_controller.cli.snapshots.live import (
    MainUnreadableError,
    Scope,
    read_main,
    read_remotes,
)
from svclink_controller.cli.snapshots.partial import used_links
from svclink_controller.remotes.session import read_version
from svclink_core.full_planning import plan
from svclink_core.snapshot import Snapshot
from svclink_core.svclink_v1alpha1 import ClusterLink

APPLY_DEPLOYMENT = "kubectl apply -f deploy/deployment.yaml"


async def run_all_checks(client: Client, scope: Scope, account: str | None = None) -> list[Result]:
    """Run every check. Nothing is written.

    Args:
        client: The main cluster.
        scope: The controller's options and namespace.
        account: The ServiceAccount whose permissions in the main cluster are checked, as
            `namespace:name`; None for the credentials in use.
    """
    results = await _check_main(client, scope.home, account)
    if any(each.level == "fail" and each.subject in ("api", "crd") for each in results):
        return results
    try:
        main = await read_main(client, scope)
        used = used_links(main.links)
        partial, parts = await asyncio.gather(
            read_remotes(client, main, scope), _check_links(client, used, scope)
        )
    except MainUnreadableError as error:
        return [*results, Result("fail", MAIN_SUBJECT, "objects", str(error), "svclink check")]
    for link, part in zip(used, parts, strict=True):
        results += [check_connection(link, partial.problems.get(link.metadata.name)), *part]
    for link in main.links:
        if (problem := why_unused(link, used)) is not None:
            results.append(check_connection(link, problem))
    results += _check_together(partial.snapshot)
    return results + await check_pod_network(partial.snapshot, scope)


def needed_permissions(home: str) -> list[tuple[Permission, str]]:
    """The permissions that svclink needs in its main cluster, each with its namespace (empty: all).

    Args:
        home: The namespace of the controller.
    """
    return [(each, "") for each in MAIN_PERMISSIONS] + [(each, home) for each in OWN_NAMESPACE]


async def _check_main(client: Client, home: str, account: str | None) -> list[Result]:
    """The checks of the main cluster. They end when its API server does not answer."""
    results: list[Result] = []
    try:
        version = await read_version(client) or "of unknown version"
        results.append(Result("ok", MAIN_SUBJECT, "api", f"answers, Kubernetes {version}"))
        results += await check_clock(client, MAIN_SUBJECT)
        results += await check_crd(client)
        results += await check_leaders(client, home)
        needed = needed_permissions(home)
        results += await check_permissions(client, MAIN_SUBJECT, needed, APPLY_DEPLOYMENT, account)
    except REQUEST_ERRORS as error:
        what = "no longer answers" if results else "does not answer"
        failed = Result("fail", MAIN_SUBJECT, "api", f"{what}: {error}", "kubectl cluster-info")
        return [*results[:1], failed]
    return results


async def _check_links(
    client: Client, links: Iterable[ClusterLink], scope: Scope
) -> list[list[Result]]:
    return await asyncio.gather(*(check_link(client, each, scope) for each in links))


def _check_together(snapshot: Snapshot) -> list[Result]:
    """The checks that compare clusters."""
    findings = plan(snapshot, clock.seconds()).findings
    return [*check_addresses(snapshot), *check_services(findings), *check_leftovers(snapshot)]
