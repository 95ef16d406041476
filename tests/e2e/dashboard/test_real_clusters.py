"""The page of the real command: on the clusters of `svclink demo --keep`, and on files."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import expect

from tests.e2e.dashboard_process import Dashboard, dashboards
from tests.e2e.demo_process import kept_demo
from tests.e2e.shell import kubectl_program
from tests.e2e.world import Kubectl, RecordMeasure

from .conftest import Pages

EXAMPLE: Final = Path(__file__).resolve().parents[3] / "docs" / "example"

CANARY: Final = """
apiVersion: svclink.cloudpilot.ai/v1alpha1
kind: TrafficPolicy
metadata: {name: web, namespace: shop}
spec:
  targetRef: {kind: Service, name: web}
  clusters: [{name: cluster-a, share: 20}]
"""


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The kubeconfig of a demo that keeps running, which the tests share."""
    with kept_demo(tmp_path_factory.mktemp("demo")) as kubeconfig:
        yield kubeconfig


@pytest.fixture(scope="module")
def dashboard(demo: Path) -> Iterator[Dashboard]:
    """A dashboard of the clusters of the demo."""
    with dashboards("--kubeconfig", str(demo)) as running:
        yield running


@pytest.fixture
def kubectl(demo: Path, tmp_path: Path) -> Kubectl:
    """kubectl as an administrator of the demo's clusters."""
    program = kubectl_program()
    assert program is not None

    def run(*arguments: str) -> str:
        own = ("--kubeconfig", str(demo), "--cache-dir", str(tmp_path / "cache"))
        done = subprocess.run([program, *own, *arguments], capture_output=True, check=False)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr.decode()}"
        return done.stdout.decode()

    return run


def patch_link(kubectl: Kubectl, name: str, **spec: object) -> None:
    change = json.dumps({"spec": spec})
    kubectl("patch", "clusterlink", name, "--type=merge", f"--patch={change}")


@pytest.mark.timeout(180, func_only=True)
def test_a_change_appears(
    pages: Pages, dashboard: Dashboard, kubectl: Kubectl, record_measure: RecordMeasure
) -> None:
    """What kubectl changes shows on the open page: as endpoints, as a reason, and as news."""
    page = pages.open(f"{dashboard.address}#/services")
    web = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="shop/web"))
    cells = web.get_by_role("gridcell")
    expect(cells).to_have_text(["1", "3", "3"])
    patch_link(kubectl, "cluster-a", excludedNamespaces=["shop"])
    started = time.monotonic()
    expect(cells).to_have_text(["1", "", "3"])
    record_measure("seconds from a change of a link to the page", time.monotonic() - started)
    expect(cells.nth(1)).to_have_attribute("aria-label", re.compile("excludedNamespaces"))
    patch_link(kubectl, "cluster-a", excludedNamespaces=None)
    expect(cells).to_have_text(["1", "3", "3"])
    page.get_by_role("link", name="Activity").click()
    news = page.get_by_role("main").get_by_role("listitem").filter(has_text="shop/web")
    expect(news.filter(has_text="NamespaceExcluded").first).to_be_visible()


@pytest.mark.timeout(180, func_only=True)
def test_a_disabled_link(pages: Pages, dashboard: Dashboard, kubectl: Kubectl) -> None:
    """The card of a link follows its status."""
    page = pages.open(dashboard.address)
    card = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="cluster-b"))
    expect(card).to_contain_text("Ready")
    patch_link(kubectl, "cluster-b", enabled=False)
    expect(card).to_contain_text("spec.enabled is false")
    patch_link(kubectl, "cluster-b", enabled=True)
    expect(card).not_to_contain_text("spec.enabled is false")


@pytest.mark.timeout(180, func_only=True)
def test_a_canary(pages: Pages, dashboard: Dashboard, kubectl: Kubectl, tmp_path: Path) -> None:
    """The page of a Service shows the share that a TrafficPolicy asks for, and what it gets."""
    manifest = tmp_path / "policy.yaml"
    manifest.write_text(CANARY, encoding="utf-8")
    page = pages.open(f"{dashboard.address}#/services/shop/web")
    shares = page.get_by_role("region", name="Traffic")
    expect(shares).to_contain_text("no TrafficPolicy")
    kubectl("apply", "--filename", str(manifest))
    share = shares.get_by_role("row").filter(has_text="cluster-a")
    expect(share).to_contain_text("1 of 3 ready")
    expect(share.get_by_role("cell")).to_contain_text(["0", "1 of 3 ready", "20%", "", "20%", ""])
    kubectl("delete", "--filename", str(manifest))
    expect(share).to_contain_text("3 of 3 ready")


def test_files(pages: Pages) -> None:
    """The page shows what a plan of files says, and that they are files."""
    remotes = [f"--remote=cluster-{name}={EXAMPLE / f'cluster-{name}.yaml'}" for name in "ab"]
    with dashboards("--main", str(EXAMPLE / "main.yaml"), *remotes) as dashboard:
        page = pages.open(f"{dashboard.address}#/services/shop/web")
        expect(page.get_by_text("Read from files: main.yaml")).to_be_visible()
        planned = page.get_by_role("region", name="Planned changes")
        expect(planned.get_by_role("listitem")).to_contain_text(
            ["EndpointSlice shop/web-cluster-a", "EndpointSlice shop/web-cluster-b"]
        )
        cluster = page.get_by_role("region", name="cluster-b", exact=True)
        expect(cluster).to_contain_text("127.0.0.1")


def test_hostile_files(pages: Pages, tmp_path: Path) -> None:
    """Names of a hostile cluster pass the real server, and are text on its page."""
    name = "<img src=x onerror=alert(1)>{{a}}"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": name, "uid": "1"},
        "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": [{"port": 80}]},
    }
    file = tmp_path / "main.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [service]}))
    with dashboards("--main", str(file)) as dashboard:
        page = pages.open(f"{dashboard.address}#/services")
        page.get_by_role("rowheader").get_by_role("link").click()
        expect(page.get_by_role("heading", level=1)).to_have_text(f"{name}/{name}")
        expect(page.get_by_role("region", name="Planned changes")).to_be_visible()
        assert page.locator("img").count() == 0
