"""`svclink status` and `svclink services`: what the main cluster says of its links, and of what they bring."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import click
from attrs import frozen

from svclink_controller import clock
from svclink_controller.cli.arguments import Source, namespace_option, output_option, reads_main
from svclink_controller.cli.printing import console, print_data, print_table
from svclink_controller.cli.snapshots.live import read_links, read_main
from svclink_controller.cli.snapshots.reading import ask
from svclink_core.codec import Json
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import Options, Snapshot
from svclink_core.svclink_v1alpha1 import ClusterLink, Condition

MAIN_COLUMN = "MAIN"
"""The column of endpoints that are not mirrored: no link can have a name with capitals."""


@click.command("status")
@reads_main
@output_option("table", "json", "yaml")
@click.pass_obj
def status_command(options: Options, source: Source, output: str) -> None:
    """Show how every linked cluster is, as the controller last wrote it.

    LAST EVENT is the time since the state of the link last changed. Exit codes: 0 done, 1 wrong input or no answer.
    """
    links = ask(source, options, read_links)
    if output != "table":
        print_data(output, [_link_data(link) for link in links])
    elif links:
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
        print_table(columns, (_link_row(link, clock.seconds()) for link in links))
    else:
        console().print("There is no ClusterLink.")


def _link_row(link: ClusterLink, now: float) -> tuple[str, ...]:
    status = link.status
    telling = _telling(link)
    return (
        link.metadata.name,
        status.phase,
        "-" if telling is None else telling.reason,
        str(status.services),
        str(status.endpoints),
        status.version or "-",
        clock.age(status.last_connected, now),
        clock.age(_last_event(link), now),
        "the controller has not seen it yet" if telling is None else _trouble(link, telling),
    )


def _telling(link: ClusterLink) -> Condition | None:
    """The condition that says most: the first that is not as it should be, else Ready."""
    by_type = {condition.type: condition for condition in link.status.conditions}
    wanted = (("Ready", "True"), ("Synced", "True"), ("Degraded", "False"))
    bad = [
        by_type[kind] for kind, good in wanted if kind in by_type and by_type[kind].status != good
    ]
    return next(iter(bad), by_type.get("Ready"))


def _trouble(link: ClusterLink, telling: Condition) -> str:
    is_well = link.status.phase == "Ready" and telling.type == "Ready"
    return "" if is_well else link.status.error or telling.message


def _last_event(link: ClusterLink) -> str | None:
    return max(
        (condition.last_transition_time for condition in link.status.conditions), default=None
    )


def _link_data(link: ClusterLink) -> dict[str, Json]:
    status, telling = link.status, _telling(link)
    return {
        "name": link.metadata.name,
        "namespace": link.metadata.namespace or None,
        "enabled": link.spec.enabled,
        "phase": status.phase,
        "reason": None if telling is None else telling.reason,
        "message": None if telling is None else telling.message,
        "services": status.services,
        "endpoints": status.endpoints,
        "slices": status.slices,
        "version": status.version,
        "lastConnected": status.last_connected,
        "lastEvent": _last_event(link),
    }


# Services


@frozen
class Count:
    """Endpoints of a Service from one cluster."""

    ready: int
    total: int

    def __str__(self) -> str:
        return f"{self.ready}/{self.total}" if self.total else "-"


@click.command("services")
@reads_main
@namespace_option
@click.option("--all", "show_all", is_flag=True, help="Also Services of which nothing is mirrored.")
@output_option("table", "json", "yaml")
@click.pass_obj
def services_command(
    options: Options, source: Source, namespace: str | None, output: str, *, show_all: bool
) -> None:
    """Show the Services of the main cluster with their ready and total endpoints, by cluster.

    Exit codes: 0 done, 1 wrong input or no answer.
    """
    store = ask(source, options, read_main, namespace or "")
    snapshot = store.snapshot()
    clusters = [MAIN_COLUMN, *sorted({*snapshot.remotes, *_mirrored_clusters(snapshot)})]
    rows = [
        (key, counts)
        for key, counts in _counts(snapshot)
        if show_all or counts.keys() - {MAIN_COLUMN}
    ]
    if output != "table":
        print_data(output, [_service_data(key, counts) for key, counts in rows])
    elif rows:
        print_table(
            ("SERVICE", *clusters), (_service_row(key, counts, clusters) for key, counts in rows)
        )
    else:
        console().print("Nothing is mirrored." if not show_all else "There is no Service.")


def _counts(snapshot: Snapshot) -> Iterator[tuple[NamespacedName, dict[str, Count]]]:
    for key in sorted(snapshot.main.services):
        by_cluster: dict[str, list[EndpointSlice]] = {MAIN_COLUMN: []}
        for endpoint_slice in snapshot.main.endpoint_slices.get(key, ()):
            by_cluster.setdefault(
                (endpoint_slice.cluster or "-") if endpoint_slice.is_ours else MAIN_COLUMN, []
            ).append(endpoint_slice)
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
    return {
        endpoint_slice.cluster or "-"
        for endpoint_slice in endpoint_slices
        if endpoint_slice.is_ours
    }


def _service_row(
    key: NamespacedName, counts: dict[str, Count], clusters: Collection[str]
) -> tuple[str, ...]:
    return (str(key), *(str(counts.get(cluster, "-")) for cluster in clusters))


def _service_data(key: NamespacedName, counts: dict[str, Count]) -> dict[str, Json]:
    data: dict[str, Json] = {
        name: {"ready": count.ready, "total": count.total} for name, count in sorted(counts.items())
    }
    return {"service": str(key), "local": data.pop(MAIN_COLUMN), "clusters": data}
