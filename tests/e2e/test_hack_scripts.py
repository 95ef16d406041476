"""The scripts of hack/ and the commands that do the same, on real clusters with real kubectl."""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Final

import pytest
import yaml

from svclink_controller.api.connecting import user_client
from svclink_controller.cli.commands import cleanup
from svclink_controller.credentials.kubeconfig import parse_kubeconfig

from .api_client import ApiError, Object
from .control_planes import Cluster
from .objects import (
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    MANAGED_BY_SVCLINK,
    endpoint_slice,
    endpoints,
    service,
)
from .shell import Shell
from .world import World

EXPORT: Final = ("hack/export-kubeconfig.sh", "svclink export-kubeconfig")
CLEANUP: Final = ("hack/cleanup-endpointslices.sh", "svclink cleanup")
LABEL_GO: Final = "cloudpilot.ai/svclink-cluster"
LABEL_IMPORTED: Final = "svclink.cloudpilot.ai/imported"


def exported(shell: Shell, command: str) -> tuple[bytes, str]:
    """The kubeconfig that an export prints, and what it says besides."""
    done = shell.run(command)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return base64.b64decode(line, validate=True), done.stderr


def may(
    cluster: Cluster,
    kubeconfig: bytes,
    verb: str,
    resource: str,
    namespace: str = "",
    name: str = "",
) -> bool:
    """Whether a kubeconfig's user may do something, in the eyes of the API server."""
    group = {"endpointslices": "discovery.k8s.io"}.get(resource, "")
    attributes = {
        "verb": verb,
        "resource": resource,
        "group": group,
        "namespace": namespace,
        "name": name,
    }
    token = yaml.safe_load(kubeconfig)["users"][0]["user"]["token"]
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    user = cluster.api.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)[
        "status"
    ]["user"]
    access = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": user["username"],
            "groups": user["groups"],
            "resourceAttributes": attributes,
        },
    }
    answer = cluster.api.request(
        "POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", access
    )
    return bool(answer["status"]["allowed"])


@pytest.mark.parametrize("export", EXPORT)
def test_an_export_pipes_into_kubectl_apply_and_the_link_mirrors(
    world: World, remote: Cluster, shell: Shell, export: str
) -> None:
    """`--link NAME` prints a ClusterLink that becomes Ready as it is."""
    world.controller.start()
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")

    shell(f"{export} remote --link exported | kubectl apply --filename -")

    world.links.await_ready("exported")
    world.await_mirrored("web", exported=["10.1.0.1"])


@pytest.mark.real_servers(
    "the embedded server has no TokenReview, and `kubectl create token` speaks protobuf"
)
@pytest.mark.parametrize("export", EXPORT)
def test_an_exported_kubeconfig_may_read_what_is_mirrored_and_nothing_else(
    remote: Cluster, shell: Shell, export: str
) -> None:
    """Only base64 goes to stdout; svclink accepts the kubeconfig; a second export gives the same one."""
    kubeconfig, said = exported(shell, f"{export} remote")

    assert parse_kubeconfig(kubeconfig).server == remote.server
    assert "svclink-reader" in said
    assert may(remote, kubeconfig, "list", "services")
    assert may(remote, kubeconfig, "watch", "endpointslices")
    assert may(remote, kubeconfig, "get", "namespaces", "kube-system", "kube-system")
    for verb, resource in (
        ("list", "secrets"),
        ("list", "pods"),
        ("delete", "endpointslices"),
        ("create", "services"),
    ):
        assert not may(remote, kubeconfig, verb, resource)
    assert exported(shell, f"{export} remote")[0] == kubeconfig


@pytest.mark.real_servers(
    "the embedded server has no TokenReview, and `kubectl create token` speaks protobuf"
)
@pytest.mark.parametrize("export", EXPORT)
def test_an_export_for_namespaces_makes_roles_and_an_expiring_token(
    world: World, remote: Cluster, shell: Shell, export: str
) -> None:
    """`--namespaces` reads there only, and the link asks for no more; with `--duration` no Secret is made."""
    world.controller.start()
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")
    command = f"{export} remote --link=narrow --namespaces={world.namespace},default --duration=24h"
    manifest = yaml.safe_load(shell(command))
    kubeconfig = base64.b64decode(manifest["spec"]["kubeconfig"])

    assert manifest["spec"]["includedNamespaces"] == [world.namespace, "default"]
    assert may(remote, kubeconfig, "list", "services", world.namespace)
    assert not may(remote, kubeconfig, "list", "services", "kube-system")
    assert not may(remote, kubeconfig, "list", "services")
    with pytest.raises(ApiError, match="404"):
        remote.api.get("secrets", "svclink-token", "kube-system")
    payload = yaml.safe_load(kubeconfig)["users"][0]["user"]["token"].split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    assert claims["exp"] - claims["iat"] == 24 * 3600
    world.main.api.create(manifest)
    world.links.await_ready("narrow")
    world.await_mirrored("web", narrow=["10.1.0.1"])
    remote.api.delete("roles", "svclink-reader", "default")
    remote.api.delete("rolebindings", "svclink-reader", "default")


