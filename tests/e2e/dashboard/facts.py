"""Facts as the server of the dashboard sends them, for pages that need no cluster.

What the real server sends has the same form: `test_real_clusters.py` reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from svclink_core.well_known import Reason

Facts: TypeAlias = dict[str, object]

NOW: Final = "2026-03-10T12:00:00Z"
LEVELS: Final = ("none", "ok", "skipped", "waiting", "warning", "error")
OUTCOMES: Final = ("Mirrored", "Created", "Kept", "Skipped")
REASONS: Final = tuple(Reason)

NONE, OK, SKIPPED, WAITING, WARNING, ERROR = range(len(LEVELS))


def endpoints(active: int, standby: int = 0, not_ready: int = 0) -> Facts:
    """Endpoints, counted by their use."""
    total = active + standby + not_ready
    return {"active": active, "standby": standby, "notReady": not_ready, "total": total}


def cell(
    level: int = OK,
    outcome: str = "Mirrored",
    reason: Reason = Reason.MIRRORED,
    *,
    active: int = 0,
    standby: int = 0,
    total: int | None = None,
    changes: int = 0,
) -> list[int]:
    """What one cluster does for one Service."""
    there = active + standby if total is None else total
    of_reason = REASONS.index(reason)
    return [level, OUTCOMES.index(outcome), of_reason, active, standby, there, changes]


def absent() -> list[int]:
    """The cluster does not have the Service."""
    return cell(NONE, "Skipped", Reason.REMOTE_SERVICE_MISSING)


def row(
    cells: Sequence[list[int] | None],
    *,
    local: tuple[int, int] | None = (2, 2),
    policy: str | None = None,
    tier: int = 0,
    findings: Iterable[tuple[str, Reason]] = (),
) -> Facts:
    """One Service, with the level of the worst that is said of it."""
    found = [[cluster, REASONS.index(reason)] for cluster, reason in findings]
    levels = [each[0] for each in cells if each is not None] + [WARNING for _ in found]
    # One that a cluster skips is in order where another cluster's is mirrored.
    highest = max(levels, default=NONE)
    return {
        "level": OK if highest == SKIPPED and OK in levels else highest,
        "local": None if local is None else list(local),
        "policy": policy,
        "tier": tier,
        "cells": list(cells),
        "findings": found,
    }


def condition(kind: str, status: str, reason: str, message: str, *, healthy: bool) -> Facts:
    """A condition, as a link and a TrafficPolicy have it."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "since": "2026-03-10T11:52:00Z",
        "healthy": healthy,
    }


def link(name: str, counts: Facts, **different: object) -> Facts:
    """A link that is ready, except for what differs."""
    usual: Facts = {
        "name": name,
        "level": OK,
        "enabled": True,
        "drained": False,
        "selected": True,
        "phase": "Ready",
        "reason": "ClusterReady",
        "message": "Cluster connection established",
        "conditions": [condition("Ready", "True", "ClusterReady", "", healthy=True)],
        "version": "v1.37.2",
        "lastConnected": "2026-03-10T08:00:00Z",
        "lastTransition": "2026-03-10T08:00:01Z",
        "credentialsExpire": "2026-09-01T00:00:00Z",
        "services": 12,
        "slices": 14,
        "stillNeededBy": 0,
        "endpoints": counts,
        "unreachable": {"action": "Keep", "afterSeconds": 300, "force": False},
        "seen": seen(),
    }
    return usual | different


def seen(**different: object) -> Facts:
    """What the dashboard itself sees of a cluster that can be read, except for what differs."""
    usual: Facts = {
        "connection": "Synced",
        "since": "2026-03-10T11:40:00Z",
        "reason": None,
        "message": None,
        "version": "v1.37.2",
        "lastEvent": "2026-03-10T11:59:57Z",
        "services": 21,
        "memory": 3_250_000,
        "memoryBudget": 83_886_080,
    }
    return usual | different


def happened(number: int, at: str, level: int, kind: str, text: str, **about: str) -> Facts:
    """Something that changed; `cluster` and `service` say what it is about."""
    time = f"2026-03-10T{at}.000000Z"
    return {
        "id": number,
        "at": time,
        "level": level,
        "kind": kind,
        "cluster": about.get("cluster"),
        "service": about.get("service"),
        "text": text,
    }


def snapshot(links: Iterable[Facts], services: Mapping[str, Facts], **different: object) -> Facts:
    """Everything, except for what differs."""
    by_name = {str(each["name"]): each for each in links}
    usual: Facts = {
        "revision": 1,
        "now": NOW,
        "started": "2026-03-10T11:40:00Z",
        "svclink": "0.2.0",
        "source": {"kind": "clusters", "name": "prod-eu-central"},
        "state": "ready",
        "problems": [],
        "levels": list(LEVELS),
        "outcomes": list(OUTCOMES),
        "reasons": [{"code": each.code, "message": each.sentence, "level": OK} for each in REASONS],
        "clusters": sorted(by_name),
        "links": by_name,
        "main": {
            "services": len(services),
            "endpoints": endpoints(2 * len(services)),
            "lastEvent": "2026-03-10T11:59:58Z",
        },
        "services": dict(services),
        "happened": [],
        "events": [],
        "eventsProblem": None,
    }
    return usual | different
