"""Everything that a plan found about one Service: in each cluster, between them, and in main."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from svclink_core.address_conflicts import AreDistinct, conflicts
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.filtering import why_untouched
from svclink_core.mirror_annotation import invalid_choice
from svclink_core.mirroring import Finding
from svclink_core.service_view import ServiceView
from svclink_core.well_known import MAIN, Reason


def all_findings(
    view: ServiceView,
    of_clusters: Iterable[Finding],
    slices: Mapping[str, Collection[EndpointSlice]],
    check_distinct: AreDistinct,
) -> tuple[Finding, ...]:
    """What was found in each cluster, then between the clusters, then in the main Service.

    Args:
        view: The Service.
        of_clusters: What was found in each cluster.
        slices: The mirrors of each cluster after the plan, in the order of their names.
        check_distinct: How endpoints are checked for shared addresses.
    """
    shared = conflicts({MAIN: view.local, **slices}, check_distinct)
    between = [
        Finding(view.key, name, Reason.ADDRESS_CONFLICT, shared[name]) for name in sorted(shared)
    ]
    return (*of_clusters, *between, *_invalid_annotation(view))


def _invalid_annotation(view: ServiceView) -> Iterator[Finding]:
    """A finding for each handled cluster that has the Service, if its annotation is invalid."""
    if view.main is None or (value := invalid_choice(view.main)) is None:
        return
    for name, remote in sorted(view.snapshot.remotes.items()):
        if why_untouched(remote.link) is None and view.is_known_of(name):
            yield Finding(view.key, name, Reason.INVALID_MIRROR_ANNOTATION, (value,))
