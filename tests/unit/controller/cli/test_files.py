"""Output of kubectl is read object by object; errors name the place in the file.

Real: the files, the readers, the core. Substituted: nothing.
"""

from __future__ import annotations

import copy
import gzip
import json
import os
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import yaml

from svclink_controller.cli.snapshots.file_objects import DumpError
from svclink_controller.cli.snapshots.files import ObjectSelection, read_dump, read_files
from svclink_core import PENDING, SYNCED, Options
from tests.builders.keys import WEB
from tests.builders.manifests import (
    Manifest,
    api_service,
    definition,
    namespace,
    webhook_configuration,
)
from tests.unit.controller.cli.dump_files import Files, endpoint_slice, link, object_list, service

# Reading


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps], ids=["yaml", "json"])
def test_output_of_kubectl_is_read(files: Files, dump: Callable[[Any], str]) -> None:
    """`kubectl get -o yaml` and `-o json` are read alike; objects of other kinds are skipped."""
    content = object_list(
        service(), endpoint_slice(), link(), {"kind": "Pod", "metadata": {"name": "p"}}
    )
    read = read_dump(files.write_text("dump", dump(content)))
    assert [item.metadata.key for item in read.services] == [WEB]
    assert [item.metadata.name for item in read.endpoint_slices] == ["web-abc"]
    assert [item.metadata.name for item in read.links] == ["c1"]


def test_documents_of_a_file_are_read_one_by_one(files: Files) -> None:
    """A file with several documents, some of them empty or lists, is read completely."""
    path = files.write_text(
        "dump",
        "---\n---\n"
        + yaml.safe_dump_all(
            [service("a"), object_list(service("b")), {**object_list(), "kind": "ServiceList"}]
        ),
    )
    assert [item.metadata.name for item in read_dump(path).services] == ["a", "b"]


@pytest.mark.parametrize("content", ["kind: List\nitems: []\n", "kind: List\nitems: null\n"])
def test_list_without_objects_is_read(files: Files, content: str) -> None:
    """A namespace may have no objects."""
    read = read_dump(files.write_text("dump", content))
    assert (read.services, read.endpoint_slices, read.links, read.warnings) == ([], [], [], [])


def test_times_stay_text(files: Files) -> None:
    """`2026-01-01T00:00:00Z` is a time to YAML, but text to Kubernetes and svclink."""
    times = "creationTimestamp: 2026-01-01T00:00:00Z\n  deletionTimestamp: 2026-01-02"
    path = files.write_text("dump", f"{SERVICE}metadata:\n  name: a\n  namespace: b\n  {times}\n")
    (found,) = read_dump(path).services
    assert found.metadata.creation_timestamp == "2026-01-01T00:00:00Z"
    assert found.metadata.deletion_timestamp == "2026-01-02"


SERVICE = "apiVersion: v1\nkind: Service\n"


def deep(levels: int) -> str:
    return (
        '{"kind": "Service", "metadata": {"name": "a"}, "x": ' + "[" * levels + "]" * levels + "}"
    )


def deep_yaml(levels: int) -> str:
    return "kind: Service\nx:\n" + "- " * levels + "a\n"


def deep_flow(levels: int) -> str:
    return "kind: Service\nx: " + "[" * levels + "]" * levels + "\n"


LABELLED = (
    f"{SERVICE}metadata: {{name: web, namespace: shop, labels: {{svclink.cloudpilot.ai/imported:"
)

