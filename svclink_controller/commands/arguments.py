"""Flags and arguments that several commands have, and what is wrong with them in one sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import click

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


def dump_options(command: Command) -> Command:
    """`--main` and `--remote`: the files to read instead of clusters."""
    main = click.option(
        "--main",
        "main_file",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        metavar="FILE",
        help="Objects of the main cluster, its ClusterLinks included. Then no cluster is read.",
    )
    remote = click.option(
        "--remote",
        "remote_files",
        multiple=True,
        callback=_named_files,
        metavar="NAME=FILE",
        help="Objects of a remote cluster, under the name of its ClusterLink. Repeat it for more.",
    )
    return main(remote(command))


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
