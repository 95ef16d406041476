"""TrafficPolicies and drained links, from the API server to slices, statuses, Events and metrics.

Real: the whole controller, sockets and TLS. Substituted: both API servers, by fake ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import pytest
from attrs import evolve

from svclink_core import ClusterTraffic, TrafficPolicy, TrafficPolicyStatus
from svclink_core.codec import unstructure
from svclink_core.traffic_policy_v1alpha1 import ActiveTier
from tests.builders.values import remote_slice, traffic_policy
from tests.unit.controller.faults import Refuse, ends_with
from tests.unit.controller.http_server import Request
from tests.unit.controller.waiting import eventually
from tests.unit.controller.whole_controller import World, worlds

LOCAL: Final = [f"10.9.0.{number}" for number in range(1, 10)]
LOCAL_SLICE: Final = remote_slice("web-local", *LOCAL)
REMOTE: Final = [f"10.0.0.{number}" for number in range(1, 5)]
POLICY: Final = ("trafficpolicies", "default", "web")
TIER: Final = ClusterTraffic("c1", tier=1)
EARLY: Final = "2026-01-01T00:00:00Z"


async def start(world: World, *policies: TrafficPolicy) -> None:
    """Start with nine local endpoints and four remote ones, all of them ready."""
    world.main.put(LOCAL_SLICE)
    world.remote.put(remote_slice(None, *REMOTE))
    world.main.put(world.link())
    for policy in policies:
        world.main.put(policy)
    world.start()


def active(world: World) -> list[str] | None:
    """The remote addresses that are active; None if nothing is mirrored."""
    item = world.main.objects.get(("endpointslices", "default", "web-c1"))
    return None if item is None else sorted(ready(item["endpoints"]))


def ready(endpoints: Iterable[Any]) -> list[str]:
    return [each["addresses"][0] for each in endpoints if each["conditions"]["ready"]]


def status(world: World, key: tuple[str, str, str] = POLICY) -> Any:
    return world.main.objects[key].get("status", {})


def condition(world: World, kind: str, key: tuple[str, str, str] = POLICY) -> tuple[str, str]:
    """Status and reason of a condition; empty if it is missing."""
    found = [each for each in status(world, key).get("conditions", ()) if each["type"] == kind]
    return (found[0]["status"], found[0]["reason"]) if found else ("", "")


def events(world: World) -> list[str]:
    return [each["reason"] for each in world.main.all("events")]


def updates_the_mirror(request: Request) -> bool:
    return request.method == "PUT" and request.path.endswith("/web-c1")


def gauge(world: World, name: str, **labels: str) -> float | None:
    registry = world.controller.metrics.registry
    return registry.get_sample_value(
        name, {"service_namespace": "default", "service_name": "web", **labels}
    )


async def test_share_is_applied_and_taken_back() -> None:
    """With a policy one of four endpoints is active; without it all are."""
    async with worlds() as world:
        await start(world)
        await eventually(lambda: active(world) == REMOTE)
        world.main.put(traffic_policy(ClusterTraffic("c1", share=10)))
        await eventually(lambda: condition(world, "Applied") == ("True", "Applied"))
        await eventually(lambda: len(active(world) or ()) == 1)
        await eventually(lambda: status(world)["clusters"][0]["wantedShare"] == 10)
        await eventually(
            lambda: gauge(world, "svclink_traffic_wanted_share_ratio", cluster="c1") == 0.1
        )
        await eventually(
            lambda: gauge(world, "svclink_traffic_reachable_share_ratio", cluster="c1") == 0.1
        )
        await eventually(
            lambda: gauge(world, "svclink_traffic_reachable_share_ratio", cluster="(main)") == 0.9
        )
        await eventually(lambda: gauge(world, "svclink_traffic_active_endpoints") == 10)
        world.main.remove(traffic_policy())
        await eventually(lambda: active(world) == REMOTE)
        await eventually(lambda: gauge(world, "svclink_traffic_active_tier") is None)


async def test_share_out_of_reach_is_reported() -> None:
    """Nine local Pods are too many for a share of 60% of four remote ones."""
    async with worlds() as world:
        await start(world, traffic_policy(ClusterTraffic("c1", share=60)))
        await eventually(lambda: condition(world, "Applied") == ("False", "ShareUnreachable"))
        await eventually(lambda: active(world) == REMOTE)
        await eventually(lambda: "ShareUnreachable" in events(world))
        await eventually(
            lambda: gauge(world, "svclink_traffic_share_unreachable", cluster="c1") == 1
        )


async def test_share_of_a_drained_cluster_is_reported_at_once() -> None:
    """It gets nothing, and the numbers of the status say so, too."""
    async with worlds() as world:
        await start(world, traffic_policy(ClusterTraffic("c1", share=10)))
        await eventually(lambda: condition(world, "Applied") == ("True", "Applied"))
        (link,) = world.main.all("clusterlinks")
        world.main.put_raw("clusterlinks", link | {"spec": link["spec"] | {"drained": True}})
        await eventually(lambda: condition(world, "Applied") == ("False", "ShareUnreachable"))
        assert [each["active"] for each in status(world)["clusters"]] == [0]


async def test_failover_is_seen_although_a_share_is_out_of_reach() -> None:
    """A cluster with a share has nothing ready, so a later tier takes over."""
    async with worlds() as world:
        policy = traffic_policy(ClusterTraffic("c2", share=10), TIER, recovery_seconds=0)
        await start(world, policy)
        await eventually(lambda: condition(world, "Applied") == ("False", "ClusterNotFound"))
        world.main.remove(LOCAL_SLICE)
        await eventually(lambda: condition(world, "Applied") == ("False", "FailedOver"))
        await eventually(lambda: "FailedOver" in events(world))


async def test_later_tier_is_used_when_local_endpoints_are_gone() -> None:
    """The status says since when; it is written at transitions, with an Event for each."""
    async with worlds() as world:
        await start(world, traffic_policy(TIER, recovery_seconds=0))
        await eventually(lambda: active(world) == [])
        await eventually(lambda: condition(world, "Applied") == ("True", "Applied"))
        await eventually(lambda: status(world)["activeTier"] == 0)
        world.main.remove(LOCAL_SLICE)
        await eventually(lambda: condition(world, "Applied") == ("True", "FailedOver"))
        await eventually(lambda: active(world) == REMOTE)
        await eventually(lambda: status(world)["activeTier"] == 1)
        await eventually(lambda: gauge(world, "svclink_traffic_active_tier") == 1)
        await eventually(lambda: events(world) == ["ClusterReady", "FailedOver"])
        world.main.put(LOCAL_SLICE)
        await eventually(lambda: condition(world, "Applied") == ("True", "Applied"))
        await eventually(lambda: active(world) == [])
        await eventually(lambda: status(world)["activeTier"] == 0)
        await eventually(lambda: events(world)[-1] == "Applied")


async def test_tier_stays_in_use_while_the_local_endpoints_recover() -> None:
    """The moment of recovery is in the status at once, because a restart must not forget it."""
    async with worlds() as world:
        await start(world, traffic_policy(TIER, recovery_seconds=3600))
        await eventually(lambda: active(world) == [])
        world.main.remove(LOCAL_SLICE)
        await eventually(lambda: condition(world, "Applied") == ("True", "FailedOver"))
        assert not status(world)["tiers"][0].get("recoveringSince")
        world.main.put(LOCAL_SLICE)
        await eventually(lambda: bool(status(world)["tiers"][0].get("recoveringSince")))
        await eventually(lambda: active(world) == REMOTE)


@pytest.mark.parametrize(
    ("recovering_since", "expected"),
    [("2999-01-01T00:00:00Z", REMOTE), (None, REMOTE), (EARLY, [])],
)
async def test_restart_forgets_no_tier(recovering_since: str | None, expected: list[str]) -> None:
    """A controller that starts while a tier recovers leaves it where the last one would have.

    A moment in the future is not possible: it counts as now, and nothing is left before its time.
    """
    remembered = TrafficPolicyStatus(
        active_tier=1, tiers=(ActiveTier(1, "IPv4", EARLY, recovering_since),)
    )
    policy = traffic_policy(TIER, recovery_seconds=3600, status=remembered)
    async with worlds() as world:
        await start(world, policy)
        await eventually(lambda: active(world) == expected)


async def test_nothing_is_written_before_the_policies_are_known() -> None:
    """A restart never makes a standby active because policies are listed last."""
    async with worlds() as world:
        world.main.fail(Refuse(503), ends_with("/trafficpolicies"))
        await start(world, traffic_policy(TIER))
        await world.has_reason("ClusterReady")
        assert active(world) is None
        world.main.heal()
        await eventually(lambda: active(world) == [])


async def test_services_are_mirrored_without_the_crd() -> None:
    """A CRD that is installed later is noticed."""
    async with worlds() as world:
        world.main.fail(Refuse(404), ends_with("/trafficpolicies"))
        await start(world)
        await eventually(lambda: active(world) == REMOTE)
        world.main.heal()
        world.main.put(traffic_policy(TIER))
        await eventually(lambda: active(world) == [])


async def test_policy_without_a_service_says_so() -> None:
    """Its status is written although there is nothing to plan; the Service may come later."""
    async with worlds() as world:
        key = ("trafficpolicies", "shop", "cart")
        await start(world, traffic_policy(TIER, key="shop/cart"))
        await eventually(lambda: condition(world, "Accepted", key) == ("False", "TargetNotFound"))
        await eventually(lambda: condition(world, "Applied", key) == ("False", "TargetNotFound"))


async def test_younger_of_two_policies_is_not_accepted() -> None:
    """It says which one counts, and counts itself once that is gone."""
    async with worlds() as world:
        older = traffic_policy(TIER, created=EARLY)
        younger = traffic_policy(name="other", created="2026-02-01T00:00:00Z")
        await start(world, older, younger)
        key = ("trafficpolicies", "default", "other")
        await eventually(lambda: condition(world, "Accepted", key) == ("False", "Conflicted"))
        await eventually(lambda: condition(world, "Accepted") == ("True", "Accepted"))
        world.main.remove(older)
        await eventually(lambda: condition(world, "Accepted", key) == ("True", "Accepted"))
        await eventually(lambda: active(world) == REMOTE)


async def test_undecodable_policy_leaves_the_traffic_as_it_is() -> None:
    """The link says which Service it is; the Service follows a policy that is decoded again."""
    async with worlds() as world:
        await start(world, traffic_policy(TIER))
        await eventually(lambda: active(world) == [])
        broken = unstructure(traffic_policy(TIER))
        world.main.put_raw(
            "trafficpolicies", {**broken, "spec": {"targetRef": {"name": "web"}, "minReady": "two"}}
        )
        await eventually(lambda: "web" in (degraded(world) or ""))
        world.main.remove(LOCAL_SLICE)
        await eventually(lambda: active(world) == [])
        world.main.put(traffic_policy(ClusterTraffic("c1", share=50)))
        await eventually(lambda: active(world) == REMOTE)


def degraded(world: World) -> str | None:
    return world._condition("Degraded", "c1")[1]


async def test_refused_slices_and_statuses_do_not_stop_failover() -> None:
    """A status that may not be written is tried again; the slices do not wait for it."""
    async with worlds() as world:
        await start(world, traffic_policy(TIER))
        await eventually(lambda: condition(world, "Applied") == ("True", "Applied"))
        world.main.fail(Refuse(403), ends_with("/trafficpolicies/web/status"))
        world.main.remove(LOCAL_SLICE)
        await eventually(lambda: active(world) == REMOTE)
        # It is back: the leader remembers that a tier is in use although no status says so.
        world.main.put(LOCAL_SLICE)
        world.main.fail(Refuse(500), updates_the_mirror)
        world.remote.put(remote_slice(None, *REMOTE[:2]))
        world.main.heal()
        await eventually(lambda: condition(world, "Applied") == ("True", "FailedOver"))
        await eventually(lambda: active(world) == REMOTE[:2])


async def test_edit_is_not_called_applied_before_its_slices_are_written() -> None:
    """What waits for a step must not go on too early."""
    async with worlds() as world:
        policy = traffic_policy(ClusterTraffic("c1", share=0))
        await start(world, policy)
        await eventually(lambda: active(world) == [])
        await eventually(lambda: condition(world, "Applied") == ("True", "Applied"))
        world.main.fail(Refuse(500), updates_the_mirror)
        edited = traffic_policy(ClusterTraffic("c1", share=10))
        metadata = evolve(edited.metadata, generation=2)
        world.main.put(evolve(edited, metadata=metadata))
        await eventually(lambda: condition(world, "Applied") == ("False", "WriteFailed"))
        world.main.heal()
        await eventually(lambda: condition(world, "Applied") == ("True", "Applied"))
        assert status(world)["observedGeneration"] == 2
        await eventually(lambda: len(active(world) or ()) == 1)


async def test_drained_link_says_when_no_service_uses_it() -> None:
    """All its endpoints become a standby, except where nothing else is ready."""
    async with worlds() as world:
        await start(world)
        await eventually(lambda: active(world) == REMOTE)
        world.main.put(world.link(drained=True))
        await eventually(lambda: world._condition("Drained", "c1")[0] == "Drained")
        await eventually(lambda: active(world) == [])
        world.main.remove(LOCAL_SLICE)
        await eventually(lambda: world._condition("Drained", "c1")[0] == "StillNeeded")
        await eventually(lambda: active(world) == REMOTE)
        assert "default/web" in (world._condition("Drained", "c1")[1] or "")
        await eventually(lambda: {"Drained", "StillNeeded"} <= set(events(world)))
        world.main.put(world.link())
        await eventually(lambda: world._condition("Drained", "c1") == (None, None))
