"""Mistakes in TrafficPolicies, as people make them with `kubectl apply`, under load."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.builders.manifests import Manifest, traffic_policy
from tests.e2e.polling import eventually
from tests.e2e.shell import Shell

from .conftest import Draw
from .shop import APP, Shop, chi_square

PODS: Final = {"main": 3, "c1": 2}
RIGHT: Final[Manifest] = {"clusters": [{"name": "c1", "share": 25}]}
ANSWERS: Final = {"main": 3, "c1": 1}
"""The answers of each cluster in four requests, with a share of 25 percent."""

LIMIT: Final = 23.93
"""With one degree of freedom, a fair balance exceeds this limit in one of a million runs."""

REFUSED: Final[dict[str, Manifest]] = {
    "the shares in spec.clusters add up to more than 100 percent; lower them": {
        "clusters": [{"name": "c1", "share": 70}, {"name": "c2", "share": 60}]
    },
    "spec.targetRef.kind must be Service, the only kind that a TrafficPolicy can target": {
        "targetRef": {"kind": "Deployment", "name": APP}
    },
}
"""The sentence with which the API server refuses each mistake."""


@pytest.mark.any_proxy_mode
def test_mistakes_change_no_traffic(shop: Shop, shell: Shell, draw: Draw) -> None:
    """Each mistake gets a sentence, from the API server or in a status; traffic stays the same."""
    shop.deploy(PODS)
    assert (
        apply(shop, shell, APP, **RIGHT) == f"trafficpolicy.svclink.cloudpilot.ai/{APP} created\n"
    )
    eventually(lambda: condition(shop, APP, "Applied", "Applied"))
    versions = shop.world.versions(APP)

    with shop.under_load() as load:
        for sentence, mistake in REFUSED.items():
            assert sentence in apply(shop, shell, APP, **RIGHT | mistake)
        for name, target in (("second", APP), ("typo", "wbe")):
            said = apply(shop, shell, name, targetRef={"kind": "Service", "name": target})
            assert said.endswith(" created\n"), said
        conflicted = eventually(lambda: condition(shop, "second", "Accepted", "Conflicted"))
        not_found = eventually(lambda: condition(shop, "typo", "Accepted", "TargetNotFound"))
        clusters = [*RIGHT["clusters"], {"name": "not-linked", "share": 10}]
        apply(shop, shell, APP, clusters=clusters)
        unknown = eventually(lambda: condition(shop, APP, "Applied", "ClusterNotFound"))

    draw(load, ())
    assert f"TrafficPolicy {APP} also targets {shop.world.namespace}/{APP}" in conflicted
    assert f"there is no Service {shop.world.namespace}/wbe" in not_found
    assert "there is no ClusterLink not-linked" in unknown
    assert shop.world.versions(APP) == versions
    assert not load.failures, load.table()
    assert chi_square(load.by_cluster(), ANSWERS) < LIMIT, load.table()


def apply(shop: Shop, shell: Shell, name: str, **spec: Any) -> str:
    """Apply a policy for the Service `web`, unless `spec` has another target; what kubectl says."""
    policy = traffic_policy(f"{shop.world.namespace}/{name}", target=APP)
    policy["spec"] |= spec
    return shell.run("kubectl apply --filename - 2>&1", answer=json.dumps(policy)).stdout


def condition(shop: Shop, name: str, kind: str, reason: str) -> str:
    """The message of a condition; asserts its reason, and that it is for the current spec."""
    policy = shop.world.main.api.get("trafficpolicies", name, shop.world.namespace)
    status: Manifest = policy.get("status") or {}
    assert status.get("observedGeneration") == policy["metadata"]["generation"], status
    (found,) = [each for each in status["conditions"] if each["type"] == kind]
    assert found["reason"] == reason, found
    return str(found["message"])
