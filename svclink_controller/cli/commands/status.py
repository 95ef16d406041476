"""`svclink status` and `svclink services`: the state of links and of mirrored Services."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias, assert_never

import click
from attrs import frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli.arguments import Source, namespace_option, output_option, reads_clusters
from svclink_controller.cli.describing import MAIN_COLUMN
from svclink_controller.cli.preflight.results import shortened
from svclink_controller.cli.printing import (
    console,
    print_data,
    print_line,
    print_table,
    print_table_with_notes,
)
from svclink_controller.cli.snapshots.live import (
    MainUnreadableError,
    Scope,
    add_calls,
    read_called_services,
    read_links,
    read_main,
)
from svclink_controller.cli.snapshots.partial import ClusterContent, partial_snapshot
from svclink_controller.cli.snapshots.reading import ask, print_warnings
from svclink_core.codec import Json
from svclink_core.conditions import last_transition, most_urgent
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import why_main_refuses
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Foreign, Leftover, Ours, Unclear, owner_of
from svclink_core.snapshot import Options, Snapshot
from svclink_core.svclink_v1alpha1 import ClusterLink, Condition
from svclink_core.well_known import Reason

NOT_PROCESSED = (
    "no controller has processed it yet: run svclink check to see whether one is leading"
)


@click.command("status")
@reads_clusters
@output_option("table", "json", "yaml")
@click.pass_obj
def status_command(options: Options, source: Source, output: str) -> None:
    """Show the state of every linked cluster, as the controller last wrote it.

    LAST EVENT is the time since the link's state last changed. A line below the table
    names Services that are never mirrored because the main cluster's API server calls them. To
    see this line, you need the same permissions as for `svclink services --all`.

    Exit codes: 0 success, 1 invalid input or failed request.
    """
    if output != "table":
        links = ask(source, options, read_links)
        print_data(output, [_link_data(link) for link in links])
        return
    links, main = ask(source, options, _read_links_and_calls)
    if links:
        columns = (
            "NAME",
            "STATUS",
            "REASON",
            "SERVICES",
            "ENDPOINTS",
            "VERSION",
            "LAST CONNECTED",
            "LAST EVENT",
            "",
        )
        rows = (_link_row(link, clock.seconds()) for link in links)
        print_table_with_notes(columns, rows, named_by=slice(0, 1))
    else:
        console().print("There are no ClusterLinks.")
    if main is not None and (called := _called(partial_snapshot(main, {}, options).snapshot)):
        print_line(
            "Not mirrored, because the main cluster's API server calls them:"
            f" {shortened(called)} (svclink services --all shows what calls them)"
        )


async def _read_links_and_calls(
    client: Client, scope: Scope
) -> tuple[list[ClusterLink], ClusterContent | None]:
    """The links and, if they can be read, the Services that the API server calls."""
    links = await read_links(client, scope)
    with suppress(MainUnreadableError):
        return links, await read_called_services(client) if links else None
    return links, None


def _called(snapshot: Snapshot) -> list[str]:
    """The Services that are not mirrored because the main cluster's API server calls them."""
    refused = sorted(_refused(snapshot).items())
    return [str(key) for key, (why, _) in refused if why is Reason.CALLED_BY_API_SERVER]


def _link_row(link: ClusterLink, now: float) -> tuple[str, ...]:
    status = link.status
    shown = most_urgent(link.status.conditions)
    return (
        link.metadata.name,
        status.phase,
        "-" if shown is None else shown.reason,
        str(status.services),
        str(status.endpoints),
        status.version or "-",
        clock.age(status.last_connected, now),
        clock.age(last_transition(link.status.conditions), now),
        NOT_PROCESSED if shown is None else _message(link, shown),
    )


def _message(link: ClusterLink, shown: Condition) -> str:
    is_healthy = link.status.phase == "Ready" and shown.type == "Ready"
    return "" if is_healthy else link.status.error or shown.message


def _link_data(link: ClusterLink) -> dict[str, Json]:
    status, shown = link.status, most_urgent(link.status.conditions)
    return {
        "name": link.metadata.name,
        "namespace": link.metadata.namespace or None,
        "enabled": link.spec.enabled,
        "phase": status.phase,
        "reason": None if shown is None else shown.reason,
        "message": None if shown is None else shown.message,
        "services": status.services,
        "endpoints": status.endpoints,
        "slices": status.slices,
        "version": status.version,
        "lastConnected": status.last_connected,
        "credentialsExpire": status.credentials_expire,
        "lastEvent": last_transition(link.status.conditions),
    }


# Services


@frozen
class Count:
    """How many endpoints a Service has from one cluster."""

    ready: int
    total: int

    def __str__(self) -> str:
        return f"{self.ready}/{self.total}" if self.total else "-"


