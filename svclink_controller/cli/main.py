"""The `svclink` command: flags become settings, errors become one sentence and exit code 1."""

from __future__ import annotations

import asyncio
import errno
import io
import os
import re
import sys
from collections.abc import Sequence
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Final, Literal, NoReturn

import click
import durationpy

from svclink_controller import manager
from svclink_controller.cli.arguments import boolean_option, is_dns_label, trusts_remotes
from svclink_controller.credentials.trust import Trust
from svclink_controller.election.leader import DEFAULT_LEASE_NAME
from svclink_controller.monitoring import logs
from svclink_controller.monitoring.server import ListenAddress
from svclink_controller.settings import Settings
from svclink_controller.wire import label_selector
from svclink_controller.wire.label_selector import EVERYTHING, LabelSelector, SelectorError
from svclink_core.errors import SvclinkError
from svclink_core.snapshot import Options
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM

POD_ADDRESS: Final = ListenAddress("", 8080)
"""Where a Pod answers about its metrics and health."""


class DurationType(click.ParamType[timedelta]):
    """A Go duration: `30s`, `1m30s`, `2h`.

    Args:
        is_optional: Whether it may be nothing, `0s`.
    """

    name = "duration"

    def __init__(self, *, is_optional: bool = False) -> None:
        self.is_optional = is_optional

    def convert(
        self, value: str | timedelta, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        """The duration; it must be longer than nothing, unless it is optional."""
        if isinstance(value, timedelta):
            return value
        try:
            duration: timedelta = durationpy.from_str(value)
        except (durationpy.DurationError, ValueError, IndexError):
            self.fail(f"{value!r} is not a duration: write it as 30s, 1m30s or 2h", param, ctx)
        if self.is_optional and duration < timedelta(0):
            self.fail(
                f"{value!r} is less than nothing: write it as 30s, 1m30s or 2h, or 0s for none",
                param,
                ctx,
            )
        if not self.is_optional and duration <= timedelta(0):
            self.fail(
                f"{value!r} is not longer than nothing: write it as 30s, 1m30s or 2h", param, ctx
            )
        return duration


class ListenAddressType(click.ParamType[ListenAddress | Literal["off"]]):
    """`HOST:PORT`, `:PORT` for every interface, `[IPV6]:PORT`, or `off`."""

    name = "address"

    def convert(
        self, value: str | ListenAddress, param: click.Parameter | None, ctx: click.Context | None
    ) -> ListenAddress | Literal["off"]:
        """The address, or that nothing is to be listened on."""
        if isinstance(value, ListenAddress):
            return value
        if value == "off":
            return "off"
        match = re.fullmatch(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]*)):([0-9]{1,5})", value, re.ASCII)
        if match is None or int(match[3]) > 65535:
            self.fail(
                f"{value!r} is not an address: write it as 127.0.0.1:8080, :8080 or off", param, ctx
            )
        return ListenAddress(match[1] or match[2] or "", int(match[3]))


