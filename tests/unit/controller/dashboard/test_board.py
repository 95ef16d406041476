"""What the page shows, and since when.

Real: the board, overviews, news. Substituted: the clock.
"""

from __future__ import annotations

import asyncio

from attrs import evolve

from svclink_controller.dashboard.board import (
    KEPT_CHARACTERS,
    KEPT_EVENTS,
    KEPT_NEWS,
    KEPT_REMOVALS,
    Board,
    MainRead,
)
from svclink_controller.wire.written_events import WrittenEvent
from svclink_core import (
    SYNCED,
    ClusterLinkStatus,
    Condition,
    NamespacedName,
    ObjectMeta,
    Outcome,
    Reason,
)
from svclink_core.link_overview import LinkOverview, SeenCluster
from svclink_core.service_overview import ClusterCell, EndpointCounts, ServiceOverview
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.builders.values import link

THEN = "2026-07-01T12:00:00Z"


def overview(key: NamespacedName = WEB, active: int = 1, cluster: str = "c1") -> ServiceOverview:
    cell = ClusterCell(cluster, Outcome.MIRRORED, Reason.MIRRORED, EndpointCounts(active))
    return ServiceOverview(key, EndpointCounts(active=2), cells=(cell,))


def linked(name: str = "c1", last_event: str | None = None) -> LinkOverview:
    return LinkOverview(link(name), SeenCluster(SYNCED, last_event=last_event))


def event(uid: str, at: str = THEN) -> WrittenEvent:
    return WrittenEvent(ObjectMeta(uid, uid=uid), "ClusterLink/c1", "Warning", "Lost", "m", 1, at)


def board() -> Board:
    """A board that was filled, and that tells what happens from now on."""
    made = Board(now=lambda: THEN)
    made.put_link("c1", linked())
    made.put_service(WEB, overview())
    made.tells_news = True
    return made


def test_long_news_are_clipped() -> None:
    """A status may be as large as an object, and 500 pieces of news are kept."""
    shown = board()
    found = linked()
    condition = Condition("Ready", "False", "Unreachable", 1_000_000 * "x", "")
    lost = evolve(found, link=evolve(found.link, status=ClusterLinkStatus(conditions=(condition,))))
    shown.put_link("c1", lost)
    text = shown.news_since(0)[-1].news.text
    assert text.startswith("Unreachable: xxx")
    assert (len(text), text[-1]) == (KEPT_CHARACTERS, "…")


def test_reader_gets_what_changed_since() -> None:
    """Each change has a revision, and what has not changed is not told again."""
    shown = board()
    seen = shown.revision
    assert shown.services_since(seen) == {}
    shown.put_service(WEB, overview(active=2))
    assert shown.services_since(seen) == {WEB: overview(active=2)}
    assert shown.links_since(seen) == ["c1"]
    assert [each.news.text for each in shown.news_since(seen)] == ["endpoints: 2 active (was 1)"]
    assert shown.news_since(shown.revision) == []


def test_equal_overview_is_no_change() -> None:
    """The Service was planned again, which a reader of its details wants to know."""
    shown = board()
    seen = shown.revision
    shown.put_service(WEB, overview())
    assert shown.services_since(seen) == {}
    assert shown.planned_since(seen) == [WEB]
    assert shown.links_since(seen) == []


def test_first_reading_is_no_news() -> None:
    """What is read when the page starts was so before."""
    shown = Board()
    shown.put_link("c1", linked())
    shown.put_service(WEB, overview())
    assert shown.news_since(-1) == []


def test_totals_follow_the_services() -> None:
    """Each Service counts once, and not at all when it is gone."""
    shown = board()
    other = NamespacedName("default", "api")
    shown.put_service(other, overview(other, active=5))
    assert (shown.endpoints("c1").active, shown.endpoints(MAIN).active) == (6, 4)
    assert (shown.link("c1").endpoints.active, shown.service_count) == (6, 2)
    shown.put_service(WEB, None)
    assert (shown.endpoints("c1").active, shown.endpoints(MAIN).active) == (5, 2)
    assert (shown.service(WEB), shown.service_count) == (None, 1)