@click.command("services")
@reads_clusters
@namespace_option
@click.option(
    "--all", "show_all", is_flag=True, help="Include Services without mirrored endpoints."
)
@output_option("table", "json", "yaml")
@click.pass_obj
def services_command(
    options: Options, source: Source, namespace: str | None, output: str, *, show_all: bool
) -> None:
    """Show the main cluster's Services with their ready and total endpoints from each cluster.

    With --all, NOT MIRRORED says why a Service in the main cluster is never mirrored.

    Exit codes: 0 success, 1 invalid input or failed request.
    """
    main = ask(source, options, _read_all if show_all else read_main, namespace or "")
    print_warnings(main.warnings)
    snapshot = partial_snapshot(main, {}, options).snapshot
    rows = [
        (key, counts)
        for key, counts in _counts(snapshot)
        if show_all or counts.keys() - {MAIN_COLUMN}
    ]
    refused = _refused(snapshot) if show_all else {}
    if output != "table":
        print_data(output, [_service_data(*row) | _refusal_data(row[0], refused) for row in rows])
    elif rows:
        _print_services(rows, snapshot, refused)
    else:
        console().print("Nothing is mirrored." if not show_all else "There are no Services.")


Row: TypeAlias = tuple[NamespacedName, dict[str, Count]]


async def _read_all(client: Client, scope: Scope) -> ClusterContent:
    """The main cluster, with the Services that its API server calls."""
    main = await read_main(client, scope)
    await add_calls(client, main)
    return main


def _refused(snapshot: Snapshot) -> dict[NamespacedName, tuple[Reason, str]]:
    """Why main lets no cluster be mirrored, by Service, and the object that the reason is about."""
    refused = {}
    for key, service in snapshot.main.services.items():
        call = snapshot.main.api_server_calls.of(key)
        reason = why_main_refuses(key, service, snapshot.options, call)
        if reason is not None:
            is_called = reason is Reason.CALLED_BY_API_SERVER
            refused[key] = (reason, call.caller if is_called else "")
    return refused


def _refusal_data(
    key: NamespacedName, refused: Mapping[NamespacedName, tuple[Reason, str]]
) -> dict[str, Json]:
    if key not in refused:
        return {}
    reason, reference = refused[key]
    described: Json = {"reason": reason.code, "message": reason.sentence, "reference": reference}
    return {"notMirrored": described}


def _print_services(
    rows: Sequence[Row],
    snapshot: Snapshot,
    refused: Mapping[NamespacedName, tuple[Reason, str]],
) -> None:
    clusters = [MAIN_COLUMN, *sorted({*snapshot.remotes, *_mirrored_clusters(snapshot)})]
    last = ("NOT MIRRORED",) if refused else ()
    print_table(
        ("SERVICE", *clusters, *last),
        (
            (
                *_service_row(key, counts, clusters),
                *(" ".join(map(str, refused.get(key, ()))) for _ in last),
            )
            for key, counts in rows
        ),
    )


def _counts(snapshot: Snapshot) -> Iterator[tuple[NamespacedName, dict[str, Count]]]:
    for key in sorted(snapshot.main.services):
        by_cluster: dict[str, list[EndpointSlice]] = {MAIN_COLUMN: []}
        for endpoint_slice in snapshot.main.endpoint_slices.get(key, ()):
            by_cluster.setdefault(_column(endpoint_slice), []).append(endpoint_slice)
        yield key, {cluster: _count(slices) for cluster, slices in by_cluster.items()}


def _count(slices: Iterable[EndpointSlice]) -> Count:
    conditions = [
        endpoint.conditions for endpoint_slice in slices for endpoint in endpoint_slice.endpoints
    ]
    return Count(sum(each.ready is not False for each in conditions), len(conditions))


def _mirrored_clusters(snapshot: Snapshot) -> set[str]:
    endpoint_slices = (
        endpoint_slice
        for slices in snapshot.main.endpoint_slices.values()
        for endpoint_slice in slices
    )
    return {_column(each) for each in endpoint_slices} - {MAIN_COLUMN}


def _column(endpoint_slice: EndpointSlice) -> str:
    """Where a slice is counted: under the cluster that svclink mirrored it from, if it did."""
    match owner_of(endpoint_slice):
        case Ours(cluster):
            return cluster
        case Leftover() | Unclear():
            return "-"
        case Foreign():
            return MAIN_COLUMN
        case unexpected:
            assert_never(unexpected)


def _service_row(
    key: NamespacedName, counts: dict[str, Count], clusters: Collection[str]
) -> tuple[str, ...]:
    return (str(key), *(str(counts.get(cluster, "-")) for cluster in clusters))


def _service_data(key: NamespacedName, counts: dict[str, Count]) -> dict[str, Json]:
    data: dict[str, Json] = {
        name: {"ready": count.ready, "total": count.total} for name, count in sorted(counts.items())
    }
    return {"service": str(key), "local": data.pop(MAIN_COLUMN), "clusters": data}
