"""What becomes of the traffic of one Service, with a policy, without one, and with a proposed one.

Real: the core. Substituted: nothing.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve

from svclink_core import NamespacedName, Snapshot, TrafficReason
from svclink_core.traffic_edits import edited_policy, with_policy
from svclink_core.traffic_policy_v1alpha1 import ClusterTraffic
from svclink_core.traffic_preview import TrafficPreview, preview_traffic
from svclink_core.well_known import LABEL_SERVICE_NAME, MAIN
from tests.builders.keys import WEB
from tests.builders.values import cluster, foreign_slice, remote_slice, snapshot_of, traffic_policy
from tests.unit.core.world import NOW

LOCAL: Final = foreign_slice(
    "web-local",
    *[f"10.9.0.{number}" for number in range(1, 10)],
    labels={LABEL_SERVICE_NAME: "web"},
)
REMOTE: Final = cluster("c1", remote_slice(None, *[f"10.0.0.{number}" for number in range(1, 10)]))
FOUND: Final = snapshot_of(REMOTE, slices=[LOCAL])


def shown(found: Snapshot) -> TrafficPreview:
    preview = preview_traffic(found, WEB, NOW)
    assert preview is not None
    return preview


def active(preview: TrafficPreview) -> dict[str, int]:
    (family,) = preview.traffic.families
    return {use.cluster: use.active for use in family.uses}


def test_service_without_a_policy_uses_everything() -> None:
    """Its numbers are those of a policy without rules, and it has no conditions."""
    preview = shown(FOUND)
    assert (preview.policy, preview.conditions) == (None, ())
    assert active(preview) == {MAIN: 9, "c1": 9}
    assert preview.ready("c1") == 9
    assert preview.ready("c2") == 0


def test_proposed_share_is_seen_before_it_is_written() -> None:
    """The endpoints of each cluster, the changes and the conditions are those that will follow."""
    policy = edited_policy(None, WEB, {"c1": 10})
    preview = shown(with_policy(FOUND, policy))
    assert active(preview) == {MAIN: 9, "c1": 1}
    assert (preview.active("c1"), preview.reachable_share("c1")) == (1, 10)
    assert [each.status for each in preview.conditions] == ["True", "True"]
    (change,) = preview.changes
    assert change.verb == "create"


def test_policy_that_counts_is_shown() -> None:
    """A policy of the Service's name that is for another one does not matter."""
    policy = traffic_policy(ClusterTraffic("c1", 0), name="rules")
    preview = shown(with_policy(FOUND, policy))
    assert preview.policy == policy
    (family,) = preview.traffic.families
    assert family.uses[1].reason is TrafficReason.NO_SHARE


def test_nothing_is_said_of_a_service_that_is_not_known() -> None:
    """The main cluster lacks it, or one of its objects could not be decoded."""
    assert preview_traffic(FOUND, NamespacedName("default", "api"), NOW) is None
    unclear = evolve(FOUND, main=evolve(FOUND.main, undecodable=frozenset({WEB})))
    assert preview_traffic(unclear, WEB, NOW) is None
