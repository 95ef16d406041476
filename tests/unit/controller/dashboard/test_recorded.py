"""Clusters whose objects were read once.

Real: files, the board, facts, `svclink explain`. Substituted: nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from svclink_controller.cli.snapshots.files import read_files
from svclink_controller.dashboard.recorded import recorded_fleet
from svclink_core import NamespacedName, Options, Reason
from tests.builders.keys import WEB
from tests.builders.manifests import port
from tests.builders.values import cluster, mirrored_slice, service, snapshot_of
from tests.unit.controller.cli.dump_files import Files, endpoint_slice, link, object_list
from tests.unit.controller.cli.dump_files import service as service_manifest


def test_page_says_what_explain_says(tmp_path: Path) -> None:
    """Decisions, findings with notes, traffic and changes come from one plan."""
    files = Files(tmp_path)
    policy = {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"targetRef": {"kind": "Service", "name": "web"}, "minReady": 1, "clusters": []},
    }
    items = [service_manifest("web"), endpoint_slice("web"), link("c1"), link("c2"), policy]
    main = files.write("main.yaml", object_list(*items))
    pods = endpoint_slice("web", "10.1.0.1", ports=[port("http", 9999)])
    remote = files.write("c1.yaml", object_list(service_manifest("web"), pods))
    done = files.run("explain", "default/web", "--remote", f"c1={remote}", "-o", "json")
    explained = json.loads(done.stdout)
    found = read_files(main, {"c1": remote}, Options())
    board, facts = recorded_fleet(found.snapshot, found.problems)
    shown = json.loads(msgspec.json.encode(facts.service(WEB, board.revision)))
    known = ("outcome", "reason", "message", "reference")
    assert [{name: each[name] for name in known} for each in shown["clusters"][1:]] == [
        {name: each[name] for name in known} for each in explained["clusters"]
    ]
    findings = [finding for each in explained["clusters"] for finding in each["findings"]]
    assert shown["findings"] == findings
    assert [each["reason"] for each in findings] == ["TargetPortsDiffer"]
    assert [{**each, "text": "", "object": ""} for each in shown["changes"]] == [
        {**each, "text": "", "object": ""} for each in explained["changes"]
    ]
    assert [shown["traffic"]] == explained["traffic"]


def test_deletions_that_a_controller_holds_are_held() -> None:
    """The cluster lost all of its Services at once."""
    keys = [NamespacedName("default", f"s{number}") for number in range(24)]
    mirrors = [mirrored_slice(key=key) for key in keys]
    own = [service(key) for key in keys]
    board, _ = recorded_fleet(
        snapshot_of(cluster("c1", services=[]), services=own, slices=mirrors), {}
    )
    found = [board.service(key) for key in keys]
    reasons = {each.cells[0].reason for each in found if each is not None}
    assert reasons == {Reason.DELETION_HELD}


def test_warnings_about_files_are_shown() -> None:
    """They are about the facts, so the page has them too."""
    board, _ = recorded_fleet(snapshot_of(), {}, ("web occurs twice",))
    assert board.main.is_complete
    assert board.main.problems == (("files", "web occurs twice"),)
