"""When a cluster is drained, from its link and its mirrors.

Real: the core. Substituted: the status that svclink writes.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import NamespacedName
from svclink_core.discovery_v1 import EndpointConditions, EndpointSlice
from svclink_core.drain_progress import DrainProgress, drain_progress
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec, ClusterLinkStatus
from tests.builders.keys import WEB
from tests.builders.values import endpoint, link, mirrored_slice, remote_slice

STANDBY = endpoint("10.0.0.1", conditions=EndpointConditions(ready=False, serving=True))
API = NamespacedName("default", "api")


def drained(*, still_needed_by: int = 0, observed: int = 2) -> ClusterLink:
    status = ClusterLinkStatus(observed_generation=observed, still_needed_by=still_needed_by)
    found = link("c1", ClusterLinkSpec(drained=True), status=status)
    return evolve(found, metadata=evolve(found.metadata, generation=2))


def test_other_slices_do_not_count() -> None:
    """Neither local endpoints, nor those of other clusters, nor a standby."""
    slices = [remote_slice(), mirrored_slice(cluster="c2"), mirrored_slice(endpoints=[STANDBY])]
    assert drain_progress(drained(), slices) == DrainProgress((), is_drained=True)


def test_services_that_have_nothing_else_may_stay() -> None:
    """They are those that svclink counts in the status."""
    slices = [mirrored_slice(), mirrored_slice(key=API)]
    assert drain_progress(drained(still_needed_by=2), slices) == DrainProgress(
        (API, WEB), is_drained=True
    )
    assert not drain_progress(drained(still_needed_by=1), slices).is_drained


@pytest.mark.parametrize("slices", [[], [mirrored_slice()]])
def test_nothing_is_drained_before_svclink_has_seen_the_link(slices: list[EndpointSlice]) -> None:
    """An old status says nothing about the current link."""
    assert not drain_progress(drained(observed=1), slices).is_drained
