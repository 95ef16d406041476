"""Commands that change traffic, with a running controller: traffic, shift, drain and undrain."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

import pytest

from tests.builders.manifests import endpoint_slice

from .polling import eventually
from .shell import Shell
from .world import World

LOCAL: Final = [f"10.9.0.{number}" for number in range(1, 10)]
REMOTE: Final = [f"10.1.0.{number}" for number in range(1, 10)]


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    """The terminal of an administrator of the main cluster."""
    return Shell(tmp_path, main=world.main.admin_kubeconfig())


@pytest.fixture
def web(linked: World) -> str:
    """The Service `web` with nine local endpoints and nine of c1, all active."""
    linked.declare("web")
    linked.create(linked.main, endpoint_slice("web-local", *LOCAL, key=f"{linked.namespace}/web"))
    linked.publish(linked.c1, "web", *REMOTE)
    eventually(lambda: assert_active(linked, "web", 9))
    return f"{linked.namespace}/web"


def active(world: World, name: str) -> int:
    """How many mirrored endpoints of c1 kube-proxy uses."""
    return sum(
        each["conditions"]["ready"]
        for item in world.mirrors(name, "c1").values()
        for each in item["endpoints"] or ()
    )


def assert_active(world: World, name: str, expected: int) -> None:
    assert active(world, name) == expected


def test_canary_and_shift(linked: World, web: str, shell: Shell) -> None:
    """`--set` writes one share, and `shift` goes on from there; each step is applied."""
    dry = shell(f"svclink traffic {web} --set c1=10 --dry-run")
    assert "planned: update EndpointSlice" in dry
    assert linked.main.api.find("trafficpolicies", linked.namespace) == []

    shell(f"svclink traffic {web} --set c1=10")
    eventually(lambda: assert_active(linked, "web", 1))
    shown = json.loads(shell(f"svclink traffic {web} -o json"))
    assert [
        (each["cluster"], each["active"], each["reachableShare"]) for each in shown["clusters"]
    ][:2] == [(None, 9, 90), ("c1", 1, 10)]
    assert shown["changes"] == []

    said = shell(f"svclink shift {web} --to c1 --steps 25,50 --every 1s")
    assert said.splitlines()[-1] == "done: c1 has a share of 50% (actual: 50%)"
    assert_active(linked, "web", 9)


def test_shift_is_refused_while_too_few_pods_are_ready(
    linked: World, web: str, shell: Shell
) -> None:
    """With fewer ready endpoints than --min-ready nothing is written."""
    shell(f"svclink traffic {web} --set c1=10")
    eventually(lambda: assert_active(linked, "web", 1))
    linked.set_addresses(linked.c1, "web", *REMOTE[:3])
    eventually(lambda: assert_mirrored(linked, 3))

    refused = shell.run(f"svclink shift {web} --to c1 --steps 50 --min-ready 4")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "fewer than --min-ready 4" in refused.stderr
    (policy,) = linked.main.api.find("trafficpolicies", linked.namespace)
    assert policy["spec"]["clusters"][0]["share"] == 10


def assert_mirrored(world: World, expected: int) -> None:
    assert len(world.addresses("web")["c1"]) == expected


def test_drain_and_undrain(linked: World, web: str, shell: Shell) -> None:
    """A drained cluster is used only by the Service that has nothing else, which is named."""
    linked.declare("only")
    linked.publish(linked.c1, "only", "10.1.1.1")
    eventually(lambda: assert_active(linked, "only", 1))

    said = shell("svclink drain c1 --wait").splitlines()

    assert_active(linked, "web", 0)
    assert_active(linked, "only", 1)
    assert f"{linked.namespace}/only has no other ready endpoint, so it keeps using c1" in said

    shell("svclink undrain c1")
    eventually(lambda: assert_active(linked, "web", 9))
    assert web
