"""The manifests, chart and monitoring in deploy/ agree, and an API server accepts them."""

from __future__ import annotations

import json
import re
import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from svclink_controller.cli.permissions import MAIN_PERMISSIONS, OWN_NAMESPACE
from tests.builders.manifests import Manifest

from .helm import CHART, helm, is_hook, rendered_hooks_and_manifests
from .shell import ROOT, Shell

DEPLOY: Final = ROOT / "deploy"
CRDS: Final = sorted(path.name for path in (ROOT / "crd").glob("*.yaml"))


def objects_in(path: Path) -> dict[tuple[str, str], Manifest]:
    """The objects in a file, by kind and name."""
    return by_name(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def by_name(documents: Any) -> dict[tuple[str, str], Manifest]:
    return {(each["kind"], each["metadata"]["name"]): each for each in documents if each}


def rendered(**values: Any) -> dict[tuple[str, str], Manifest]:
    """The objects that `helm install` creates, by kind and name."""
    return by_name(each for each in rendered_hooks_and_manifests(**values) if not is_hook(each))


MANIFESTS: Final = objects_in(DEPLOY / "deployment.yaml")
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
VERSION: Final = PROJECT["version"]


@pytest.mark.real_servers("the embedded server has no Pods")
def test_api_server_accepts_the_manifests_without_warnings(deployed: Shell) -> None:
    """Applying the manifests again changes nothing; only restricted Pods are admitted."""
    again = deployed("kubectl apply --dry-run=server --filename deploy/deployment.yaml 2>&1")
    by_kustomize = deployed("kubectl apply --dry-run=server --kustomize deploy 2>&1")
    openshift = deployed(
        "kubectl apply --dry-run=server --filename deploy/openshift/clusterrole.yaml 2>&1"
    )

    assert len(again.splitlines()) == len(MANIFESTS)
    assert all("unchanged" in line or "configured" in line for line in again.splitlines())
    assert len(by_kustomize.splitlines()) == len(MANIFESTS) + len(CRDS)
    assert "arning" not in again + by_kustomize + openshift
    template = MANIFESTS["Deployment", "svclink"]["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": template["spec"]}
    deployed(
        "kubectl create --dry-run=server --namespace cloudpilot --filename -",
        answer=json.dumps(pod),
    )
    pod["spec"] = template["spec"] | {"securityContext": {"runAsNonRoot": False}}
    refused = deployed.run(
        "kubectl create --dry-run=server -n cloudpilot --filename -", answer=json.dumps(pod)
    )
    assert "violates PodSecurity" in refused.stderr


@pytest.mark.real_servers("the embedded server has no Pods")
def test_check_runs_as_the_controller_does(deployed: Shell) -> None:
    """The Pod of deploy/check.yaml is admitted, and differs from the controller's by its command.

    It has no label that the Deployment, the disruption budget or the PodMonitor select.
    """
    pod = objects_in(DEPLOY / "check.yaml")["Pod", "svclink-check"]
    created = deployed("kubectl create --dry-run=server --filename deploy/check.yaml 2>&1")
    assert "arning" not in created
    template = deepcopy(MANIFESTS["Deployment", "svclink"]["spec"]["template"])
    del template["spec"]["topologySpreadConstraints"]
    (container,) = template["spec"]["containers"]
    for field in ("ports", "startupProbe", "livenessProbe", "readinessProbe"):
        del container[field]
    container |= {"name": "check", "args": ["check"]}
    assert pod["spec"] == template["spec"] | {"restartPolicy": "Never"}
    assert "app" not in pod["metadata"]["labels"]


def test_chart_renders_the_manifests() -> None:
    """By default the chart renders deploy/deployment.yaml, except the namespace."""
    assert rendered() == {key: each for key, each in MANIFESTS.items() if key[0] != "Namespace"}


def test_chart_tests_with_the_same_pod() -> None:
    """`helm test` runs the Pod of deploy/check.yaml; only Helm's annotations are added."""
    (hook,) = (each for each in rendered_hooks_and_manifests() if is_hook(each))
    del hook["metadata"]["annotations"]
    assert hook == objects_in(DEPLOY / "check.yaml")["Pod", "svclink-check"]


def test_chart_renders_the_optional_manifests() -> None:
    """The values `openshift` and `monitoring` add the manifests of these directories."""
    added = rendered(openshift=True, monitoring=True)
    for key in rendered():
        del added[key]
    expected = (
        objects_in(DEPLOY / "openshift" / "clusterrole.yaml")
        | objects_in(DEPLOY / "monitoring" / "podmonitor.yaml")
        | objects_in(DEPLOY / "monitoring" / "prometheusrule.yaml")
    )
    assert added == expected


def test_chart_values_become_flags_and_pod_fields() -> None:
    """The chart turns its values into flags of the controller and fields of its Pod."""
    chart = rendered(
        image={"repository": "registry.example/svclink", "tag": "1"},
        replicas=3,
        syncInterval="45s",
        includedNamespaces=["a", "b"],
        syncServicesToLocalCluster=True,
        extraArgs=["--what=ever"],
        imagePullSecrets=[{"name": "pull"}],
        nodeSelector={"a": "b"},
        tolerations=[{"operator": "Exists"}],
        affinity={"nodeAffinity": {}},
        priorityClassName="high",
        podAnnotations={"c": "d"},
        podDisruptionBudget=False,
    )
    spec = chart["Deployment", "svclink"]["spec"]
    pod = spec["template"]["spec"]
    assert pod["containers"][0]["args"] == [
        "--leader-elect=true",
        "--sync-interval=45s",
        "--included-namespaces=a,b",
        "--sync-services-to-local-cluster=true",
        "--what=ever",
    ]
    assert pod["containers"][0]["image"] == "registry.example/svclink:1"
    assert (spec["replicas"], spec["template"]["metadata"]["annotations"]) == (3, {"c": "d"})
    assert pod["imagePullSecrets"] == [{"name": "pull"}]
    assert pod["nodeSelector"] == {"a": "b"}
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["affinity"] == {"nodeAffinity": {}}
    assert pod["priorityClassName"] == "high"
    assert ("PodDisruptionBudget", "svclink") not in chart


@pytest.mark.parametrize(
    "values",
    [
        {"replicas": 0},
        {"replica": 2},
        {"image": {"repository": ""}},
        {"includedNamespaces": ["kube-system"]},
        {"includedNamespaces": "default"},
        {"syncInterval": "soon"},
        {"extraArgs": ["what"]},
        {"openshift": "yes"},
    ],
)
def test_chart_rejects_invalid_values(values: Manifest) -> None:
    """The schema of the values rejects an invalid one by name, whichever command gets it."""
    for command in (("template", "svclink"), ("lint", "--strict")):
        done = helm(*command, str(CHART), **values)
        assert done.returncode == 1
        assert next(iter(values)) in done.stdout + done.stderr


@pytest.mark.parametrize("values", [{}, {"openshift": True, "monitoring": True}])
def test_chart_passes_lint(values: Manifest) -> None:
    """Helm finds neither errors nor warnings in the chart."""
    done = helm("lint", "--strict", str(CHART), **values)
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout


def test_helm_test_runs_the_check_with_the_values_of_the_release() -> None:
    """The values change the Pod of `helm test` as they change the controller's.

    Flags that say which remote clusters are trusted apply to the check, other flags do not.
    """
    values: Manifest = {
        "image": {"repository": "registry.example/svclink"},
        "extraArgs": ["--log-level=debug", "--allow-remote-proxies=true"],
        "imagePullSecrets": [{"name": "pull"}],
        "tolerations": [{"operator": "Exists"}],
    }
    (check,) = filter(is_hook, rendered_hooks_and_manifests(**values))
    assert check["metadata"]["annotations"]["helm.sh/hook"] == "test"
    (container,) = check["spec"]["containers"]
    assert container["image"] == f"registry.example/svclink:{VERSION}"
    assert container["args"] == ["check", "--allow-remote-proxies=true"]
    assert check["spec"]["imagePullSecrets"] == values["imagePullSecrets"]
    assert check["spec"]["tolerations"] == values["tolerations"]


def test_chart_contains_the_crds() -> None:
    """The chart's copies of the CRDs equal crd/: Helm cannot read files outside a chart."""
    copies = DEPLOY / "chart" / "crds"
    assert sorted(path.name for path in copies.iterdir()) == CRDS
    for name in CRDS:
        original = (ROOT / "crd" / name).read_text(encoding="utf-8")
        assert (copies / name).read_text(encoding="utf-8") == original


@pytest.mark.parametrize(
    ("name", "role", "verbs"),
    [
        (
            "svclink-edit-trafficpolicies",
            "edit",
            ["create", "update", "patch", "delete", "deletecollection"],
        ),
        ("svclink-view-trafficpolicies", "view", ["get", "list", "watch"]),
    ],
)
def test_roles_of_kubernetes_include_policies(name: str, role: str, verbs: list[str]) -> None:
    """Who may edit a namespace may edit its policies: `admin` includes `edit`, and that `view`."""
    found = MANIFESTS["ClusterRole", name]
    labels = found["metadata"]["labels"]
    assert labels[f"rbac.authorization.k8s.io/aggregate-to-{role}"] == "true"
    (rule,) = found["rules"]
    assert rule == {
        "apiGroups": ["svclink.cloudpilot.ai"],
        "resources": ["trafficpolicies"],
        "verbs": verbs,
    }


def test_manifests_grant_exactly_the_documented_permissions() -> None:
    """The roles have exactly the rules of `svclink_controller.cli.permissions`."""
    assert MANIFESTS["ClusterRole", "svclink"]["rules"] == [each.rule for each in MAIN_PERMISSIONS]
    assert MANIFESTS["Role", "svclink"]["rules"] == [each.rule for each in OWN_NAMESPACE]


def test_one_version_is_named_everywhere() -> None:
    """The labels of the image, the manifests and the chart name the version of the project."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    label = re.search(r"^ARG VERSION=(.*)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    pods = [
        MANIFESTS["Deployment", "svclink"]["spec"]["template"],
        objects_in(DEPLOY / "check.yaml")["Pod", "svclink-check"],
    ]
    images = {container["image"] for pod in pods for container in pod["spec"]["containers"]}
    assert label is not None
    assert {label[1], chart["version"], chart["appVersion"]} == {VERSION}
    assert images == {f"svclink:{VERSION}"}


def test_dockerfile_copies_existing_files_and_sets_the_manifest_user() -> None:
    """Every source of a COPY exists, and the user is the numeric one of the manifest."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line.startswith("!")
    }
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)
    security = MANIFESTS["Deployment", "svclink"]["spec"]["template"]["spec"]["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in text
