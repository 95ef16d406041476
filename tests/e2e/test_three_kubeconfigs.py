"""The first hour of a new user: three kubeconfigs in KUBECONFIG, and none of them is current."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.builders.manifests import encoded

from .api_client import ApiError
from .control_planes import Cluster
from .controller_process import Controller, controller_of
from .documented_commands import documented_commands
from .polling import eventually
from .shell import Shell, deployed_kubeconfig
from .world import World

CREDENTIALS: Final = documented_commands("docs/how-to/credentials.md")
QUICK_START: Final = documented_commands("docs/tutorials/quick-start.md")
NAMESPACE: Final = "cloudpilot"

pytestmark = pytest.mark.real_servers("the embedded server reads no protobuf")


def without_current_context(text: str, name: str) -> str:
    """A kubeconfig as a provider's tool writes it into a file of its own."""
    content = yaml.safe_load(text)
    del content["current-context"]
    for kind in ("clusters", "users", "contexts"):
        content[kind][0]["name"] = name
    content["contexts"][0]["context"] = {"cluster": name, "user": name}
    return str(yaml.safe_dump(content))


class NewUser:
    """A terminal with three kubeconfigs."""

    def __init__(self, shell: Shell, files: list[Path]) -> None:
        self.shell = shell
        self.kubeconfig = ":".join(map(str, files))

    def types(self, command: str) -> str:
        """The output of a command that succeeds."""
        return self.shell(command, KUBECONFIG=self.kubeconfig)

    def fails(self, command: str, **variables: str) -> str:
        """The one sentence of a command that fails and prints nothing else."""
        done = self.shell.run(command, **{"KUBECONFIG": self.kubeconfig} | variables)
        assert (done.returncode, done.stdout) == (1, ""), command
        (sentence,) = done.stderr.splitlines()
        return sentence

    def checks(self) -> dict[tuple[str, str], dict[str, Any]]:
        """The lines of `svclink check` that are not ok, by cluster and subject."""
        command = "svclink check --context main -o json"
        done = self.shell.run(command, KUBECONFIG=self.kubeconfig)
        assert done.returncode in (0, 2), done.stderr
        found = json.loads(done.stdout)
        return {(each["cluster"], each["subject"]): each for each in found if each["fix"]}

    def solves(self, fix: str, context: str) -> None:
        """Run the command that `check` printed, with the context that it leaves open."""
        self.types(fix.replace("CONTEXT_OF_CLUSTER_B", context))


@pytest.fixture
def idle_controller(deployed: Shell, main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The controller under the ServiceAccount of its Deployment, in the namespace `cloudpilot`."""
    with controller_of(deployed_kubeconfig(deployed, main), tmp_path, "svclink") as controller:
        yield controller


@pytest.fixture
def user(world: World, remote: Cluster, deployed: Shell, tmp_path: Path) -> Iterator[NewUser]:
    """A Service in both clusters; svclink is installed as the quick start says."""
    files = []
    for name, cluster in (("main", world.main), ("remote", remote), ("other", world.c2)):
        files.append(tmp_path / f"{name}.yaml")
        text = without_current_context(cluster.admin_kubeconfig(), name)
        files[-1].write_text(text, encoding="utf-8")
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")
    world.controller.start()
    yield NewUser(deployed, files)
    with contextlib.suppress(ApiError):
        world.main.api.delete("clusterlinks", "cluster-b")
    eventually(lambda: world.assert_mirrored("web"))


def test_mistakes_of_the_command_line_are_one_sentence(user: NewUser) -> None:
    """The sentence names what the user typed, and what there is to choose from."""
    for command in ("status", "check", "plan", "explain a/b", "cleanup", "export-kubeconfig"):
        unclear = user.fails(f"svclink {command}")
        assert unclear.startswith("Error: KUBECONFIG=")
        assert unclear.endswith("pass --context with one of: main, other, remote")
    assert user.fails("svclink status --context nowhere").endswith(
        "it has no context named 'nowhere'; its contexts are: main, other, remote"
    )
    assert "/nowhere/file" in user.fails("svclink status --kubeconfig /nowhere/file")
    gone = user.fails("svclink status", KUBECONFIG="/nowhere/a:/nowhere/b")
    assert gone == (
        "Error: KUBECONFIG=/nowhere/a:/nowhere/b: no such file: correct it or pass"
        " --kubeconfig=FILE"
    )


def test_kubeconfig_in_a_secret_stays_there(user: NewUser, world: World) -> None:
    """From the documented Secret to revoked credentials and back, with the printed commands."""
    assert user.types("svclink status --context main") == "There are no ClusterLinks.\n"
    assert "There are no ClusterLinks" in user.types("svclink plan --context main")
    user.types(CREDENTIALS["secret"])
    world.links.await_ready("cluster-b")
    world.await_mirrored("web", **{"cluster-b": ["10.1.0.1"]})
    explained = user.types(f"svclink explain {world.namespace}/web --context main")
    assert "cluster-b: mirrored (1 endpoint in 1 EndpointSlice)" in explained

    world.main.api.patch("secrets", "cluster-b", NAMESPACE, {"data": {"kubeconfig": ""}})
    world.links.await_condition("cluster-b", "False", "InvalidKubeconfig")
    replaced = "kubectl patch secret cluster-b --namespace cloudpilot"
    assert replaced in world.links.condition("cluster-b")["message"]
    fix = user.checks()["cluster-b", "connection"]["fix"]
    assert f"{replaced} --patch-file /dev/stdin --context main" in fix
    user.solves(fix, "remote")
    world.links.await_ready("cluster-b")
    assert "kubeconfig" not in world.main.api.get("clusterlinks", "cluster-b", None)["spec"]
    user.types(CREDENTIALS["replace-in-secret"])

    world.main.api.delete("secrets", "cluster-b", NAMESPACE)
    world.links.await_condition("cluster-b", "False", "InvalidKubeconfig")
    user.solves(user.checks()["cluster-b", "connection"]["fix"], "remote")
    world.links.await_ready("cluster-b")


def test_kubeconfig_in_a_link_is_replaced_alone(user: NewUser, world: World) -> None:
    """What else the spec says stays, also what was applied with it."""
    user.types(QUICK_START["link"])
    world.links.await_ready("cluster-b")
    broken = encoded("{}")
    world.links.edit("cluster-b", kubeconfig=broken, excludedNamespaces=["monitoring"])
    world.links.await_condition("cluster-b", "False", "InvalidKubeconfig")
    user.solves(user.checks()["cluster-b", "connection"]["fix"], "remote")
    world.links.await_ready("cluster-b")
    spec = world.main.api.get("clusterlinks", "cluster-b", None)["spec"]
    assert spec["excludedNamespaces"] == ["monitoring"]
    user.types(CREDENTIALS["replace-in-spec"])
    world.links.await_ready("cluster-b")
