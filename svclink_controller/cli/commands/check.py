"""`svclink check`: whether svclink can run, with a fix for each problem."""

from __future__ import annotations

import functools
from typing import Final

import click

from svclink_controller.api.connecting import fixed_credentials
from svclink_controller.cli import parameters
from svclink_controller.cli.arguments import Source, output_option, reads_clusters
from svclink_controller.cli.preflight.all_checks import run_all_checks
from svclink_controller.cli.preflight.results import in_same_cluster
from svclink_controller.cli.printing import print_data, print_table_with_notes
from svclink_controller.cli.snapshots.reading import admin_kubeconfig, ask
from svclink_core.snapshot import Options

FAILED: Final = 2
"""Exit code if a check failed."""


@click.command("check")
@reads_clusters
@click.option(
    "--service-account",
    "account",
    metavar="NAMESPACE:NAME",
    callback=parameters.service_account,
    help="Check the permissions of this ServiceAccount in the main cluster. Default: your own.",
)
@output_option("table", "json", "yaml")
@click.pass_context
def check_command(
    context: click.Context, *, source: Source, account: str | None, output: str
) -> None:
    """Check that svclink can run, and print a fix for each problem. Nothing is written.

    Each line is ok, warn, fail or skip. In the main cluster, the command checks the API server,
    its clock, the CRDs, the leading controllers, permissions, and when your credentials expire.
    For each link, it checks that the cluster can be read, that it is not the main cluster, and
    that no other link points to it. It also checks the cluster's clock, permissions, and when the
    credentials expire.

    The command then looks for overlapping Pod addresses, address ranges that links could allow,
    ports that do not match and EndpointSlices without a ClusterLink. If the main cluster uses
    OVN-Kubernetes, it also looks for target ports that differ. In a Pod in the main cluster, it
    also connects to a few mirrored endpoints in each cluster.

    Exit codes: 0 no check failed, 1 invalid input, 2 a check failed.
    """
    options: Options = context.obj
    credentials = fixed_credentials(admin_kubeconfig(source), source.context)
    checks = functools.partial(run_all_checks, credentials=credentials, account=account)
    found = ask(source, options, checks, must_answer=False)
    results = [in_same_cluster(each, source.options) for each in found]
    if output == "table":
        rows = [
            (each.level, each.cluster, each.subject, each.message, each.fix) for each in results
        ]
        columns = ("", "CLUSTER", "WHAT", "FOUND", "FIX")
        print_table_with_notes(columns, rows, named_by=slice(1, 3))
    else:
        print_data(output, [each.row for each in results])
    context.exit(FAILED if any(each.level == "fail" for each in results) else 0)