REFUSED = [
    *(
        (content, ["empty", "run the command"])
        for content in ("", "---\n", "# nothing\n", "---\n---\n")
    ),
    (gzip.compress(b"kind: List\nitems: []\n", mtime=0), ["compressed", "decompress it"]),
    (bytes(range(256)), ["neither JSON nor YAML", "control characters"]),
    ("NAME   TYPE\nweb    ClusterIP\n", ["document 0", "not a Kubernetes object", "-o yaml"]),
    (json.dumps([service()]), ["document 0", "not a Kubernetes object"]),
    ("kind: Service\n\tmetadata: {}\n", ["neither JSON nor YAML", "tab", "line 2"]),
    ("metadata:\n  name: {{ .Values.name }}\n", ["document 0", "field name"]),
    (yaml.safe_dump({"apiVersion": "v1", "kind": "Config"}), ["no object", "kubectl get services"]),
    ('{"apiVersion": "v1", "kind": "Status"}', ["$.kind", "request failed", "-o yaml"]),
    ('{"apiVersion": "meta.k8s.io/v1", "kind": "Table"}', ["$.kind", "Table", "-o yaml"]),
    ("kind: Service\nmetadata: {name: web}\n", ["document 0", "$.apiVersion", "missing"]),
    (
        yaml.safe_dump(endpoint_slice() | {"apiVersion": "discovery.k8s.io/v1beta1"}),
        ["document 0", "$.apiVersion", "must be discovery.k8s.io/v1"],
    ),
    (
        yaml.safe_dump(link() | {"apiVersion": "svclink.cloudpilot.ai/v1"}),
        ["document 0", "$.apiVersion", "must be svclink.cloudpilot.ai/v1alpha1"],
    ),
    (yaml.safe_dump(object_list(object_list(service()))), ["document 0", "$.items[0]", "list"]),
    (f"{SERVICE}metadata: {{name: web}}\n", ["$.metadata.namespace", "missing"]),
    (f"{SERVICE}metadata: {{name: web, namespace: ~}}\n", ["$.metadata.namespace", "missing"]),
    (f"{SERVICE}metadata: {{name: web, namespace: on}}\n", ["$.metadata.namespace", "a string"]),
    (f"{SERVICE}metadata: {{name: '', namespace: shop}}\n", ["$.metadata.name", "not be empty"]),
    (LABELLED + " 5}}", ["$.metadata.labels", "a string"]),
    (LABELLED + " true}}", ["$.metadata.labels", "a string"]),
    (SERVICE + "metadata: {<<: {name: a}}", ["document 0", "$.metadata.name", "missing"]),
    (yaml.safe_dump(service(ports=[{"port": float("inf")}])), ["ports[0].port", "whole number"]),
    (yaml.safe_dump(service(ports=[None])), ["$.spec.ports[0]", "an object"]),
    (yaml.safe_dump(endpoint_slice() | {"endpoints": [None]}), ["$.endpoints[0]", "an object"]),
    (yaml.safe_dump(endpoint_slice(endpoints=[{"addresses": None}])), ["addresses", "missing"]),
    (yaml.safe_dump(endpoint_slice(endpoints=[{"addresses": "10.0.0.1"}])), ["addresses", "list"]),
]
"""Other content that is refused, and words of the error."""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a: [", ["neither JSON nor YAML"]),
        ("{", ["neither JSON nor YAML"]),
        ('{"kind": "List"} more', ["neither JSON nor YAML"]),
        (b"\xff\xfe\xfd", ["neither JSON nor YAML"]),
        (b'{"a": "\xff"}', ["neither JSON nor YAML"]),
        ("kind: !!python/object:os.system {}", ["document 0", "line 1 uses a tag", "remove it"]),
        ("kind: !!int abc", ["document 0", "line 1 uses a tag"]),
        ("a: &x b\nc: *x", ["document 0", "line 2 uses an alias", "write the value out"]),
        ("a: b\na: c", ["document 0", "'a' occurs twice"]),
        ('{"a": {"b": 1, "b": 2}}', ["document 0", "'b' occurs twice"]),
        ("1: b", ["document 0", "not a string"]),
        ("[a]: b", ["document 0", "not a string"]),
        ("a: {b: 1", ["neither JSON nor YAML"]),
        (
            "kind: Pod\nitems: [{kind: ConfigMap}]",
            ["document 0", "$.kind", "List", "Pod"],
        ),
        (
            '{"apiVersion": "v1", "kind": "Service"} {"kind": "List", "items": []}',
            ["document 0", "$.metadata"],
        ),
        (
            (
                '{"kind": "Pod"} {"kind": "List", "items": [{"kind": "Pod"}, '
                '{"apiVersion": "v1", "kind": "Service"}]}'
            ),
            ["document 1, item 1", "$.metadata"],
        ),
        (deep_yaml(50_000), ["document 0", "nested deeper than 100 levels"]),
        (deep_flow(150), ["document 0", "nested deeper than 100 levels"]),
        ("a: " + "9" * 5_000, ["neither JSON nor YAML"]),
        ('{"a": ' + "9" * 5_000 + "}", ["neither JSON nor YAML"]),
        (deep(100_000), ["document 0", "nested deeper than 100 levels"]),
        ("just text", ["document 0", "not a Kubernetes object"]),
        ("kind: Pod\n---\n- 1\n", ["document 1", "not a Kubernetes object"]),
        ("kind: List\nitems: {}", ["document 0", "$.items", "list"]),
        ("kind: List\nitems: [{kind: Pod}, 5]", ["document 0", "$.items[1]", "object"]),
        (
            yaml.safe_dump(object_list(service(), service(clusterIP=5))),
            ["document 0, item 1", "$.spec.clusterIP"],
        ),
        (
            yaml.safe_dump(service(ports=[{"port": "80"}])),
            ["document 0", "$.spec.ports[0].port", "whole number"],
        ),
        (
            yaml.safe_dump({**endpoint_slice(), "addressType": None}),
            ["document 0", "$.addressType", "missing"],
        ),
        (
            yaml.safe_dump_all([service(), link(enabled="yes")]),
            ["document 1", "$.spec.enabled", "true or false"],
        ),
        (f"{SERVICE}metadata: {{name: 5}}", ["document 0", "$.metadata.name"]),
        (SERVICE, ["document 0", "$.metadata", "missing"]),
        ("current-context: a\n", ["document 0", "$.kind", "missing", "kubectl get -o yaml"]),
        (
            "kind: List\nitems: [{metadata: {name: a}}]",
            ["document 0, item 0", "$.kind", "missing"],
        ),
        *REFUSED,
    ],
    ids=lambda value: repr(value)[:40],
)
def test_invalid_file_is_named_with_document_and_field(
    files: Files, content: str | bytes, words: list[str]
) -> None:
    """For every fault the error is one line with the file and the place."""
    path = files.write_text("bad.yaml", content)
    with pytest.raises(DumpError) as caught:
        read_dump(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert all(word in message for word in words), message
    assert "\n" not in message


def test_missing_file_is_named(files: Files) -> None:
    """The error for a file that cannot be read has its name and the reason."""
    with pytest.raises(DumpError, match=r"missing\.yaml: No such file"):
        read_dump(files.directory / "missing.yaml")
    with pytest.raises(DumpError, match="directory"):
        read_dump(files.directory)


def test_error_does_not_quote_the_file(files: Files) -> None:
    """A kubeconfig may be next to the fault, so the error quotes nothing."""
    for content in (
        '{"kubeconfig": "c2VjcmV0", }',
        "kubeconfig: c2VjcmV0\n\tx: [",
        '{"kubeconfig": "c2VjcmV0',
    ):
        with pytest.raises(DumpError) as caught:
            read_dump(files.write_text("bad", content))
        assert "c2VjcmV0" not in str(caught.value)


def test_yaml_scalars_have_the_types_of_kubernetes(files: Files) -> None:
    """Unquoted booleans and numbers are read as such; in quotes they are text."""
    read = read_dump(
        files.write_text(
            "dump",
            "apiVersion: svclink.cloudpilot.ai/v1alpha1\nkind: ClusterLink\n"
            "metadata: {name: c1, generation: 3}\nspec: {enabled: false}\n---\n"
            f"{SERVICE}metadata: {{name: 'off', namespace: \"1\"}}\n"
            "spec: {ports: [{port: 80, name: null}]}\n",
        )
    )
    assert (read.links[0].spec.enabled, read.links[0].metadata.generation) == (False, 3)
    assert (read.services[0].metadata.name, read.services[0].metadata.namespace) == ("off", "1")
    assert (read.services[0].spec.ports[0].port, read.services[0].spec.ports[0].name) == (80, "")


def test_pipe_is_read(files: Files) -> None:
    """`--main <(kubectl get ...)` is a pipe: it can be read once and not searched."""
    path = files.directory / "pipe"
    os.mkfifo(path)
    with ThreadPoolExecutor() as pool:
        pool.submit(path.write_text, json.dumps(object_list(service())))
        assert [item.metadata.key for item in read_dump(path).services] == [WEB]


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_memory_does_not_grow_with_skipped_objects(files: Files, form: str) -> None:
    """Memory does not grow with the number of skipped objects in a list."""
    pod = {"kind": "Pod", "metadata": {"name": "p", "annotations": {"note": "x" * 1000}}}
    peaks = []
    for length in (50, 500):
        content = object_list(service(), *(copy.deepcopy(pod) for _ in range(length)))
        path = files.write_text(
            f"{length}", yaml.safe_dump(content) if form == "yaml" else json.dumps(content)
        )
        tracemalloc.start()
        read_dump(path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 2 * peaks[0]


def test_remote_slices_keep_only_mirrored_fields(files: Files) -> None:
    """Nodes and Pods of a remote are not mirrored; in the main cluster they are compared."""
    content = endpoint_slice()
    content["endpoints"][0] |= {"nodeName": "n1", "targetRef": {"kind": "Pod", "name": "p"}}
    path = files.write("dump", content)
    (remote,), (main,) = (
        read_dump(path, selection).endpoint_slices for selection in (ObjectSelection(), None)
    )
    assert (remote.endpoints[0].node_name, remote.endpoints[0].target_ref) == (None, None)
    assert main.endpoints[0].node_name == "n1"


def test_namespaces_are_read(files: Files) -> None:
    """Names of namespaces are kept, and the uid of kube-system as the identity of the cluster."""
    read = read_dump(
        files.write(
            "dump",
            namespace("kube-system", uid="u1"),
            namespace("shop", uid="u2"),
        )
    )
    assert [each.metadata.name for each in read.namespaces or ()] == ["kube-system", "shop"]
    assert read.cluster_id == "u1"


KNATIVE = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"template": {"spec": {"containers": []}}},
}


