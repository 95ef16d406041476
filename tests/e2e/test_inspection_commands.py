"""Commands that ask a fleet: what they say is what is so, and asking writes nothing."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from .control_planes import STRANGER, Cluster
from .many_remotes import serving
from .objects import (
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    MANAGED_BY_SVCLINK,
    cluster_link,
    endpoint_slice,
    endpoints,
    port,
    service,
)
from .polling import eventually
from .shell import Shell
from .world import RecordMeasure, World


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    """The terminal of an administrator of all clusters; the main one is the current context."""
    return Shell(tmp_path, main=world.main.admin_kubeconfig(), c1=world.c1.admin_kubeconfig())


@pytest.fixture
def neighbours(tmp_path: Path) -> Iterator[list[Cluster]]:
    """Ten more remotes."""
    with serving(tmp_path, [f"n{number}" for number in range(10)]) as clusters:
        yield clusters


def data(shell: Shell, command: str, code: int = 0) -> Any:
    """What a command says to a program."""
    done = shell.run(f"svclink {command} -o json")
    assert done.returncode == code, (
        f"svclink {command}: {done.returncode} {done.stdout}{done.stderr}"
    )
    return json.loads(done.stdout)


def test_commands_say_what_is_mirrored(linked: World, shell: Shell) -> None:
    """Status, services, explain and plan agree with what the controller has done; kubectl runs them as a plugin."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1", "10.1.0.2")
    linked.create(
        linked.c2, service(linked.namespace, "web", type="ExternalName", externalName="example.com")
    )
    linked.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])
    web = f"{linked.namespace}/web"

    def counted() -> None:
        states = {
            each["name"]: (each["phase"], each["services"], each["endpoints"])
            for each in data(shell, "status")
        }
        assert states == {"c1": ("Ready", 1, 2), "c2": ("Ready", 0, 0)}

    eventually(counted)
    assert shell("kubectl svclink status").splitlines()[1].split()[:3] == [
        "c1",
        "Ready",
        "ClusterReady",
    ]
    (row,) = data(shell, f"services -n {linked.namespace}")
    assert row == {
        "service": web,
        "local": {"ready": 0, "total": 0},
        "clusters": {"c1": {"ready": 2, "total": 2}},
    }
    decisions = {
        each["cluster"]: each["reason"] for each in data(shell, f"explain {web}")["clusters"]
    }
    assert decisions == {"c1": "Mirrored", "c2": "RemoteExternalName"}
    assert data(shell, "plan --detailed-exitcode")["changes"] == []


