"""Services that should perhaps not be merged with those of other clusters: a hint, not a rule.

A database or a leader-elected program has members that differ: who connects to a member of another
cluster reads other data, or reaches one that does not lead. Such programs mostly run as a
StatefulSet. svclink may not read those, but EndpointSlices name the Pods, and a StatefulSet numbers
its own. The names of other Pods end in random letters and digits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from svclink_core.diffing import Create
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.mirroring import Finding
from svclink_core.ownership import Foreign, cluster_of, owner_of, service_of
from svclink_core.plans import Plan
from svclink_core.snapshot import Snapshot
from svclink_core.well_known import Reason


def stateful_findings(found: Snapshot, planned: Plan) -> tuple[Finding, ...]:
    """The Services with the Pods of a StatefulSet in main that a plan begins to merge.

    Args:
        found: What is known.
        planned: The plan for it, or for one of its Services.
    """
    created = {
        (service, cluster_of(change.endpoint_slice) or "")
        for change in planned.changes
        if isinstance(change, Create)
        for service in [service_of(change.endpoint_slice)]
        if service is not None
    }
    findings = []
    for service, cluster in sorted(created):
        if (name := stateful_set_of(found.main.endpoint_slices.get(service, ()))) is not None:
            findings.append(Finding(service, cluster, Reason.LOOKS_STATEFUL, (name,)))
    return tuple(findings)


def stateful_set_of(endpoint_slices: Iterable[EndpointSlice]) -> str | None:
    """The StatefulSet that seems to have all local Pods of a Service, None if none seems to."""
    pods = [
        "" if endpoint.target_ref is None else endpoint.target_ref.name
        for endpoint_slice in endpoint_slices
        if isinstance(owner_of(endpoint_slice), Foreign)
        for endpoint in endpoint_slice.endpoints
    ]
    names = {match["name"] if (match := _POD.fullmatch(pod)) else None for pod in pods}
    return names.pop() if len(names) == 1 else None


_POD: Final = re.compile(r"(?P<name>.+)-(?:0|[1-9][0-9]{0,2})")
"""The name of a Pod of a StatefulSet: the random ends of other names have five characters."""
