"""Everything that the page shows, and when each part last changed.

Every change gets the next revision. A reader that has seen a revision asks for what changed since,
however slow it is: there are no queues.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Final

from attrs import define, evolve, field, frozen

from svclink_controller import clock
from svclink_controller.wire.written_events import WrittenEvent
from svclink_core.link_overview import LinkOverview
from svclink_core.meta_v1 import NamespacedName
from svclink_core.news import News, link_news, service_news
from svclink_core.service_overview import WITHOUT_ENDPOINTS, EndpointCounts, ServiceOverview
from svclink_core.well_known import MAIN

KEPT_NEWS: Final = 500
KEPT_EVENTS: Final = 500
KEPT_CHARACTERS: Final = 1000
"""How long the text of news may be: it quotes statuses, which may be as large as an object."""

KEPT_REMOVALS: Final = 1000
"""How many Services that are gone are remembered, for readers that still show them."""


@frozen
class DatedNews:
    """A piece of news, when it happened, its number, and the revision that brought it."""

    number: int
    revision: int
    at: str
    news: News


@frozen
class MainRead:
    """How the main cluster is read.

    Args:
        is_complete: Whether everything that plans depend on was listed. Before, nothing is known.
        problems: Which kinds cannot be read, and why.
        last_event: When one of its watches last sent anything, RFC 3339.
    """

    is_complete: bool = False
    problems: tuple[tuple[str, str], ...] = ()
    last_event: str | None = None


@define
class _Row:
    """A Service, None once it is gone, and the revisions of its last change and last plan."""

    overview: ServiceOverview | None
    changed_at: int
    planned_at: int


@define
class Board:
    """What the page shows.

    Args:
        now: Returns the time that news get, as RFC 3339.

    Attributes:
        revision: The revision of the last change.
        complete_since: The first revision since which deltas tell everything that changed.
        links: The links, by name.
        main: How the main cluster is read.
        events_problem: Why Events are missing or out of date, if they are.
        tells_news: Whether changes are news: not while everything is read for the first time.
    """

    now: Callable[[], str] = clock.micro_time
    revision: int = 0
    complete_since: int = 0
    main: MainRead = field(factory=MainRead)
    links: dict[str, LinkOverview] = field(factory=dict)
    events_problem: str | None = None
    tells_news: bool = False
    _rows: dict[NamespacedName, _Row] = field(factory=dict)
    _columns: Counter[str] = field(factory=Counter)
    _totals: dict[str, EndpointCounts] = field(factory=dict)
    _link_revisions: dict[str, int] = field(factory=dict)
    _main_revision: int = 0
    _told: int = 0
    _news: deque[DatedNews] = field(factory=lambda: deque(maxlen=KEPT_NEWS))
    _events: dict[str, tuple[int, WrittenEvent]] | None = None
    _changed: asyncio.Event = field(factory=asyncio.Event)

    # Reading

    @property
    def columns(self) -> list[str]:
        """The linked clusters, sorted."""
        return sorted(self.links.keys() | self._columns.keys())

    @property
    def main_revision(self) -> int:
        """When something about the main cluster as a whole last changed."""
        return self._main_revision

    @property
    def service_count(self) -> int:
        """How many Services the main cluster has."""
        rows = [row.overview for row in self._rows.values()]
        return sum(1 for each in rows if each is not None and each.local is not None)

    def endpoints(self, cluster: str) -> EndpointCounts:
        """The endpoints that the main cluster has of a cluster."""
        return self._totals.get(cluster, WITHOUT_ENDPOINTS)

    def link(self, name: str) -> LinkOverview:
        """A link, with the endpoints that the main cluster has of it now."""
        return evolve(self.links[name], endpoints=self.endpoints(name))

    def service(self, key: NamespacedName) -> ServiceOverview | None:
        """A Service; None if no cluster has it."""
        row = self._rows.get(key)
        return None if row is None else row.overview

    def services_since(self, revision: int) -> dict[NamespacedName, ServiceOverview | None]:
        """The Services that changed; None for those that are gone."""
        return {key: row.overview for key, row in self._rows.items() if row.changed_at > revision}

    def planned_since(self, revision: int) -> list[NamespacedName]:
        """The Services that were planned again, and whose overviews did not change."""
        return [
            key
            for key, row in self._rows.items()
            if row.changed_at <= revision < row.planned_at and row.overview is not None
        ]

    def links_since(self, revision: int) -> list[str]:
        """The links that changed."""
        return [name for name in sorted(self.links) if self._link_revisions.get(name, 0) > revision]

    def news_since(self, revision: int) -> list[DatedNews]:
        """The news, the oldest first."""
        return [each for each in self._news if each.revision > revision]

    def events_since(self, revision: int) -> list[WrittenEvent] | None:
        """The Events that are new or changed, the oldest first; None if they were never read."""
        if self._events is None:
            return None
        return [event for at, event in self._events.values() if at > revision]

    async def changed_after(self, revision: int) -> None:
        """Wait until something changes after a revision."""
        while self.revision <= revision:
            self._changed.clear()
            await self._changed.wait()

    # Changing

    def put_service(self, key: NamespacedName, overview: ServiceOverview | None) -> None:
        """Show what a plan of a Service says; None: no cluster has it any more."""
        row = self._rows.get(key)
        old = None if row is None else row.overview
        if overview is None and old is None:
            return
        revision = self._next_revision()
        if overview == old and row is not None:
            row.planned_at = revision
            return
        columns = self.columns
        self._rows[key] = _Row(overview, revision, revision)
        self._count(old, overview, revision)
        if self.columns != columns:
            self.complete_since = revision
        self._tell(service_news(old, overview))
        if overview is None:
            self._forget_removals()

    def put_link(self, name: str, overview: LinkOverview | None) -> None:
        """Show a link; None: it is gone."""
        old = self.links.get(name)
        if overview is None:
            self.links.pop(name, None)
        else:
            self.links[name] = overview
        if old == overview and _last_event(old) == _last_event(overview):
            return
        revision = self._next_revision()
        self._link_revisions[name] = revision
        if (old is None) != (overview is None):
            self.complete_since = revision
        self._tell(link_news(old, overview))

    def put_main(self, main: MainRead) -> None:
        """Show how the main cluster is read."""
        if main != self.main:
            self.main = main
            self._main_revision = self._next_revision()

    def replace_events(self, events: Iterable[WrittenEvent]) -> None:
        """Show a complete list of Events."""
        self.note_events_problem(None)
        revision = self._next_revision()
        self._events = {
            each.metadata.uid: (revision, each) for each in sorted(events, key=lambda each: each.at)
        }
        self._drop_old_events()
        self.complete_since = revision

    def note_events_problem(self, problem: str | None) -> None:
        """Show why Events cannot be read; None: they are read."""
        if problem != self.events_problem:
            self.events_problem = problem
            self._main_revision = self._next_revision()

    def put_event(self, event: WrittenEvent) -> None:
        """Show a new Event, or another state of one."""
        events = {} if self._events is None else self._events
        events.pop(event.metadata.uid, None)
        events[event.metadata.uid] = self._next_revision(), event
        self._events = events
        self._drop_old_events()

    def _next_revision(self) -> int:
        self.revision += 1
        self._changed.set()
        return self.revision

    def _count(
        self, old: ServiceOverview | None, new: ServiceOverview | None, revision: int
    ) -> None:
        """Replace the endpoints of a Service in the totals of its clusters."""
        before, after = _counts_by_cluster(old), _counts_by_cluster(new)
        self._columns.subtract(before.keys() - {MAIN})
        self._columns.update(after.keys() - {MAIN})
        self._columns = +self._columns
        for name in before.keys() | after.keys():
            was, now = before.get(name, WITHOUT_ENDPOINTS), after.get(name, WITHOUT_ENDPOINTS)
            if was != now:
                self._totals[name] = self.endpoints(name).plus(now).plus(was, -1)
                self._link_revisions[name] = revision
        if before.get(MAIN) != after.get(MAIN):
            self._main_revision = revision

    def _tell(self, news: Iterable[News]) -> None:
        if self.tells_news:
            at = self.now()
            for each in news:
                self._told += 1
                self._news.append(DatedNews(self._told, self.revision, at, _clipped(each)))

    def _forget_removals(self) -> None:
        """Forget Services that are gone. Readers that may still show them get everything again."""
        gone = [key for key, row in self._rows.items() if row.overview is None]
        if len(gone) > KEPT_REMOVALS:
            for key in gone:
                del self._rows[key]
            self.complete_since = self.revision

    def _drop_old_events(self) -> None:
        events = self._events or {}
        for uid in list(events)[: max(len(events) - KEPT_EVENTS, 0)]:
            del events[uid]


def _counts_by_cluster(overview: ServiceOverview | None) -> dict[str, EndpointCounts]:
    """The endpoints of a Service in each cluster that it has a cell for, and in main."""
    if overview is None:
        return {}
    found = {each.cluster: each.endpoints for each in overview.cells}
    return found if overview.local is None else {MAIN: overview.local, **found}


def _clipped(news: News) -> News:
    is_long = len(news.text) > KEPT_CHARACTERS
    return evolve(news, text=f"{news.text[: KEPT_CHARACTERS - 1]}…") if is_long else news


def _last_event(overview: LinkOverview | None) -> str | None:
    return None if overview is None else overview.seen.last_event
