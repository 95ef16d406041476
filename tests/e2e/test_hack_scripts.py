"""The scripts of hack/ and the equivalent commands, on real clusters with kubectl."""

from __future__ import annotations

import asyncio
import base64
import json
import shutil
from pathlib import Path
from typing import Final

import pytest
import yaml

from svclink_controller.api.connecting import main_client
from svclink_controller.cli.commands import cleanup
from svclink_controller.credentials.kubeconfig import parse_kubeconfig
from svclink_core.well_known import (
    ANNOTATION_GO_IMPORTED,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_IMPORTED,
    LABEL_MANAGED_BY,
    MANAGED_BY,
)
from tests.builders.manifests import Manifest, endpoint_slice, service

from . import rbac
from .api_client import ApiError
from .control_planes import Cluster
from .documented_commands import documented_commands
from .polling import eventually
from .requirements import require
from .shell import Shell
from .world import World

EXPORT: Final = ("hack/export-kubeconfig.sh", "svclink export-kubeconfig")
CLEANUP: Final = ("hack/cleanup-endpointslices.sh", "svclink cleanup")


def exported(shell: Shell, command: str) -> tuple[bytes, str]:
    """The kubeconfig that an export prints, and its standard error."""
    done = shell.run(command)
    assert done.returncode == 0, done.stderr
    (line,) = done.stdout.splitlines()
    return base64.b64decode(line, validate=True), done.stderr


def require_access(
    cluster: Cluster,
    kubeconfig: bytes,
    verb: str,
    resource: str,
    namespace: str = "",
    name: str = "",
    *,
    allowed: bool = True,
) -> None:
    """Wait until the API server allows, or denies, a request of the kubeconfig's user."""
    token = yaml.safe_load(kubeconfig)["users"][0]["user"]["token"]
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": token},
    }
    user = cluster.api.request("POST", "/apis/authentication.k8s.io/v1/tokenreviews", review)[
        "status"
    ]["user"]

    def has_access() -> None:
        name_of_user, groups = user["username"], user["groups"]
        answer = rbac.may(cluster.api, name_of_user, verb, resource, namespace, name, groups=groups)
        assert answer is allowed, f"{verb} {resource}: {answer}"

    eventually(has_access)


@pytest.mark.parametrize("export", EXPORT)
def test_exported_link_becomes_ready_and_mirrors(
    world: World, remote: Cluster, shell: Shell, export: str
) -> None:
    """The ClusterLink that `--link NAME` prints can be applied, becomes Ready and mirrors."""
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
def test_exported_kubeconfig_may_only_read_what_is_mirrored(
    remote: Cluster, shell: Shell, export: str
) -> None:
    """Only a kubeconfig goes to stdout, its user may only read, and it stays the same."""
    kubeconfig, messages = exported(shell, f"{export} remote")

    assert parse_kubeconfig(kubeconfig).server == remote.server
    assert "svclink-reader" in messages
    require_access(remote, kubeconfig, "list", "services")
    require_access(remote, kubeconfig, "watch", "endpointslices")
    require_access(remote, kubeconfig, "get", "namespaces", "kube-system", "kube-system")
    for verb, resource in (
        ("list", "secrets"),
        ("list", "pods"),
        ("delete", "endpointslices"),
        ("create", "services"),
    ):
        require_access(remote, kubeconfig, verb, resource, allowed=False)
    assert exported(shell, f"{export} remote")[0] == kubeconfig


@pytest.mark.real_servers(
    "the embedded server has no TokenReview, and `kubectl create token` speaks protobuf"
)
@pytest.mark.parametrize("export", EXPORT)
def test_export_for_namespaces_creates_roles_and_an_expiring_token(
    world: World, remote: Cluster, shell: Shell, export: str
) -> None:
    """`--namespaces` limits role and link, and `--duration` creates no Secret."""
    world.controller.start()
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")
    command = f"{export} remote --link=narrow --namespaces={world.namespace},default --duration=24h"
    manifest = yaml.safe_load(shell(command))
    kubeconfig = base64.b64decode(manifest["spec"]["kubeconfig"])

    assert manifest["spec"]["includedNamespaces"] == [world.namespace, "default"]
    require_access(remote, kubeconfig, "list", "services", world.namespace)
    require_access(remote, kubeconfig, "list", "services", "kube-system", allowed=False)
    require_access(remote, kubeconfig, "list", "services", allowed=False)
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


