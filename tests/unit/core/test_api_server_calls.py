"""Services that the main cluster's API server calls: which they are, and what a plan says."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from attrs import evolve

from svclink_core import (
    ApiServerCall,
    ApiServerCaller,
    ApiServerCalls,
    ApiServerCallsChanged,
    Delete,
    NamespacedName,
    ObjectMeta,
    Options,
    Outcome,
    Reason,
    Snapshot,
    Unreachable,
    calls_by,
    main_cluster,
    plan,
    requests_for,
)
from svclink_core.api_server_calls import CALL_UNKNOWN, NOT_CALLED
from svclink_core.filtering import why_main_refuses
from svclink_core.well_known import ANNOTATION_MIRROR
from tests.builders.keys import WEB
from tests.builders.values import cluster, mirrored_slice, remote_slice, service, snapshot_of
from tests.unit.core.world import NOW

OTHER = NamespacedName("default", "other")
UNKNOWN = ApiServerCalls(is_known=False)


def caller(
    name: str = "hook", *services: NamespacedName, kind: str = "APIService"
) -> ApiServerCaller:
    return ApiServerCaller(ObjectMeta(name), kind, services or (WEB,))


CALLED = calls_by([caller()])


def calling(found: Snapshot, calls: ApiServerCalls) -> Snapshot:
    return evolve(found, main=evolve(found.main, api_server_calls=calls))


MIRRORED = snapshot_of(cluster("c1", remote_slice()), slices=[mirrored_slice()])
NOT_MIRRORED = snapshot_of(cluster("c1", remote_slice()))


@pytest.mark.parametrize("order", [1, -1])
def test_first_of_several_callers_is_named(order: int) -> None:
    """Of several objects that name a Service the first one is given, whatever their order."""
    callers = [caller("b", WEB), caller("a", WEB, OTHER)][::order]
    calls = calls_by(callers)
    assert calls.of(WEB) == calls.of(OTHER) == ApiServerCall("APIService/a")


def test_other_services_are_called_only_if_something_is_unknown() -> None:
    """A Service that no object names is not called, unless there may be other objects."""
    assert CALLED.of(OTHER) == NOT_CALLED
    assert calls_by([caller()], is_known=False).of(OTHER) == CALL_UNKNOWN
    assert calls_by([caller()], is_known=False).of(WEB) == ApiServerCall("APIService/hook")


def test_mirrors_of_a_called_service_are_deleted_and_the_caller_is_named() -> None:
    """Its mirrors go at once, and the decision names the object."""
    decided = plan(calling(MIRRORED, CALLED), NOW)
    (change,), (decision,) = decided.changes, decided.decisions
    assert isinstance(change, Delete)
    assert change.reason is decision.reason is Reason.CALLED_BY_API_SERVER
    assert decision.outcome is Outcome.SKIPPED
    assert decision.sentence.endswith("(APIService/hook)")


def test_rule_holds_while_the_cluster_is_away() -> None:
    """A mirror of a called Service goes although its cluster cannot be reached."""
    away = cluster("c1", connection=Unreachable("2026-01-01T00:00:00Z", 0))
    found = calling(snapshot_of(away, slices=[mirrored_slice()]), CALLED)
    assert [each.reason for each in plan(found, NOW).changes] == [Reason.CALLED_BY_API_SERVER]


@pytest.mark.parametrize("calls", [CALLED, UNKNOWN], ids=["called", "unknown"])
def test_owner_may_want_it_mirrored_all_the_same(calls: ApiServerCalls) -> None:
    """A called Service is mirrored if its owner says so, and waits for no list."""
    main = service(annotations={ANNOTATION_MIRROR: "true"})
    found = calling(snapshot_of(cluster("c1", remote_slice()), services=[main]), calls)
    assert [each.reason for each in plan(found, NOW).decisions] == [Reason.MIRRORED]


def test_main_refuses_a_called_service_whatever_a_link_says() -> None:
    """Main alone says why a Service is mirrored from no cluster; else links decide."""
    assert why_main_refuses(WEB, service(), Options()) is None
    assert why_main_refuses(WEB, service(cluster_ip="None"), Options()) is Reason.MAIN_HEADLESS
    reason = why_main_refuses(WEB, service(), Options(), CALLED.of(WEB))
    assert reason is Reason.CALLED_BY_API_SERVER


def test_called_service_is_not_created() -> None:
    """A Service that main lacks is not created if an object of main names it."""
    options = Options(sync_services=True)
    found = snapshot_of(cluster("c1", remote_slice()), services=[], options=options)
    main = main_cluster((), (), (), api_server_calls=CALLED)
    assert plan(evolve(found, main=main), NOW).changes == ()


@pytest.mark.parametrize("services", [[service()], []], ids=["present", "missing"])
def test_nothing_new_is_mirrored_before_the_callers_are_listed(services: list[object]) -> None:
    """Until every kind was listed a Service is neither mirrored for the first time nor created."""
    options = Options(sync_services=True)
    found = (
        evolve(NOT_MIRRORED, options=options)
        if services
        else snapshot_of(cluster("c1", remote_slice()), services=[], options=options)
    )
    decided = plan(calling(found, UNKNOWN), NOW)
    assert decided.changes == ()
    assert [each.reason for each in decided.decisions] == [Reason.API_SERVER_CALLS_UNKNOWN]


def test_mirrors_stay_current_before_the_callers_are_listed() -> None:
    """Until then a mirror that exists follows its source, so that no endpoint in it is outdated."""
    found = snapshot_of(cluster("c1", remote_slice(None, "10.0.0.9")), slices=[mirrored_slice()])
    decided = plan(calling(found, UNKNOWN), NOW)
    assert [each.reason for each in decided.changes] == [Reason.CONTENT_CHANGED]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (ApiServerCalls(), CALLED, {WEB}),
        (CALLED, ApiServerCalls(), {WEB}),
        (CALLED, calls_by([caller("another")]), {WEB}),
        (CALLED, calls_by([caller("hook", WEB, OTHER)]), {OTHER}),
        (CALLED, CALLED, set()),
        (UNKNOWN, ApiServerCalls(), {WEB}),
        (UNKNOWN, calls_by([caller("hook", OTHER)]), {WEB}),
    ],
    ids=["called", "no longer", "by another", "one more", "the same", "listed", "all listed"],
)
def test_services_that_are_called_otherwise_are_planned(
    old: ApiServerCalls, new: ApiServerCalls, expected: Iterable[NamespacedName]
) -> None:
    """A change of the calls concerns the Services it is about; the end of the lists, all."""
    assert requests_for(ApiServerCallsChanged(old, new), calling(MIRRORED, new)) == expected
