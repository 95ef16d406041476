"""Commands that inspect clusters: status, services, explain, plan and check."""

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

from svclink_core.well_known import LABEL_CLUSTER, LABEL_GO_CLUSTER, LABEL_MANAGED_BY, MANAGED_BY
from tests.builders.manifests import cluster_link, endpoint_slice, port, service

from .control_planes import UNPRIVILEGED, Cluster
from .many_remotes import serving_clusters
from .polling import eventually
from .shell import Shell
from .world import RecordMeasure, World, endpoints


@pytest.fixture
def shell(world: World, tmp_path: Path) -> Shell:
    """The terminal of an administrator, with the contexts `main` (current) and `c1`."""
    return Shell(tmp_path, main=world.main.admin_kubeconfig(), c1=world.c1.admin_kubeconfig())


@pytest.fixture
def ten_remotes(tmp_path: Path) -> Iterator[list[Cluster]]:
    """Ten more remotes."""
    with serving_clusters(tmp_path, [f"n{number}" for number in range(10)]) as clusters:
        yield clusters


def json_output(shell: Shell, command: str, code: int = 0) -> Any:
    """Run an svclink command with `-o json`, and return the decoded output."""
    done = shell.run(f"svclink {command} -o json")
    assert done.returncode == code, (
        f"svclink {command}: {done.returncode} {done.stdout}{done.stderr}"
    )
    return json.loads(done.stdout)


def test_commands_agree_with_the_controller(linked: World, shell: Shell) -> None:
    """status, services, explain and plan report what the controller has mirrored."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1", "10.1.0.2")
    linked.create(
        linked.c2,
        service(f"{linked.namespace}/web", type="ExternalName", externalName="example.com"),
    )
    linked.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])
    web = f"{linked.namespace}/web"

    def status_is_final() -> None:
        states = {
            each["name"]: (each["phase"], each["services"], each["endpoints"])
            for each in json_output(shell, "status")
        }
        assert states == {"c1": ("Ready", 1, 2), "c2": ("Ready", 0, 0)}

    eventually(status_is_final)
    assert shell("kubectl svclink status").splitlines()[1].split()[:3] == [
        "c1",
        "Ready",
        "ClusterReady",
    ]
    (row,) = json_output(shell, f"services -n {linked.namespace}")
    assert row == {
        "service": web,
        "local": {"ready": 0, "total": 0},
        "clusters": {"c1": {"ready": 2, "total": 2}},
    }
    decisions = {
        each["cluster"]: each["reason"] for each in json_output(shell, f"explain {web}")["clusters"]
    }
    assert decisions == {"c1": "Mirrored", "c2": "RemoteExternalName"}
    assert json_output(shell, "plan --detailed-exitcode")["changes"] == []


def test_printed_plan_can_be_applied_with_kubectl(
    world: World, shell: Shell, tmp_path: Path
) -> None:
    """`plan -o yaml` writes nothing; after kubectl applies its output, the plan has no changes."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.links.add("c1", world.c1.remote_kubeconfig())

    manifests = shell.run("svclink plan -o yaml --detailed-exitcode")
    assert manifests.returncode == 2
    assert world.mirrors() == {}
    assert [each["metadata"]["name"] for each in yaml.safe_load_all(manifests.stdout)] == ["web-c1"]

    shell("svclink plan -o yaml | kubectl apply -f -")
    world.assert_mirrored("web", c1=["10.1.0.1"])
    assert shell("svclink plan -o diff --detailed-exitcode") == ""

    shell(
        "kubectl get services,endpointslices,namespaces,clusterlinks -A -o yaml"
        f" > {tmp_path}/main.yaml"
    )
    shell(
        "kubectl --context c1 get services,endpointslices,namespaces -A -o json"
        f" > {tmp_path}/c1.json"
    )
    offline = f"plan --main {tmp_path}/main.yaml --remote c1={tmp_path}/c1.json"
    assert json_output(shell, f"{offline} --detailed-exitcode")["changes"] == []


@pytest.mark.real_servers("the embedded server answers no SubjectAccessReview")
def test_check_reports_each_fault_with_its_fix(world: World, shell: Shell) -> None:
    """Each fault has a line with its level, its message and the command that fixes it."""
    create_faulty_links(world)
    create_faulty_services(world)

    found = json_output(shell, "check --service-account svclink:unknown", code=2)

    lines = {(each["level"], each["cluster"], each["subject"]): each for each in found}
    for level, cluster, subject, words, fix in (
        ("ok", "MAIN", "api", "responds", ""),
        ("ok", "MAIN", "clock", "agrees", ""),
        ("ok", "MAIN", "crd", "current", ""),
        ("ok", "c1", "connection", "listed", ""),
        ("ok", "c1", "permissions", "granted", ""),
        *FAULTS,
    ):
        line = lines[level, cluster, subject]
        assert words in line["message"], line
        assert fix.format(web=f"{world.namespace}/web") in (line["fix"] or ""), line
    leftovers = " ".join(each["message"] for each in found if each["subject"] == "leftovers")
    assert "from the Go release" in leftovers
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
    ("fail", "z-dead", "connection", "Unreachable", "curl --insecure SERVER/version"),
    ("fail", "z-expired", "credentials", "the token expired", "export-kubeconfig"),
    ("fail", "z-expired", "connection", "Unauthorized", "export-kubeconfig"),
    ("warn", "z-soon", "credentials", "the client certificate expires", "export-kubeconfig"),
    ("fail", "z-authority", "connection", "CertificateInvalid", "export-kubeconfig"),
    ("fail", "z-nowhere", "connection", "there is no Secret default/nowhere", "export-kubeconfig"),
    ("fail", "c2", "addresses", "with c1: 10.1.0.1", "cluster-cidr"),
    ("warn", "c2", "services", "PortMismatch", "svclink explain {web}"),
    ("warn", "MAIN", "leftovers", "", "kubectl delete endpointslices"),
)


