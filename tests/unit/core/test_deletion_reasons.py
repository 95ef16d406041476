"""Whose doing it is that a mirror has no source any more, one fact in each test."""

from __future__ import annotations

from typing import Final

import pytest
from attrs import evolve

from svclink_core import (
    Delete,
    EndpointPort,
    EndpointSlice,
    Guard,
    Reason,
    Service,
    ServicePort,
    plan,
)
from svclink_core.filtering import REMOTE_RULES, RULES
from svclink_core.well_known import LABEL_CLUSTER, Side
from tests.builders.values import (
    cluster,
    leftover_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
)
from tests.unit.core.world import NOW

IPV6: Final = mirrored_slice("web-6", "fd00::1", source="web-6", address_type="IPv6")
RENAMED: Final = (ServicePort(81, "https"),)


@pytest.mark.parametrize(
    ("main", "remote", "mirror", "reason", "side"),
    [
        (service(ip_families=("IPv4",)), [], IPV6, Reason.ADDRESS_TYPE, Side.MAIN),
        (service(ports=RENAMED), [remote_slice()], None, Reason.MAIN_PORTS_CHANGED, Side.MAIN),
        (service(), [], None, Reason.SOURCE_GONE, Side.REMOTE),
        (service(), [remote_slice(endpoints=())], None, Reason.NO_ENDPOINTS, Side.REMOTE),
        (service(), [remote_slice(None, "127.0.0.1")], None, Reason.NO_ENDPOINTS, Side.REMOTE),
        (
            service(),
            [remote_slice(ports=(EndpointPort("other", port=1),))],
            None,
            Reason.PORT_MISMATCH,
            Side.REMOTE,
        ),
        (service(), [remote_slice(labels={LABEL_CLUSTER: "x"})], None, Reason.LOOP, Side.REMOTE),
    ],
    ids=lambda value: value.code if isinstance(value, Reason) else "",
)
def test_reason_of_a_deletion_says_whose_doing_it_is(
    main: Service,
    remote: list[EndpointSlice],
    mirror: EndpointSlice | None,
    reason: Reason,
    side: Side,
) -> None:
    """Only what the remote cluster did waits for the deletion guard."""
    mirrors = [mirrored_slice() if mirror is None else mirror]
    found = snapshot_of(cluster("c1", *remote), services=[main], slices=mirrors)
    (change,) = plan(found, NOW).changes
    assert isinstance(change, Delete)
    assert (change.reason, change.reason.caused_by) == (reason, side)
    remotes = {"c1": evolve(found.remotes["c1"], guard=Guard(is_armed=True))}
    guarded = evolve(found, remotes=remotes)
    assert bool(plan(guarded, NOW).changes) is (side is Side.MAIN)


def test_every_reason_to_skip_or_keep_says_whose_doing_it_is() -> None:
    """Only two rules of svclink itself are not."""
    for rules in (RULES, REMOTE_RULES):
        own = {Reason.NAMESPACE_KUBE_SYSTEM, Reason.SERVICE_KUBERNETES}
        reasons = {verdict.reason for _, verdict in rules} - own
        assert all(reason.caused_by is not None for reason in reasons)


@pytest.mark.parametrize(
    ("remote", "reason"),
    [
        ([], Reason.NO_ENDPOINTS),
        ([remote_slice(address_type="IPv6", endpoints=())], Reason.ADDRESS_TYPE),
        ([remote_slice(ports=(EndpointPort("other", port=1),))], Reason.PORT_MISMATCH),
        ([remote_slice(endpoints=()), remote_slice("b", ports=())], Reason.NO_ENDPOINTS),
        (
            [remote_slice(endpoints=()), remote_slice("b", labels={LABEL_CLUSTER: "x"})],
            Reason.NO_ENDPOINTS,
        ),
    ],
)
def test_service_of_which_nothing_is_mirrored_has_one_reason(
    remote: list[EndpointSlice], reason: Reason
) -> None:
    """It is the reason of all remote slices, or that no endpoint is left."""
    found = snapshot_of(cluster("c1", *remote), services=[service(ip_families=("IPv4",))])
    assert [each.reason for each in plan(found, NOW).decisions] == [reason]


def test_leftover_of_a_family_that_main_dropped_does_not_wait() -> None:
    """The guard counts leftovers of the Go release by the same rule."""
    guarded = evolve(cluster("c1"), guard=Guard(is_armed=True))
    main = service(ip_families=("IPv6",))
    found = snapshot_of(guarded, services=[main], slices=[leftover_slice()])
    assert [change.reason for change in plan(found, NOW).changes] == [Reason.ADDRESS_TYPE]
