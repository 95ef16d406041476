"""Flags that several commands share."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from attrs import field, frozen

from svclink_controller.cli import parameters
from svclink_controller.cli.parameters import BooleanType, ExistingFile
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_core.controller_namespace import CONTROLLER_NAMESPACE_FLAG

Command = TypeVar("Command", bound=Callable[..., Any])


@frozen
class Source:
    """Where a command reads from: the clusters that a kubeconfig leads to, or files.

    Args:
        kubeconfig: The kubeconfig; None for the one kubectl would use, else the Pod's
            ServiceAccount.
        context: The context of the kubeconfig; None for the current one.
        controller_namespace: The namespace of the controller; None: it is found.
        main_file: Objects of the main cluster. If given, no cluster is read.
        remote_files: Objects of remote clusters, by the names of their links.
        trust: What remote clusters are allowed.
        answer_seconds: How long the main API server may take to return its version. A list may
            take much longer.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    controller_namespace: str | None = None
    main_file: Path | None = None
    remote_files: Mapping[str, Path] = field(factory=dict)
    trust: Trust = STRICT
    answer_seconds: float = 10

    @property
    def options(self) -> str:
        """The flags with which other commands read the same clusters or files; may be empty."""
        flags = {"kubeconfig": self.kubeconfig, "context": self.context, "main": self.main_file}
        given = [(name, str(value)) for name, value in flags.items() if value is not None]
        given += [("remote", f"{name}={file}") for name, file in self.remote_files.items()]
        return " ".join(f"--{name} {shlex.quote(value)}" for name, value in given)


def output_option(*choices: str) -> Callable[[Command], Command]:
    """`-o`; the first of the choices is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="Output format.",
    )


def namespace_option(command: Callable[..., None]) -> Callable[..., None]:
    """`-n`."""
    option = click.option(
        "-n",
        "--namespace",
        metavar="NAME",
        callback=parameters.namespace,
        help="Limit the command to this namespace.",
    )
    return option(command)


controller_namespace_option: Final = click.option(
    CONTROLLER_NAMESPACE_FLAG,
    metavar="NAME",
    callback=parameters.namespace,
    help="svclink's namespace, which holds its Lease and the Secrets of ClusterLinks. Default:"
    " the Pod's namespace; with a kubeconfig, the namespace where svclink runs, or else the"
    " context's namespace.",
)


def boolean_option(
    name: str, text: str, *, default: bool | None = False
) -> Callable[[Command], Command]:
    """A flag in the style of Go: `--flag`, `--flag=true` or `--flag=false`; see `with_values`.

    Args:
        name: The flag.
        text: Its help.
        default: The value without the flag; None tells that the flag was not given.
    """
    return click.option(
        name,
        is_flag=False,
        flag_value="true",
        default=None if default is None else str(default).lower(),
        type=BooleanType(),
        metavar="[=BOOLEAN]",
        show_default=default is not None,
        help=text,
    )


def with_values(arguments: Sequence[str], flags: Iterable[click.Parameter]) -> list[str]:
    """The arguments with `--flag=true` for each boolean flag that has no value.

    click would take the next argument for the value, even the name of a command. Go never does;
    here it is the value if it is `true` or `false`.
    """
    booleans = {name for each in flags if isinstance(each.type, BooleanType) for name in each.opts}
    end = arguments.index("--") if "--" in arguments else len(arguments)
    joined: list[str] = []
    for each in arguments[:end]:
        if joined and joined[-1] in booleans and each.lower() in ("true", "false"):
            joined[-1] += f"={each}"
        else:
            joined.append(each)
    given = [f"{each}=true" if each in booleans else each for each in joined]
    return [*given, *arguments[end:]]


def trusts_remotes(command: Callable[..., None]) -> Callable[..., None]:
    """Flags for what remote clusters are allowed; the command gets them as its argument `trust`.

    Flags given before the name of a command count too.
    """

    @functools.wraps(command)
    def wrapped(**arguments: object) -> None:
        context = click.get_current_context()
        given = [each.params for each in dict.fromkeys((context.find_root(), context))]
        for name in _TRUST:
            del arguments[name]
        denied, insecure, proxies = ([params[name] for params in given] for name in _TRUST)
        trust = Trust(
            tuple(network for networks in denied for network in networks),
            any(insecure),
            any(proxies),
        )
        command(trust=trust, **arguments)

    for option in reversed(_TRUST_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def reads_clusters(command: Callable[..., None]) -> Callable[..., None]:
    """Flags for the main cluster and for what remote ones are allowed, as argument `source`.

    Every command that needs a cluster takes all of them. They may precede its name, too.
    """

    @functools.wraps(command)
    def wrapped(
        kubeconfig: Path | None,
        kube_context: str | None,
        controller_namespace: str | None,
        **arguments: object,
    ) -> None:
        before = click.get_current_context().find_root().params
        given = kubeconfig or before.get("kubeconfig")
        context = kube_context or before.get("kube_context")
        home = controller_namespace or before.get("controller_namespace")
        more = {name: arguments.pop(name) for name in _MORE_OF_SOURCE if name in arguments}
        if more.get("remote_files") and more.get("main_file") is None:
            raise click.UsageError(
                "--remote requires --main: pass a file with the main cluster's objects as"
                " --main FILE"
            )
        command(source=Source(given, context, home, **more), **arguments)  # type: ignore[arg-type]

    for option in reversed(_CLUSTER_OPTIONS):
        wrapped = option(wrapped)
    return trusts_remotes(wrapped)


def reads_clusters_or_files(command: Callable[..., None]) -> Callable[..., None]:
    """The flags of `reads_clusters`, and those for files to read instead."""
    wrapped = reads_clusters(command)
    for option in reversed(_FILE_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_MORE_OF_SOURCE: Final = ("main_file", "remote_files", "trust")
_TRUST: Final = ("deny_remote_cidrs", "allow_insecure_remotes", "allow_remote_proxies")

_TRUST_OPTIONS: Final = (
    click.option(
        "--deny-remote-cidrs",
        multiple=True,
        callback=parameters.networks,
        metavar="CIDRS",
        help="Never connect to remote clusters in these address ranges (comma-separated CIDRs)."
        " Link-local addresses, cloud metadata services and, in a Pod, loopback are always denied.",
    ),
    boolean_option(
        "--allow-insecure-remotes",
        "Allow insecure-skip-tls-verify in the kubeconfigs of remote clusters.",
    ),
    boolean_option(
        "--allow-remote-proxies", "Allow proxy-url in the kubeconfigs of remote clusters."
    ),
)

_CLUSTER_OPTIONS: Final = (
    click.option(
        "--kubeconfig",
        type=ExistingFile(),
        metavar="FILE",
        help="Kubeconfig for the main cluster; with export-kubeconfig, for the remote cluster."
        " Default: the kubeconfig that kubectl would use, or else the Pod's ServiceAccount.",
    ),
    click.option(
        "--context", "kube_context", metavar="NAME", help="Context to use in the kubeconfig."
    ),
    controller_namespace_option,
)

_FILE_OPTIONS: Final = (
    click.option(
        "--main",
        "main_file",
        type=ExistingFile(),
        metavar="FILE",
        help="File with the main cluster's objects, including ClusterLinks. If set, the"
        " command contacts no cluster.",
    ),
    click.option(
        "--remote",
        "remote_files",
        multiple=True,
        callback=parameters.named_files,
        metavar="NAME=FILE",
        help="File with a remote cluster's objects. NAME is the name of its ClusterLink."
        " Can be repeated.",
    ),
)
