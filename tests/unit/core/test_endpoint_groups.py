"""Which mirrored Services have a network endpoint group of GKE: a hint of `check` and `plan`."""

from __future__ import annotations

import pytest

from svclink_core import ClusterLinkSpec, Finding, Reason, Snapshot, plan
from svclink_core.endpoint_groups import endpoint_group_findings, wanted_group
from svclink_core.well_known import ANNOTATION_ENDPOINT_GROUP, ANNOTATION_MIRROR
from tests.builders.keys import WEB
from tests.builders.values import cluster, mirrored_slice, remote_slice, service, snapshot_of
from tests.unit.core.world import NOW

INGRESS = '{"ingress": true}'


def findings(found: Snapshot) -> tuple[Finding, ...]:
    return endpoint_group_findings(found, plan(found, NOW))


@pytest.mark.parametrize(
    ("value", "asks"),
    [
        (INGRESS, True),
        ('{"ingress":true}', True),
        ('{"exposed_ports": {"80":{"name": "web"}}}', True),
        ('{"ingress": false, "exposed_ports": {"80": {}}}', True),
        ('{"ingress": false}', False),
        ('{"exposed_ports": {}}', False),
        ("", False),
    ],
)
def test_annotation_asks_for_a_group(value: str, *, asks: bool) -> None:
    """For an Ingress, or for some ports."""
    annotated = service(annotations={ANNOTATION_ENDPOINT_GROUP: value})
    assert wanted_group(annotated) == (value if asks else None)


def test_service_without_the_annotation_has_no_group() -> None:
    """Nor has one that the main cluster lacks."""
    assert wanted_group(service()) is None
    assert wanted_group(None) is None


def test_mirrored_service_with_a_group_is_found() -> None:
    """Before its first mirror and afterwards, also while a disabled link keeps the mirrors."""
    annotated = service(annotations={ANNOTATION_ENDPOINT_GROUP: INGRESS})
    hint = Finding(WEB, "c1", Reason.HAS_ENDPOINT_GROUP, (INGRESS,))
    new = snapshot_of(cluster("c1", remote_slice()), services=[annotated])
    frozen = cluster("c1", remote_slice(), spec=ClusterLinkSpec(enabled=False))
    kept = snapshot_of(frozen, services=[annotated], slices=[mirrored_slice()])
    assert findings(new) == (hint,)
    assert findings(kept) == (hint,)


def test_other_services_are_not_found() -> None:
    """Neither one without the annotation nor one that its owner keeps local."""
    local = {ANNOTATION_ENDPOINT_GROUP: INGRESS, ANNOTATION_MIRROR: "false"}
    for main in (service(), service(annotations=local)):
        assert findings(snapshot_of(cluster("c1", remote_slice()), services=[main])) == ()
