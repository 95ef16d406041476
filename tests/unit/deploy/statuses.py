"""ClusterLinks and TrafficPolicies with the statuses that svclink writes, in each state."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    Finding,
    LinkFacts,
    LinkReason,
    Problem,
    Reason,
    TrafficPolicy,
    Unreachable,
    summarize,
)
from svclink_core.codec import unstructure_status
from svclink_core.controller_namespace import KnownNamespace
from svclink_core.credential_expiry import CredentialState
from svclink_core.service_traffic import EndpointUse, FamilyTraffic, ServiceTraffic, TrafficReason
from svclink_core.traffic_status import traffic_status
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.builders.values import link, service, traffic_policy

NOW: Final = "2026-07-01T12:00:00Z"
FACTS: Final = LinkFacts(link(), SYNCED, home=KnownNamespace("svclink"))

LINKS: Final[Mapping[str, LinkFacts]] = {
    "connected": FACTS,
    "connecting": evolve(FACTS, connection=PENDING),
    "away": evolve(FACTS, connection=Unreachable(NOW, 0)),
    "disabled": evolve(FACTS, link=link(spec=ClusterLinkSpec(enabled=False))),
    "invalid": evolve(FACTS, problem=Problem(LinkReason.INVALID_KUBECONFIG, "no server")),
    "unauthorized": evolve(FACTS, problem=Problem(LinkReason.UNAUTHORIZED, "401")),
    "failing writes": evolve(FACTS, write_failures=("quota exceeded",)),
    "conflicting": evolve(FACTS, findings=(Finding(WEB, "a", Reason.ADDRESS_CONFLICT, ()),)),
    "expiring": evolve(
        FACTS,
        credentials=CredentialState(LinkReason.CREDENTIALS_EXPIRE_SOON, NOW, "the token"),
    ),
}
"""What is known of a link, by a word for its state."""


def traffic_of(*uses: EndpointUse, last_tier: int = 0) -> ServiceTraffic:
    return ServiceTraffic(WEB, "web", (FamilyTraffic("IPv4", last_tier, uses),))


LOCAL: Final = EndpointUse(MAIN, 0, 1, 1, TrafficReason.LOCAL)
POLICY: Final = traffic_policy()
OLDER: Final = evolve(POLICY, metadata=evolve(POLICY.metadata, name="older"))
TRAFFIC: Final[Mapping[str, ServiceTraffic]] = {
    "applied": traffic_of(LOCAL),
    "failed over": traffic_of(LOCAL, last_tier=1),
    "nothing ready": traffic_of(evolve(LOCAL, ready=0, active=0)),
}


def links() -> dict[str, dict[str, Any]]:
    """ClusterLinks by a word for their state."""
    objects = {state: as_json(facts) for state, facts in LINKS.items()}
    return objects | {"edited": edited(objects["connected"]), "new": new(objects["connected"])}


def as_json(facts: LinkFacts) -> dict[str, Any]:
    metadata = {"name": "cluster-a", "generation": facts.link.metadata.generation}
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "ClusterLink",
        "metadata": metadata,
        "status": unstructure_status(summarize(facts, NOW)),
    }


def policies() -> dict[str, dict[str, Any]]:
    """TrafficPolicies by a word for their state."""
    objects = {state: applied(found) for state, found in TRAFFIC.items()}
    objects["conflicted"] = policy_as_json(OLDER, has_service=True)
    objects["without Service"] = policy_as_json(POLICY, has_service=False)
    return objects | {"edited": edited(objects["applied"]), "new": new(objects["applied"])}


def applied(found: ServiceTraffic) -> dict[str, Any]:
    return policy_json(unstructure_status(traffic_status(POLICY, POLICY, service(), found, NOW)))


def policy_as_json(counting: TrafficPolicy, *, has_service: bool) -> dict[str, Any]:
    target = service() if has_service else None
    return policy_json(unstructure_status(traffic_status(POLICY, counting, target, None, NOW)))


def policy_json(status: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": "web", "namespace": "shop", "generation": POLICY.metadata.generation},
        "status": status,
    }


def edited(found: dict[str, Any]) -> dict[str, Any]:
    """The object after an edit that svclink has not seen yet."""
    metadata = found["metadata"]
    return found | {"metadata": metadata | {"generation": metadata["generation"] + 1}}


def new(found: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server creates it, with the defaults of the CRD."""
    return found | {"status": {"observedGeneration": 0}}
