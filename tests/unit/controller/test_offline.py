"""`svclink plan` says what would be done, from files; what is wrong with a file is said with its place.

Real: the command, the files, the core. Substituted: nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml
from attrs import define
from click.testing import CliRunner

from svclink_controller.cli import svclink
from svclink_controller.offline import DumpError, is_dns_label, read_dump, snapshot_of
from svclink_core import PENDING, SYNCED, EndpointSlice, NamespacedName, Options
from svclink_core.codec import structure

Object: TypeAlias = dict[str, Any]

WEB = NamespacedName("default", "web")


def service(name: str = "web", namespace: str = "default", **spec: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-of-{name}", "resourceVersion": "1"},
        "spec": {"clusterIP": "10.96.0.1", "ipFamilies": ["IPv4"], "ports": [{"name": "http", "port": 80}], **spec},
    }


def piece(service: str = "web", namespace: str = "default", address: str = "10.0.0.1", **labels: str) -> Object:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{service}-abc",
            "namespace": namespace,
            "uid": f"uid-of-{service}-abc",
            "resourceVersion": "1",
            "labels": {"kubernetes.io/service-name": service, **labels},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
    }


def mirrored(cluster: str = "c1") -> Object:
    labels = {
        "endpointslice.kubernetes.io/managed-by": "svclink.cloudpilot.ai",
        "svclink.cloudpilot.ai/cluster": cluster,
    }
    return piece(**labels)


def link(name: str = "c1", **spec: Any) -> Object:
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "ClusterLink",
        "metadata": {"name": name},
        "spec": spec,
    }


def a_list(*items: Any) -> Object:
    return {"apiVersion": "v1", "kind": "List", "items": list(items)}


@define
class Files:
    """Dumps in a directory, and the command over them."""

    directory: Path

    def write(self, name: str, *documents: Any) -> Path:
        return self.write_text(name, yaml.safe_dump_all(documents))

    def write_text(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def plan(self, *flags: str, main: str = "main.yaml", before: tuple[str, ...] = ()) -> str:
        done = CliRunner().invoke(svclink, [*before, "plan", "--main", str(self.directory / main), *flags])
        assert done.exception is None, done.output
        return done.output


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def rows(output: str) -> list[list[str]]:
    """The table as words, without the sentences behind them."""
    return [line.split()[:3] for line in output.splitlines() if line.strip()]


# Reading


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps], ids=["yaml", "json"])
def test_list_of_kubectl_is_read(files: Files, dump: Callable[[Any], str]) -> None:
    """What `kubectl get -o yaml` and `-o json` print is read alike, objects of other kinds are passed over."""
    content = a_list(service(), piece(), link(), {"kind": "Pod", "metadata": {"name": "p"}}, {})
    read = read_dump(files.write_text("dump", dump(content)))
    assert [item.metadata.key for item in read.services] == [WEB]
    assert [item.metadata.name for item in read.endpoint_slices] == ["web-abc"]
    assert [item.metadata.name for item in read.links] == ["c1"]


def test_documents_of_a_file_are_read_one_by_one(files: Files) -> None:
    """A file of several documents, some of them empty or lists, is read whole."""
    path = files.write_text(
        "dump",
        "---\n---\n" + yaml.safe_dump_all([service("a"), a_list(service("b")), {**a_list(), "kind": "ServiceList"}]),
    )
    assert [item.metadata.name for item in read_dump(path).services] == ["a", "b"]


@pytest.mark.parametrize(
    "content", ["", "---\n", "# nothing\n", "kind: List\nitems: []\n", "kind: List\nitems: null\n"]
)
def test_file_without_objects_is_empty(files: Files, content: str) -> None:
    """A cluster may have nothing."""
    read = read_dump(files.write_text("dump", content))
    assert (read.services, read.endpoint_slices, read.links) == ([], [], [])


def test_times_stay_text(files: Files) -> None:
    """YAML takes `2026-01-01T00:00:00Z` for a time; Kubernetes for text, and so does svclink."""
    times = "creationTimestamp: 2026-01-01T00:00:00Z\n  deletionTimestamp: 2026-01-02"
    path = files.write_text("dump", f"kind: Service\nmetadata:\n  name: a\n  {times}\n")
    (found,) = read_dump(path).services
    assert found.metadata.creation_timestamp == "2026-01-01T00:00:00Z"
    assert found.metadata.deletion_timestamp == "2026-01-02"


def deep(levels: int) -> str:
    return '{"kind": "Service", "metadata": {"name": "a"}, "x": ' + "[" * levels + "]" * levels + "}"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", ["neither JSON nor YAML"]),
        ("{", ["neither JSON nor YAML"]),
        ('{"kind": "List"} more', ["neither JSON nor YAML"]),
        (b"\xff\xfe\xfd", ["neither JSON nor YAML"]),
        (b'{"a": "\xff"}', ["neither JSON nor YAML"]),
        ("kind: !!python/object:os.system {}", ["neither JSON nor YAML"]),
        ("kind: !!int abc", ["neither JSON nor YAML"]),
        (deep(100_000), ["neither JSON nor YAML"]),
        ("just text", ["document 0", "no Kubernetes object"]),
        ("a: b\n---\n- 1\n", ["document 1", "no Kubernetes object"]),
        ("kind: List\nitems: {}", ["document 0", "$.items", "list"]),
        ("kind: List\nitems: [{}, 5]", ["document 0", "$.items[1]", "object"]),
        (yaml.safe_dump(a_list(service(), service(clusterIP=5))), ["document 0, item 1", "$.spec.clusterIP"]),
        (yaml.safe_dump(service(ports=[{"port": "80"}])), ["document 0", "$.spec.ports[0].port", "whole number"]),
        (yaml.safe_dump({**piece(), "addressType": None}), ["document 0", "$.addressType", "missing"]),
        (yaml.safe_dump_all([service(), link(enabled="yes")]), ["document 1", "$.spec.enabled", "true or false"]),
        ("kind: Service\nmetadata: {name: 5}", ["document 0", "$.metadata.name"]),
        ("kind: Service\n", ["document 0", "$.metadata", "missing"]),
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_bad_file_is_named_with_document_and_field(files: Files, content: str | bytes, words: list[str]) -> None:
    """Whatever is wrong in a file, the error is one line that names the file and the place."""
    path = files.write_text("bad.yaml", content)
    with pytest.raises(DumpError) as caught:
        read_dump(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_missing_file_is_named(files: Files) -> None:
    """A file that cannot be read is named with the reason."""
    with pytest.raises(DumpError, match=r"missing\.yaml: No such file"):
        read_dump(files.directory / "missing.yaml")
    with pytest.raises(DumpError, match="directory"):
        read_dump(files.directory)


# Snapshots


def test_remote_without_link_is_mirrored_without_filters(files: Files) -> None:
    """A plan can be asked for before the ClusterLink is made."""
    view = snapshot_of(
        read_dump(files.write("main", service())), {"c1": read_dump(files.write("c1", service(), piece()))}, Options()
    )
    assert view.remotes["c1"].connection == SYNCED
    assert view.remotes["c1"].link.spec.enabled


def test_link_without_remote_is_a_cluster_of_which_nothing_is_known(files: Files) -> None:
    """A ClusterLink for which no file was given is not a cluster without Services."""
    view = snapshot_of(read_dump(files.write("main", service(), link("c1"))), {}, Options())
    assert view.remotes["c1"].connection == PENDING


# The command


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
        line for line in files.plan("--remote", f"c1={files.directory / 'c1.yaml'}").splitlines() if "Skipped" in line
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
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}", before=("--included-namespaces", "other"))
    assert ["default/web", "c1", "Skipped"] in rows(output)


def test_yaml_output_is_the_slices(files: Files) -> None:
    """With `-o yaml` the slices to write are printed as manifests; those to delete are not."""
    files.write("main.yaml", service(), link("c1"), mirrored("gone"))
    files.write("c1.yaml", service(), piece())
    output = files.plan("--remote", f"c1={files.directory / 'c1.yaml'}", "-o", "yaml")
    (manifest,) = yaml.safe_load_all(output)
    written = structure(manifest, EndpointSlice)
    assert (written.metadata.name, written.cluster) == ("web-c1", "c1")


def test_example_of_the_documentation_works() -> None:
    """The dumps under docs/example give the plan that README shows."""
    example = Path(__file__).parents[3] / "docs" / "example"
    remotes = [flag for name in ("cluster-a", "cluster-b") for flag in ("--remote", f"{name}={example / name}.yaml")]
    done = CliRunner().invoke(svclink, ["plan", "--main", str(example / "main.yaml"), *remotes])
    assert ["create", "shop/web-cluster-a", "cluster-a"] in rows(done.output)


def test_plan_changes_no_file(files: Files) -> None:
    """Reading is all that is done with the files."""
    path = files.write("main.yaml", service())
    before = path.read_bytes()
    files.plan()
    assert [each.name for each in files.directory.iterdir()] == ["main.yaml"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", True),
        ("a-1", True),
        ("1", True),
        ("x" * 63, True),
        ("", False),
        ("x" * 64, False),
        ("-a", False),
        ("a-", False),
        ("A", False),
        ("a.b", False),
        ("a\n", False),
        ("ä", False),
    ],
)
def test_dns_labels(text: str, expected: bool) -> None:
    """A DNS-1123 label has 1 to 63 lower-case letters, digits and hyphens, the latter not at its ends."""
    assert is_dns_label(text) is expected
