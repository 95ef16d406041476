"""Which Services look as if they should not be merged: a hint that `plan` gives."""

from __future__ import annotations

import pytest

from svclink_core import EndpointSlice, Finding, ObjectReference, Reason, plan
from svclink_core.stateful_services import stateful_findings, stateful_set_of
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    endpoint,
    foreign_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import NOW


def local(*pods: str | None) -> EndpointSlice:
    """A local slice whose endpoints refer to these Pods."""
    members = [
        endpoint(
            f"10.0.0.{number}",
            target_ref=None if pod is None else ObjectReference("Pod", "default", pod, "uid"),
        )
        for number, pod in enumerate(pods, start=1)
    ]
    return remote_slice("web-local", endpoints=members)


@pytest.mark.parametrize(
    ("pods", "name"),
    [
        (("db-0", "db-1", "db-10"), "db"),
        (("web-1-0",), "web-1"),
        (("db-0", None), None),
        (("db-0", "cache-0"), None),
        (("db-01",), None),
        (("web-7d4b9c6f5d-24567",), None),
        (("web-7d4b9c6f5d-x2vbn",), None),
        ((), None),
    ],
)
def test_pods_of_a_stateful_set_are_numbered(
    pods: tuple[str | None, ...], name: str | None
) -> None:
    """All Pods of the Service must be of the same one."""
    assert stateful_set_of([local(*pods)]) == name


def test_mirrors_are_not_looked_at() -> None:
    """Only the Pods of the main cluster have names."""
    assert stateful_set_of([mirrored_slice(), local("db-0")]) == "db"
    assert stateful_set_of([foreign_slice()]) is None


def test_a_plan_that_begins_to_merge_a_stateful_service_has_a_hint() -> None:
    """For each cluster that is new, and for none that is mirrored already."""
    slices = [local("db-0", "db-1"), mirrored_slice()]
    found = snapshot_of(cluster("c1", remote_slice()), cluster("c2", remote_slice()), slices=slices)
    hints = stateful_findings(found, plan(found, NOW))
    assert hints == (Finding(WEB, "c2", Reason.LOOKS_STATEFUL, ("db",)),)


def test_other_services_have_no_hint() -> None:
    """Nor has one that has no Pods in main."""
    for slices in ([], [local("web-7d4b9c6f5d-x2vbn")]):
        found = snapshot_of(cluster("c1", remote_slice()), services=[service()], slices=slices)
        assert stateful_findings(found, plan(found, NOW)) == ()
