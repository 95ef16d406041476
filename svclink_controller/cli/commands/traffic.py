"""`svclink traffic`: who gets the traffic of a Service and why, and how to change it."""

from __future__ import annotations

from collections.abc import Mapping

import click

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli import parameters
from svclink_controller.cli.arguments import Source, output_option, reads_clusters
from svclink_controller.cli.describing import TRAFFIC_COLUMNS, traffic_rows
from svclink_controller.cli.parameters import ServiceName
from svclink_controller.cli.printing import print_data, print_line, print_table
from svclink_controller.cli.snapshots.live import Scope, read_clusters
from svclink_controller.cli.snapshots.partial import PartialSnapshot
from svclink_controller.cli.snapshots.reading import ask, print_warnings
from svclink_controller.cli.traffic.proposing import current_traffic, preview_policy, propose_policy
from svclink_controller.cli.traffic.writing import write_policy
from svclink_core.codec import Json
from svclink_core.meta_v1 import NamespacedName
from svclink_core.plan_documents import change_data, change_text, problems_data, traffic_data
from svclink_core.service_traffic import rule_without_policy
from svclink_core.snapshot import Options
from svclink_core.traffic_edits import has_to_be_written
from svclink_core.traffic_preview import TrafficPreview


@click.command("traffic")
@click.argument("service", type=ServiceName(), metavar="NAMESPACE/SERVICE")
@reads_clusters
@click.option(
    "--set",
    "shares",
    multiple=True,
    callback=parameters.shares,
    metavar="CLUSTER=PERCENT",
    help="Percentage of new connections for each cluster (comma-separated); 'none'"
    " removes a share. Writes the Service's TrafficPolicy.",
)
@click.option(
    "-d", "--dry-run", is_flag=True, help="With --set, show the changes but write nothing."
)
@output_option("table", "json", "yaml")
@click.pass_obj
def traffic_command(
    options: Options,
    *,
    source: Source,
    service: NamespacedName,
    shares: Mapping[str, int | None],
    dry_run: bool,
    output: str,
) -> None:
    """Show which clusters get a Service's traffic, and why. With --set, change their shares.

    ENDPOINTS is the number of ready endpoints, and ACTIVE the number that kube-proxy uses.
    REACHABLE is the share of new connections that the active endpoints get. With --set, the
    table and the planned changes show the effect of the new shares before anything is written.
    All other fields of the TrafficPolicy stay unchanged.

    Exit codes: 0 success, 1 invalid input or failed request.
    """
    if dry_run and not shares:
        raise click.UsageError("--dry-run requires --set")

    async def show(client: Client, scope: Scope) -> None:
        found = await read_clusters(client, scope)
        print_warnings(found.warnings)
        now = clock.seconds()
        current = current_traffic(found.snapshot, service, now)
        if not shares:
            _print(current, found, output)
            return
        policy = propose_policy(found.snapshot, current, shares)
        is_new = has_to_be_written(current.policy, policy)
        proposed = preview_policy(found.snapshot, policy, now) if is_new else current
        if output == "table":
            _print_tables(proposed, found)
        if is_new and not dry_run:
            await write_policy(client, current.policy, policy)
        _print_outcome(proposed, found, output, is_new=is_new, dry_run=dry_run)

    ask(source, options, show, service.namespace)


def _print(shown: TrafficPreview, found: PartialSnapshot, output: str) -> None:
    if output == "table":
        _print_tables(shown, found)
    else:
        print_data(output, _data(shown, found))


def _print_outcome(
    proposed: TrafficPreview, found: PartialSnapshot, output: str, *, is_new: bool, dry_run: bool
) -> None:
    """Say what was written, or print everything as data."""
    is_written = is_new and not dry_run
    if output != "table":
        print_data(output, _data(proposed, found) | {"written": is_written})
        return
    told = "would be written" if is_new else "unchanged, because it already has these shares"
    if proposed.policy is None:
        told = "not created, because it would set no share"
    print_line(f"TrafficPolicy for {proposed.service}: {'written' if is_written else told}")


def _print_tables(shown: TrafficPreview, found: PartialSnapshot) -> None:
    print_table(TRAFFIC_COLUMNS, traffic_rows(shown.traffic))
    if shown.policy is None:
        rule = rule_without_policy(shown.traffic)
        print_line(f"{shown.service} has no TrafficPolicy: {rule}")
    for each in shown.conditions:
        print_line(f"{each.type}: {each.status}, {each.reason}: {each.message}")
    for name, problem in sorted(found.problems.items()):
        print_line(f"{name} could not be read: {problem.reason.code}: {problem.message}")
    for change in shown.changes:
        print_line(f"planned: {change_text(change)}")


def _data(shown: TrafficPreview, found: PartialSnapshot) -> dict[str, Json]:
    conditions: list[Json] = [
        {"type": each.type, "status": each.status, "reason": each.reason, "message": each.message}
        for each in shown.conditions
    ]
    return {
        **traffic_data(shown.traffic),
        "policy": None if shown.policy is None else shown.policy.metadata.name,
        "conditions": conditions,
        "changes": [change_data(change) for change in shown.changes],
        "problems": problems_data(found.problems),
    }
