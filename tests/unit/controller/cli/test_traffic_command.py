"""`svclink traffic`: the table, and what --set writes.

Real: commands, kubeconfigs, HTTP, TLS, the core. Substituted: the API servers.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from svclink_core import ClusterTraffic
from tests.builders.values import remote_slice, service, traffic_policy
from tests.unit.controller.faults import Refuse, ends_with, method
from tests.unit.controller.fleets import Fleet, fleet
from tests.unit.controller.http_server import Request

LOCAL = remote_slice("web-local", *[f"10.9.0.{number}" for number in range(1, 10)])
REMOTE = remote_slice("web-abc", *[f"10.0.0.{number}" for number in range(1, 10)])


def prepare(world: Fleet) -> None:
    """Nine local Pods of default/web, and nine in c1."""
    world.link("c1")
    world.main.put(service())
    world.main.put(LOCAL)
    world.remotes["c1"].put(service())
    world.remotes["c1"].put(REMOTE)


def stored(world: Fleet) -> dict[str, Any]:
    """The spec of the only policy."""
    (policy,) = world.main.all("trafficpolicies")
    spec: dict[str, Any] = policy["spec"]
    return spec


def is_creation(request: Request) -> bool:
    """A POST to TrafficPolicies."""
    return request.method == "POST" and request.path.endswith("/trafficpolicies")


def words(output: str) -> list[str]:
    """Lines without alignment."""
    return [" ".join(line.split()) for line in output.splitlines()]


async def test_table_says_who_gets_the_traffic_and_why(tmp_path: Path) -> None:
    """Local endpoints come first; the conditions are those that the policy has or will have."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        world.main.put(traffic_policy(ClusterTraffic("c1", 10)))
        table = words(await world.ask("traffic", "default/web"))
        data = json.loads(await world.ask("traffic", "default/web", "-o", "json"))
    assert table[:3] == [
        "CLUSTER TIER ENDPOINTS ACTIVE WANTED REACHABLE WHY",
        "MAIN 0 9 9 - 90% svclink never changes local endpoints",
        "c1 0 9 1 10% 10% this number of active endpoints comes closest to the wanted share",
    ]
    assert "Accepted: True, Accepted: the policy is in effect for its Service" in table
    assert any(
        line.startswith("planned: create EndpointSlice default/web-c1 (1 of 9 endpoints active): ")
        for line in table
    )
    assert [(each["cluster"], each["active"]) for each in data["clusters"]] == [
        (None, 9),
        ("c1", 1),
    ]
    assert (data["policy"], data["activeTier"]) == ("web", 0)


async def test_service_without_a_policy(tmp_path: Path) -> None:
    """The table is the same, and the command says that there is no policy."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        table = words(await world.ask("traffic", "default/web"))
        data = json.loads(await world.ask("traffic", "default/web", "-o", "json"))
        assert world.main.all("trafficpolicies") == []
    assert table[2] == "c1 0 9 9 - 50% all ready endpoints are active"
    assert "default/web has no TrafficPolicy: all ready endpoints get an equal share" in table
    assert data["policy"] is None


async def test_service_without_a_policy_while_a_cluster_is_drained(tmp_path: Path) -> None:
    """The sentence below the table agrees with its rows."""
    async with fleet(tmp_path, "c1", "c2") as world:
        prepare(world)
        world.link("c1", drained=True)
        world.link("c2", drained=True)
        table = words(await world.ask("traffic", "default/web"))
    assert table[2] == "c1 0 9 0 - 0% the ClusterLink is drained"
    assert table[4] == (
        "default/web has no TrafficPolicy: all ready endpoints get an equal share, except that c1"
        " is drained"
    )


async def test_set_creates_a_policy(tmp_path: Path) -> None:
    """What follows is printed first; a dry run writes nothing."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        dry = await world.ask("traffic", "default/web", "--set", "c1=10", "--dry-run")
        assert world.main.all("trafficpolicies") == []
        said = await world.ask("traffic", "default/web", "--set", "c1=10")
        spec = stored(world)
    assert words(dry)[2].startswith("c1 0 9 1 10% 10%")
    assert dry.endswith("TrafficPolicy for default/web: would be written\n")
    assert said.endswith("TrafficPolicy for default/web: written\n")
    assert spec["targetRef"] == {"kind": "Service", "name": "web"}
    assert [(each["name"], each["share"]) for each in spec["clusters"]] == [("c1", 10)]