def create_faulty_links(world: World) -> None:
    """Create two valid links, and one link for each fault that a link can have."""
    main, c1, c2, add = world.main, world.c1, world.c2, world.links.add
    add("c1", c1.kubeconfig({"token": c1.token(seconds=86_400)}))
    add("c2", c2.remote_kubeconfig())
    add("z-again", c1.remote_kubeconfig())
    add("z-self", main.remote_kubeconfig())
    add("z-stranger", c2.kubeconfig({"token": c2.token(UNPRIVILEGED)}))
    add("z-program", c2.kubeconfig({"exec": {"command": "true"}}))
    add("z-dead", c2.kubeconfig({"token": "t"}, server="https://127.0.0.1:9"))
    add("z-expired", c2.kubeconfig({"token": expired_token()}))
    add("z-soon", c2.user_kubeconfig("z", not_after=datetime.now(UTC) + timedelta(days=2)))
    add("z-authority", c2.kubeconfig({"token": "t"}, server=c1.server))
    main.api.create(cluster_link("z-nowhere", kubeconfigSecretRef={"name": "nowhere"}))


def create_faulty_services(world: World) -> None:
    """Create a Pod address in two remotes, a port that main lacks, and orphaned EndpointSlices."""
    world.declare("web", ports=[port("http", 80)])
    world.publish(world.c1, "web", "10.1.0.1")
    world.create(world.c2, service(f"{world.namespace}/web", ports=[port("admin", 81)]))
    members = endpoints("10.1.0.1")
    world.create(
        world.c2,
        endpoint_slice(
            key=f"{world.namespace}/web", endpoints=members, ports=[port("admin", 9090)]
        ),
    )
    for name, labels in (
        ("old", {LABEL_GO_CLUSTER: "c1", LABEL_MANAGED_BY: MANAGED_BY}),
        ("lost", {LABEL_CLUSTER: "gone", LABEL_MANAGED_BY: MANAGED_BY}),
    ):
        orphan = endpoint_slice(name, "10.3.0.1", key=f"{world.namespace}/web", labels=labels)
        world.create(world.main, orphan)


def expired_token() -> str:
    """A made-up ServiceAccount token: API servers issue none for less than ten minutes."""
    claims = base64.urlsafe_b64encode(b'{"exp": 1}').decode().rstrip("=")
    return f"e30.{claims}.c2lnbmF0dXJl"


def test_check_distinguishes_a_missing_crd_from_an_unreachable_main(
    world: World, shell: Shell, tmp_path: Path
) -> None:
    """A missing CRD and an unreachable main cluster have different lines and fixes."""
    (missing,) = [
        each for each in json_output(shell, "check --context c1", code=2) if each["level"] != "ok"
    ]
    assert (missing["level"], missing["subject"], missing["fix"]) == (
        "fail",
        "crd",
        "kubectl apply -f crd/ --context c1",
    )

    nowhere = tmp_path / "nowhere"
    nowhere.write_text(
        world.main.kubeconfig({"token": "t"}, server="https://127.0.0.1:9"), encoding="utf-8"
    )
    (line,) = json_output(shell, f"check --kubeconfig {nowhere}", code=2)
    fix = f"kubectl cluster-info --kubeconfig {nowhere}"
    assert (line["level"], line["subject"], line["fix"]) == ("fail", "api", fix)


def test_check_of_healthy_clusters_has_only_ok_lines(
    world: World, shell: Shell, ten_remotes: list[Cluster], record_measure: RecordMeasure
) -> None:
    """With ten healthy remotes, every line is ok and has no fix.

    What is not checked are the ranges that links could allow, and what needs a Pod.
    """
    world.declare("web")
    for number, remote in enumerate(ten_remotes):
        remote.create_namespace(world.namespace)
        world.publish(remote, "web", f"10.77.{number}.1")
        world.links.add(
            remote.name, remote.kubeconfig({"token": remote.token(seconds=30 * 86_400)})
        )

    def every_line_is_ok() -> float:
        started = time.monotonic()
        found = json_output(shell, "check")
        seconds = time.monotonic() - started
        skipped = [each for each in found if each["level"] == "skip"]
        found = [each for each in found if each not in skipped]
        assert {(each["level"], each["fix"]) for each in found} == {("ok", None)}
        assert {each["subject"] for each in skipped} == {"addresses", "pod network"}
        checked = {each["cluster"] for each in found if each["subject"] == "connection"}
        assert checked == {remote.name for remote in ten_remotes}
        return seconds

    # Objects of earlier tests may still be in deletion.
    record_measure("svclink check with ten remotes, in seconds", eventually(every_line_is_ok))
