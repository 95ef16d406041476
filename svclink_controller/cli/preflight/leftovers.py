"""EndpointSlices in the main cluster that no ClusterLink accounts for."""

from __future__ import annotations

from collections.abc import Iterator

from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, shortened
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.explained import counted
from svclink_core.ownership import Leftover, Ours, Unclear, owner_of
from svclink_core.snapshot import Snapshot
from svclink_core.well_known import LABEL_CLUSTER, LABEL_GO_CLUSTER, LABEL_MANAGED_BY, MANAGED_BY


def check_leftovers(snapshot: Snapshot) -> Iterator[Result]:
    """One line for each origin of leftovers, or one that says there are none."""
    names: dict[tuple[str, str], list[str]] = {}
    for key, endpoint_slice in sorted(snapshot.main.names.items()):
        if (origin := _origin(endpoint_slice, snapshot)) is not None:
            names.setdefault(origin, []).append(str(key))
    for (origin_text, selector), keys in sorted(names.items()):
        message = f"{counted(len(keys), 'EndpointSlice')} {origin_text}: {shortened(keys)}"
        fix = f"kubectl delete endpointslices -A -l '{selector}'"
        yield Result("warn", MAIN_SUBJECT, "leftovers", message, fix)
    if not names:
        yield Result("ok", MAIN_SUBJECT, "leftovers", "there are none")


def _origin(endpoint_slice: EndpointSlice, snapshot: Snapshot) -> tuple[str, str] | None:
    """The origin of a leftover, and a label selector for that origin; None if it is not one."""
    match owner_of(endpoint_slice):
        case Leftover():
            return "from the Go release", LABEL_GO_CLUSTER
        case Unclear():
            selector = f"{LABEL_MANAGED_BY}={MANAGED_BY},!{LABEL_CLUSTER},!{LABEL_GO_CLUSTER}"
            return "without a cluster label", selector
        case Ours(cluster) if cluster not in snapshot.remotes:
            return f"from cluster {cluster}, which has no ClusterLink", f"{LABEL_CLUSTER}={cluster}"
        case _:
            return None
