"""Mirrored Services with a network endpoint group (NEG) of GKE: a hint, not a rule.

The controller of these groups wants a node for every endpoint. A mirror has none, and one of them
makes it give up on the whole group: depending on its flags, it then no longer follows the local
Pods either. kube-proxy does use the mirrors, so whether to keep them is for the owner to decide.

Source: toZoneNetworkEndpointMap in kubernetes/ingress-gce pkg/neg/syncers (ErrEPNodeMissing), and
the format of the annotation in pkg/annotations/service.go.
"""

from __future__ import annotations

import re
from typing import Final

from svclink_core.core_v1 import Service
from svclink_core.mirroring import Finding
from svclink_core.omissions import clipped
from svclink_core.plans import Outcome, Plan
from svclink_core.snapshot import Snapshot
from svclink_core.well_known import ANNOTATION_ENDPOINT_GROUP, Reason


def endpoint_group_findings(found: Snapshot, planned: Plan) -> tuple[Finding, ...]:
    """The Services and clusters whose mirrors reach a network endpoint group, after a plan.

    Args:
        found: What is known.
        planned: The plan for it, or for one of its Services.
    """
    return tuple(
        Finding(each.service, each.cluster, Reason.HAS_ENDPOINT_GROUP, (clipped(wanted),))
        for each in planned.decisions
        if each.outcome in _WITH_MIRRORS and each.slices
        if (wanted := wanted_group(found.main.services.get(each.service))) is not None
    )


def wanted_group(main: Service | None) -> str | None:
    """The annotation of a Service that asks for a network endpoint group, None if none does.

    `{"ingress": true}` asks for one as soon as an Ingress uses the Service, and `exposed_ports`
    for one at once.
    """
    value = None if main is None else main.metadata.annotation(ANNOTATION_ENDPOINT_GROUP)
    return None if value is None or _ASKS.search(value) is None else value


_WITH_MIRRORS: Final = frozenset({Outcome.MIRRORED, Outcome.KEPT})
_ASKS: Final = re.compile(r'"ingress"\s*:\s*true|"exposed_ports"\s*:\s*\{\s*"')