def _namespaces(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> frozenset[str]:
    """Namespaces given by repeating the flag, or with commas in between, or both."""
    names = frozenset(name.strip() for value in values for name in value.split(",") if name.strip())
    if NAMESPACE_KUBE_SYSTEM in names:
        raise click.BadParameter("kube-system is never mirrored: leave it out")
    if values and not names:
        raise click.BadParameter(
            "it names no namespace: name at least one, or leave the flag out for all"
        )
    for name in sorted(names):
        if not is_dns_label(name):
            raise click.BadParameter(
                f"{name!r} is not the name of a namespace: use lower-case letters, digits and '-'"
            )
    return names


def _link_selector(_: click.Context, __: click.Parameter, value: str) -> LabelSelector:
    """The links to work on."""
    try:
        return label_selector.parse(value)
    except SelectorError as error:
        raise click.BadParameter(str(error)) from error


def _lease_name(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """What the API server takes as the name of a Lease."""
    if value is not None and not (len(value) <= 253 and all(map(is_dns_label, value.split(".")))):
        raise click.BadParameter(
            f"{value!r} is not the name of a Lease: use lower-case letters, digits, '-' and '.'"
        )
    return value


COMMANDS: Final = {
    "check": "check",
    "cleanup": "cleanup",
    "demo": "demo",
    "explain": "explain",
    "export-kubeconfig": "export_kubeconfig",
    "plan": "plan",
    "services": "status",
    "status": "status",
}
"""The commands, each with the module in `commands` that has it."""


class _Commands(click.Group):
    """Imports a command when it is used: the controller, which starts often, uses none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """Their names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """One of them."""
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"svclink_controller.cli.commands.{COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command


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
    help="Time between two rounds in which everything is checked again.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="Kubeconfig file of the main cluster. Without it: the ServiceAccount of the Pod.",
)
@click.option(
    "--included-namespaces",
    multiple=True,
    callback=_namespaces,
    metavar="NAMES",
    help="Mirror Services of these namespaces only (comma-separated); the links' namespace lists are then ignored.",
)
@boolean_option(
    "--sync-services-to-local-cluster",
    "Create Services that only remote clusters have, and their namespaces. None is ever changed or deleted.",
)
@click.option(
    "--deletion-hold",
    type=DurationType(is_optional=True),
    default="5m",
    show_default=True,
    help="How long nothing is deleted where a cluster loses more than half of what is mirrored at once; 0s: off.",
)
@click.option(
    "--max-writes-per-second",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Write to EndpointSlices of the main cluster no more often. Without it: as often as it takes.",
)
@boolean_option(
    "--leader-elect",
    "Work only while holding a Lease, because there are other replicas. Default: true, with --kubeconfig false.",
    default=None,
)
@click.option(
    "--lease-name",
    callback=_lease_name,
    metavar="NAME",
    help="The Lease that is held. Default: svclink; controllers with different --link-selector need different ones.",
)
@click.option(
    "--link-selector",
    default="",
    callback=_link_selector,
    metavar="SELECTOR",
    help="Work on ClusterLinks with these labels only, as kubectl get -l takes it; leave others to other controllers.",
)
@click.option(
    "--listen-address",
    type=ListenAddressType(),
    metavar="HOST:PORT",
    help="Where to answer to /metrics, /healthz and /readyz; 'off' for nowhere. Default: :8080, with --kubeconfig off.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    help="How log lines look. Default: console on a terminal, else json.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="What is logged at least.",
)
@trusts_remotes
@click.pass_context
def svclink(
    context: click.Context,
    *,
    sync_interval: timedelta,
    kubeconfig: Path | None,
    included_namespaces: frozenset[str],
    sync_services_to_local_cluster: bool,
    deletion_hold: timedelta,
    max_writes_per_second: float | None,
    leader_elect: bool | None,
    lease_name: str | None,
    link_selector: LabelSelector,
    listen_address: ListenAddress | Literal["off"] | None,
    log_format: logs.LogFormat | None,
    log_level: logs.LogLevel,
    trust: Trust,
) -> None:
    """Mirror EndpointSlices of remote Kubernetes clusters into this one, so that its Services balance over both.

    Without a command it runs the controller, until SIGTERM.
    """
    if context.invoked_subcommand is not None and link_selector != EVERYTHING:
        raise click.UsageError(
            f"--link-selector is the controller's: leave it out with {context.invoked_subcommand}"
        )
    context.obj = Options(
        included_namespaces, sync_services_to_local_cluster, deletion_hold.total_seconds()
    )
    if context.invoked_subcommand is None:
        logs.configure(log_format or ("console" if sys.stderr.isatty() else "json"), log_level)
        logs.take_in_libraries()
        is_pod = kubeconfig is None
        is_electing = is_pod if leader_elect is None else leader_elect
        if is_electing and lease_name is None and link_selector != EVERYTHING:
            raise click.UsageError(
                "with --link-selector, give --lease-name: one Lease for each set of links"
            )
        settings = Settings(
            kubeconfig=kubeconfig,
            sync_interval=sync_interval.total_seconds(),
            options=context.obj,
            max_writes_per_second=max_writes_per_second,
            leader_elect=is_electing,
            lease_name=lease_name or DEFAULT_LEASE_NAME,
            link_selector=link_selector,
            listen_address=_address(listen_address or (POD_ADDRESS if is_pod else "off")),
            trust=trust.in_pod() if is_pod else trust,
        )
        asyncio.run(manager.run(settings))


def _address(wanted: ListenAddress | Literal["off"]) -> ListenAddress | None:
    return None if wanted == "off" else wanted


def plugin() -> NoReturn:
    """`kubectl svclink`: the same, but that without a command it helps, and does not run the controller."""
    main(sys.argv[1:] or ["--help"], "kubectl svclink")


def main(arguments: Sequence[str] | None = None, program: str | None = None) -> NoReturn:
    """Run the command line; exit 1 with one sentence where the input is wrong."""
    _prepare_outputs()
    try:
        code = svclink.main(arguments, program, standalone_mode=False)
    except click.exceptions.Abort:
        sys.exit(130)
    except click.ClickException as error:
        click.echo(f"Error: {error.format_message()}", err=True)
        sys.exit(1)
    except SvclinkError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        click.echo(f"Error: what is printed cannot be written: {error.strerror}", err=True)
        sys.exit(1)
    sys.exit(code)


def _prepare_outputs() -> None:
    """Whoever closed an output wants to see nothing of it: Python then has none. What its encoding lacks is escaped."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115 - as long as the process lives
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
