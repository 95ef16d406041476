"""The JSON that the page reads: everything once, then what changed. It has no credentials in it.

Rows and cells are arrays of numbers: 2,000 Services of 20 clusters are 40,000 cells.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Final, assert_never

from attrs import frozen

from svclink_controller import clock
from svclink_controller.dashboard.board import Board, DatedNews
from svclink_controller.wire.written_events import WrittenEvent
from svclink_core.codec import Json
from svclink_core.conditions import last_transition
from svclink_core.levels import LEVELS, level_of
from svclink_core.link_overview import LinkOverview, SeenCluster
from svclink_core.plans import Outcome
from svclink_core.service_overview import EndpointCounts, ServiceOverview
from svclink_core.snapshot import Pending, Synced, Unreachable
from svclink_core.svclink_v1alpha1 import Condition
from svclink_core.well_known import MAIN, Reason

_OUTCOMES: Final = {outcome: index for index, outcome in enumerate(Outcome)}
_REASONS: Final = {reason: index for index, reason in enumerate(Reason)}


@frozen
class SourceName:
    """What is shown: `clusters` that are read all the time, or `files` that were read once."""

    kind: str
    name: str


def snapshot_document(board: Board, source: SourceName, started: str) -> dict[str, Json]:
    """Everything.

    Args:
        board: What the page shows.
        source: Where it comes from.
        started: Since when news are kept, as RFC 3339.
    """
    columns = board.columns
    return {
        "revision": board.revision,
        "now": clock.now(),
        "started": started,
        "svclink": version("svclink"),
        "source": {"kind": source.kind, "name": source.name},
        **_main_read(board),
        "levels": [each.value for each in LEVELS],
        "outcomes": [each.value for each in Outcome],
        "reasons": [
            {"code": each.code, "message": each.sentence, "level": level_of(each).rank}
            for each in Reason
        ],
        "clusters": [*columns],
        "links": {name: _link(board.link(name)) for name in sorted(board.links)},
        "main": _main(board),
        "services": {
            str(key): _row(overview, columns)
            for key, overview in board.services_since(0).items()
            if overview is not None
        },
        "happened": [_news(each) for each in board.news_since(0)],
        "events": _events(board.events_since(0)),
    }


def delta_document(board: Board, since: int) -> dict[str, Json]:
    """What changed since a revision that was shown with the same columns."""
    columns = board.columns
    changed: dict[str, Json] = {"revision": board.revision, "now": clock.now()}
    if board.main_revision > since:
        changed |= {**_main_read(board), "main": _main(board)}
    parts: dict[str, Json] = {
        "links": {name: _link(board.link(name)) for name in board.links_since(since)},
        "services": {
            str(key): None if overview is None else _row(overview, columns)
            for key, overview in board.services_since(since).items()
        },
        "touched": [str(key) for key in board.planned_since(since)],
        "happened": [_news(each) for each in board.news_since(since)],
        "events": _events(board.events_since(since)),
    }
    return changed | {name: part for name, part in parts.items() if part}


# The main cluster


def _main_read(board: Board) -> dict[str, Json]:
    return {
        "state": "ready" if board.main.is_complete else "loading",
        "problems": [
            {"about": about, "message": message} for about, message in board.main.problems
        ],
        "eventsProblem": board.events_problem,
    }


def _main(board: Board) -> dict[str, Json]:
    return {
        "services": board.service_count,
        "endpoints": counts_document(board.endpoints(MAIN)),
        "lastEvent": board.main.last_event,
    }


def counts_document(counts: EndpointCounts) -> dict[str, Json]:
    """Numbers of endpoints."""
    return {
        "active": counts.active,
        "standby": counts.standby,
        "notReady": counts.not_ready,
        "total": counts.total,
    }


# Links


def _link(overview: LinkOverview) -> dict[str, Json]:
    link, shown = overview.link, overview.shown
    spec, status = link.spec, link.status
    return {
        "name": link.metadata.name,
        "level": overview.level.rank,
        "enabled": spec.enabled,
        "drained": spec.drained,
        "selected": link.is_selected,
        "phase": status.phase,
        "reason": None if shown is None else shown.reason,
        "message": None if shown is None else status.error or shown.message,
        "conditions": [condition_document(each) for each in status.conditions],
        "version": status.version,
        "lastConnected": status.last_connected,
        "lastTransition": last_transition(status.conditions),
        "credentialsExpire": status.credentials_expire,
        "services": status.services,
        "slices": status.slices,
        "stillNeededBy": status.still_needed_by,
        "endpoints": counts_document(overview.endpoints),
        "unreachable": {
            "action": spec.unreachable.action,
            "afterSeconds": spec.unreachable.after_seconds,
            "force": spec.unreachable.force,
        },
        "seen": _seen(overview.seen, is_enabled=spec.enabled),
    }


def condition_document(condition: Condition) -> dict[str, Json]:
    """A condition of a link or of a policy."""
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "since": condition.last_transition_time,
        "healthy": condition.is_healthy,
    }


def _seen(seen: SeenCluster, *, is_enabled: bool) -> dict[str, Json]:
    connection, since = "Disabled", None
    match seen.connection:
        case _ if not is_enabled:
            pass
        case Synced():
            connection = "Synced"
        case Pending():
            connection = "Pending"
        case Unreachable():
            connection, since = "Unreachable", seen.connection.since
        case unexpected:
            assert_never(unexpected)
    return {
        "connection": connection,
        "since": since,
        "reason": None if seen.problem is None else seen.problem.reason.code,
        "message": None if seen.problem is None else seen.problem.message,
        "version": seen.version,
        "lastEvent": seen.last_event,
        "services": seen.services,
        "memory": seen.memory,
        "memoryBudget": seen.memory_budget,
    }


# Services


def _row(overview: ServiceOverview, columns: list[str]) -> dict[str, Json]:
    local, cells = overview.local, {each.cluster: each for each in overview.cells}
    return {
        "level": overview.level.rank,
        "local": None if local is None else [local.active, local.total],
        "policy": overview.policy,
        "tier": overview.tier,
        "cells": [
            None
            if (cell := cells.get(name)) is None
            else [
                cell.level.rank,
                _OUTCOMES[cell.outcome],
                _REASONS[cell.reason],
                cell.endpoints.active,
                cell.endpoints.standby,
                cell.endpoints.total,
                cell.changes,
            ]
            for name in columns
        ],
        "findings": [[cluster, _REASONS[reason]] for cluster, reason in overview.findings],
    }


# What happened


def _news(dated: DatedNews) -> dict[str, Json]:
    news = dated.news
    return {
        "id": dated.number,
        "at": dated.at,
        "level": news.level.rank,
        "kind": news.kind.value,
        "cluster": news.cluster,
        "service": news.service,
        "text": news.text,
    }


def _events(events: list[WrittenEvent] | None) -> list[Json] | None:
    return None if events is None else [_event(each) for each in events]


def _event(event: WrittenEvent) -> dict[str, Json]:
    return {
        "uid": event.metadata.uid,
        "at": event.at,
        "type": event.type,
        "reason": event.reason,
        "message": event.message,
        "object": event.about,
        "count": event.count,
    }
