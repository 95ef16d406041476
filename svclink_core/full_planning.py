"""The plan for all Services: the union of the plans of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from svclink_core.meta_v1 import NamespacedName
from svclink_core.planning import earliest, plan_service
from svclink_core.plans import Change, Plan
from svclink_core.service_creation import CreateNamespace
from svclink_core.snapshot import Snapshot, all_keys


def plan(snapshot: Snapshot, now: float) -> Plan:
    """Plan every Service in any cluster.

    The same arguments always give the same plan. Once it is applied, there are no more changes.

    Args:
        snapshot: Everything that is known. A cluster that could not be read must be `PENDING`
            or `Unreachable`: anything absent from a `SYNCED` cluster counts as deleted.
        now: Seconds on the clock of `Unreachable.at`; decides which deadlines have passed.

    The plan satisfies laws L1 to L5 and L11.
    """
    return union({key: plan_service(snapshot, key, now) for key in all_keys(snapshot)})


def union(plans: Mapping[NamespacedName, Plan]) -> Plan:
    """The plans of several Services as one, ordered by Service."""
    ordered = [plans[key] for key in sorted(plans)]
    return Plan(
        changes=tuple(_each_namespace_once(change for each in ordered for change in each.changes)),
        decisions=tuple([decision for each in ordered for decision in each.decisions]),
        findings=tuple([finding for each in ordered for finding in each.findings]),
        again_at=earliest(each.again_at for each in ordered),
        traffic=tuple([traffic for each in ordered for traffic in each.traffic]),
    )


def _each_namespace_once(changes: Iterable[Change]) -> Iterator[Change]:
    created: set[NamespacedName] = set()
    for change in changes:
        if isinstance(change, CreateNamespace):
            if change.key in created:
                continue
            created.add(change.key)
        yield change