def test_service_that_is_gone_is_told_once() -> None:
    """Then there is nothing more to say."""
    shown = board()
    seen = shown.revision
    shown.put_service(WEB, None)
    assert shown.services_since(seen) == {WEB: None}
    seen = shown.revision
    shown.put_service(WEB, None)
    assert shown.revision == seen


def test_other_columns_need_everything_again() -> None:
    """A link comes or goes, or a cluster without a link has mirrors."""
    shown = board()
    for link_of_c2 in (linked("c2"), None):
        seen = shown.revision
        shown.put_link("c2", link_of_c2)
        assert shown.complete_since > seen
    seen = shown.revision
    shown.put_service(WEB, overview(cluster="gone"))
    assert shown.complete_since > seen
    assert shown.columns == ["c1", "gone"]
    seen = shown.revision
    shown.put_service(WEB, overview(active=2, cluster="gone"))
    assert shown.complete_since <= seen


def test_link_changes_with_its_age_alone() -> None:
    """An age is shown anew, and is no news; an equal link is nothing."""
    shown = board()
    seen = shown.revision
    shown.put_link("c1", linked())
    assert shown.revision == seen
    shown.put_link("c1", linked(last_event=THEN))
    assert shown.links_since(seen) == ["c1"]
    assert shown.news_since(seen) == []
    shown.put_link("unknown", None)
    assert "unknown" not in shown.columns


def test_main_cluster_changes() -> None:
    """Only a difference is a change."""
    shown = board()
    seen = shown.revision
    shown.put_main(MainRead())
    assert shown.main_revision <= seen
    shown.put_main(MainRead(is_complete=True))
    assert shown.main_revision > seen


def test_news_are_bounded() -> None:
    """The newest are kept, with growing numbers."""
    shown = board()
    for number in range(KEPT_NEWS + 5):
        shown.put_service(WEB, overview(active=number + 2))
    kept = shown.news_since(0)
    assert len(kept) == KEPT_NEWS
    assert [each.number for each in kept][-1] == KEPT_NEWS + 5


def test_removals_are_bounded() -> None:
    """Readers that may show what was forgotten get everything again."""
    shown = board()
    for number in range(KEPT_REMOVALS + 1):
        key = NamespacedName("default", f"s{number}")
        shown.put_service(key, overview(key))
        shown.put_service(key, None)
    assert shown.complete_since == shown.revision
    assert shown.services_since(0) == {WEB: overview()}


def test_events_are_told_in_order() -> None:
    """One that is repeated moves to the end. None were read before the first list."""
    shown = board()
    assert shown.events_since(0) is None
    shown.replace_events([event("b", "2026-07-01T13:00:00Z"), event("a")])
    assert [each.metadata.uid for each in shown.events_since(0) or ()] == ["a", "b"]
    seen = shown.revision
    shown.put_event(evolve(event("a"), count=2))
    assert shown.events_since(seen) == [evolve(event("a"), count=2)]
    assert [each.metadata.uid for each in shown.events_since(0) or ()] == ["b", "a"]


def test_events_are_bounded() -> None:
    """The newest are kept."""
    shown = board()
    for number in range(KEPT_EVENTS + 1):
        shown.put_event(event(str(number)))
    kept = [each.metadata.uid for each in shown.events_since(0) or ()]
    assert (kept[0], len(kept)) == ("1", KEPT_EVENTS)


async def test_readers_wait_for_a_change() -> None:
    """All of them wake up, and one that is behind does not wait."""
    shown = board()
    waiting = [asyncio.create_task(shown.changed_after(shown.revision)) for _ in range(2)]
    await asyncio.sleep(0)
    shown.put_main(MainRead(is_complete=True))
    await asyncio.gather(*waiting)
    await shown.changed_after(0)