@pytest.mark.parametrize("namespaces", ["", "--namespaces default"])
def test_script_and_command_make_the_same_objects(
    remote: Cluster, shell: Shell, namespaces: str
) -> None:
    """Whoever runs the one after the other finds nothing changed but kubectl's own annotation."""
    kind = "roles" if namespaces else "clusterroles"
    where = "default" if namespaces else None
    found = []
    for export in EXPORT:
        shell(f"{export} remote {namespaces}")
        role = remote.api.get(kind, "svclink-reader", where)
        binding = remote.api.get(kind.removesuffix("s") + "bindings", "svclink-reader", where)
        found.append((role["rules"], binding["roleRef"], binding["subjects"]))
        remote.api.delete(kind, "svclink-reader", where)
        remote.api.delete(kind.removesuffix("s") + "bindings", "svclink-reader", where)
    assert found[0] == found[1]


@pytest.mark.real_servers("the embedded server has no ConfigMaps")
@pytest.mark.parametrize("export", EXPORT)
def test_an_export_takes_the_own_authority_of_a_cluster_whose_kubeconfig_names_none(
    remote: Cluster, tmp_path: Path, export: str
) -> None:
    """An administrator who does not verify the server hands out a kubeconfig that does."""
    kubeconfig = yaml.safe_load(remote.admin_kubeconfig())
    authority = base64.b64decode(
        kubeconfig["clusters"][0]["cluster"].pop("certificate-authority-data")
    ).decode()
    kubeconfig["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    path, name = "/api/v1/namespaces/kube-system/configmaps", "kube-root-ca.crt"
    config_map = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {"ca.crt": authority},
    }
    remote.api.request("POST", path, config_map)

    found, _ = exported(
        Shell(tmp_path, remote=yaml.safe_dump(kubeconfig)), f"{export} --duration 1h"
    )

    assert parse_kubeconfig(found).ca_data.strip() == authority.strip()
    remote.api.request("DELETE", f"{path}/{name}")


# Cleaning up


@pytest.fixture
def left(world: World) -> World:
    """What svclink and its Go release made is left in two namespaces, beside slices of others."""
    for namespace in (world.namespace, "default"):
        for name, labels in {
            "ours": {LABEL_MANAGED_BY: MANAGED_BY_SVCLINK, LABEL_CLUSTER: "gone"},
            "of-the-go-release": {LABEL_GO: "gone"},
            "of-another": {LABEL_MANAGED_BY: "another", LABEL_CLUSTER: "gone"},
        }.items():
            world.create(world.main, labelled(namespace, name, labels))
    return world


def labelled(namespace: str, name: str, labels: Object) -> Object:
    """An EndpointSlice with these labels and no others that say whose it is."""
    made = endpoint_slice(namespace, "web", endpoints("10.1.0.1"), name=name)
    made["metadata"]["labels"] = labels
    return made


def slices(world: World, namespace: str) -> set[str]:
    """The names of the EndpointSlices of a namespace, but for that of the API server itself."""
    return {
        each["metadata"]["name"] for each in world.main.api.find("endpointslices", namespace)
    } - {"kubernetes"}


EVERYTHING: Final = {"ours", "of-the-go-release", "of-another"}


