"""What is noted about a Service besides its findings: what others make of its mirrors.

kube-proxy needs none of it, so it is looked for only where one Service is explained:

* OVN-Kubernetes needs one target port in all clusters (`target_ports`).
* GKE leaves network endpoint groups alone that mirrors are in (`endpoint_groups`).
"""

from __future__ import annotations

from attrs import evolve

from svclink_core.endpoint_groups import endpoint_group_findings
from svclink_core.plans import Plan
from svclink_core.snapshot import Snapshot
from svclink_core.target_ports import target_port_findings


def with_notes(found: Snapshot, planned: Plan) -> Plan:
    """The plan of a Service, with notes among its findings.

    Args:
        found: What is known.
        planned: The plan for it.
    """
    notes = (
        *target_port_findings(found, planned),
        *endpoint_group_findings(found, planned),
    )
    return evolve(planned, findings=(*planned.findings, *notes))
