"""What is in deploy/: the manifests, the chart and the monitoring say the same, and a real API server takes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import helm_python
import pytest
import yaml

from svclink_controller.cli.permissions import MAIN_PERMISSIONS, OWN_NAMESPACE

from .api_client import Object
from .shell import ROOT, Shell

DEPLOY: Final = ROOT / "deploy"
CRD: Final = "clusterlinks.svclink.cloudpilot.ai.yaml"


def objects(path: Path) -> dict[tuple[str, str], Object]:
    """The objects of a file by kind and name."""
    return by_name(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def by_name(documents: Any) -> dict[tuple[str, str], Object]:
    return {(each["kind"], each["metadata"]["name"]): each for each in documents if each}


def rendered(**values: Any) -> dict[tuple[str, str], Object]:
    """The objects the chart makes, as Helm renders them."""
    with helm_python.Chart.load(str(DEPLOY / "chart")) as chart:
        files = chart.render(values, name="svclink", namespace="cloudpilot")
    manifests = [text for name, text in files.items() if name.endswith(".yaml")]
    return by_name(document for text in manifests for document in yaml.safe_load_all(text))


MANIFESTS: Final = objects(DEPLOY / "deployment.yaml")


@pytest.mark.real_servers("the embedded server knows no Pods")
def test_an_api_server_takes_everything_without_a_warning(deployed: Shell) -> None:
    """Applied again, in whatever form, nothing changes; and the namespace admits Pods of the restricted kind only."""
    again = deployed("kubectl apply --dry-run=server --filename deploy/deployment.yaml 2>&1")
    by_kustomize = deployed("kubectl apply --dry-run=server --kustomize deploy 2>&1")
    openshift = deployed(
        "kubectl apply --dry-run=server --filename deploy/openshift/clusterrole.yaml 2>&1"
    )

    assert len(again.splitlines()) == len(MANIFESTS)
    assert all("unchanged" in line or "configured" in line for line in again.splitlines())
    assert len(by_kustomize.splitlines()) == len(MANIFESTS) + 1
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


def test_the_chart_renders_the_manifests() -> None:
    """With its own values the chart makes deploy/deployment.yaml, but for the namespace, which Helm makes."""
    assert rendered() == {key: each for key, each in MANIFESTS.items() if key[0] != "Namespace"}


def test_the_chart_renders_the_other_manifests_when_asked_to() -> None:
    """`openshift` and `monitoring` add what the directories of these names hold."""
    added = rendered(openshift=True, monitoring=True)
    for key in rendered():
        del added[key]
    expected = (
        objects(DEPLOY / "openshift" / "clusterrole.yaml")
        | objects(DEPLOY / "monitoring" / "podmonitor.yaml")
        | objects(DEPLOY / "monitoring" / "prometheusrule.yaml")
    )
    assert added == expected


def test_the_chart_passes_on_what_its_values_say() -> None:
    """Values become flags of the controller and fields of its Pod."""
    made = rendered(
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
    spec = made["Deployment", "svclink"]["spec"]
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
    assert ("PodDisruptionBudget", "svclink") not in made


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
def test_the_chart_refuses_values_that_make_no_sense(values: Object) -> None:
    """The schema names the value, before anything is installed."""
    with pytest.raises(helm_python.HelmError, match=re.escape(next(iter(values)))):
        rendered(**values)


def test_the_chart_brings_the_crd() -> None:
    """Helm cannot read files outside of a chart, so there is a copy, and it is the same."""
    copy = DEPLOY / "chart" / "crds" / CRD
    assert copy.read_text(encoding="utf-8") == (ROOT / "crd" / CRD).read_text(encoding="utf-8")


def test_the_manifests_grant_what_svclink_says_it_asks_for() -> None:
    """No more and no less than `svclink_controller.cli.permissions`."""
    assert MANIFESTS["ClusterRole", "svclink"]["rules"] == [each.rule for each in MAIN_PERMISSIONS]
    assert MANIFESTS["Role", "svclink"]["rules"] == [each.rule for each in OWN_NAMESPACE]


def test_the_dockerfile_copies_what_exists_and_runs_as_the_user_of_the_manifest() -> None:
    """No engine is needed to see that: every source of a COPY is there and not ignored, and the user is a number."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.*)", text, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    allowed = {
        line[1:]
        for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
        if line[0] == "!"
    }
    assert set(copied) == allowed
    assert all((ROOT / name).exists() for name in copied)
    security = MANIFESTS["Deployment", "svclink"]["spec"]["template"]["spec"]["securityContext"]
    assert f"USER {security['runAsUser']}:{security['runAsGroup']}" in text
