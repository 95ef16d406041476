"""`svclink check`: is everything there that svclink needs, and what mends what is not?"""

from __future__ import annotations

import functools
import re
from typing import Final

import click

from svclink_controller.cli.arguments import Source, output_option, reads_clusters
from svclink_controller.cli.preflight.running import check
from svclink_controller.cli.printing import print_data, print_table
from svclink_controller.cli.snapshots.reading import ask
from svclink_core.snapshot import Options

FAULTY: Final = 2
"""Exit code where something does not work."""

_ACCOUNT: Final = re.compile(r"[a-z0-9][-a-z0-9]{0,62}:[a-z0-9][-a-z0-9.]{0,252}")


def _account(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    if value is not None and not _ACCOUNT.fullmatch(value):
        raise click.BadParameter(f"{value!r} is not NAMESPACE:NAME: write it as cloudpilot:svclink")
    return value


@click.command("check")
@reads_clusters
@click.option(
    "--service-account",
    "account",
    metavar="NAMESPACE:NAME",
    callback=_account,
    help="Whose permissions in the main cluster to look at. Default: your own.",
)
@output_option("table", "json", "yaml")
@click.pass_context
def check_command(
    context: click.Context, *, source: Source, account: str | None, output: str
) -> None:
    """Look whether svclink can do its work, and say what mends what is wrong. Nothing is written.

    Each line is ok, warn or fail: the clusters answer, the CRD is current, permissions, how long credentials last,
    clocks, links to one cluster twice or to the main one, Pod addresses that overlap, ports without a partner, and
    EndpointSlices that nobody looks after.

    Exit codes: 0 nothing failed, 1 wrong input, 2 something failed.
    """
    options: Options = context.obj
    results = ask(source, options, functools.partial(check, account=account), must_answer=False)
    if output == "table":
        rows = [
            (each.level, each.cluster, each.subject, each.message, each.mend) for each in results
        ]
        print_table(("", "CLUSTER", "WHAT", "FOUND", "MEND"), rows)
    else:
        print_data(output, [each.row for each in results])
    context.exit(FAULTY if any(each.level == "fail" for each in results) else 0)