@pytest.mark.parametrize("clean", CLEANUP)
def test_a_cleanup_deletes_what_svclink_made_where_it_was_told_to(
    left: World, shell: Shell, clean: str
) -> None:
    """A dry run, an answer of no and another namespace delete nothing; slices of others are never touched."""
    shown = shell(f"{clean} --dry-run")
    assert f"{left.namespace}/ours" in shown
    assert "default/of-the-go-release" in shown
    assert "of-another" not in shown
    assert shell.run(clean, answer="n\n").returncode == 1
    assert shell.run(clean).returncode == 1
    assert shell(f"{clean} -n kube-system -y") == ""
    assert slices(left, left.namespace) == EVERYTHING

    shell(f"{clean} -n {left.namespace} --keep-go-release", answer="y\n")
    assert slices(left, left.namespace) == EVERYTHING - {"ours"}
    assert slices(left, "default") == EVERYTHING

    shell(f"{clean} -A --yes")
    assert slices(left, "default") == {"of-another"}
    assert shell(f"{clean} --dry-run") == ""


def test_nox_sessions_clean_up_as_the_script_does(left: World, shell: Shell) -> None:
    """`nox -s cleanup-endpointslices-dry` shows it, `nox -s cleanup-endpointslices` does it."""
    shown = shell("nox --session cleanup-endpointslices-dry")
    assert f"would delete {left.namespace}/ours" in shown
    assert slices(left, left.namespace) == EVERYTHING
    shell("nox --session cleanup-endpointslices -- --yes")
    assert slices(left, left.namespace) == slices(left, "default") == {"of-another"}


def test_a_slice_that_changed_since_it_was_listed_is_left(left: World, shell: Shell) -> None:
    """Deletes carry uid and resourceVersion: what is deleted is what was looked at."""

    async def look_and_delete() -> str:
        client = await user_client(shell.kubeconfig, "main")
        found = await cleanup.find(client, left.namespace)
        left.main.api.patch(
            "endpointslices", "ours", left.namespace, {"metadata": {"annotations": {"a": "b"}}}
        )
        results = [
            await cleanup.delete_object(client, each)
            for each in found
            if each.metadata.name == "ours"
        ]
        await client.close()
        return results[0].outcome

    assert asyncio.run(look_and_delete()).startswith("left: 409")
    assert "ours" in slices(left, left.namespace)


def test_a_cleanup_of_services_deletes_those_that_svclink_created(
    left: World, shell: Shell
) -> None:
    """`--services` goes by the label; other Services stay."""
    created = service(left.namespace, "created")
    created["metadata"]["labels"] = {LABEL_IMPORTED: "true"}
    left.create(left.main, created)
    left.declare("of-the-user")

    rows = json.loads(shell(f"svclink cleanup --services -n {left.namespace} --yes -o json"))

    assert {(row["kind"], row["name"], row["outcome"]) for row in rows} == {
        ("EndpointSlice", "ours", "deleted"),
        ("EndpointSlice", "of-the-go-release", "deleted"),
        ("Service", "created", "deleted"),
    }
    names = [each["metadata"]["name"] for each in left.main.api.find("services", left.namespace)]
    assert names == ["of-the-user"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("hack/export-kubeconfig.sh one two", "give one context"),
        ("hack/export-kubeconfig.sh --link", "--link needs a value"),
        ("hack/export-kubeconfig.sh --link Not_a_name", "no name for a ClusterLink"),
        ("hack/export-kubeconfig.sh --namespaces kube-system", "never mirrored"),
        ("hack/export-kubeconfig.sh --namespaces A", "not the name of a namespace"),
        ("hack/export-kubeconfig.sh --duration soon", "not a duration"),
        ("hack/export-kubeconfig.sh --duration 9m59s", "ten minutes"),
        ("hack/export-kubeconfig.sh --what", "no option --what"),
        ("hack/export-kubeconfig.sh --server http://a", "https only"),
        ("hack/export-kubeconfig.sh nowhere", "nowhere"),
        ("hack/cleanup-endpointslices.sh -n", "-n needs a value"),
        ("hack/cleanup-endpointslices.sh -n a -A", "not both"),
        ("hack/cleanup-endpointslices.sh --what", "no option --what"),
        ("hack/cleanup-endpointslices.sh --context nowhere -y", "nowhere"),
    ],
)
def test_wrong_input_gives_one_sentence_and_exit_code_1(
    shell: Shell, command: str, words: str
) -> None:
    """Nothing goes to stdout, so nothing wrong gets into a pipe."""
    done = shell.run(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [*EXPORT, *CLEANUP])
def test_help_is_there_without_a_cluster(shell: Shell, command: str) -> None:
    """`--help` ends with 0."""
    assert "--" in shell(f"{command} --help", KUBECONFIG="/nowhere")
