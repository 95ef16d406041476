"""What happened: the differences between two overviews, in sentences.

Where all Services of a cluster change for one reason, the link says so once.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import assert_never

from attrs import frozen

from svclink_core.levels import WHOLE_CLUSTER, Level, level_of
from svclink_core.link_overview import LinkOverview
from svclink_core.service_overview import (
    WITHOUT_ENDPOINTS,
    ClusterCell,
    EndpointCounts,
    ServiceOverview,
)
from svclink_core.snapshot import Pending, Synced, Unreachable


class NewsKind(Enum):
    """What a piece of news is about."""

    LINK = "link"
    SERVICE = "service"
    ENDPOINTS = "endpoints"
    TRAFFIC = "traffic"


@frozen
class News:
    """One thing that happened.

    Args:
        kind: What it is about.
        level: How much attention it needs.
        text: What happened, in a sentence.
        cluster: The linked cluster that it is about; None for the main cluster.
        service: The Service that it is about, as `namespace/name`; None for a link.
    """

    kind: NewsKind
    level: Level
    text: str
    cluster: str | None = None
    service: str | None = None


# Services


def service_news(old: ServiceOverview | None, new: ServiceOverview | None) -> tuple[News, ...]:
    """What happened to a Service between two overviews; None where there was or is none."""
    if old is None or new is None:
        present = old or new
        if present is None or present.local is None:
            return ()
        text = "the Service was removed" if new is None else "the Service was added"
        return (News(NewsKind.SERVICE, Level.OK, text, service=str(present.key)),)
    return (*_traffic_news(old, new), *_local_news(old, new), *_cell_news(old, new))


def _traffic_news(old: ServiceOverview, new: ServiceOverview) -> Iterator[News]:
    service = str(new.key)
    if old.policy != new.policy:
        text = (
            "no TrafficPolicy is in effect anymore"
            if new.policy is None
            else f"TrafficPolicy {new.policy} is in effect"
        )
        yield News(NewsKind.TRAFFIC, Level.OK, text, service=service)
    if old.tier != new.tier:
        level = Level.WARNING if new.tier > old.tier else Level.OK
        text = f"tier {new.tier} is in use (was {old.tier})"
        yield News(NewsKind.TRAFFIC, level, text, service=service)


def _local_news(old: ServiceOverview, new: ServiceOverview) -> Iterator[News]:
    before, after = old.local or WITHOUT_ENDPOINTS, new.local or WITHOUT_ENDPOINTS
    if before != after:
        text = f"local endpoints: {_difference(before, after)}"
        yield News(NewsKind.ENDPOINTS, Level.OK, text, service=str(new.key))


def _cell_news(old: ServiceOverview, new: ServiceOverview) -> Iterator[News]:
    before = {cell.cluster: cell for cell in old.cells}
    for cell in new.cells:
        if (earlier := before.get(cell.cluster)) is not None:
            yield from _one_cell_news(earlier, cell, str(new.key))


def _one_cell_news(old: ClusterCell, new: ClusterCell, service: str) -> Iterator[News]:
    if old.reason is not new.reason and not {old.reason, new.reason} & WHOLE_CLUSTER:
        text = f"{new.reason.code}: {new.reason.sentence} (was {old.reason.code})"
        level = level_of(new.reason)
        yield News(NewsKind.SERVICE, level, text, new.cluster, service)
    if old.endpoints != new.endpoints:
        is_last = new.endpoints.active == 0 < old.endpoints.active
        level = Level.WARNING if is_last else Level.OK
        text = f"endpoints: {_difference(old.endpoints, new.endpoints)}"
        yield News(NewsKind.ENDPOINTS, level, text, new.cluster, service)


def _difference(old: EndpointCounts, new: EndpointCounts) -> str:
    parts = (
        ("active", old.active, new.active),
        ("standby", old.standby, new.standby),
        ("not ready", old.not_ready, new.not_ready),
    )
    return ", ".join(
        [f"{after} {name} (was {before})" for name, before, after in parts if before != after]
    )


# Links


def link_news(old: LinkOverview | None, new: LinkOverview | None) -> tuple[News, ...]:
    """What happened to a link between two overviews; None where there was or is none."""
    if new is None:
        return () if old is None else (_of_link(old, Level.OK, "the ClusterLink was removed"),)
    if old is None:
        return (_of_link(new, new.level, "the ClusterLink was added"),)
    return (*_written_news(old, new), *_seen_news(old, new))


def _of_link(overview: LinkOverview, level: Level, text: str) -> News:
    return News(NewsKind.LINK, level, text, overview.link.metadata.name)


def _written_news(old: LinkOverview, new: LinkOverview) -> Iterator[News]:
    """What the controller wrote to the status."""
    before, after = old.shown, new.shown
    if after is not None and (before is None or before.state != after.state):
        was = "" if before is None else f" (was {before.reason})"
        yield _of_link(new, new.level, f"{after.reason}: {after.message}{was}")
    if old.link.spec.drained != new.link.spec.drained:
        text = "spec.drained is true" if new.link.spec.drained else "spec.drained is false"
        yield _of_link(new, Level.OK, text)


def _seen_news(old: LinkOverview, new: LinkOverview) -> Iterator[News]:
    """What the reader of the cluster sees."""
    before, after = _seen(old), _seen(new)
    if before != after:
        level = Level.WARNING if new.seen.problem is not None else Level.OK
        yield _of_link(new, level, f"as seen from this machine: {after}")


def _seen(overview: LinkOverview) -> str:
    """What is seen of a cluster, in words that stay while nothing changes."""
    problem, connection = overview.seen.problem, overview.seen.connection
    if not overview.link.spec.enabled:
        return "not read, because the ClusterLink is disabled"
    if problem is not None:
        return f"{problem.reason.code}: {problem.message}"
    match connection:
        case Synced():
            return "connected"
        case Pending():
            return "connecting"
        case Unreachable():
            return "the connection was lost"
        case unexpected:
            assert_never(unexpected)
