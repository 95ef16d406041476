"""Flags and arguments that several commands have, and what is wrong with them in one sentence."""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from attrs import field, frozen

from svclink_controller.credentials.trust import STRICT, Network, Trust
from svclink_core.meta_v1 import NamespacedName

Command = TypeVar("Command", bound=Callable[..., Any])

_DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def is_dns_label(text: str) -> bool:
    """Whether a text is a DNS-1123 label, as names of namespaces, Services and links are."""
    return _DNS_LABEL.fullmatch(text) is not None


class ServiceName(click.ParamType[NamespacedName]):
    """A Service, as `NAMESPACE/NAME`."""

    name = "namespace/name"

    def convert(
        self, value: str | NamespacedName, param: click.Parameter | None, ctx: click.Context | None
    ) -> NamespacedName:
        """Namespace and name of the Service."""
        if isinstance(value, NamespacedName):
            return value
        namespace, _, name = value.partition("/")
        if not is_dns_label(namespace) or not is_dns_label(name):
            self.fail(f"{value!r} is not NAMESPACE/SERVICE: write it as shop/web", param, ctx)
        return NamespacedName(namespace, name)


def output_option(*choices: str) -> Callable[[Command], Command]:
    """`-o`; the first of the choices is the default."""
    return click.option(
        "-o",
        "--output",
        type=click.Choice(choices),
        default=choices[0],
        show_default=True,
        help="How to print it.",
    )


def boolean_option(
    name: str, text: str, *, default: bool | None = False
) -> Callable[[Command], Command]:
    """A flag as Go programs have it: `--flag`, `--flag=true` or `--flag=false`; without default it may be left open."""
    return click.option(
        name,
        is_flag=False,
        flag_value="true",
        default=None if default is None else str(default).lower(),
        type=click.BOOL,
        show_default=default is not None,
        help=text,
    )


def _networks(
    _: click.Context, __: click.Parameter, values: tuple[str, ...]
) -> tuple[Network, ...]:
    """CIDRs given by repeating the flag, or with commas in between, or both."""
    try:
        return tuple(
            ipaddress.ip_network(each.strip())
            for value in values
            for each in value.split(",")
            if each.strip()
        )
    except ValueError as error:
        raise click.BadParameter(f"{error}: write CIDRs as 10.0.0.0/8 or fd00::/8") from error


def trusts_remotes(command: Callable[..., None]) -> Callable[..., None]:
    """Flags that say how far remote clusters are trusted; the command gets them as its argument `trust`.

    What the flags before a command allow or deny holds as well.
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


_TRUST: Final = ("deny_remote_cidrs", "allow_insecure_remotes", "allow_remote_proxies")
_TRUST_OPTIONS: Final = (
    click.option(
        "--deny-remote-cidrs",
        multiple=True,
        callback=_networks,
        metavar="CIDRS",
        help="Networks in which no remote cluster is connected to (comma-separated), besides link-local ones and, in a"
        " Pod, loopback.",
    ),
    boolean_option(
        "--allow-insecure-remotes", "Let kubeconfigs of remotes say insecure-skip-tls-verify."
    ),
    boolean_option("--allow-remote-proxies", "Let kubeconfigs of remotes say proxy-url."),
)


@frozen
class Source:
    """Where a command reads from: the clusters that a kubeconfig leads to, or files.

    Args:
        kubeconfig: The file given, None: as kubectl finds one, else the ServiceAccount of the Pod.
        context: The context of the kubeconfig, None: the current one.
        home: The controller's namespace, None: that of the context.
        main_file: Objects of the main cluster; then no cluster is read.
        remote_files: Objects of remote clusters, by the names of their links.
        trust: What remote clusters may do.
    """

    kubeconfig: Path | None = None
    context: str | None = None
    home: str | None = None
    main_file: Path | None = None
    remote_files: Mapping[str, Path] = field(factory=dict)
    trust: Trust = STRICT


def reads_main(command: Callable[..., None]) -> Callable[..., None]:
    """Flags that say which main cluster to read; the command gets them as its argument `source`."""

    @functools.wraps(command)
    def wrapped(
        kubeconfig: Path | None, kube_context: str | None, home: str | None, **arguments: object
    ) -> None:
        given = kubeconfig or click.get_current_context().find_root().params.get("kubeconfig")
        more = {
            name: arguments.pop(name)
            for name in ("main_file", "remote_files", "trust")
            if name in arguments
        }
        command(source=Source(given, kube_context, home, **more), **arguments)  # type: ignore[arg-type]

    for option in reversed(_CLUSTER_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def reads_clusters(command: Callable[..., None]) -> Callable[..., None]:
    """The same for a command that reads the remote clusters too, as far as they are trusted."""
    return trusts_remotes(reads_main(command))


def reads_clusters_or_files(command: Callable[..., None]) -> Callable[..., None]:
    """The same, and flags for files to read instead of clusters."""
    wrapped = reads_clusters(command)
    for option in reversed(_FILE_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


def _namespace(_: click.Context, __: click.Parameter, name: str | None) -> str | None:
    if name is not None and not is_dns_label(name):
        raise click.BadParameter(
            f"{name!r} is not the name of a namespace: use lower-case letters, digits and '-'"
        )
    return name


def namespace_option(command: Callable[..., None]) -> Callable[..., None]:
    """`-n`."""
    option = click.option(
        "-n", "--namespace", metavar="NAME", callback=_namespace, help="Only this namespace."
    )
    return option(command)


def _named_files(_: click.Context, __: click.Parameter, texts: Iterable[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in texts:
        name, found, path = text.partition("=")
        if not found or not is_dns_label(name):
            raise click.BadParameter(f"{text!r} is not NAME=FILE: write it as cluster-a=a.yaml")
        if name in files:
            raise click.BadParameter(f"{name!r} is given twice: put its objects into one file")
        files[name] = Path(path)
    return files


_CLUSTER_OPTIONS: Final = (
    click.option(
        "--kubeconfig",
        type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
        metavar="FILE",
        help="Kubeconfig of the main cluster. Default: as kubectl finds it, else the ServiceAccount of the Pod.",
    ),
    click.option("--context", "kube_context", metavar="NAME", help="Context of the kubeconfig."),
    click.option(
        "--controller-namespace",
        "home",
        metavar="NAME",
        callback=_namespace,
        help="Where svclink runs, and Secrets with kubeconfigs are. Default: the namespace of the context.",
    ),
)

_FILE_OPTIONS: Final = (
    click.option(
        "--main",
        "main_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Objects of the main cluster, its ClusterLinks included. Then no cluster is read.",
    ),
    click.option(
        "--remote",
        "remote_files",
        multiple=True,
        callback=_named_files,
        metavar="NAME=FILE",
        help="Objects of a remote cluster, under the name of its ClusterLink. Repeat it for more.",
    ),
)