@pytest.mark.parametrize(
    ("flags", "roles"),
    [
        ("", [("clusterroles", None)]),
        ("--list-namespaces", [("clusterroles", None)]),
        ("--namespaces default", [("roles", "default")]),
        ("--namespaces default --list-namespaces", [("roles", "default"), ("clusterroles", None)]),
    ],
)
def test_script_and_command_create_the_same_objects(
    remote: Cluster, shell: Shell, flags: str, roles: list[tuple[str, str | None]]
) -> None:
    """The script and the command create the same roles and bindings."""
    created = []
    for export in EXPORT:
        kubeconfig = base64.b64decode(shell(f"{export} remote {flags}"))
        lists_namespaces = "--list-namespaces" in flags
        require_access(remote, kubeconfig, "list", "namespaces", allowed=lists_namespaces)
        for kind, namespace in roles:
            bindings = kind.removesuffix("s") + "bindings"
            role = remote.api.get(kind, "svclink-reader", namespace)
            binding = remote.api.get(bindings, "svclink-reader", namespace)
            created.append((export, role["rules"], binding["roleRef"], binding["subjects"]))
            remote.api.delete(kind, "svclink-reader", namespace)
            remote.api.delete(bindings, "svclink-reader", namespace)
    script, command = ([each[1:] for each in created if each[0] == export] for export in EXPORT)
    assert script == command


@pytest.mark.real_servers("the embedded server has no ConfigMaps")
@pytest.mark.parametrize("export", EXPORT)
def test_export_reads_the_ca_from_the_cluster_if_the_kubeconfig_has_none(
    remote: Cluster, tmp_path: Path, export: str
) -> None:
    """The exported kubeconfig verifies the server even if the administrator's does not."""
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


# Cleanup


@pytest.fixture
def uncleaned(world: World) -> World:
    """Slices of svclink, of its Go release and of another controller exist in two namespaces."""
    for namespace in (world.namespace, "default"):
        for name, labels in {
            "ours": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_CLUSTER: "gone"},
            "of-the-go-release": {LABEL_MANAGED_BY: MANAGED_BY, LABEL_GO_CLUSTER: "gone"},
            "of-another": {LABEL_MANAGED_BY: "another", LABEL_CLUSTER: "gone"},
        }.items():
            world.create(world.main, labelled(namespace, name, labels))
    return world


def labelled(namespace: str, name: str, labels: Manifest) -> Manifest:
    """An EndpointSlice with exactly these labels."""
    labelled_slice = endpoint_slice(name, "10.1.0.1", key=f"{namespace}/web")
    labelled_slice["metadata"]["labels"] = labels
    return labelled_slice


def slices(world: World, namespace: str) -> set[str]:
    """The names of the EndpointSlices in a namespace, except the API server's own."""
    return {
        each["metadata"]["name"] for each in world.main.api.find("endpointslices", namespace)
    } - {"kubernetes"}


EVERYTHING: Final = {"ours", "of-the-go-release", "of-another"}


@pytest.mark.parametrize("clean", CLEANUP)
def test_cleanup_deletes_slices_of_svclink_in_the_selected_namespaces(
    uncleaned: World, shell: Shell, clean: str
) -> None:
    """A dry run, the answer no and other namespaces delete nothing; foreign slices stay."""
    shown = shell(f"{clean} -d")
    assert f"{uncleaned.namespace}/ours" in shown
    assert "default/of-the-go-release" in shown
    assert "of-another" not in shown
    assert shell.run(clean, answer="n\n").returncode == 1
    assert shell.run(clean).returncode == 1
    assert shell(f"{clean} -n kube-system -y") == ""
    assert slices(uncleaned, uncleaned.namespace) == EVERYTHING

    shell(f"{clean} -n {uncleaned.namespace} --keep-go-release", answer="y\n")
    assert slices(uncleaned, uncleaned.namespace) == EVERYTHING - {"ours"}
    assert slices(uncleaned, "default") == EVERYTHING

    shell(f"{clean} -A --yes")
    assert slices(uncleaned, "default") == {"of-another"}
    assert shell(f"{clean} --dry-run") == ""


def require_make() -> None:
    """Skip the test without `make`, which the e2e session installs if permitted; CI needs it."""
    if shutil.which("make") is None:
        require("make is not on the PATH: install the Debian package make")


@pytest.mark.parametrize(
    ("dry", "delete"),
    [
        ("nox --session cleanup-endpointslices-dry", "nox --session cleanup-endpointslices --"),
        ("make cleanup-endpointslices-dry", "make cleanup-endpointslices ARGS="),
    ],
    ids=["nox", "make"],
)
def test_targets_clean_up_like_the_script(
    uncleaned: World, shell: Shell, dry: str, delete: str
) -> None:
    """The nox sessions and the targets of the Makefile list and delete what the script does."""
    if dry.startswith("make"):
        require_make()
    shown = shell(dry)
    assert f"would delete {uncleaned.namespace}/ours" in shown
    assert slices(uncleaned, uncleaned.namespace) == EVERYTHING
    shell(f"{delete} --yes" if "nox" in delete else f"{delete}--yes")
    assert slices(uncleaned, uncleaned.namespace) == slices(uncleaned, "default") == {"of-another"}


