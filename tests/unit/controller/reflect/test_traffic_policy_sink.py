"""TrafficPolicies that cannot be read: those that are known stay in force.

Real: the sink and the store. Substituted: errors of an API server.
"""

from __future__ import annotations

import pytest
from structlog.testing import capture_logs

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.reflect.traffic_policy_sink import TrafficPolicySink
from svclink_controller.state.store import PLANNED_KINDS, Store
from svclink_controller.wire.messages import Listing, Status, Undecodable
from svclink_core import Options, TrafficPolicy
from tests.builders.keys import WEB
from tests.builders.values import traffic_policy

POLICY = traffic_policy()
MISSING = ApiError(Status(404, "NotFound", "the server could not find the requested resource"))
FORBIDDEN = ApiError(Status(403, "Forbidden", "cannot list resource"))
OVERLOADED = ApiError(Status(503, "ServiceUnavailable", "try again"))
AWAY = TransportError("no answer")


@pytest.fixture
def sink() -> TrafficPolicySink:
    """A sink of a store in which everything but policies was listed."""
    store = Store(Options())
    for kind in PLANNED_KINDS - {TrafficPolicy}:
        store.mark_listed(kind)
    return TrafficPolicySink(store)


async def test_policies_count_once_they_were_listed(sink: TrafficPolicySink) -> None:
    """A list, then changes: the store plans with them."""
    policies = sink.store.main.traffic_policies
    await sink.replace(Listing([POLICY], [], "1"))
    assert sink.store.is_complete
    assert dict(policies.counting()) == {WEB: POLICY}
    sink.remove(POLICY.metadata.key)
    assert dict(policies.counting()) == {}
    sink.apply(POLICY)
    sink.mark_undecodable(Undecodable(POLICY.metadata.key, WEB, "share must be a number"))
    assert sink.store.snapshot().main.undecodable == {WEB}


@pytest.mark.parametrize("error", [OVERLOADED, AWAY])
def test_nothing_is_planned_while_policies_may_exist(
    sink: TrafficPolicySink, error: ApiError | TransportError
) -> None:
    """A standby endpoint must not become active because the policies were not read yet."""
    with capture_logs() as logs:
        sink.fail(error)
        sink.fail(error)
    assert not sink.store.is_complete
    assert [line["kind"] for line in logs] == ["trafficpolicies"] * 2


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        (MISSING, "install the TrafficPolicy CRD (kubectl apply -f crd/)"),
        (FORBIDDEN, "grant svclink permission to list and watch trafficpolicies"),
    ],
)
def test_services_are_mirrored_without_policies(
    sink: TrafficPolicySink, error: ApiError, fix: str
) -> None:
    """Without the CRD or the permission there are no policies; the log says so once."""
    with capture_logs() as logs:
        sink.fail(error)
        sink.fail(error)
    assert sink.store.is_complete
    assert [line["fix"] for line in logs] == [fix]


@pytest.mark.parametrize("error", [FORBIDDEN, MISSING])
async def test_known_policies_stay_in_force_while_they_cannot_be_read(
    sink: TrafficPolicySink, error: ApiError
) -> None:
    """Only a list without them, or a watch that saw their deletion, removes policies.

    A proxy in front of the API server may answer 404.
    """
    await sink.replace(Listing([POLICY], [], "1"))
    sink.fail(error)
    assert dict(sink.store.main.traffic_policies.counting()) == {WEB: POLICY}
    await sink.replace(Listing([], [], "2"))
    assert dict(sink.store.main.traffic_policies.counting()) == {}


async def test_refusal_is_logged_again_after_a_list(sink: TrafficPolicySink) -> None:
    """A CRD that is installed later is noticed, and so is one that is then deleted."""
    with capture_logs() as logs:
        sink.fail(MISSING)
        await sink.replace(Listing([POLICY], [], "1"))
        sink.fail(MISSING)
    assert len(logs) == 2
