"""`svclink dashboard` on the clusters of a running controller."""

from __future__ import annotations

from pathlib import Path

from .controller_process import Controller
from .dashboard_process import Dashboard, dashboards
from .polling import eventually
from .world import World


def addresses(dashboard: Dashboard, service: str, cluster: str) -> list[str]:
    """The active endpoints that the page shows of a cluster."""
    found = dashboard.get(f"/api/services/{service}")["clusters"]
    (of_cluster,) = [each for each in found if each["cluster"] == cluster]
    listed = of_cluster["endpoints"]
    return [each["address"] for each in listed if each["use"] == "active"]


def test_page_follows_what_the_controller_does(
    world: World, controller: Controller, tmp_path: Path
) -> None:
    """Mirrors, links, news and Events; no kubeconfig is in any answer."""
    assert controller.running
    service = f"{world.namespace}/web"
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)
    file = tmp_path / "main.kubeconfig"
    file.write_text(world.main.admin_kubeconfig(), encoding="utf-8")
    with dashboards("--kubeconfig", str(file)) as dashboard:
        eventually(lambda: _require(addresses(dashboard, service, "c1"), ["10.1.0.1"]))
        world.set_addresses(world.c1, "web", "10.1.0.1", "10.1.0.2")
        eventually(lambda: _require(addresses(dashboard, service, "c1"), ["10.1.0.1", "10.1.0.2"]))
        world.links.edit("c1", enabled=False)
        eventually(lambda: dashboard.require_outcome(service, "c1", "Kept"))
        world.links.await_event("c1", "Disabled")
        eventually(lambda: _require_event(dashboard, "Disabled"))
        shown = dashboard.snapshot()
        assert shown["links"]["c1"]["phase"] == "Disabled"
        assert any(each["service"] == service for each in shown["happened"])
        kubeconfig = world.main.api.get("clusterlinks", "c1")["spec"]["kubeconfig"]
        assert kubeconfig not in str(shown)


def _require(found: object, expected: object) -> None:
    assert found == expected


def _require_event(dashboard: Dashboard, reason: str) -> None:
    found = [each for each in dashboard.snapshot()["events"] if each["object"] == "ClusterLink/c1"]
    assert reason in [each["reason"] for each in found], found