@pytest.mark.parametrize(
    ("caller", "reference"),
    [
        (webhook_configuration("a"), "ValidatingWebhookConfiguration/a"),
        (
            webhook_configuration("a", kind="MutatingWebhookConfiguration"),
            "MutatingWebhookConfiguration/a",
        ),
        (api_service("a"), "APIService/a"),
        (definition("a"), "CustomResourceDefinition/a"),
    ],
)
def test_objects_that_make_the_api_server_call_services_are_read(
    files: Files, caller: Manifest, reference: str
) -> None:
    """Webhook configurations, APIServices and CRDs of main decide what a plan mirrors."""
    content = object_list(service("web"), caller, copy.deepcopy(caller))
    read = read_dump(files.write("main", content))
    assert read.api_server_calls.of(WEB).caller == reference
    assert f"{reference.replace('/', ' ')} occurs more than once" in read.warnings[0]


def test_caller_of_a_wrong_form_is_an_error(files: Files) -> None:
    """The error names the field."""
    broken = api_service() | {"spec": {"service": {"name": 7}}}
    with pytest.raises(DumpError, match=r"document 0: .*service\.name"):
        read_dump(files.write("main", broken))


def test_kind_of_another_group_is_skipped(files: Files) -> None:
    """A Knative Service beside a Service of the same name changes nothing."""
    read = read_dump(files.write("dump", service(), KNATIVE, endpoint_slice()))
    assert [each.spec.cluster_ip for each in read.services] == ["10.96.0.1"]
    assert read.warnings == []


