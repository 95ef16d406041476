"""`svclink plan` prints the changes for clusters whose objects are in files.

Real: the command, the files, the core. Substituted: nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from svclink_controller.cli.main import svclink
from svclink_core import EndpointSlice
from svclink_core.codec import structure
from svclink_core.ownership import cluster_of
from svclink_core.well_known import ANNOTATION_ENDPOINT_GROUP
from tests.builders import manifests
from tests.unit.controller.cli.dump_files import (
    Files,
    endpoint_slice,
    link,
    mirrored_slice,
    rows,
    service,
)


def test_plan_shows_decisions_and_changes(files: Files) -> None:
    """The tables contain the decision for every Service and cluster, and the changes."""
    files.write("main.yaml", service(), link("c1"))
    files.write("c1.yaml", service(), endpoint_slice(), service("other"))
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}")
    assert rows(output) == [
        ["SERVICE", "CLUSTER", "OUTCOME"],
        ["default/other", "c1", "Skipped"],
        ["default/web", "c1", "Mirrored"],
        ["CHANGE", "ENDPOINTSLICE", "CLUSTER"],
        ["create", "default/web-c1", "c1"],
    ]


def test_rows_are_not_wrapped_in_a_pipe(files: Files) -> None:
    """In a pipe rows are not wrapped, so that lines can be searched."""
    files.write("main.yaml", link("c1"))
    files.write("c1.yaml", service(f"{'y' * 63}/{'x' * 63}"))
    (line,) = [
        line
        for line in files.plan("--remote", f"c1={files.directory / 'c1.yaml'}").splitlines()
        if "Skipped" in line
    ]
    assert f"{'y' * 63}/{'x' * 63}" in line
    assert line.rstrip().endswith("the main cluster has no Service with this namespace and name")


def test_plan_without_changes_says_so(files: Files) -> None:
    """The output says that there are no changes."""
    files.write("main.yaml", service())
    assert "Nothing to change." in files.plan()


def test_plan_shows_findings(files: Files) -> None:
    """What cannot be mirrored of a Service is listed with the reason."""
    files.write("main.yaml", service(), link("c1"))
    files.write("c1.yaml", service(), endpoint_slice(None, "127.0.0.1"))
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}")
    assert ["default/web", "c1", "InvalidEndpoints"] in rows(output)
    assert "127.0.0.1" in output


def test_link_without_file_keeps_its_slices(files: Files) -> None:
    """Mirrored slices of a link without a file are kept."""
    files.write("main.yaml", service(), link("c1"), mirrored_slice(cluster="c1"))
    output = files.plan()
    assert ["default/web", "c1", "Kept"] in rows(output)
    assert "delete" not in {row[0] for row in rows(output)}


def test_slices_without_a_link_are_deleted(files: Files) -> None:
    """Mirrored slices without a link are deleted."""
    files.write("main.yaml", service(), mirrored_slice(cluster="gone"))
    assert ["delete", "default/web-gone", "gone"] in rows(files.plan())


def test_flags_of_the_controller_apply(files: Files) -> None:
    """`--included-namespaces` restricts the plan."""
    files.write("main.yaml", service(), link("c1"))
    files.write("c1.yaml", service(), endpoint_slice())
    output = files.plan(
        "--remote", f"c1={files.directory / 'c1.yaml'}", before=("--included-namespaces", "other")
    )
    assert ["default/web", "c1", "Skipped"] in rows(output)


def test_deletions_that_the_controller_would_hold_are_not_changes(files: Files) -> None:
    """Services whose deletion would be held are kept, with the reason; the flag decides."""
    names = [f"default/s{number:02}" for number in range(24)]
    mirrors = [mirrored_slice(key=name, cluster="c1") for name in names]
    files.write("main.yaml", link("c1"), *map(service, names), *mirrors)
    remote = files.remote("c1", service("default/other"))
    output = files.plan(*remote)
    assert output.count("most of the EndpointSlices that svclink mirrors disappeared") == 24
    assert "Nothing to change." in output
    lifted = files.plan(*remote, before=("--deletion-hold=0s",))
    assert len([row for row in rows(lifted) if row[0] == "delete"]) == 24


def test_yaml_output_is_manifests(files: Files) -> None:
    """`-o yaml` prints manifests to apply, and comments with commands for deletions."""
    files.write("main.yaml", service(), link("c1"), mirrored_slice(cluster="gone"))
    files.write("c1.yaml", service(), endpoint_slice())
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}", "-o", "yaml")
    (manifest,) = yaml.safe_load_all(output)
    assert (
        "\n# kubectl delete endpointslice -n default web-gone  # there is no ClusterLink" in output
    )
    written = structure(manifest, EndpointSlice)
    assert (written.metadata.name, cluster_of(written)) == ("web-c1", "c1")


def test_example_of_the_documentation_works() -> None:
    """The files in docs/example give the plan in README."""
    example = Path(__file__).parents[4] / "docs" / "example"
    remotes = [
        flag
        for name in ("cluster-a", "cluster-b")
        for flag in ("--remote", f"{name}={example / name}.yaml")
    ]
    done = CliRunner().invoke(svclink, ["plan", "--main", str(example / "main.yaml"), *remotes])
    assert ["create", "shop/web-cluster-a", "cluster-a"] in rows(done.output)


def test_plan_writes_no_file(files: Files) -> None:
    """The command writes no file."""
    path = files.write("main.yaml", service())
    before = path.read_bytes()
    files.plan()
    assert [each.name for each in files.directory.iterdir()] == ["main.yaml"]
    assert path.read_bytes() == before


def test_json_output_is_the_whole_plan(files: Files) -> None:
    """`-o json` contains changes with their objects, decisions, findings and problems."""
    files.write("main.yaml", service(), link("c1"), mirrored_slice(cluster="gone"))
    remote = files.remote(
        "c1",
        service(),
        endpoint_slice(),
        endpoint_slice(key="other"),
        service("other"),
        endpoint_slice("web-def", "127.0.0.1"),
    )
    data = json.loads(files.plan(*remote, "-o", "json"))
    created, deleted = data["changes"]
    assert (created["change"], created["name"], created["reason"]) == (
        "create",
        "default/web-c1",
        "SourceAdded",
    )
    assert cluster_of(structure(created["object"], EndpointSlice)) == "c1"
    assert (deleted["change"], deleted["cluster"], deleted["object"]) == ("delete", "gone", None)
    assert [(each["service"], each["outcome"], each["reason"]) for each in data["decisions"]] == [
        ("default/other", "Skipped", "MainServiceMissing"),
        ("default/web", "Mirrored", "Mirrored"),
        ("default/web", "Skipped", "LinkGone"),
    ]
    assert [(each["reason"], each["details"]) for each in data["findings"]] == [
        ("InvalidEndpoints", ["127.0.0.1"])
    ]
    assert data["problems"] == []


def test_diff_output_shows_the_lines_that_change(files: Files) -> None:
    """`-o diff` prints a unified diff for each change, without fields of the API server."""
    files.write("main.yaml", service(), link("c1"), mirrored_slice())
    lines = files.plan(
        *files.remote("c1", service(), endpoint_slice(None, "10.0.0.9")), "-o", "diff"
    ).splitlines()
    at = lines.index(
        "# update endpointslice default/web-c1: the mirrored EndpointSlice differs from the"
        " remote one"
    )
    assert lines[at + 1 : at + 3] == ["--- main/default/web-c1", "+++ plan/default/web-c1"]
    changed = [line for line in lines[at + 3 :] if line[:1] in "+-"]
    assert changed == ["-  - 10.0.0.1", "+  - 10.0.0.9"]


def test_diff_of_created_and_deleted_objects(files: Files) -> None:
    """A created object differs from /dev/null, a deleted one becomes /dev/null."""
    files.write("main.yaml", service(), link("c1"), mirrored_slice(cluster="gone"))
    lines = files.plan(*files.remote("c1", service(), endpoint_slice()), "-o", "diff").splitlines()
    assert lines[1:3] == ["--- /dev/null", "+++ plan/default/web-c1"]
    at = lines.index(
        "# delete endpointslice default/web-gone: there is no ClusterLink for the cluster"
    )
    assert lines[at + 1 : at + 3] == ["--- main/default/web-gone", "+++ /dev/null"]


def test_detailed_exit_code_depends_on_changes(files: Files) -> None:
    """`--detailed-exitcode` exits with 2 if there are changes, else with 0."""
    files.write("main.yaml", service(), link("c1"))
    changes, nothing = (
        files.remote("c1", service(), endpoint_slice()),
        files.remote("c2", service()),
    )
    assert files.run("plan", *changes).exit_code == 0
    assert files.run("plan", *changes, "--detailed-exitcode").exit_code == 2
    assert files.run("plan", *nothing, "--detailed-exitcode").exit_code == 0


def test_invalid_file_prints_nothing_to_stdout(files: Files) -> None:
    """If a file is invalid, nothing goes to stdout: half a plan might be applied."""
    files.write("main.yaml", service(), link("c1"))
    done = files.run(
        "plan",
        *files.remote("c1", service(), {"apiVersion": "v1", "kind": "Service"}),
        "-o",
        "yaml",
    )
    assert done.stdout == ""
    assert "document 1: $.metadata: required field missing" in str(done.exception)


def test_oddities_of_files_are_warnings(files: Files) -> None:
    """A warning names file and object, on standard error: the output stays JSON."""
    path = files.write("main.yaml", service(), endpoint_slice(), service())
    done = files.run("plan", "-o", "json")
    assert (
        done.stderr == f"Warning: {path}: Service default/web occurs more than once:"
        " the last one is used\n"
    )
    assert json.loads(done.stdout)["problems"] == []


@pytest.mark.parametrize("command", [("plan",), ("explain", "default/web")])
def test_endpoint_without_an_address_is_left_out(files: Files, command: tuple[str, ...]) -> None:
    """The API server accepts no such endpoint; in a file it is neither mirrored nor compared."""
    files.write(
        "main.yaml", service(), endpoint_slice(endpoints=[{"addresses": []}, manifests.endpoint()])
    )
    remote = files.remote(
        "c1", service(), endpoint_slice(endpoints=[{"addresses": []}, manifests.endpoint()])
    )
    done = files.run(*command, *remote)
    assert done.exception is None
    assert "10.0.0.1 (the main cluster)" in done.stdout
    assert "(no address)" in done.stdout


def test_unread_cluster_is_listed_with_the_reason(files: Files) -> None:
    """The reason why a cluster could not be read is in the output."""
    kube_system = manifests.namespace("kube-system", uid="u")
    files.write("main.yaml", service(), kube_system)
    remote = files.remote("c1", service(), kube_system)
    assert ["c1", "SelfLink", "the"] in rows(files.plan(*remote))
    (problem,) = json.loads(files.plan(*remote, "-o", "json"))["problems"]
    assert (problem["cluster"], problem["reason"]) == ("c1", "SelfLink")


@pytest.mark.parametrize("output", ["table", "diff", "json", "yaml"])
def test_control_characters_are_not_printed(files: Files, output: str) -> None:
    """Text of a remote cannot contain control characters or markup."""
    files.write("main.yaml", service("web"), link("c1"))
    odd = endpoint_slice(None, "\x1b[31m[bold]\x07")
    odd["endpoints"].append({"addresses": ["10.0.0.1"]})
    output = files.plan(
        *files.remote("c1", service("web"), service("\x1b[2J[red]"), odd), "-o", output
    )
    assert "\x1b" not in output
    assert "\x07" not in output


def test_color_is_for_terminals(files: Files) -> None:
    """Words are colored on a terminal without NO_COLOR, never in a pipe."""
    main = files.write("main.yaml", service(), link("c1"))
    remote = files.write("c1.yaml", service(), endpoint_slice())
    command = [
        sys.executable,
        "-m",
        "svclink_controller",
        "plan",
        "--main",
        str(main),
        "--remote",
        f"c1={remote}",
    ]
    bare = {
        name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")
    }
    assert "\x1b[32m" in on_a_terminal(command, bare | {"TERM": "xterm"})
    assert "\x1b[32m" not in on_a_terminal(command, bare | {"TERM": "xterm", "NO_COLOR": "1"})
    piped = subprocess.run(
        command, capture_output=True, text=True, check=True, env=bare | {"TERM": "xterm"}
    )
    assert "\x1b" not in piped.stdout


def on_a_terminal(command: list[str], environment: dict[str, str]) -> str:
    """The output of a command whose stdout is a terminal."""
    reader, writer = pty.openpty()
    with subprocess.Popen(command, stdout=writer, env=environment):
        os.close(writer)
        printed = b""
        with contextlib.suppress(OSError):  # At the end, Linux reports that the terminal is gone.
            while chunk := os.read(reader, 65536):
                printed += chunk
    os.close(reader)
    return printed.decode()


def test_plan_names_services_that_look_stateful(files: Files) -> None:
    """Before they are merged: who connects to a database would reach members of both clusters."""
    local = endpoint_slice("web-local", "10.9.9.9")
    local["endpoints"][0]["targetRef"] = {"kind": "Pod", "name": "db-0", "namespace": "default"}
    files.write("main.yaml", service(), local, link("c1"))
    files.write("c1.yaml", service(), endpoint_slice())
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}")
    assert ["default/web", "c1", "LooksStateful"] in rows(output)
    assert "StatefulSet's, so they may differ between clusters: db" in output


def test_plan_names_services_with_a_network_endpoint_group(files: Files) -> None:
    """Their mirrors keep the controller of GKE from following local Pods."""
    annotated = service(annotations={ANNOTATION_ENDPOINT_GROUP: '{"ingress": true}'})
    files.write("main.yaml", annotated, link("c1"))
    files.write("c1.yaml", service(), endpoint_slice())
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}")
    assert ["default/web", "c1", "HasEndpointGroup"] in rows(output)
    assert output.count('{"ingress": true}') == 1


def gold() -> dict[str, dict[str, str]]:
    """A new selector each time, since a file must not refer to the same one twice."""
    return {"matchLabels": {"tier": "gold"}}


def test_selectors_apply_to_files(files: Files) -> None:
    """As the API server of the remote cluster applies them. A Namespace needs its labels too."""
    files.write(
        "main.yaml",
        service(),
        service("api"),
        service("other/web"),
        link("c1", serviceSelector=gold(), namespaceSelector=gold()),
    )
    files.write(
        "c1.yaml",
        manifests.namespace("default", labels={"tier": "gold"}),
        manifests.namespace("other"),
        service(labels={"tier": "gold"}),
        endpoint_slice(),
        service("api"),
        endpoint_slice(None, key="default/api"),
        service("other/web", labels={"tier": "gold"}),
    )
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}", "-o", "json")
    decisions = {each["service"]: each["reason"] for each in json.loads(output)["decisions"]}
    assert decisions == {
        "default/web": "Mirrored",
        "default/api": "ServiceNotSelected",
        "other/web": "NamespaceNotSelected",
    }


def test_a_namespace_selector_needs_namespaces_in_the_file(files: Files) -> None:
    """Nothing is known of labels that are not in it."""
    files.write("main.yaml", service(), link("c1", namespaceSelector=gold()))
    path = files.write("c1.yaml", service(), endpoint_slice())
    done = files.run("plan", "--remote", f"c1={path}")
    assert done.exit_code == 1
    assert (
        "the file contains no Namespaces, but the ClusterLink's namespaceSelector needs them"
        in str(done.exception)
    )


def policy(name: str = "web", share: int = 0) -> dict[str, object]:
    """A TrafficPolicy for default/web."""
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"targetRef": {"name": "web"}, "clusters": [{"name": "c1", "share": share}]},
    }


def test_plan_shows_a_policy_that_is_not_applied_yet(files: Files) -> None:
    """Its shares and the changes that follow; the policies of the main file count without it."""
    local = {"metadata": {"name": "web-local", "namespace": "default"}}
    files.write("main.yaml", service(), endpoint_slice() | local, link("c1"))
    files.write("policy.yaml", policy())
    remote = endpoint_slice(endpoints=[{"addresses": ["10.0.0.9"]}])
    files.write("c1.yaml", service(), remote)
    arguments = ("--remote", f"c1={files.directory / 'c1.yaml'}", "-o", "json")
    before = json.loads(files.plan(*arguments))
    after = json.loads(files.plan(*arguments, "--policy", str(files.directory / "policy.yaml")))
    assert before["traffic"] == []
    (traffic,) = after["traffic"]
    assert [(each["cluster"], each["wantedShare"]) for each in traffic["clusters"]] == [
        (None, None),
        ("c1", 0),
    ]


def test_file_without_a_policy_is_refused(files: Files) -> None:
    """The sentence names the file."""
    files.write("main.yaml", service(), link("c1"))
    main = str(files.directory / "main.yaml")
    done = CliRunner().invoke(svclink, ["plan", "--main", main, "--policy", main])
    assert "main.yaml: the file contains no TrafficPolicy" in str(done.exception)


@pytest.mark.parametrize("share", [130, -1])
def test_policy_that_the_crd_refuses_is_refused(files: Files, share: int) -> None:
    """In the file of --policy and in the main file: the sentence names file, field and fix."""
    main = str(files.write("main.yaml", service(), link("c1")))
    file = str(files.write("policy.yaml", policy(share=share)))
    both = str(files.write("both.yaml", service(), link("c1"), policy(share=share)))
    for arguments in (("--main", main, "--policy", file), ("--main", both)):
        done = CliRunner().invoke(svclink, ["plan", *arguments])
        assert done.exit_code == 1
        assert str(done.exception).endswith(
            f": $.spec.clusters[0].share: {share} is out of range: use a whole number from 0 to 100"
        )