def test_make_without_a_target_deletes_nothing(uncleaned: World, shell: Shell) -> None:
    """It prints the targets and the flags of the script."""
    require_make()
    shown = shell("make", answer="y\n")
    assert "make cleanup-endpointslices-dry" in shown
    assert "--keep-go-release" in shown
    assert slices(uncleaned, "default") == EVERYTHING


@pytest.mark.parametrize(
    ("example", "answer", "left", "left_in_default"),
    [
        ("preview", "", EVERYTHING, EVERYTHING),
        ("one-namespace", "", EVERYTHING, {"of-another"}),
        ("all-namespaces", "Yes\n", {"of-another"}, {"of-another"}),
        ("arguments", "", {"of-another"}, {"of-another"}),
        ("kubectl", "", {"of-another"}, {"of-another"}),
    ],
)
def test_documented_commands_clean_up(
    uncleaned: World,
    shell: Shell,
    example: str,
    answer: str,
    left: set[str],
    left_in_default: set[str],
) -> None:
    """Each example of docs/how-to/cleanup-endpointslices.md deletes what the page says."""
    require_make()
    shell(documented_commands("docs/how-to/cleanup-endpointslices.md")[example], answer=answer)
    assert slices(uncleaned, uncleaned.namespace) == left
    assert slices(uncleaned, "default") == left_in_default


def test_cleanup_skips_slices_that_changed_after_the_list(uncleaned: World, shell: Shell) -> None:
    """A slice that changed after it was listed is skipped with a conflict."""

    async def list_and_delete() -> str:
        client = await main_client(shell.kubeconfig, "main")
        listed = await cleanup.find(client, uncleaned.namespace)
        uncleaned.main.api.patch(
            "endpointslices", "ours", uncleaned.namespace, {"metadata": {"annotations": {"a": "b"}}}
        )
        results = [
            await cleanup.delete_object(client, each)
            for each in listed
            if each.metadata.name == "ours"
        ]
        await client.close()
        return results[0].outcome

    assert asyncio.run(list_and_delete()).startswith("not deleted: 409")
    assert "ours" in slices(uncleaned, uncleaned.namespace)


def test_cleanup_of_services_deletes_imported_ones(uncleaned: World, shell: Shell) -> None:
    """`--services` deletes Services that svclink or its Go release created, and no others."""
    imported = service(f"{uncleaned.namespace}/created", labels={LABEL_IMPORTED: "true"})
    uncleaned.create(uncleaned.main, imported)
    uncleaned.create(
        uncleaned.main,
        service(f"{uncleaned.namespace}/of-go", annotations={ANNOTATION_GO_IMPORTED: "true"}),
    )
    uncleaned.declare("of-the-user")

    rows = json.loads(shell(f"svclink cleanup --services -n {uncleaned.namespace} --yes -o json"))

    assert {(row["kind"], row["name"], row["outcome"]) for row in rows} == {
        ("EndpointSlice", "ours", "deleted"),
        ("EndpointSlice", "of-the-go-release", "deleted"),
        ("Service", "created", "deleted"),
        ("Service", "of-go", "deleted"),
    }
    names = [
        each["metadata"]["name"]
        for each in uncleaned.main.api.find("services", uncleaned.namespace)
    ]
    assert names == ["of-the-user"]


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("hack/export-kubeconfig.sh one two", "use one context"),
        ("hack/export-kubeconfig.sh --link", "--link needs a value"),
        ("hack/export-kubeconfig.sh --link Not_a_name", "not a valid ClusterLink name"),
        ("hack/export-kubeconfig.sh --namespaces kube-system", "never mirrored"),
        ("hack/export-kubeconfig.sh --namespaces A", "not a valid namespace"),
        ("hack/export-kubeconfig.sh --duration soon", "not a duration"),
        ("hack/export-kubeconfig.sh --duration 9m59s", "10m or more"),
        ("hack/export-kubeconfig.sh --what", "unknown option --what"),
        ("hack/export-kubeconfig.sh --server http://a", "only https"),
        ("hack/export-kubeconfig.sh nowhere", "nowhere"),
        ("hack/cleanup-endpointslices.sh -n", "-n needs a value"),
        ("hack/cleanup-endpointslices.sh -n a -A", "not both"),
        ("hack/cleanup-endpointslices.sh --what", "unknown option --what"),
        ("hack/cleanup-endpointslices.sh --context nowhere -y", "nowhere"),
    ],
)
def test_invalid_input_exits_with_1_and_one_sentence(
    shell: Shell, command: str, words: str
) -> None:
    """Invalid input prints nothing on stdout, which may be a pipe, and one sentence on stderr."""
    done = shell.run(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert words in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [*EXPORT, *CLEANUP])
def test_help_needs_no_cluster(shell: Shell, command: str) -> None:
    """`--help` exits with 0 without a kubeconfig."""
    assert "--" in shell(f"{command} --help", KUBECONFIG="/nowhere")