def test_last_of_repeated_objects_counts(files: Files) -> None:
    """Of objects with one name the last is used, with a warning that names file and object."""
    path = files.write(
        "dump", service(), endpoint_slice(), endpoint_slice(None, "10.0.0.2"), service()
    )
    read = read_dump(path)
    (slice_read,) = read.endpoint_slices
    assert [each.addresses for each in slice_read.endpoints] == [("10.0.0.2",)]
    assert len(read.services) == 1
    (warning,) = read.warnings
    assert warning.startswith(f"{path}: EndpointSlice default/web-abc and 1 more occur more ")


def test_links_of_two_namespaces_are_different_objects(files: Files) -> None:
    """The CRD of the Go release is namespaced, and a Service may have the name of another kind."""
    one, other = link("web"), link("web", metadata={"namespace": "a"})
    read = read_dump(files.write("dump", one, other, service(), endpoint_slice("web")))
    assert (len(read.links), read.warnings) == (2, [])


@pytest.mark.parametrize(
    ("manifest", "words"),
    [(service(), "no EndpointSlices (kubectl get all"), (endpoint_slice(), "no Services")],
    ids=["services", "slices"],
)
def test_file_without_one_of_the_kinds_gives_a_warning(
    files: Files, manifest: Manifest, words: str
) -> None:
    """A cluster with Services has EndpointSlices: the command did not ask for them."""
    (warning,) = read_dump(files.write("dump", manifest)).warnings
    assert words in warning


