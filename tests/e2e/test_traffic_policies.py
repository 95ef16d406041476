"""TrafficPolicies: what the API server refuses, and what svclink makes of the others."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.builders.manifests import Manifest, endpoint_slice, traffic_policy

from .polling import consistently, eventually
from .shell import Shell
from .world import Kubectl, World

MISTAKES: Final[dict[str, tuple[Manifest, str]]] = {
    "shares of 130 percent": (
        {"clusters": [{"name": "b", "share": 70}, {"name": "c", "share": 60}]},
        "the shares in spec.clusters add up to more than 100 percent; lower them",
    ),
    "share of 101 percent": (
        {"clusters": [{"name": "b", "share": 101}]},
        "spec.clusters[0].share in body should be less than or equal to 100",
    ),
    "negative share": (
        {"clusters": [{"name": "b", "share": -1}]},
        "spec.clusters[0].share in body should be greater than or equal to 0",
    ),
    "a share and a tier": (
        {"clusters": [{"name": "b", "share": 10, "tier": 1}]},
        "a cluster in spec.clusters has both a share and a tier above 0; remove one of them",
    ),
    "a cluster twice": (
        {"clusters": [{"name": "b", "share": 10}, {"name": "b", "tier": 1}]},
        'spec.clusters[1]: Duplicate value: {"name":"b"}',
    ),
    "a name that no link has": (
        {"clusters": [{"name": "B.example"}]},
        "spec.clusters.name must be a valid ClusterLink name: lowercase letters, digits and",
    ),
    "another kind": (
        {"targetRef": {"kind": "Deployment", "name": "web"}},
        "spec.targetRef.kind must be Service, the only kind that a TrafficPolicy can target",
    ),
    "no target": ({"targetRef": None}, "spec.targetRef: Required value"),
    "no name of the target": (
        {"targetRef": {"kind": "Service"}},
        "spec.targetRef.name: Required value",
    ),
    "a minimum of none": (
        {"minReady": 0},
        "spec.minReady in body should be greater than or equal to 1",
    ),
    "a recovery in the past": (
        {"recoverySeconds": -1},
        "spec.recoverySeconds in body should be greater than or equal to 0",
    ),
    "a field that does not exist": (
        {"shares": {"b": 10}},
        'unknown field "spec.shares"',
    ),
    "too many clusters": (
        {"clusters": [{"name": f"c{number}"} for number in range(129)]},
        "spec.clusters: Too many: 129: must have at most 128 items",
    ),
}


def apply(shell: Shell, world: World, **spec: Any) -> str:
    """Apply a policy for the Service `web` with kubectl, and return what kubectl says."""
    policy = traffic_policy(f"{world.namespace}/web")
    policy["spec"] |= spec
    done = shell.run("kubectl apply --filename - 2>&1", answer=json.dumps(policy))
    return done.stdout


@pytest.mark.real_servers("the embedded server does not evaluate CEL")
def test_mistakes_are_refused_with_a_sentence(
    world: World, shell: Shell, subtests: pytest.Subtests
) -> None:
    """The API server refuses each mistake with the field and what is wrong with it."""
    for name, (spec, sentence) in MISTAKES.items():
        with subtests.test(name):
            assert sentence in apply(shell, world, **spec)
    assert world.main.api.find("trafficpolicies", world.namespace) == []


@pytest.mark.real_servers("the embedded server does not evaluate CEL")
def test_largest_policy_is_accepted(world: World, shell: Shell) -> None:
    """A policy may name 128 clusters, with shares that add up to 100 percent."""
    shares = [{"name": f"c{number}", "share": 1} for number in range(100)]
    tiers = [{"name": f"c{number}", "tier": number} for number in range(100, 128)]
    said = apply(shell, world, clusters=shares + tiers)
    assert said == "trafficpolicy.svclink.cloudpilot.ai/web created\n"


LOCAL: Final = [f"10.9.0.{number}" for number in range(1, 10)]
REMOTE: Final = [f"10.1.0.{number}" for number in range(1, 5)]


@pytest.fixture
def divided(world: World) -> World:
    """The Service `web` with nine local endpoints and four of the first remote, all in use."""
    world.controller.start()
    world.link(world.c1)
    world.declare("web")
    world.create(world.main, local_slice(world))
    world.publish(world.c1, "web", *REMOTE)
    eventually(lambda: assert_active(world, *REMOTE))
    return world


def local_slice(world: World) -> Manifest:
    return endpoint_slice("web-local", *LOCAL, key=f"{world.namespace}/web")


def active(world: World) -> list[str]:
    """The mirrored addresses that are active."""
    return sorted(
        each["addresses"][0]
        for item in world.mirrors("web").values()
        for each in item["endpoints"] or ()
        if each["conditions"]["ready"]
    )


def assert_active(world: World, *addresses: str) -> None:
    assert active(world) == sorted(addresses)
    mirrored = [each for item in world.mirrors("web").values() for each in item["endpoints"] or ()]
    assert len(mirrored) == len(REMOTE)
    assert all(each["conditions"]["serving"] for each in mirrored)


def policy_status(world: World, name: str = "web") -> Manifest:
    """The status; asserts that it was written for the current spec."""
    policy = world.main.api.get("trafficpolicies", name, world.namespace)
    status: Manifest = policy.get("status") or {}
    assert status.get("observedGeneration") == policy["metadata"]["generation"], status
    return status


def assert_condition(world: World, kind: str, status: str, reason: str, name: str = "web") -> None:
    (found,) = [each for each in policy_status(world, name)["conditions"] if each["type"] == kind]
    assert (found["status"], found["reason"]) == (status, reason), found


def await_condition(world: World, kind: str, status: str, reason: str, name: str = "web") -> None:
    eventually(lambda: assert_condition(world, kind, status, reason, name))


def test_share_is_applied_shown_and_taken_back(
    divided: World, shell: Shell, kubectl: Kubectl
) -> None:
    """One of four endpoints is active with a share of 10%; a restart changes nothing."""
    apply(shell, divided, clusters=[{"name": "c1", "share": 10}])
    await_condition(divided, "Applied", "True", "Applied")
    (chosen,) = active(divided)
    assert_active(divided, chosen)
    (cluster,) = policy_status(divided)["clusters"]
    assert cluster == {
        "name": "c1",
        "tier": 0,
        "endpoints": 4,
        "active": 1,
        "wantedShare": 10,
        "reachableShare": 10,
    }
    header, row = kubectl("get", "trafficpolicies", "-n", divided.namespace).splitlines()
    assert header.split("  ")[0] == "NAME"
    assert row.split()[:-1] == ["web", "web", "0", "True"]
    versions = divided.versions("web")
    before = divided.main.api.get("trafficpolicies", "web", divided.namespace)["metadata"]

    divided.controller.stop()
    divided.controller.start()
    divided.links.await_ready("c1")
    consistently(1, lambda: assert_active(divided, chosen))
    assert divided.versions("web") == versions
    after = divided.main.api.get("trafficpolicies", "web", divided.namespace)["metadata"]
    assert after["resourceVersion"] == before["resourceVersion"]

    divided.main.api.delete("trafficpolicies", "web", divided.namespace)
    eventually(lambda: assert_active(divided, *REMOTE))


def test_failover_is_in_the_status_and_an_event(divided: World, shell: Shell) -> None:
    """A standby becomes active with the last local endpoint, and a standby after the recovery."""
    tiers = [{"name": "b", "tier": 1}, {"name": "c1", "tier": 2}]
    divided.links.add("b", divided.c2.remote_kubeconfig())
    apply(shell, divided, clusters=tiers, recoverySeconds=1)
    eventually(lambda: assert_active(divided))
    divided.main.api.delete("endpointslices", "web-local", divided.namespace)
    eventually(lambda: assert_active(divided, *REMOTE))
    await_condition(divided, "Applied", "True", "FailedOver")
    status = policy_status(divided)
    assert status["activeTier"] == 2
    assert [each["tier"] for each in status["tiers"]] == [1, 2]
    assert [each.keys() for each in status["tiers"]] == [{"tier", "ipFamily", "since"}] * 2

    divided.create(divided.main, local_slice(divided))
    eventually(lambda: assert_active(divided))
    await_condition(divided, "Applied", "True", "Applied")
    assert policy_status(divided)["activeTier"] == 0
    for reason in ("FailedOver", "Applied"):
        await_event(divided, reason)


def await_event(world: World, reason: str) -> None:
    selector = f"involvedObject.kind=TrafficPolicy,reason={reason}"
    path = f"/api/v1/namespaces/{world.namespace}/events?fieldSelector={selector}"

    def check() -> None:
        assert world.main.api.request("GET", path)["items"], f"no Event {reason}"

    eventually(check)


def test_mistakes_that_only_the_controller_sees_are_in_the_status(
    divided: World, shell: Shell
) -> None:
    """A cluster or Service that does not exist, and a second policy: traffic stays as it was."""
    versions = divided.versions("web")
    namespace = divided.namespace
    apply(shell, divided, clusters=[{"name": "b"}])
    await_condition(divided, "Applied", "False", "ClusterNotFound")
    for name, target in (("z-second", "web"), ("typo", "wbe")):
        divided.create(divided.main, traffic_policy(f"{namespace}/{name}", target=target))
    await_condition(divided, "Accepted", "False", "Conflicted", "z-second")
    await_condition(divided, "Accepted", "False", "TargetNotFound", "typo")
    assert divided.versions("web") == versions


def test_drained_cluster_is_used_only_where_nothing_else_is_ready(divided: World) -> None:
    """The Drained condition says when a cluster may be shut down, and what still needs it."""
    divided.links.edit("c1", drained=True)
    divided.links.await_condition("c1", "True", "Drained", kind="Drained")
    assert_active(divided)
    divided.main.api.delete("endpointslices", "web-local", divided.namespace)
    needed = divided.links.await_condition("c1", "False", "StillNeeded", kind="Drained")
    assert f"{divided.namespace}/web" in needed["message"]
    assert divided.links.status("c1")["stillNeededBy"] == 1
    assert_active(divided, *REMOTE)
    divided.links.await_event("c1", "StillNeeded")
