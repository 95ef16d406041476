"""The endpoints of one Service by cluster."""

from __future__ import annotations

from svclink_core.service_endpoints import LISTED_ENDPOINTS, ZoneCounts, service_endpoints
from svclink_core.service_overview import EndpointCounts
from svclink_core.standby import EndpointRole, with_standby
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    endpoint,
    leftover_slice,
    local_slice,
    mirrored_slice,
    snapshot_of,
)


def test_main_comes_first_and_each_link_has_a_part() -> None:
    """A cluster without endpoints is in it too, and so is one whose link is gone."""
    own = local_slice()
    slices = [own, mirrored_slice(cluster="gone"), leftover_slice(cluster="c2")]
    found = service_endpoints(snapshot_of(cluster("c1"), slices=slices), WEB)
    assert [(each.cluster, each.counts.total) for each in found] == [
        (MAIN, 1),
        ("c1", 0),
        ("c2", 1),
        ("gone", 1),
    ]


def test_endpoints_are_sorted_and_grouped_by_zone() -> None:
    """Each has its role; those without a zone come first."""
    endpoints = [
        endpoint("10.0.0.3", zone="b"),
        endpoint("10.0.0.1", zone="a"),
        endpoint("10.0.0.2"),
    ]
    mirror = with_standby(mirrored_slice(endpoints=endpoints), {"10.0.0.3"}, is_fallback=True)
    (_, found) = service_endpoints(snapshot_of(cluster("c1"), slices=[mirror]), WEB)
    assert [(each.endpoint.addresses[0], each.role) for each in found.listed] == [
        ("10.0.0.1", EndpointRole.STANDBY),
        ("10.0.0.2", EndpointRole.STANDBY),
        ("10.0.0.3", EndpointRole.ACTIVE),
    ]
    assert found.zones == (
        ZoneCounts(None, EndpointCounts(standby=1)),
        ZoneCounts("a", EndpointCounts(standby=1)),
        ZoneCounts("b", EndpointCounts(active=1)),
    )


def test_a_long_list_is_cut() -> None:
    """All are counted."""
    addresses = [f"10.0.{index // 250}.{index % 250}" for index in range(LISTED_ENDPOINTS + 1)]
    mirror = mirrored_slice(None, *addresses)
    (_, found) = service_endpoints(snapshot_of(cluster("c1"), slices=[mirror]), WEB)
    assert len(found.listed) == LISTED_ENDPOINTS
    assert found.counts.total == LISTED_ENDPOINTS + 1
