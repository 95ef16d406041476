"""What one Service looks like in every cluster, planned when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from attrs import frozen

from svclink_controller.dashboard.documents import condition_document, counts_document
from svclink_core.codec import Json
from svclink_core.core_v1 import Service
from svclink_core.levels import Level, level_of
from svclink_core.link_identity import Problem
from svclink_core.meta_v1 import NamespacedName
from svclink_core.plan_documents import change_summary, change_text, finding_data, traffic_data
from svclink_core.planning import plan_service
from svclink_core.plans import Decision, Plan
from svclink_core.service_endpoints import ClusterEndpoints, ListedEndpoint, service_endpoints
from svclink_core.service_notes import with_notes
from svclink_core.service_overview import service_overview
from svclink_core.service_traffic import rule_without_policy
from svclink_core.snapshot import Snapshot
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.traffic_shares import percent_of

EquivalentCommands: TypeAlias = Callable[[NamespacedName], Sequence[str]]


def no_commands(_: NamespacedName) -> tuple[str, ...]:
    """No command tells the same."""
    return ()


@frozen
class Facts:
    """What is known of all clusters, to look at one Service.

    Args:
        snapshot: Returns what to plan from.
        problems: Returns why clusters cannot be read, by the names of their links.
        policy: Returns a TrafficPolicy with its latest status.
        now: Returns the seconds on the clock of plans.
        commands: Returns the commands that tell the same about a Service.
    """

    snapshot: Callable[[], Snapshot]
    problems: Callable[[], Mapping[str, Problem]]
    policy: Callable[[NamespacedName], TrafficPolicy | None]
    now: Callable[[], float]
    commands: EquivalentCommands = no_commands

    def service(self, key: NamespacedName, revision: int) -> dict[str, Json] | None:
        """Everything about a Service; None if no cluster has it.

        Args:
            key: The Service.
            revision: The revision of the board.
        """
        snapshot = self.snapshot()
        plan = plan_service(snapshot, key, self.now())
        overview = service_overview(snapshot, key, plan)
        if overview is None:
            return None
        plan = with_notes(snapshot, plan)
        main = snapshot.main.services.get(key)
        traffic = next(iter(plan.traffic), None)
        return {
            "service": str(key),
            "revision": revision,
            "level": overview.level.rank,
            "main": None if main is None else _main_service(main),
            "clusters": self._clusters(snapshot, key, plan),
            "policy": self._policy(snapshot, key),
            "traffic": None if traffic is None else traffic_data(traffic),
            "ruleWithoutPolicy": rule_without_policy(traffic),
            "findings": [finding_data(each) for each in plan.findings],
            "changes": [
                {**change_summary(each), "text": change_text(each)} for each in plan.changes
            ],
            "commands": [*self.commands(key)],
        }

    def _clusters(self, snapshot: Snapshot, key: NamespacedName, plan: Plan) -> list[Json]:
        found, problems = service_endpoints(snapshot, key), self.problems()
        active = sum(each.counts.active for each in found)
        decisions = {each.cluster: each for each in plan.decisions}
        return [
            {
                "cluster": each.cluster or None,
                **_decision(decisions.get(each.cluster)),
                "problem": _problem(problems.get(each.cluster)),
                **counts_document(each.counts),
                "share": percent_of(each.counts.active, active),
                **_endpoints(each),
            }
            for each in found
        ]

    def _policy(self, snapshot: Snapshot, key: NamespacedName) -> dict[str, Json] | None:
        counting = snapshot.main.traffic_policies.get(key)
        if counting is None:
            return None
        latest = self.policy(counting.metadata.key) or counting
        return {
            "name": latest.metadata.name,
            "minReady": latest.spec.min_ready,
            "recoverySeconds": latest.spec.recovery_seconds,
            "conditions": [condition_document(each) for each in latest.status.conditions],
        }


def _main_service(service: Service) -> dict[str, Json]:
    return {
        "type": service.spec.type,
        "headless": service.is_headless,
        "ports": [
            {"name": each.name, "port": each.port, "protocol": each.protocol}
            for each in service.spec.ports
        ],
        "ipFamilies": [*service.spec.ip_families],
        "trafficDistribution": service.spec.traffic_distribution,
    }


def _decision(decision: Decision | None) -> dict[str, Json]:
    """What becomes of the Service of a cluster; nothing is decided about the main cluster."""
    if decision is None:
        nothing: dict[str, Json] = dict.fromkeys(("outcome", "reason", "message", "reference"))
        return {"level": Level.NONE.value, **nothing}
    return {
        "level": level_of(decision.reason).value,
        "outcome": decision.outcome.value,
        "reason": decision.reason.code,
        "message": decision.sentence,
        "reference": decision.reference or None,
    }


def _problem(problem: Problem | None) -> dict[str, Json] | None:
    if problem is None:
        return None
    return {"reason": problem.reason.code, "message": problem.message}


def _endpoints(found: ClusterEndpoints) -> dict[str, Json]:
    return {
        "omitted": found.counts.total - len(found.listed),
        "zones": [
            {
                "zone": each.zone,
                "active": each.counts.active,
                "standby": each.counts.standby,
                "notReady": each.counts.not_ready,
            }
            for each in found.zones
        ],
        "endpoints": [_endpoint(each) for each in found.listed],
    }


def _endpoint(listed: ListedEndpoint) -> dict[str, Json]:
    conditions = listed.endpoint.conditions
    return {
        "address": listed.endpoint.addresses[0] if listed.endpoint.addresses else "",
        "zone": listed.endpoint.zone,
        "ready": conditions.ready is not False,
        "serving": conditions.serving is not False,
        "terminating": bool(conditions.terminating),
        "use": listed.role.value,
        "slice": listed.endpoint_slice.metadata.name,
        "ports": [
            f"{each.name} {each.port}/{each.protocol}".lstrip()
            for each in listed.endpoint_slice.ports
        ],
    }
