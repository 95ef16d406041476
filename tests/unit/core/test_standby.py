"""Standby endpoints, and how a mirror tells them from endpoints that really terminate."""

from __future__ import annotations

from attrs import evolve

from svclink_core import Endpoint, EndpointConditions, EndpointHints, EndpointSlice
from svclink_core.discovery_v1 import CONDITIONS
from svclink_core.standby import as_remote_said, ready_addresses, with_standby, without_standby
from svclink_core.unreachable_policy import as_last_resort
from tests.builders.values import NOT_READY, endpoint, mirrored_slice

STANDBY = CONDITIONS[False, True, True]
A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
MIRROR = mirrored_slice(None, A, B)


def conditions(endpoint_slice: EndpointSlice) -> list[EndpointConditions]:
    return [each.conditions for each in endpoint_slice.endpoints]


def test_ready_endpoints_that_are_not_active_become_a_standby() -> None:
    """kube-proxy uses them only if none is ready; hints are for ready endpoints only."""
    near = tuple(evolve(each, hints=EndpointHints(("zone-a",))) for each in MIRROR.endpoints)
    found = with_standby(evolve(MIRROR, endpoints=near), {A}, is_fallback=True)
    assert conditions(found) == [MIRROR.endpoints[0].conditions, STANDBY]
    assert [each.hints for each in found.endpoints] == [near[0].hints, None]
    assert found.standby == "All"


def test_slice_whose_endpoints_are_all_active_stays_the_same_object() -> None:
    """So it costs no comparison."""
    assert with_standby(MIRROR, {A, B}, is_fallback=True) is MIRROR


def test_endpoints_without_fallback_are_left_out() -> None:
    """Nothing in the slice tells of them; it may be empty."""
    found = with_standby(MIRROR, {A}, is_fallback=False)
    assert found == evolve(MIRROR, endpoints=MIRROR.endpoints[:1])
    assert with_standby(MIRROR, (), is_fallback=False) == evolve(MIRROR, endpoints=())


def test_endpoints_that_are_not_ready_stay() -> None:
    """A broken Pod never becomes usable."""
    broken = mirrored_slice(endpoints=[endpoint(A), endpoint(B, conditions=NOT_READY)])
    assert conditions(with_standby(broken, (), is_fallback=True)) == [STANDBY, NOT_READY]
    assert with_standby(broken, (), is_fallback=False).endpoints == broken.endpoints[1:]


def test_a_standby_can_be_undone() -> None:
    """Endpoints that really terminate look the same, so the annotation has their addresses."""
    terminating = [endpoint(A), endpoint(B, conditions=STANDBY), endpoint(C, conditions=STANDBY)]
    mirror = mirrored_slice(endpoints=terminating)
    found = with_standby(mirror, (), is_fallback=True)
    assert conditions(found) == [STANDBY] * 3
    assert found.standby == f"AllExcept {B},{C}"
    assert without_standby(found) == mirror
    assert without_standby(with_standby(MIRROR, (), is_fallback=True)) == MIRROR


def test_mirror_without_a_standby_stays() -> None:
    """Without the annotation every condition means what it says."""
    mirror = mirrored_slice(endpoints=[endpoint(A, conditions=STANDBY)])
    assert without_standby(mirror) is mirror


def test_what_both_policies_changed_can_be_undone() -> None:
    """A cluster is lost whose endpoints were a standby."""
    resort = as_last_resort(without_standby(with_standby(MIRROR, {A}, is_fallback=True)))
    assert resort.standby is None
    assert as_remote_said(resort) == MIRROR


def test_unset_condition_counts_as_ready() -> None:
    """As for kube-proxy. An endpoint without an address, which only a file can have, is none."""
    odd = mirrored_slice(endpoints=[Endpoint((A, B)), Endpoint(())])
    assert ready_addresses(odd) == [A]
    assert conditions(with_standby(odd, (), is_fallback=True))[0] == STANDBY