async def test_removing_a_share_creates_no_policy(tmp_path: Path) -> None:
    """Without a policy there is nothing to remove."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        said = await world.ask("traffic", "default/web", "--set", "c1=none")
        data = await world.ask("traffic", "default/web", "--set", "c1=none", "-o", "json")
        assert world.main.all("trafficpolicies") == []
    assert said.endswith(
        "TrafficPolicy for default/web: not created, because it would set no share\n"
    )
    assert (json.loads(data)["written"], json.loads(data)["policy"]) == (False, None)


async def test_set_changes_only_the_share(tmp_path: Path) -> None:
    """Everything else of the policy stays, also fields that this version does not know."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        world.main.put(traffic_policy(ClusterTraffic("c9", tier=2), min_ready=3))
        (policy,) = world.main.all("trafficpolicies")
        world.main.put_raw("trafficpolicies", policy | {"spec": policy["spec"] | {"later": 1}})
        data = json.loads(await world.ask("traffic", "default/web", "--set", "c1=10", "-o", "json"))
        spec = stored(world)
        again = await world.ask("traffic", "default/web", "--set", "c1=10")
        none = await world.ask("traffic", "default/web", "--set", "c1=none")
        after = stored(world)
    assert data["written"] is True
    assert (spec["minReady"], spec["later"]) == (3, 1)
    assert [each["name"] for each in spec["clusters"]] == ["c9", "c1"]
    assert again.endswith("already has these shares\n")
    assert none.endswith("written\n")
    assert [each["name"] for each in after["clusters"]] == ["c9"]


async def test_status_written_at_the_same_time_is_no_conflict(tmp_path: Path) -> None:
    """svclink writes the status of a policy; a conflict with that is tried again."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        world.main.put(traffic_policy(ClusterTraffic("c1", 5)))
        world.main.fail(Refuse(409, "Conflict"), method("PATCH"), times=2)
        await world.ask("traffic", "default/web", "--set", "c1=10")
        assert stored(world)["clusters"][0]["share"] == 10


async def test_change_of_another_client_is_not_overwritten(tmp_path: Path) -> None:
    """The command asks to be run again, with the policy as it is now."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        world.main.put(traffic_policy(ClusterTraffic("c1", 5)))
        hold = world.main.fail(Refuse(409, "Conflict"), method("PATCH"))
        running = asyncio.create_task(world.run("traffic", "default/web", "--set", "c1=10"))
        while not hold.hits:
            world.main.put(traffic_policy(ClusterTraffic("c1", 7)))
            await asyncio.sleep(0)
        done = await running
        assert stored(world)["clusters"][0]["share"] == 7
    assert "TrafficPolicy default/web" in str(done.exception)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "c9=10"], "there is no ClusterLink c9: use one of c1"),
        (["--set", "c1=none,c9=1"], "there is no ClusterLink c9: use one of c1"),
    ],
)
async def test_impossible_shares_are_refused_before_writing(
    tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    """The sentence names the fix, and nothing was written."""
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        before = world.main.revision
        done = await world.run("traffic", "default/web", *arguments)
        assert world.main.revision == before
    assert (done.exit_code, str(done.exception)) == (1, sentence)


async def test_shares_over_100_are_refused_before_writing(tmp_path: Path) -> None:
    """The shares that the policy has already count, too."""
    async with fleet(tmp_path, "c1", "c2") as world:
        prepare(world)
        world.link("c2")
        world.main.put(traffic_policy(ClusterTraffic("c2", 60)))
        before = world.main.revision
        done = await world.run("traffic", "default/web", "--set", "c1=50")
        assert world.main.revision == before
    assert str(done.exception).startswith("spec.clusters: the shares add up to 110 (c2=60, c1=50)")


async def test_refusals_of_the_api_server_are_one_sentence(tmp_path: Path) -> None:
    """A missing permission, a missing CRD, a policy of that name for another Service."""
    arguments = ("traffic", "default/web", "--set", "c1=10")
    async with fleet(tmp_path, "c1") as world:
        prepare(world)
        world.main.fail(Refuse(403, "Forbidden"), is_creation)
        denied = await world.run(*arguments)
        world.main.heal()
        world.main.fail(Refuse(404, "NotFound"), ends_with("/trafficpolicies"))
        missing = await world.run(*arguments)
        world.main.heal()
        world.main.put(traffic_policy(key="default/api", name="web"))
        taken = await world.run(*arguments)
        unreadable = world.main.fail(Refuse(403, "Forbidden"), ends_with("/trafficpolicies"))
        unread = await world.run("traffic", "default/web")
        assert unreadable.hits == 1
    assert str(denied.exception) == "TrafficPolicy default/web was not written: 403 Forbidden: no"
    assert str(missing.exception).endswith(
        ": install the TrafficPolicy CRD (kubectl apply -f crd/)"
    )
    assert "correct its spec.targetRef, or delete it" in str(taken.exception)
    assert "cannot list trafficpolicies in the main cluster" in str(unread.exception)


async def test_service_that_main_lacks(tmp_path: Path) -> None:
    """A policy for it would do nothing."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        done = await world.run("traffic", "default/web", "--set", "c1=10")
        assert world.main.all("trafficpolicies") == []
    assert str(done.exception) == (
        "there is no Service default/web in the main cluster: create it first"
    )
