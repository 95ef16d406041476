"""The `svclink` command: flags become settings, errors become one sentence and exit code 1."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import sys
from collections.abc import Sequence
from datetime import timedelta
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, NoReturn

import click

from svclink_controller.cli import parameters
from svclink_controller.cli.arguments import (
    boolean_option,
    controller_namespace_option,
    trusts_remotes,
    with_values,
)
from svclink_controller.cli.parameters import (
    DurationType,
    ExistingFile,
    ListenAddressType,
    MemoryType,
    Number,
)
from svclink_controller.cli.usage_errors import sentence_of
from svclink_controller.credentials.trust import Trust
from svclink_controller.early_interrupts import INTERRUPTED, EarlyInterrupts
from svclink_controller.election.leader import DEFAULT_LEASE_NAME
from svclink_controller.monitoring import logs
from svclink_controller.monitoring.listen_address import ListenAddress
from svclink_controller.settings import Settings
from svclink_core.budget import MEBIBYTE, MEMORY_FLAG, Budget
from svclink_core.errors import SvclinkError
from svclink_core.label_selector import EVERYTHING, Selector
from svclink_core.snapshot import Options
from svclink_core.well_known import ANNOTATION_MIRROR

POD_ADDRESS: Final = ListenAddress("", 8080)
"""Where the controller serves metrics and probes in a Pod."""

COMMANDS: Final = {
    "check": "check",
    "cleanup": "cleanup",
    "dashboard": "dashboard",
    "demo": "demo",
    "drain": "drain",
    "explain": "explain",
    "export-kubeconfig": "export_kubeconfig",
    "plan": "plan",
    "services": "status",
    "shift": "shift",
    "status": "status",
    "traffic": "traffic",
    "undrain": "drain",
}
"""The module in `commands` that defines each command."""


class _Commands(click.Group):
    """Imports a command only when it is used, so that the controller starts faster."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """The names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name."""
        if cmd_name not in COMMANDS:
            return None
        with EarlyInterrupts():
            module = import_module(f"svclink_controller.cli.commands.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give boolean flags a value, also those after the name of the command."""
        return super().parse_args(ctx, with_values(args, self.params))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is an error with names that are like it."""
        name = args[0]
        if name in COMMANDS or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        hint = "see svclink --help"
        if like := get_close_matches(name, COMMANDS):
            hint = f"did you mean {' or '.join(like)}?"
        raise click.UsageError(f"{name!r} is not a command: {hint}", ctx)


@click.group(
    cls=_Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120},
)
@click.version_option(package_name="svclink", message="%(package)s %(version)s")
@click.option(
    "--sync-interval",
    type=DurationType(),
    default="30s",
    show_default=True,
    help="How often to reconcile every Service, even without changes.",
)
@click.option(
    "--kubeconfig",
    type=ExistingFile(),
    help="Kubeconfig for the main cluster. Default: the Pod's ServiceAccount.",
)
@click.option(
    "--context",
    "kube_context",
    metavar="NAME",
    help="Context to use in the kubeconfig. Default: the current context.",
)
@controller_namespace_option
@click.option(
    "--included-namespaces",
    multiple=True,
    callback=parameters.namespaces,
    metavar="NAMES",
    help="Mirror only Services in these namespaces (comma-separated), and ignore the"
    " links' namespace lists.",
)
@boolean_option(
    "--sync-services-to-local-cluster",
    "If a Service exists only in remote clusters, create it, and its namespace if necessary, in"
    " the main cluster. svclink never changes or deletes these objects.",
)
@boolean_option(
    "--opt-in",
    "Mirror a Service only if it has the annotation"
    f' {ANNOTATION_MIRROR}: "true" in the main cluster.',
)
@click.option(
    "--service-selector",
    default="",
    callback=parameters.label_selector,
    metavar="SELECTOR",
    help="Mirror only remote Services with matching labels (same syntax as kubectl get -l). A"
    " link's serviceSelector must also match.",
)
@click.option(
    "--deletion-hold",
    type=DurationType(minimum=timedelta(0)),
    default="5m",
    show_default=True,
    help="How long to pause deletions after a cluster with at least 20 mirrored slices loses more"
    " than half of them at once. 0s disables the pause.",
)
@click.option(
    "--max-writes-per-second",
    type=Number(min=0, min_open=True),
    metavar="N",
    help="Limit on EndpointSlice writes per second; unlimited by default.",
)
@click.option(
    MEMORY_FLAG,
    type=MemoryType(minimum=16 * MEBIBYTE),
    default="80Mi",
    show_default=True,
    help="Memory that one remote cluster may use, excluding its mirrored slices. If a"
    " cluster needs more, its link reports BudgetExceeded, its mirrored EndpointSlices stay"
    " unchanged, and other links continue.",
)
@boolean_option(
    "--leader-elect",
    "Act only while holding a Lease, so that you can run several replicas. Default: true; false"
    " with --kubeconfig.",
    default=None,
)
@click.option(
    "--lease-name",
    callback=parameters.lease_name,
    metavar="NAME",
    help="Name of the Lease. Default: svclink. Controllers with different --link-selector values"
    " need different Leases.",
)
@click.option(
    "--link-selector",
    default="",
    callback=parameters.label_selector,
    metavar="SELECTOR",
    help="Handle only ClusterLinks with matching labels (same syntax as kubectl get -l). Other"
    " controllers may handle the rest.",
)
@click.option(
    "--listen-address",
    type=ListenAddressType(),
    metavar="HOST:PORT",
    help="Where to serve /metrics, /healthz and /readyz, or 'off'. Default: :8080; off with"
    " --kubeconfig.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    help="Format of log lines. Default: console on a terminal, otherwise json.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Minimum level of log messages.",
)
@trusts_remotes
@click.pass_context
def svclink(
    context: click.Context,
    *,
    sync_interval: timedelta,
    kubeconfig: Path | None,
    kube_context: str | None,
    controller_namespace: str | None,
    included_namespaces: tuple[str, ...],
    sync_services_to_local_cluster: bool,
    opt_in: bool,
    service_selector: Selector,
    deletion_hold: timedelta,
    max_writes_per_second: float | None,
    max_memory_per_remote: int,
    leader_elect: bool | None,
    lease_name: str | None,
    link_selector: Selector,
    listen_address: ListenAddress | Literal["off"] | None,
    log_format: logs.LogFormat | None,
    log_level: logs.LogLevel,
    trust: Trust,
) -> None:
    """Mirror EndpointSlices, so that traffic to a Service is balanced across all clusters.

    Without a command, svclink runs the controller until it receives SIGTERM.
    """
    hold = deletion_hold.total_seconds()
    context.obj = Options(
        included_namespaces=frozenset(included_namespaces),
        sync_services=sync_services_to_local_cluster,
        deletion_hold=hold,
        opt_in=opt_in,
        service_selector=service_selector,
    )
    has_all_links = link_selector == EVERYTHING
    if (command := context.invoked_subcommand) is not None:
        if not has_all_links:
            raise click.UsageError(
                "--link-selector applies only to the controller: do not pass it to svclink"
                f" {command}"
            )
        return
    is_pod = kubeconfig is None
    if is_pod and kube_context is not None:
        raise click.UsageError("--context requires --kubeconfig")
    is_electing = is_pod if leader_elect is None else leader_elect
    if is_electing and lease_name is None and not has_all_links:
        raise click.UsageError(
            "--link-selector requires --lease-name: use a different Lease for each selector"
        )
    logs.configure(log_format or ("console" if sys.stderr.isatty() else "json"), log_level)
    logs.take_in_libraries()
    settings = Settings(
        kubeconfig=kubeconfig,
        kube_context=kube_context,
        controller_namespace=controller_namespace,
        sync_interval=sync_interval.total_seconds(),
        options=context.obj,
        max_writes_per_second=max_writes_per_second,
        leader_elect=is_electing,
        lease_name=lease_name or DEFAULT_LEASE_NAME,
        link_selector=link_selector,
        listen_address=_listen_address(listen_address, is_pod=is_pod),
        trust=trust.in_pod() if is_pod else trust,
        remote_budget=Budget(memory=max_memory_per_remote),
    )
    asyncio.run(_run_controller(settings))


async def _run_controller(settings: Settings) -> None:
    """Commands need few of the modules of the controller, and start faster without the others."""
    from svclink_controller import manager  # noqa: PLC0415 - imported when it is used

    await manager.run(settings)


def _listen_address(
    given: ListenAddress | Literal["off"] | None, *, is_pod: bool
) -> ListenAddress | None:
    if given is None:
        return POD_ADDRESS if is_pod else None
    return None if given == "off" else given


def plugin() -> NoReturn:
    """`kubectl svclink`: without a command it prints the help instead of running the controller."""
    main(sys.argv[1:] or ["--help"], "kubectl svclink")


def main(arguments: Sequence[str] | None = None, program: str | None = None) -> NoReturn:
    """Run the command line; on invalid input, print one sentence and exit with code 1."""
    _prepare_outputs()
    try:
        code = svclink.main(arguments, program, standalone_mode=False)
    except (click.exceptions.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        click.echo(f"Error: {sentence_of(error)}", err=True)
        sys.exit(1)
    except SvclinkError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        click.echo(f"Error: cannot write the output: {error.strerror}", err=True)
        sys.exit(1)
    sys.exit(code)


def _prepare_outputs() -> None:
    """Discard what goes to a closed output; escape characters that the encoding of stdout lacks."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # Python sets a closed stream to None.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
