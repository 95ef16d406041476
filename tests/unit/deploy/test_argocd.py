"""The health checks for Argo CD, run by Lua on statuses that svclink writes.

Real: Lua 5.1, the version that Argo CD has, and the statuses, which the core makes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from lupa.lua51 import LuaRuntime

from .statuses import links, policies

ARGOCD: Final = Path(__file__).parents[3] / "deploy" / "argocd"
LINK_HEALTH: Final = {
    "connected": "Healthy",
    "connecting": "Progressing",
    "new": "Progressing",
    "edited": "Progressing",
    "disabled": "Suspended",
    "away": "Degraded",
    "invalid": "Degraded",
    "unauthorized": "Degraded",
    "failing writes": "Degraded",
    "conflicting": "Degraded",
    "expiring": "Degraded",
}
POLICY_HEALTH: Final = {
    "applied": "Healthy",
    "failed over": "Healthy",
    "new": "Progressing",
    "edited": "Progressing",
    "nothing ready": "Degraded",
    "conflicted": "Degraded",
    "without Service": "Degraded",
}


def health(kind: str, found: dict[str, Any]) -> dict[str, str]:
    """What Argo CD shows of an object."""
    lua = LuaRuntime(unpack_returned_tuples=True)
    check = (ARGOCD / f"{kind}-health.lua").read_text(encoding="utf-8")
    run = lua.eval(f"function(obj) {check} end")
    return dict(run(lua.table_from(found, recursive=True)))


@pytest.mark.parametrize(("state", "expected"), LINK_HEALTH.items())
def test_health_of_a_link(state: str, expected: str) -> None:
    """The health of a ClusterLink in each state."""
    assert health("clusterlink", links()[state])["status"] == expected


@pytest.mark.parametrize(("state", "expected"), POLICY_HEALTH.items())
def test_health_of_a_policy(state: str, expected: str) -> None:
    """The health of a TrafficPolicy in each state; a failover is what it asks for."""
    assert health("trafficpolicy", policies()[state])["status"] == expected


def test_every_state_is_checked() -> None:
    """No state is left out."""
    assert links().keys() == LINK_HEALTH.keys()
    assert policies().keys() == POLICY_HEALTH.keys()


def test_message_is_that_of_the_condition() -> None:
    """The message begins with the reason that status and docs use."""
    assert health("clusterlink", links()["invalid"])["message"].startswith("InvalidKubeconfig: no")


def test_object_without_status_is_waited_for() -> None:
    """An object that svclink has not seen is not healthy."""
    for kind in ("clusterlink", "trafficpolicy"):
        assert health(kind, {"metadata": {"generation": 1}})["status"] == "Progressing"


def test_config_map_contains_the_scripts() -> None:
    """The ConfigMap has the scripts that are tested here, under the keys that Argo CD reads."""
    data = yaml.safe_load((ARGOCD / "argocd-cm.yaml").read_text(encoding="utf-8"))["data"]
    prefix = "resource.customizations.health.svclink.cloudpilot.ai_"
    assert data == {
        f"{prefix}{kind}": (ARGOCD / f"{kind.lower()}-health.lua").read_text(encoding="utf-8")
        for kind in ("ClusterLink", "TrafficPolicy")
    }
