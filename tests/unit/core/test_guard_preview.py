"""What the deletion guards of a controller would hold, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import Guard, NamespacedName, Options, Outcome, Reason, Snapshot, plan
from svclink_core.guard_preview import with_guards
from tests.builders.values import cluster, mirrored_slice, remote_slice, service, snapshot_of
from tests.unit.core.world import NOW, settled, with_remote

KEYS = [NamespacedName("default", f"s{number}") for number in range(24)]


def mirrored(options: Options = Options()) -> Snapshot:  # noqa: B008 - it is frozen
    """24 Services of one cluster are mirrored."""
    services = [service(key) for key in KEYS]
    remote = cluster("c1", *[remote_slice(key=key) for key in KEYS], services=services)
    return settled(snapshot_of(remote, services=services, options=options))


@pytest.mark.parametrize(
    ("lost", "hold", "is_held"), [(13, 300.0, True), (12, 300.0, False), (24, 0.0, False)]
)
def test_deletion_of_more_than_half_is_held(lost: int, hold: float, *, is_held: bool) -> None:
    """The plan shows Services as kept whose deletion the controller would hold."""
    found = mirrored(Options(deletion_hold=hold))
    fewer = with_remote(found, "c1", services=[service(key) for key in KEYS[lost:]])
    planned = plan(with_guards(fewer, NOW), NOW)
    held = [each for each in planned.decisions if each.reason is Reason.DELETION_HELD]
    assert len(held) == (lost if is_held else 0)
    assert {each.outcome for each in held} <= {Outcome.KEPT}
    assert len(planned.changes) == (0 if is_held else lost)


def test_small_cluster_is_not_guarded() -> None:
    """Half of a few slices may well be deleted; what a snapshot says of its guards is ignored."""
    remote = evolve(cluster("c1", services=[]), guard=Guard(is_armed=True))
    found = snapshot_of(remote, cluster("c2"), slices=[mirrored_slice()])
    planned = plan(with_guards(found, NOW), NOW)
    assert [each.reason for each in planned.changes] == [Reason.REMOTE_SERVICE_MISSING]