@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps], ids=["kind last", "kind first"])
def test_items_have_the_kind_of_their_list(files: Files, dump: Callable[[Any], str]) -> None:
    """`kubectl get --raw` and `kubectl cluster-info dump` print items without a kind."""
    item = {key: value for key, value in service().items() if key not in ("apiVersion", "kind")}
    content = {"kind": "ServiceList", "apiVersion": "v1", "items": [item]}
    read = read_dump(files.write_text("dump", dump(content)))
    assert [each.metadata.key for each in read.services] == [WEB]


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: b"\xef\xbb\xbf" + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.replace("\n", "\r\n").encode(),
    ],
    ids=["BOM", "UTF-16", "CRLF"],
)
@pytest.mark.parametrize("dump", [yaml.safe_dump, json.dumps], ids=["yaml", "json"])
def test_files_of_windows_are_read(
    files: Files, dump: Callable[[Any], str], encode: Callable[[str], bytes]
) -> None:
    """PowerShell writes a byte order mark, UTF-16 and CRLF."""
    path = files.write_text("dump", encode(dump(object_list(service()))))
    assert [each.metadata.key for each in read_dump(path).services] == [WEB]


def test_lists_and_fields_may_be_null(files: Files) -> None:
    """The API server may write an empty list as null."""
    metadata = {"labels": None, "annotations": None, "ownerReferences": None, "finalizers": None}
    path = files.write(
        "dump",
        service(ports=None, metadata=metadata),
        endpoint_slice("a", metadata={"ownerReferences": None}) | {"endpoints": None},
        endpoint_slice("b") | {"ports": None},
        endpoint_slice("c", endpoints=[{"addresses": ["10.0.0.1"], "conditions": None}]),
    )
    for selection in (None, ObjectSelection()):
        read = read_dump(path, selection)
        assert [len(each.endpoints) for each in read.endpoint_slices] == [0, 1, 1]


def test_names_that_look_like_values_stay_text(files: Files) -> None:
    """A date is text to Kubernetes, and a name like any other."""
    path = files.write_text("dump", f"{SERVICE}metadata: {{name: 2024-01-01, namespace: 1e3}}\n")
    assert [str(each.metadata.key) for each in read_dump(path).services] == ["1e3/2024-01-01"]


# Snapshots


def test_remote_without_link_is_mirrored_without_filters(files: Files) -> None:
    """A plan can be made before the ClusterLink is created."""
    remotes = {"c1": files.write("c1", service(), endpoint_slice())}
    snapshot = read_files(files.write("main", service()), remotes, Options()).snapshot
    assert snapshot.remotes["c1"].connection == SYNCED
    assert snapshot.remotes["c1"].link.spec.enabled


def test_link_without_file_is_pending(files: Files) -> None:
    """A cluster without a file does not count as a cluster without Services."""
    snapshot = read_files(files.write("main", service(), link("c1")), {}, Options()).snapshot
    assert snapshot.remotes["c1"].connection == PENDING


