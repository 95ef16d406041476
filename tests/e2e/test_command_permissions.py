"""Every command with exactly the permissions of the manifests or the chart, and with fewer."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import yaml

from svclink_controller.cli.main import COMMANDS
from svclink_core.well_known import LABEL_CLUSTER, LABEL_MANAGED_BY, MANAGED_BY
from tests.builders.manifests import Manifest, cluster_link, endpoint_slice, secret

from . import rbac
from .api_client import ApiError
from .control_planes import Cluster
from .dashboard_process import dashboards
from .polling import eventually
from .shell import Shell
from .test_deploy_manifests import MANIFESTS, rendered
from .world import World

SOURCES: Final = {"manifests": lambda: MANIFESTS, "chart": rendered}
PERMISSIONS: Final = {
    "Namespace",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
}
HOME: Final = "cloudpilot"
ACCOUNT: Final = f"system:serviceaccount:{HOME}:svclink"

# What each command is run with, and its exit code with the permissions of the Pod.
CASES: Final = {
    "status": 0,
    "services": 0,
    "services --all": 0,
    "plan": 0,
    "explain {web}": 0,
    "check": 0,
    "cleanup --dry-run": 0,
    "cleanup --services --dry-run": 0,
    "cleanup --yes -n {namespace}": 0,
    "traffic {web}": 0,
    "traffic {web} --set c1=10 --dry-run": 0,
    "undrain c1": 0,
    # These change a remote cluster, links and policies, which svclink itself never does.
    "export-kubeconfig": 1,
    "traffic {web} --set c1=10": 1,
    "shift {web} --to c1 --steps 10": 1,
    "drain c1": 1,
}
WITHOUT_CLUSTER: Final = {"demo"}
UNTIL_STOPPED: Final = {"dashboard"}
OURS: Final = {LABEL_CLUSTER: "gone", LABEL_MANAGED_BY: MANAGED_BY}

pytestmark = pytest.mark.real_servers("the embedded server does not check permissions")


@pytest.fixture(params=SOURCES)
def granted(
    request: pytest.FixtureRequest, world: World, shell: Shell, tmp_path: Path
) -> Iterator[World]:
    """What the manifests or the chart grant, and a link whose kubeconfig is in a Secret."""
    objects = [each for each in SOURCES[request.param]().values() if each["kind"] in PERMISSIONS]
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": HOME}}
    file = tmp_path / "permissions.yaml"
    file.write_text(yaml.safe_dump_all([namespace, *objects]), encoding="utf-8")
    shell(f"kubectl apply --filename {file}")
    eventually(lambda: assert_roles_in_force(world.main))
    world.main.api.create(secret(f"{HOME}/c1", kubeconfig=world.c1.remote_kubeconfig()))
    world.main.api.create(cluster_link("c1", kubeconfigSecretRef={"name": "c1"}))
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    yield world
    shell(f"kubectl delete --filename {file}")


def assert_roles_in_force(main: Cluster) -> None:
    """Assert that the API server has seen both roles of the Pod, and their bindings."""
    assert rbac.may(main.api, ACCOUNT, "list", "services")
    assert rbac.may(main.api, ACCOUNT, "list", "secrets", HOME)


def kubeconfig_of(cluster: Cluster, token: str, namespace: str, directory: Path) -> Path:
    """A kubeconfig of a ServiceAccount, with the namespace of its context."""
    file = directory / f"{namespace}.kubeconfig"
    content = cluster.kubeconfig({"token": token}, namespace=namespace)
    file.write_text(content, encoding="utf-8")
    return file


def test_every_command_works_with_the_permissions_of_the_pod(
    granted: World, shell: Shell, tmp_path: Path
) -> None:
    """No request of a command is denied, and the Secret of the link is read."""
    tried = {case.split()[0] for case in CASES}
    assert tried | WITHOUT_CLUSTER | UNTIL_STOPPED == set(COMMANDS)
    token = shell(f"kubectl create token svclink --namespace {HOME}").strip()
    file = kubeconfig_of(granted.main, token, HOME, tmp_path)
    names = {"namespace": granted.namespace, "web": f"{granted.namespace}/web"}
    for case, code in CASES.items():
        mark = granted.main.audit_mark()
        done = shell.run(f"svclink {case.format(**names)} --kubeconfig {file}")
        assert done.returncode == code, f"{case}: {done.stdout}{done.stderr}"
        denied = [each for each in granted.main.audit_events(mark, ACCOUNT) if each.denied]
        assert bool(denied) is (code == 1), (case, denied, done.stderr)
        assert "could not be read" not in done.stdout, case


def test_dashboard_works_with_the_permissions_of_the_pod(
    granted: World, shell: Shell, tmp_path: Path
) -> None:
    """No request of it is denied. It shows no Events, which the Pod may not list."""
    token = shell(f"kubectl create token svclink --namespace {HOME}").strip()
    file = kubeconfig_of(granted.main, token, HOME, tmp_path)
    mark = granted.main.audit_mark()
    with dashboards("--kubeconfig", str(file)) as dashboard:
        service = f"{granted.namespace}/web"
        eventually(lambda: dashboard.require_outcome(service, "c1", "Mirrored"))
        assert dashboard.snapshot()["events"] is None
    assert [each for each in granted.main.audit_events(mark, ACCOUNT) if each.denied] == []


def test_namespace_that_cannot_be_searched_for_is_assumed(
    granted: World, shell: Shell, tmp_path: Path
) -> None:
    """The permissions of the Pod do not suffice to search: the commands say so, and the flag."""
    token = shell(f"kubectl create token svclink --namespace {HOME}").strip()
    file = kubeconfig_of(granted.main, token, "default", tmp_path)
    explain = f"svclink explain {granted.namespace}/web --kubeconfig {file}"
    assumed = shell(explain)
    assert "the credentials in use cannot list Deployments or Leases in all namespaces" in assumed
    assert "pass --controller-namespace" in assumed
    assert "could not be read" not in shell(f"{explain} --controller-namespace {HOME}")
    checked = shell.run(f"svclink check --kubeconfig {file} -o json")
    (line,) = [each for each in json.loads(checked.stdout) if each["subject"] == "connection"]
    assert line["fix"].startswith("kubectl auth can-i list secrets --namespace default")


def viewed(*resources: str) -> list[Manifest]:
    """Rules that permit to get and list these."""
    groups = ["", "discovery.k8s.io", "apps", "svclink.cloudpilot.ai"]
    return [{"apiGroups": groups, "resources": list(resources), "verbs": ["get", "list"]}]


@pytest.fixture
def viewer(granted: World, tmp_path: Path) -> Iterator[Path]:
    """The kubeconfig of a user who may list much, but neither ClusterLinks nor Secrets."""
    api = granted.main.api
    seen = viewed("services", "endpointslices", "trafficpolicies", "deployments")
    rbac.grant(api, "viewer", seen, rbac.user("viewer"))
    file = tmp_path / "viewer.kubeconfig"
    file.write_text(granted.main.user_kubeconfig("viewer"), encoding="utf-8")
    yield file
    for resource in ("clusterrolebindings", "clusterroles"):
        for name in ("viewer", "link-viewer"):
            with contextlib.suppress(ApiError):
                api.delete(resource, name)


def test_user_who_may_not_list_links_gets_one_sentence(
    granted: World, shell: Shell, viewer: Path
) -> None:
    """It names what may not be read. No command ends with a traceback or with an empty answer."""
    for command in ("status", "services", "plan", f"explain {granted.namespace}/web"):
        done = shell.run(f"svclink {command} --kubeconfig {viewer}")
        assert (done.returncode, done.stdout) == (1, ""), command
        (sentence,) = done.stderr.splitlines()
        problem = "Error: cannot list clusterlinks in the main cluster: 403"
        assert sentence.startswith(problem)
    checked = shell.run(f"svclink check --kubeconfig {viewer} -o json")
    lines = json.loads(checked.stdout)
    assert checked.returncode == 2
    assert ("permissions", "fail") in {(each["subject"], each["level"]) for each in lines}
    (unread,) = [each["message"] for each in lines if each["subject"] == "objects"]
    assert unread.startswith("cannot list clusterlinks in the main cluster")
    refused = shell.run(f"svclink export-kubeconfig --kubeconfig {viewer}")
    assert refused.returncode == 1
    assert "cannot create resource" in refused.stderr.splitlines()[-1]


def test_user_who_may_not_read_secrets_is_told_which_one(
    granted: World, shell: Shell, viewer: Path
) -> None:
    """The namespace is found by the Deployment, and there is no advice to replace the Secret."""
    api = granted.main.api
    rbac.grant(api, "link-viewer", viewed("clusterlinks", "namespaces"), rbac.user("viewer"))
    deployment = MANIFESTS["Deployment", "svclink"]
    shell(f"kubectl apply -f - <<'END'\n{json.dumps(deployment)}\nEND")

    def is_told() -> None:
        planned = shell(f"svclink plan --kubeconfig {viewer}")
        assert f"Secret {HOME}/c1 cannot be read: 403 Forbidden" in planned
        assert "export-kubeconfig" not in planned

    eventually(is_told)  # The API server sees a new role after a moment.
    leftover = endpoint_slice("left", "10.1.0.9", key=f"{granted.namespace}/web", labels=OURS)
    granted.create(granted.main, leftover)
    left = shell.run(f"svclink cleanup --yes -n {granted.namespace} --kubeconfig {viewer}")
    assert left.returncode == 1
    assert "not deleted: 403 Forbidden" in left.stdout
