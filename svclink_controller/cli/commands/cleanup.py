"""`svclink cleanup`: deletes what svclink created in a main cluster, after its removal."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import click
from attrs import evolve, frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.arguments import (
    Source,
    namespace_option,
    output_option,
    reads_clusters,
)
from svclink_controller.cli.printing import print_data
from svclink_controller.cli.snapshots.reading import connected
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.wire.resources import CLUSTER_LINKS, ENDPOINT_SLICES, SERVICES
from svclink_core.codec import Json
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.explained import counted
from svclink_core.meta_v1 import ObjectMeta
from svclink_core.ownership import (
    Foreign,
    Ours,
    Unclear,
    is_imported,
    is_imported_by_go_release,
    owner_of,
)

PATHS = {"EndpointSlice": ENDPOINT_SLICES.path, "Service": SERVICES.path}
NOT_DELETED = "not deleted"


@frozen
class Removal:
    """An object that svclink created, as it was listed, and the outcome of its deletion."""

    kind: str
    metadata: ObjectMeta
    outcome: str = "would be deleted"

    def __str__(self) -> str:
        return f"{self.kind} {self.metadata.key}"

    @property
    def row(self) -> dict[str, Json]:
        """The object and the outcome as JSON."""
        key = self.metadata.key
        return {
            "kind": self.kind,
            "namespace": key.namespace,
            "name": key.name,
            "outcome": self.outcome,
        }


@click.command("cleanup")
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Include all namespaces (the default).")
@click.option("--services", is_flag=True, help="Also delete the Services that svclink created.")
@click.option(
    "--keep-go-release", is_flag=True, help="Keep what the Go release created, for a rollback."
)
@click.option(
    "-d", "--dry-run", is_flag=True, help="Print what would be deleted, but delete nothing."
)
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@reads_clusters
@output_option("table", "json", "yaml")
def cleanup_command(
    source: Source,
    *,
    namespace: str | None,
    all_namespaces: bool,
    services: bool,
    keep_go_release: bool,
    dry_run: bool,
    yes: bool,
    output: str,
) -> None:
    """Delete the EndpointSlices that svclink or its Go release created in the main cluster.

    Deletes only objects labeled by svclink or its Go release, and only if they have not
    changed since they were listed. While svclink is running and ClusterLinks exist, svclink
    recreates its EndpointSlices.
    """
    if namespace is not None and all_namespaces:
        raise click.UsageError("use either --namespace or --all-namespaces, not both")

    async def clean() -> list[Removal]:
        async with connected(source) as client:
            leftovers = await find(
                client, namespace or "", services=services, keep_go_release=keep_go_release
            )
            if dry_run or not leftovers:
                return leftovers
            await _warn(client)
            if not yes:
                _confirm(leftovers)
            return [await delete_object(client, each) for each in leftovers]

    results = asyncio.run(clean())
    _print(results, output)
    left = [each for each in results if each.outcome.startswith(NOT_DELETED)]
    if left:
        raise click.ClickException(
            f"could not delete {len(left)} of {counted(len(results), 'object')}, for the reasons"
            " above: run the command again"
        )


async def find(
    client: Client, namespace: str, *, services: bool = False, keep_go_release: bool = False
) -> list[Removal]:
    """What svclink created, in one namespace or (empty) in all.

    Args:
        client: The main cluster.
        namespace: The namespace.
        services: Whether to find Services too, besides EndpointSlices.
        keep_go_release: Whether to leave out what the Go release created.
    """
    slices = await Reflector(client, ENDPOINT_SLICES, namespace).list_all()
    ours = is_only_ours if keep_go_release else is_svclinks
    found = [Removal("EndpointSlice", each.metadata) for each in slices.items if ours(each)]
    if services:
        listing = await Reflector(client, SERVICES, namespace).list_all()
        found += [
            Removal("Service", each.metadata)
            for each in listing.items
            if is_imported(each) and not (keep_go_release and is_imported_by_go_release(each))
        ]
    return sorted(found, key=str)


def is_svclinks(endpoint_slice: EndpointSlice) -> bool:
    """Whether svclink or its Go release created an EndpointSlice."""
    return not isinstance(owner_of(endpoint_slice), Foreign)


def is_only_ours(endpoint_slice: EndpointSlice) -> bool:
    """Whether svclink created an EndpointSlice that its Go release does not treat as its own."""
    return isinstance(owner_of(endpoint_slice), Ours | Unclear)


async def delete_object(client: Client, leftover: Removal) -> Removal:
    """Delete an object unless it changed since it was listed, or the API server refuses."""
    metadata = leftover.metadata
    preconditions: dict[str, Json] = {
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
    }
    path = PATHS[leftover.kind](metadata.namespace, metadata.name)
    try:
        await client.delete(path, {"preconditions": preconditions})
    except ApiError as error:
        if error.status.code != 404:
            return evolve(leftover, outcome=f"{NOT_DELETED}: {error}")
    return evolve(leftover, outcome="deleted")


async def _warn(client: Client) -> None:
    try:
        links = (await Reflector(client, CLUSTER_LINKS).list_all()).items
    except ApiError:  # The CRD is gone, or the user may not list links.
        return
    if links:
        found = counted(len(links), "ClusterLink exists", "ClusterLinks exist")
        click.echo(
            f"Warning: {found}, so if svclink is running, it will create these objects again.",
            err=True,
        )


def _confirm(leftovers: Iterable[Removal]) -> None:
    for each in leftovers:
        click.echo(f"would delete {each}", err=True)
    try:
        sure = click.confirm("Delete these objects?", err=True)
    except click.Abort:
        sure = False
    if not sure:
        raise click.ClickException("nothing was deleted: answer y or pass --yes")


def _print(results: list[Removal], output: str) -> None:
    if output != "table":
        print_data(output, [each.row for each in results])
    elif not results:
        click.echo("Nothing to delete.", err=True)
    else:
        for each in results:
            click.echo(f"{each}: {each.outcome}")
