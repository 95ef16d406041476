"""TrafficPolicies: what the API server refuses, and what svclink makes of the others."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest

from tests.builders.manifests import Manifest, traffic_policy

from .shell import Shell
from .world import World

MISTAKES: Final[dict[str, tuple[Manifest, str]]] = {
    "shares of 130 percent": (
        {"clusters": [{"name": "b", "share": 70}, {"name": "c", "share": 60}]},
        "the shares in spec.clusters add up to more than 100 percent; lower them",
    ),
    "share of 101 percent": (
        {"clusters": [{"name": "b", "share": 101}]},
        "spec.clusters[0].share in body should be less than or equal to 100",
    ),
    "negative share": (
        {"clusters": [{"name": "b", "share": -1}]},
        "spec.clusters[0].share in body should be greater than or equal to 0",
    ),
    "a share and a tier": (
        {"clusters": [{"name": "b", "share": 10, "tier": 1}]},
        "a cluster in spec.clusters has both a share and a tier above 0; remove one of them",
    ),
    "a cluster twice": (
        {"clusters": [{"name": "b", "share": 10}, {"name": "b", "tier": 1}]},
        'spec.clusters[1]: Duplicate value: {"name":"b"}',
    ),
    "a name that no link has": (
        {"clusters": [{"name": "B.example"}]},
        "spec.clusters.name must be the name of a ClusterLink, of lower-case letters, digits and",
    ),
    "another kind": (
        {"targetRef": {"kind": "Deployment", "name": "web"}},
        "spec.targetRef.kind must be Service, the only kind that a TrafficPolicy can be for",
    ),
    "no target": ({"targetRef": None}, "spec.targetRef: Required value"),
    "no name of the target": (
        {"targetRef": {"kind": "Service"}},
        "spec.targetRef.name: Required value",
    ),
    "a minimum of none": (
        {"minReady": 0},
        "spec.minReady in body should be greater than or equal to 1",
    ),
    "a recovery in the past": (
        {"recoverySeconds": -1},
        "spec.recoverySeconds in body should be greater than or equal to 0",
    ),
    "a field that does not exist": (
        {"shares": {"b": 10}},
        'unknown field "spec.shares"',
    ),
    "too many clusters": (
        {"clusters": [{"name": f"c{number}"} for number in range(129)]},
        "spec.clusters: Too many: 129: must have at most 128 items",
    ),
}


def apply(shell: Shell, world: World, **spec: Any) -> str:
    """Apply a policy for the Service `web` with kubectl, and return what kubectl says."""
    policy = traffic_policy(f"{world.namespace}/web")
    policy["spec"] |= spec
    done = shell.run("kubectl apply --filename - 2>&1", answer=json.dumps(policy))
    return done.stdout


@pytest.mark.real_servers("the embedded server does not evaluate CEL")
def test_mistakes_are_refused_with_a_sentence(
    world: World, shell: Shell, subtests: pytest.Subtests
) -> None:
    """The API server refuses each mistake with the field and what is wrong with it."""
    for name, (spec, sentence) in MISTAKES.items():
        with subtests.test(name):
            assert sentence in apply(shell, world, **spec)
    assert world.main.api.find("trafficpolicies", world.namespace) == []


@pytest.mark.real_servers("the embedded server does not evaluate CEL")
def test_largest_policy_is_accepted(world: World, shell: Shell) -> None:
    """A policy may name 128 clusters, with shares that add up to 100 percent."""
    shares = [{"name": f"c{number}", "share": 1} for number in range(100)]
    tiers = [{"name": f"c{number}", "tier": number} for number in range(100, 128)]
    said = apply(shell, world, clusters=shares + tiers)
    assert said == "trafficpolicy.svclink.cloudpilot.ai/web created\n"