def test_a_plan_can_be_applied_by_hand(world: World, shell: Shell, tmp_path: Path) -> None:
    """Without a controller, a plan only says what is to do; kubectl can apply it, and nothing is left to do."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.links.add("c1", world.c1.remote_kubeconfig())

    manifests = shell.run("svclink plan -o yaml --detailed-exitcode")
    assert manifests.returncode == 2
    assert world.mirrors() == {}
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(manifests.stdout)] == ["web-c1"]

    shell("svclink plan -o yaml | kubectl apply -f -")
    world.shows("web", c1=["10.1.0.1"])
    assert shell("svclink plan -o diff --detailed-exitcode") == ""

    shell(
        f"kubectl get services,endpointslices,namespaces,clusterlinks -A -o yaml > {tmp_path}/main.yaml"
    )
    shell(
        f"kubectl --context c1 get services,endpointslices,namespaces -A -o json > {tmp_path}/c1.json"
    )
    offline = f"plan --main {tmp_path}/main.yaml --remote c1={tmp_path}/c1.json"
    assert data(shell, f"{offline} --detailed-exitcode")["changes"] == []


@pytest.mark.real_servers("the embedded server answers no SubjectAccessReview")
def test_check_finds_what_is_wrong(world: World, shell: Shell) -> None:
    """Faults of links, permissions, addresses, ports and leftovers are each a line with the command that mends it."""
    seed_faults_of_links(world)
    seed_faults_of_services(world)

    found = data(shell, "check --service-account svclink:nobody", code=2)

    lines = {(each["level"], each["cluster"], each["subject"]): each for each in found}
    for level, cluster, subject, words, mend in (
        ("ok", "MAIN", "api", "answers", ""),
        ("ok", "MAIN", "clock", "agrees", ""),
        ("ok", "MAIN", "crd", "current", ""),
        ("ok", "c1", "connection", "listed", ""),
        ("ok", "c1", "permissions", "granted", ""),
        *FAULTS,
    ):
        line = lines[level, cluster, subject]
        assert words in line["message"], line
        assert mend.format(web=f"{world.namespace}/web") in (line["mend"] or ""), line
    leftovers = " ".join(each["message"] for each in found if each["subject"] == "leftovers")
    assert "of the Go release" in leftovers
    assert "gone, which has no ClusterLink" in leftovers
    assert world.mirrors("web").keys() == {"lost"}


FAULTS: Final = (
    ("fail", "MAIN", "permissions", "delete endpointslices", "kubectl apply"),
    ("warn", "c1", "credentials", "the token expires", "export-kubeconfig"),
    ("fail", "z-again", "connection", "DuplicateCluster", "kubectl delete clusterlink z-again"),
    ("fail", "z-self", "connection", "SelfLink", "kubectl delete clusterlink z-self"),
    ("fail", "z-stranger", "connection", "Forbidden", "export-kubeconfig"),
    ("fail", "z-stranger", "permissions", "list services", "export-kubeconfig"),
    ("fail", "z-program", "connection", "InsecureKubeconfig", "export-kubeconfig"),
    ("fail", "z-dead", "connection", "Unreachable", "get --raw /version"),
    ("fail", "z-expired", "credentials", "the token expired", "export-kubeconfig"),
    ("fail", "z-expired", "connection", "Unauthorized", "export-kubeconfig"),
    ("warn", "z-soon", "credentials", "the client certificate expires", "export-kubeconfig"),
    ("fail", "z-authority", "connection", "CertificateInvalid", "export-kubeconfig"),
    ("fail", "z-nowhere", "connection", "there is no Secret default/nowhere", "export-kubeconfig"),
    ("fail", "c2", "addresses", "Pods of c1: 10.1.0.1", "cluster-cidr"),
    ("warn", "c2", "services", "PortMismatch", "svclink explain {web}"),
    ("warn", "MAIN", "leftovers", "", "kubectl delete endpointslices"),
)


def seed_faults_of_links(world: World) -> None:
    """Two good links, and one for each thing that can be wrong with a link."""
    main, c1, c2, add = world.main, world.c1, world.c2, world.links.add
    add("c1", c1.remote_kubeconfig())
    add("c2", c2.remote_kubeconfig())
    add("z-again", c1.remote_kubeconfig())
    add("z-self", main.remote_kubeconfig())
    add("z-stranger", c2.kubeconfig({"token": c2.token(STRANGER)}))
    add("z-program", c2.kubeconfig({"exec": {"command": "true"}}))
    add("z-dead", c2.kubeconfig({"token": "t"}, server="https://127.0.0.1:9"))
    add("z-expired", c2.kubeconfig({"token": expired_token()}))
    add("z-soon", c2.user_kubeconfig("z", not_after=datetime.now(UTC) + timedelta(days=2)))
    add("z-authority", c2.kubeconfig({"token": "t"}, server=c1.server))
    main.api.create(
        cluster_link("z-nowhere", "") | {"spec": {"kubeconfigSecretRef": {"name": "nowhere"}}}
    )


def seed_faults_of_services(world: World) -> None:
    """A Pod address in two remotes, a port that main has not, and EndpointSlices that nobody looks after."""
    world.declare("web", ports=[port("http", 80)])
    world.publish(world.c1, "web", "10.1.0.1")
    world.create(world.c2, service(world.namespace, "web", [port("admin", 81)]))
    members = endpoints("10.1.0.1")
    world.create(
        world.c2, endpoint_slice(world.namespace, "web", members, ports=[port("admin", 9090)])
    )
    for name, labels in (
        ("old", {"cloudpilot.ai/svclink-cluster": "c1"}),
        ("lost", {LABEL_CLUSTER: "gone", LABEL_MANAGED_BY: MANAGED_BY_SVCLINK}),
    ):
        piece = endpoint_slice(
            world.namespace, "web", endpoints("10.3.0.1"), name=name, labels=labels
        )
        world.create(world.main, piece)


def expired_token() -> str:
    """As a ServiceAccount would have it. No API server issues one for less than ten minutes."""
    claims = base64.urlsafe_b64encode(b'{"exp": 1}').decode().rstrip("=")
    return f"e30.{claims}.c2lnbmF0dXJl"


def test_check_finds_what_is_wrong_with_main(world: World, shell: Shell, tmp_path: Path) -> None:
    """A cluster without the CRD, one with another CRD, and one that does not answer are told apart."""
    (missing,) = [
        each for each in data(shell, "check --context c1", code=2) if each["level"] != "ok"
    ]
    assert (missing["level"], missing["subject"], missing["mend"]) == (
        "fail",
        "crd",
        "kubectl apply -f crd/",
    )

    nowhere = tmp_path / "nowhere"
    nowhere.write_text(
        world.main.kubeconfig({"token": "t"}, server="https://127.0.0.1:9"), encoding="utf-8"
    )
    (line,) = data(shell, f"check --kubeconfig {nowhere}", code=2)
    assert (line["level"], line["subject"], line["mend"]) == ("fail", "api", "kubectl cluster-info")


def test_check_of_a_healthy_fleet(
    world: World, shell: Shell, neighbours: list[Cluster], record_measure: RecordMeasure
) -> None:
    """With ten remotes in which all is well, every line is ok, and there is nothing to mend."""
    world.declare("web")
    for number, remote in enumerate(neighbours):
        remote.create_namespace(world.namespace)
        world.publish(remote, "web", f"10.77.{number}.1")
        world.links.add(
            remote.name, remote.kubeconfig({"token": remote.token(seconds=30 * 86_400)})
        )

    def all_is_well() -> float:
        started = time.monotonic()
        found = data(shell, "check")
        seconds = time.monotonic() - started
        assert {(each["level"], each["mend"]) for each in found} == {("ok", None)}
        checked = {each["cluster"] for each in found if each["subject"] == "connection"}
        assert checked == {remote.name for remote in neighbours}
        return seconds

    # What tests before this one left is on its way out.
    record_measure("svclink check with ten remotes, in seconds", eventually(all_is_well))
