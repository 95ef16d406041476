"""`svclink drain` and `undrain`.

Real: commands, kubeconfigs, HTTP, TLS, the core. Substituted: the API server and the controller.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from click.testing import Result

from svclink_core import ClusterLinkStatus, EndpointConditions
from tests.builders.keys import WEB
from tests.builders.values import endpoint, mirrored_slice, service
from tests.unit.controller.faults import Answer, Refuse, ends_with, method
from tests.unit.controller.fleets import Fleet, fleet
from tests.unit.controller.waiting import eventually

STANDBY = endpoint(
    "10.0.0.1", conditions=EndpointConditions(ready=False, serving=True, terminating=True)
)


def spec_of_link(world: Fleet) -> dict[str, Any]:
    (found,) = world.main.all("clusterlinks")
    spec: dict[str, Any] = found["spec"]
    return spec


def drained_link(world: Fleet, *, needed_by: int) -> None:
    """What the controller does: it writes the status of the link."""
    status = ClusterLinkStatus(observed_generation=1, still_needed_by=needed_by)
    world.link("c1", drained=True, status=status)


async def drain_while(world: Fleet, *arguments: str) -> asyncio.Task[Result]:
    """A command that has written the link and is waiting."""
    running = asyncio.create_task(world.run("drain", "c1", "--wait", *arguments))
    await eventually(lambda: spec_of_link(world).get("drained") is True)
    return running


async def test_drain_sets_one_field_and_ends(tmp_path: Path) -> None:
    """Without --wait the link is written, all else of it stays, and the way back is printed."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", excluded_service_names=("api",))
        said = await world.ask("drain", "c1")
        spec = spec_of_link(world)
    assert spec["drained"] is True
    assert spec["excludedServiceNames"] == ["api"]
    assert f"svclink undrain c1 --kubeconfig {world.file}" in said


async def test_drain_waits_until_nothing_uses_the_cluster(tmp_path: Path) -> None:
    """The command ends once the main cluster has no active endpoint of the cluster."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.main.put(service())
        world.main.put(mirrored_slice())
        running = await drain_while(world)
        drained_link(world, needed_by=0)
        world.main.put(evolve(mirrored_slice(), endpoints=(STANDBY,)))
        done = await running
    assert done.exit_code == 0, done.output
    said = done.stdout.splitlines()
    assert any(line.startswith("waiting; if you interrupt the command (Ctrl-C)") for line in said)
    assert said[-1] == "c1 is drained"


async def test_drain_prints_how_to_undrain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command works where it is printed: this svclink is not on the PATH."""
    script = tmp_path / "svclink"
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        said = await world.ask("drain", "c1")
    flags = f"--kubeconfig {world.file}"
    assert said == f"c1 is being drained; to use it again: {script} undrain c1 {flags}\n"


async def test_drain_names_services_that_have_nothing_else(tmp_path: Path) -> None:
    """They keep their endpoints, so the command does not wait for them."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.main.put(mirrored_slice())
        running = await drain_while(world, "-o", "json")
        drained_link(world, needed_by=1)
        done = await running
    assert done.exit_code == 0, done.output
    reports = [json.loads(line) for line in done.stdout.splitlines()]
    assert reports[-1] == {
        "message": f"{WEB} has no other ready endpoint, so it keeps using c1",
        "done": 0,
        "total": 0,
        "cluster": "c1",
        "neededBy": [str(WEB)],
    }


async def test_services_that_have_nothing_else_are_named_before_anything_is_written(
    tmp_path: Path,
) -> None:
    """What the main cluster mirrors says which these are, so no remote has to answer."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.main.put(service())
        world.main.put(mirrored_slice())
        world.main.fail(Refuse(403, "Forbidden"), ends_with("/clusterlinks/c1"))
        done = await world.run("drain", "c1")
        assert world.servers["c1"].requests == []
    assert done.stdout == f"{WEB} has no other ready endpoint, so it keeps using c1\n"
    assert done.exit_code == 1


async def test_drain_ends_if_another_client_undrains(tmp_path: Path) -> None:
    """The command does not write the link again."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        world.main.put(mirrored_slice())
        running = await drain_while(world)
        world.link("c1")
        done = await running
        assert "drained" not in spec_of_link(world) or not spec_of_link(world)["drained"]
    assert done.exit_code == 1
    assert "another client changed ClusterLink c1" in str(done.exception)


async def test_undecodable_link_is_not_drained(tmp_path: Path) -> None:
    """The command says what is wrong before it writes anything."""
    async with fleet(tmp_path, "c1") as world:
        manifest = {"metadata": {"name": "c1"}, "spec": {"kubeconfig": 5}}
        world.main.put_raw("clusterlinks", manifest)
        before = world.main.revision
        refused = await world.run("drain", "c1")
        assert world.main.revision == before
    assert str(refused.exception) == (
        "ClusterLink c1 could not be decoded: $.spec.kubeconfig: must be a string but is a number"
    )


async def test_undrain_restores_the_field(tmp_path: Path) -> None:
    """The second time there is nothing to do, and nothing is written."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", drained=True)
        assert await world.ask("undrain", "c1") == "c1 is no longer drained\n"
        assert spec_of_link(world)["drained"] is False
        before = world.main.revision
        assert await world.ask("undrain", "c1") == "c1 is not drained: nothing to do\n"
        assert world.main.revision == before


async def test_refused_drain_is_one_sentence(tmp_path: Path) -> None:
    """An unknown cluster, a disabled link, a permission that is missing: nothing is written."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1", enabled=False)
        unknown = await world.run("drain", "c9")
        assert str(unknown.exception) == "there is no ClusterLink c9: use one of c1"
        disabled = await world.run("drain", "c1")
        assert "set spec.enabled to true first" in str(disabled.exception)
        world.link("c1")
        world.main.fail(Refuse(403, "Forbidden"), ends_with("/clusterlinks/c1"))
        denied = await world.run("drain", "c1")
        assert str(denied.exception) == "ClusterLink c1 was not changed: 403 Forbidden: no"
        assert not spec_of_link(world)["drained"]
    assert [each.exit_code for each in (unknown, disabled, denied)] == [1, 1, 1]


async def test_old_definition_of_links_is_named(tmp_path: Path) -> None:
    """An API server removes a field that its CRD does not know, and answers that all is well."""
    async with fleet(tmp_path, "c1") as world:
        world.link("c1")
        (found,) = world.main.all("clusterlinks")
        world.main.fail(Answer(found), method("PATCH"))
        done = await world.run("drain", "c1")
    assert "does not have spec.drained: update the CRD (" in str(done.exception)