def kube_system(uid: str) -> Manifest:
    return namespace("kube-system", uid=uid)


def test_refused_links_are_not_read(files: Files) -> None:
    """A file of the main cluster, or a second file of one cluster, counts as not read."""
    main = files.write("main", service(), kube_system("u-main"))
    other = files.write("other", service(), kube_system("u"))
    remotes = {"a": other, "b": other, "self": main, "unknown": files.write("empty", object_list())}
    partial = read_files(main, remotes, Options())
    assert {name: problem.reason.code for name, problem in partial.problems.items()} == {
        "b": "DuplicateCluster",
        "self": "SelfLink",
    }
    assert {
        name for name, remote in partial.snapshot.remotes.items() if remote.connection == SYNCED
    } == {"a", "unknown"}


def test_link_with_an_invalid_field_is_not_read(files: Files) -> None:
    """A file may hold what the CRD would refuse: the field is named, and nothing is planned."""
    odd = link("c1", allowedCIDRs=["10.0.0/24"])
    files.write("main.yaml", service(), odd, link("off", enabled=False, allowedCIDRs=["x"]))
    remotes = files.remote("c1", service(), endpoint_slice())
    done = files.run("plan", *remotes, "-o", "json")
    (problem,) = json.loads(done.stdout)["problems"]
    assert (problem["cluster"], problem["reason"]) == ("c1", "InvalidSpec")
    assert problem["message"].startswith("spec.allowedCIDRs has entries that are not CIDRs")
    assert json.loads(done.stdout)["changes"] == []


def test_file_of_another_cluster_is_refused(files: Files) -> None:
    """Files follow the same rule as clusters: `spec.clusterID` pins the cluster of a link."""
    main = files.write("main", service(), link("c1", clusterID="u"))
    remotes = {"c1": files.write("c1", service(), kube_system("other"))}
    problems = read_files(main, remotes, Options()).problems
    assert {name: each.reason.code for name, each in problems.items()} == {"c1": "ClusterChanged"}


def test_disabled_link_claims_no_cluster(files: Files) -> None:
    """As in the controller, a disabled link does not block another link to the same cluster."""
    main = files.write("main", service(), link("a", enabled=False), link("b"))
    other = files.write("other", service(), kube_system("u"))
    assert read_files(main, {"a": other, "b": other}, Options()).problems == {}


def test_oldest_of_links_with_one_name_is_used(files: Files) -> None:
    """The CRD of the Go release is namespaced, so a file may have two links of one name."""
    links = [link("c1", excludedNamespaces=[namespace]) for namespace in ("young", "old")]
    for each, created in zip(links, ("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"), strict=True):
        each["metadata"] |= {
            "namespace": each["spec"]["excludedNamespaces"][0],
            "creationTimestamp": created,
        }
    snapshot = read_files(files.write("main", *links), {}, Options()).snapshot
    assert snapshot.remotes["c1"].link.metadata.namespace == "old"


def test_swapped_files_are_noticed(files: Files) -> None:
    """A file of a remote cluster that has ClusterLinks may be that of the main cluster."""
    main = files.write("main.yaml", service(), endpoint_slice())
    remote = files.write("c1.yaml", service(), endpoint_slice(), link())
    (warning,) = read_files(main, {"c1": remote}, Options()).warnings
    assert warning == (
        f"{remote}: the file has ClusterLinks, which belong in the main cluster's file and"
        " are ignored here: did you swap --main and --remote c1?"
    )


def test_remote_without_a_clusterlink_is_noticed(files: Files) -> None:
    """Unless the main file has no ClusterLinks at all."""
    remote = {"clusterz": files.write("z.yaml", service(), endpoint_slice())}
    main = files.write("main.yaml", service(), endpoint_slice(), link("c1"))
    (warning,) = read_files(main, remote, Options()).warnings
    assert warning == (
        f"{main}: the file has no ClusterLink clusterz, so no filters apply to --remote"
        " clusterz; the file contains these ClusterLinks: c1"
    )
    without = files.write("without.yaml", service(), endpoint_slice())
    assert read_files(without, remote, Options()).warnings == ()
