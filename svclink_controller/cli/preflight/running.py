"""All checks, side by side, in the order in which they are read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli.preflight.across import check_across
from svclink_controller.cli.preflight.links import check_connection, check_link, why_second
from svclink_controller.cli.preflight.main_cluster import check_main
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result
from svclink_controller.cli.snapshots.live import MainUnreadableError, Scope, read_links, read_view
from svclink_core.planning import plan
from svclink_core.svclink_v1alpha1 import ClusterLink


async def check(client: Client, scope: Scope, account: str | None = None) -> list[Result]:
    """Everything that can be found out without writing, one line each: main cluster, links, and all of it together.

    Args:
        client: The main cluster.
        scope: The controller's options and namespace.
        account: Whose permissions in the main cluster to look at, as `namespace:name` of a ServiceAccount; None: those
            of the credentials in use.
    """
    main = await check_main(client, scope.home, account)
    if any(each.level == "fail" and each.subject in ("api", "crd") for each in main):
        return main
    try:
        links = await read_links(client, scope)
        counting = [each for each in links if why_second(each, links) is None]
        view, parts = await asyncio.gather(
            read_view(client, scope), _check_links(client, counting, scope)
        )
    except MainUnreadableError as error:
        return [*main, Result("fail", MAIN_SUBJECT, "objects", str(error), "svclink check")]
    results = list(main)
    for link, part in zip(counting, parts, strict=True):
        results += [check_connection(link, view.problems.get(link.metadata.name)), *part]
    results += [
        check_connection(each, problem)
        for each in links
        if (problem := why_second(each, links)) is not None
    ]
    return results + check_across(view.snapshot, plan(view.snapshot, clock.seconds()))


async def _check_links(
    client: Client, links: Iterable[ClusterLink], scope: Scope
) -> list[list[Result]]:
    return await asyncio.gather(*(check_link(client, each, scope) for each in links))
