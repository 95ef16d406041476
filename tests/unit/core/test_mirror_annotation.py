"""What the owner of a main Service says, and which values of the annotation say nothing."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import PENDING, ClusterLinkSpec, Finding, Options, RemoteCluster, plan
from svclink_core.mirror_annotation import invalid_choice, owner_choice
from svclink_core.omissions import SHOWN_CHARACTERS
from svclink_core.well_known import ANNOTATION_MIRROR, Reason
from tests.builders.keys import WEB
from tests.builders.values import cluster, mirrored_slice, remote_slice, service, snapshot_of
from tests.unit.core.world import NOW


@pytest.mark.parametrize(
    ("value", "choice", "invalid"),
    [
        ("true", True, None),
        ("false", False, None),
        (None, None, None),
        ("True", None, "True"),
        ("", None, ""),
        ("no", None, "no"),
        ("x" * 500, None, "x" * SHOWN_CHARACTERS + "..."),
    ],
)
def test_values(value: str | None, choice: bool | None, invalid: str | None) -> None:
    """Exactly "true" and "false" have a meaning. Others are shown, cut to a bounded length."""
    main = service(annotations={} if value is None else {ANNOTATION_MIRROR: value})
    assert owner_choice(main) is choice
    assert invalid_choice(main) == invalid


def findings(*remotes: RemoteCluster, options: Options = Options()) -> set[str]:  # noqa: B008 - it is frozen
    """The clusters that have a finding about the annotation `mirror: "no"`."""
    main = service(annotations={ANNOTATION_MIRROR: "no"})
    mirrors = [mirrored_slice(cluster="kept")]
    found = snapshot_of(*remotes, services=[main], slices=mirrors, options=options)
    planned = plan(found, NOW)
    wanted = {each.cluster for each in planned.findings}
    assert planned.findings == tuple(
        Finding(WEB, name, Reason.INVALID_MIRROR_ANNOTATION, ("no",)) for name in sorted(wanted)
    )
    return wanted


def test_an_invalid_value_is_reported() -> None:
    """It is reported for every link whose cluster has the Service, and for none without it."""
    assert findings(cluster("a", remote_slice()), cluster("b", services=[])) == {"a"}


def test_an_invalid_value_is_reported_for_mirrors_that_are_kept() -> None:
    """The Service may be gone from a cluster that is not listed yet: its mirrors show it."""
    kept = cluster("kept", services=[], connection=PENDING)
    assert findings(kept, evolve(cluster("new"), connection=PENDING)) == {"kept"}


def test_an_invalid_value_is_reported_with_opt_in() -> None:
    """There it is the reason why the Service is not mirrored."""
    assert findings(cluster("a", remote_slice()), options=Options(opt_in=True)) == {"a"}


def test_an_invalid_value_is_not_reported_for_links_that_are_left_alone() -> None:
    """Nothing is done for a disabled link, nor for one of another controller."""
    disabled = cluster("a", spec=ClusterLinkSpec(enabled=False))
    other = cluster("b")
    other = evolve(other, link=evolve(other.link, is_selected=False))
    assert findings(disabled, other) == set()
