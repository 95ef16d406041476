"""`svclink plan`: what svclink would do, from files that `kubectl get -o yaml` or `-o json` printed."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, TypeVar

import click
import msgspec
import yaml
from attrs import frozen
from rich.console import Console
from rich.table import Table

from svclink_controller import clock
from svclink_core import codec
from svclink_core.codec import KINDS
from svclink_core.core_v1 import Service
from svclink_core.diffing import Change, Delete
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import BadInputError, SvclinkError
from svclink_core.meta_v1 import ObjectMeta
from svclink_core.planning import Plan, plan
from svclink_core.snapshot import PENDING, Options, Snapshot, main_cluster, remote_cluster, snapshot
from svclink_core.svclink_v1alpha1 import ClusterLink

T = TypeVar("T", Service, EndpointSlice, ClusterLink)

WIDEST: Final = 10_000
"""Columns of a line in a file or pipe, which has no end."""

_DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


def is_dns_label(text: str) -> bool:
    """Whether a text is a DNS-1123 label, as names of namespaces and links are."""
    return _DNS_LABEL.fullmatch(text) is not None


class DumpError(SvclinkError):
    """A file is not what `kubectl get -o yaml` or `-o json` prints; the message names file, document and field."""


@frozen
class Dump:
    """The objects of one cluster."""

    services: list[Service]
    endpoint_slices: list[EndpointSlice]
    links: list[ClusterLink]


def read_dump(path: Path) -> Dump:
    """The Services, EndpointSlices and ClusterLinks of a file; objects of other kinds are passed over.

    Raises:
        DumpError: The file cannot be read, or an object in it is not as the API serves it.
    """
    dump = Dump([], [], [])
    kinds = {kind: name for kind, (_, name) in KINDS.items()}
    for place, content in _objects(path):
        match content.get("kind"):
            case name if name == kinds[Service]:
                dump.services.append(_structure(path, place, content, Service))
            case name if name == kinds[EndpointSlice]:
                dump.endpoint_slices.append(_structure(path, place, content, EndpointSlice))
            case name if name == kinds[ClusterLink]:
                dump.links.append(_structure(path, place, content, ClusterLink))
            case _:
                pass
    return dump


def snapshot_of(main: Dump, remotes: Mapping[str, Dump], options: Options) -> Snapshot:
    """A snapshot of dumps.

    A remote without a ClusterLink in the main dump has one that filters nothing. Of a ClusterLink without a dump
    nothing is known, as of a cluster that was not listed yet.
    """
    links = {link.metadata.name: link for link in main.links}
    known = [
        remote_cluster(links.get(name, ClusterLink(ObjectMeta(name=name))), dump.services, dump.endpoint_slices)
        for name, dump in remotes.items()
    ]
    unknown = [remote_cluster(link, connection=PENDING) for name, link in links.items() if name not in remotes]
    return snapshot(main_cluster(main.services, main.endpoint_slices), [*known, *unknown], options)


def _structure(path: Path, place: str, content: Mapping[str, object], kind: type[T]) -> T:
    try:
        return codec.structure(content, kind)
    except (BadInputError, RecursionError) as error:
        raise DumpError(f"{path}: {place}: {error}") from error


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, object]]]:
    """The objects of a file with the place of each, the items of lists one by one."""
    for number, document in enumerate(_documents(path)):
        if document is None:
            continue
        if not isinstance(document, Mapping):
            raise DumpError(
                f"{path}: document {number}: it is no Kubernetes object: give what kubectl get -o yaml prints"
            )
        items = document.get("items") if str(document.get("kind", "")).endswith("List") else None
        if items is None:
            yield f"document {number}", document
            continue
        if not isinstance(items, list):
            raise DumpError(f"{path}: document {number}: $.items: must be a list")
        for index, item in enumerate(items):
            if not isinstance(item, Mapping):
                raise DumpError(f"{path}: document {number}: $.items[{index}]: must be an object")
            yield f"document {number}, item {index}", item


def _documents(path: Path) -> list[object]:
    try:
        content = path.read_bytes()
        if content.lstrip().startswith(b"{"):
            return [msgspec.json.decode(content)]
        return list(yaml.load_all(content, Loader=_PlainLoader))
    except OSError as error:
        raise DumpError(f"{path}: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # Decoders raise ValueErrors, and YAML's tags do.
        raise DumpError(f"{path}: neither JSON nor YAML: {' '.join(str(error).split())}") from error


class _PlainLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # C where there is one
    """YAML as Kubernetes reads it: what looks like a time stays a string."""


_PlainLoader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


# The command


@click.command("plan")
@click.option(
    "--main",
    "main_file",
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Objects of the main cluster, its ClusterLinks included.",
)
@click.option(
    "--remote",
    "remotes",
    multiple=True,
    metavar="NAME=FILE",
    help="Objects of a remote cluster, under the name of its ClusterLink. Repeat it for more.",
)
@click.option(
    "-o", "--output", type=click.Choice(["table", "yaml"]), default="table", show_default=True, help="How to print it."
)
@click.pass_obj
def plan_command(options: Options, main_file: Path, remotes: tuple[str, ...], output: str) -> None:
    r"""Show what svclink would change, from files. Reads no cluster, changes nothing.

    \b
    Make the files with
      kubectl get services,endpointslices,clusterlinks -A -o yaml > FILE
    """
    files = _named_files(remotes)
    view = snapshot_of(read_dump(main_file), {name: read_dump(path) for name, path in files.items()}, options)
    result = plan(view, clock.seconds())
    if output == "yaml":
        manifests = [codec.unstructure(change.endpoint_slice) for change in result.changes if not _is_delete(change)]
        click.echo(yaml.safe_dump_all(manifests, sort_keys=False), nl=False)
    else:
        _print_table(result)


def _named_files(texts: Iterable[str]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for text in texts:
        name, found, path = text.partition("=")
        if not found or not is_dns_label(name):
            raise click.BadParameter(f"{text!r} is not NAME=FILE: write it as cluster-a=a.yaml", param_hint="--remote")
        if name in files:
            raise click.BadParameter(f"{name!r} is given twice: put its objects into one file", param_hint="--remote")
        files[name] = Path(path)
    return files


def _is_delete(change: Change) -> bool:
    return isinstance(change, Delete)


def _print_table(result: Plan) -> None:
    # Where nobody looks but a program, one row is one line.
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDEST)
    changes = Table("CHANGE", "ENDPOINTSLICE", "CLUSTER", "ENDPOINTS", "WHY", box=None, pad_edge=False)
    for change in result.changes:
        piece = change.endpoint_slice
        endpoints = "-" if _is_delete(change) else str(len(piece.endpoints))
        verb = type(change).__name__.lower()
        changes.add_row(verb, str(change.key), piece.cluster or "-", endpoints, change.reason.sentence)
    decisions = Table("SERVICE", "CLUSTER", "OUTCOME", "ENDPOINTS", "WHY", box=None, pad_edge=False)
    for decision in result.decisions:
        decisions.add_row(
            str(decision.service),
            decision.cluster,
            decision.outcome.value,
            str(decision.endpoints),
            decision.reason.sentence,
        )
    for finding in result.findings:
        why = f"{finding.reason.sentence}: {', '.join(finding.details)}"
        decisions.add_row(str(finding.service), finding.cluster, finding.reason.code, "-", why)
    console.print(decisions)
    console.print()
    console.print(changes if result.changes else "Nothing to change.")
