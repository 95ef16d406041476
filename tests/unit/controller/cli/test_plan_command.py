"""`svclink plan` says what would be changed, from files, and changes nothing.

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
from tests.unit.controller.cli.dump_files import Files, link, mirrored, piece, rows, service


def test_plan_shows_decisions_and_changes(files: Files) -> None:
    """The tables say what becomes of every Service of every cluster, and which slices are written."""
    files.write("main.yaml", service(), link("c1"))
    files.write("c1.yaml", service(), piece(), service("other"))
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}")
    assert rows(output) == [
        ["SERVICE", "CLUSTER", "OUTCOME"],
        ["default/other", "c1", "Skipped"],
        ["default/web", "c1", "Mirrored"],
        ["CHANGE", "ENDPOINTSLICE", "CLUSTER"],
        ["create", "default/web-c1", "c1"],
    ]


def test_row_is_a_line(files: Files) -> None:
    """In a pipe nothing is wrapped, so that lines can be searched."""
    files.write("main.yaml", link("c1"))
    files.write("c1.yaml", service("x" * 63, "y" * 63))
    (line,) = [
        line
        for line in files.plan("--remote", f"c1={files.directory / 'c1.yaml'}").splitlines()
        if "Skipped" in line
    ]
    assert f"{'y' * 63}/{'x' * 63}" in line
    assert line.rstrip().endswith("the main cluster has no Service of this namespace and name")


def test_plan_without_changes_says_so(files: Files) -> None:
    """Nothing to do is said in words."""
    files.write("main.yaml", service())
    assert "Nothing to change." in files.plan()


def test_plan_shows_findings(files: Files) -> None:
    """What is left out of a mirrored Service is listed with the reason."""
    files.write("main.yaml", service(), link("c1"))
    files.write("c1.yaml", service(), piece(address="127.0.0.1"))
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}")
    assert ["default/web", "c1", "InvalidEndpoints"] in rows(output)
    assert "127.0.0.1" in output


def test_nothing_of_a_link_without_file_is_deleted(files: Files) -> None:
    """What is not known is not nothing: mirrored slices of a link for which no file was given stay."""
    files.write("main.yaml", service(), link("c1"), mirrored("c1"))
    output = files.plan()
    assert ["default/web", "c1", "Kept"] in rows(output)
    assert "delete" not in {row[0] for row in rows(output)}


def test_slices_of_a_link_that_does_not_exist_are_deleted(files: Files) -> None:
    """Mirrored slices of no link are leftovers."""
    files.write("main.yaml", service(), mirrored("gone"))
    assert ["delete", "default/web-abc", "gone"] in rows(files.plan())


def test_flag_of_the_controller_counts(files: Files) -> None:
    """`--included-namespaces` restricts the plan as it restricts the controller."""
    files.write("main.yaml", service(), link("c1"))
    files.write("c1.yaml", service(), piece())
    output = files.plan(
        "--remote", f"c1={files.directory / 'c1.yaml'}", before=("--included-namespaces", "other")
    )
    assert ["default/web", "c1", "Skipped"] in rows(output)


def test_yaml_output_is_the_slices(files: Files) -> None:
    """With `-o yaml` the slices to write are printed as manifests; those to delete are comments with the command."""
    files.write("main.yaml", service(), link("c1"), mirrored("gone"))
    files.write("c1.yaml", service(), piece())
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}", "-o", "yaml")
    (manifest,) = yaml.safe_load_all(output)
    assert "\n# kubectl delete endpointslice -n default web-abc  # no ClusterLink" in output
    written = structure(manifest, EndpointSlice)
    assert (written.metadata.name, written.cluster) == ("web-c1", "c1")


def test_example_of_the_documentation_works() -> None:
    """The dumps under docs/example give the plan that README shows."""
    example = Path(__file__).parents[4] / "docs" / "example"
    remotes = [
        flag
        for name in ("cluster-a", "cluster-b")
        for flag in ("--remote", f"{name}={example / name}.yaml")
    ]
    done = CliRunner().invoke(svclink, ["plan", "--main", str(example / "main.yaml"), *remotes])
    assert ["create", "shop/web-cluster-a", "cluster-a"] in rows(done.output)


def test_plan_changes_no_file(files: Files) -> None:
    """Reading is all that is done with the files."""
    path = files.write("main.yaml", service())
    before = path.read_bytes()
    files.plan()
    assert [each.name for each in files.directory.iterdir()] == ["main.yaml"]
    assert path.read_bytes() == before


def test_json_output_is_the_whole_plan(files: Files) -> None:
    """With `-o json` a program gets changes with their objects, decisions, findings and problems."""
    files.write("main.yaml", service(), link("c1"), mirrored("gone"))
    remote = files.remote(
        "c1", service(), piece(), piece("other"), service("other"), piece(address="127.0.0.1")
    )
    data = json.loads(files.plan(*remote, "-o", "json"))
    created, deleted = data["changes"]
    assert (created["change"], created["name"], created["reason"]) == (
        "create",
        "default/web-c1",
        "SourceAdded",
    )
    assert structure(created["object"], EndpointSlice).cluster == "c1"
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
    """With `-o diff` each change is a unified diff of manifests, without what only the API server writes."""
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": "web",
        "uid": "uid-of-web",
        "controller": True,
    }
    old = mirrored("c1")
    old["metadata"] |= {
        "annotations": {"svclink.cloudpilot.ai/source-slice": "web-abc"},
        "ownerReferences": [owner | {"blockOwnerDeletion": False}],
    }
    old["endpoints"][0]["conditions"] = {"ready": True, "serving": True, "terminating": False}
    files.write("main.yaml", service(), link("c1"), old)
    lines = files.plan(
        *files.remote("c1", service(), piece(address="10.0.0.9")), "-o", "diff"
    ).splitlines()
    at = lines.index(
        "# update endpointslice default/web-abc: the mirrored EndpointSlice differs from the remote one"
    )
    assert lines[at + 1 : at + 3] == ["--- main/default/web-abc", "+++ plan/default/web-abc"]
    changed = [line for line in lines[at + 3 :] if line[:1] in "+-"]
    assert changed == ["-  - 10.0.0.1", "+  - 10.0.0.9"]


def test_diff_of_what_comes_and_goes(files: Files) -> None:
    """What is created differs from nothing, what is deleted becomes nothing."""
    files.write("main.yaml", service(), link("c1"), mirrored("gone"))
    lines = files.plan(*files.remote("c1", service(), piece()), "-o", "diff").splitlines()
    assert lines[1:3] == ["--- /dev/null", "+++ plan/default/web-c1"]
    at = lines.index(
        "# delete endpointslice default/web-abc: no ClusterLink of this cluster exists"
    )
    assert lines[at + 1 : at + 3] == ["--- main/default/web-abc", "+++ /dev/null"]


def test_exit_code_tells_whether_something_changes(files: Files) -> None:
    """With `--detailed-exitcode` 2 says that something would be changed; without, and without changes, it is 0."""
    files.write("main.yaml", service(), link("c1"))
    changes, nothing = files.remote("c1", service(), piece()), files.remote("c2", service())
    assert files.run("plan", *changes).exit_code == 0
    assert files.run("plan", *changes, "--detailed-exitcode").exit_code == 2
    assert files.run("plan", *nothing, "--detailed-exitcode").exit_code == 0


def test_bad_remote_prints_nothing(files: Files) -> None:
    """Where a file is bad, nothing is on standard output: half a plan might be applied."""
    files.write("main.yaml", service(), link("c1"))
    done = files.run("plan", *files.remote("c1", service(), {"kind": "Service"}), "-o", "yaml")
    assert done.stdout == ""
    assert "document 1: $.metadata: required field missing" in str(done.exception)


def test_cluster_that_is_not_read_is_named(files: Files) -> None:
    """Why nothing is known of a cluster stands next to the decisions."""
    kube_system = {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u"}}
    files.write("main.yaml", service(), kube_system)
    remote = files.remote("c1", service(), kube_system)
    assert ["c1", "SelfLink", "the"] in rows(files.plan(*remote))
    (problem,) = json.loads(files.plan(*remote, "-o", "json"))["problems"]
    assert (problem["cluster"], problem["reason"]) == ("c1", "SelfLink")


@pytest.mark.parametrize("output", ["table", "diff", "json", "yaml"])
def test_nothing_of_a_cluster_moves_the_cursor(files: Files, output: str) -> None:
    """What a remote says is printed as text: it can neither colour the terminal nor be taken for markup."""
    files.write("main.yaml", service("web"), link("c1"))
    odd = piece("web", address="\x1b[31m[bold]\x07")
    odd["endpoints"].append({"addresses": ["10.0.0.1"]})
    output = files.plan(
        *files.remote("c1", service("web"), service("\x1b[2J[red]"), odd), "-o", output
    )
    assert "\x1b" not in output
    assert "\x07" not in output


def test_colour_is_for_terminals(files: Files) -> None:
    """On a terminal words are coloured, unless NO_COLOR is set; in a pipe they never are."""
    main = files.write("main.yaml", service(), link("c1"))
    remote = files.write("c1.yaml", service(), piece())
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
    """What a command prints where its standard output is a terminal."""
    reader, writer = pty.openpty()
    with subprocess.Popen(command, stdout=writer, env=environment):
        os.close(writer)
        printed = b""
        with contextlib.suppress(
            OSError
        ):  # At the end, Linux says that there is no terminal any more.
            while chunk := os.read(reader, 65536):
                printed += chunk
    os.close(reader)
    return printed.decode()
