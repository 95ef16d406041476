"""What is noted about a Service besides its findings."""

from __future__ import annotations

from svclink_core import EndpointPort, Plan, Reason, Snapshot, plan_service
from svclink_core.service_notes import with_notes
from svclink_core.well_known import ANNOTATION_ENDPOINT_GROUP
from tests.builders.keys import WEB
from tests.builders.values import cluster, mirrored_slice, remote_slice, service, snapshot_of


def noted(snapshot: Snapshot) -> Plan:
    return with_notes(snapshot, plan_service(snapshot, WEB, 0))


def test_notes_follow_the_findings() -> None:
    """Two clusters have one address, and different target ports; the Service has a NEG."""
    other = (EndpointPort("http", port=9999),)
    remotes = [cluster("c1", remote_slice()), cluster("c2", remote_slice(ports=other))]
    own = service(annotations={ANNOTATION_ENDPOINT_GROUP: '{"ingress": true}'})
    found = noted(snapshot_of(*remotes, services=[own], slices=[mirrored_slice()]))
    reasons = [each.reason for each in found.findings]
    is_note = [each in (Reason.TARGET_PORTS_DIFFER, Reason.HAS_ENDPOINT_GROUP) for each in reasons]
    assert Reason.ADDRESS_CONFLICT in reasons
    assert {*reasons} > {Reason.TARGET_PORTS_DIFFER, Reason.HAS_ENDPOINT_GROUP}
    assert is_note == sorted(is_note)


def test_plan_without_notes_stays() -> None:
    """There is nothing to note about one cluster."""
    found = snapshot_of(cluster("c1", remote_slice()))
    assert noted(found) == plan_service(found, WEB, 0)
