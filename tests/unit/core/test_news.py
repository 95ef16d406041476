"""What happened between two overviews."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    LinkReason,
    Outcome,
    Problem,
    Reason,
    Unreachable,
)
from svclink_core.levels import Level
from svclink_core.link_overview import LinkOverview, SeenCluster
from svclink_core.news import News, NewsKind, link_news, service_news
from svclink_core.service_overview import ClusterCell, EndpointCounts, ServiceOverview
from svclink_core.svclink_v1alpha1 import ConditionStatus
from tests.builders.keys import WEB
from tests.builders.values import link

NAME = "default/web"
TWO = EndpointCounts(active=2)
CELL = ClusterCell("c1", Outcome.MIRRORED, Reason.MIRRORED, TWO)
SERVICE = ServiceOverview(WEB, TWO, cells=(CELL,))


def with_cell(reason: Reason, endpoints: EndpointCounts = TWO) -> ServiceOverview:
    return evolve(SERVICE, cells=(evolve(CELL, reason=reason, endpoints=endpoints),))


# Services


def test_nothing_happened() -> None:
    """Equal overviews make no news."""
    assert service_news(SERVICE, SERVICE) == ()
    assert service_news(None, None) == ()


def test_service_comes_and_goes() -> None:
    """Only those of the main cluster are told."""
    new = News(NewsKind.SERVICE, Level.OK, "the Service was added", service=NAME)
    assert service_news(None, SERVICE) == (new,)
    assert service_news(SERVICE, None) == (evolve(new, text="the Service was removed"),)
    assert service_news(None, evolve(SERVICE, local=None)) == ()


def test_reason_changes() -> None:
    """The new reason in a sentence, and the code of the old one."""
    (news,) = service_news(SERVICE, with_cell(Reason.MIRROR_FALSE))
    sentence = Reason.MIRROR_FALSE.sentence
    text = f"MirrorFalse: {sentence} (was Mirrored)"
    assert news == News(NewsKind.SERVICE, Level.SKIPPED, text, "c1", NAME)


@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.PENDING, Reason.FROZEN])
def test_reasons_of_whole_clusters_are_told_by_the_link(reason: Reason) -> None:
    """A lost cluster is one piece of news, not one for each Service."""
    assert service_news(SERVICE, with_cell(reason)) == ()
    assert service_news(with_cell(reason), SERVICE) == ()


def test_endpoints_change() -> None:
    """Only the numbers that changed are told; the loss of the last active one is a warning."""
    changed = with_cell(Reason.MIRRORED, EndpointCounts(1, 0, 1))
    (news,) = service_news(SERVICE, changed)
    text = "endpoints: 1 active (was 2), 1 not ready (was 0)"
    assert news == News(NewsKind.ENDPOINTS, Level.OK, text, "c1", NAME)
    (news,) = service_news(SERVICE, with_cell(Reason.MIRRORED, EndpointCounts(standby=2)))
    assert (news.level, news.text) == (
        Level.WARNING,
        "endpoints: 0 active (was 2), 2 standby (was 0)",
    )


def test_local_endpoints_change() -> None:
    """They have no cluster. A Service that appears in the main cluster had none before."""
    (news,) = service_news(evolve(SERVICE, local=None), SERVICE)
    text = "local endpoints: 2 active (was 0)"
    assert news == News(NewsKind.ENDPOINTS, Level.OK, text, service=NAME)
    (news,) = service_news(SERVICE, evolve(SERVICE, local=None))
    assert news.text == "local endpoints: 0 active (was 2)"


def test_traffic_changes() -> None:
    """A later tier is a warning, and the way back is none."""
    steered = evolve(SERVICE, policy="web")
    (news,) = service_news(SERVICE, steered)
    assert news.text == "TrafficPolicy web is in effect"
    (news,) = service_news(steered, SERVICE)
    assert news.text == "no TrafficPolicy is in effect anymore"
    (news,) = service_news(steered, evolve(steered, tier=1))
    assert (news.level, news.text) == (Level.WARNING, "tier 1 is in use (was 0)")
    (news,) = service_news(evolve(steered, tier=1), steered)
    assert (news.level, news.text) == (Level.OK, "tier 0 is in use (was 1)")


def test_new_cluster_is_told_by_its_link() -> None:
    """A cell that was not there before says nothing about a change."""
    assert service_news(evolve(SERVICE, cells=()), SERVICE) == ()


# Links


def condition(status: ConditionStatus = "True", reason: str = "ClusterReady") -> Condition:
    return Condition("Ready", status, reason, "a sentence", "2026-07-01T12:00:00Z")


def link_overview(
    *conditions: Condition, seen: SeenCluster | None = None, spec: ClusterLinkSpec | None = None
) -> LinkOverview:
    status = ClusterLinkStatus(phase="Ready", conditions=conditions)
    found = link(spec=spec or ClusterLinkSpec(), status=status)
    return LinkOverview(found, seen or SeenCluster(SYNCED))


LINK = link_overview(condition())


def test_link_comes_and_goes() -> None:
    """Each is one piece of news."""
    (news,) = link_news(None, LINK)
    assert news == News(NewsKind.LINK, Level.OK, "the ClusterLink was added", "c1")
    (news,) = link_news(LINK, None)
    assert news.text == "the ClusterLink was removed"
    assert link_news(None, None) == ()
    assert link_news(LINK, LINK) == ()


def test_controller_writes_another_reason() -> None:
    """The condition that matters most is told."""
    (news,) = link_news(LINK, link_overview(condition("False", "Unreachable")))
    assert news.text == "Unreachable: a sentence (was ClusterReady)"
    (news,) = link_news(link_overview(), LINK)
    assert news.text == "ClusterReady: a sentence"
    assert link_news(LINK, link_overview()) == ()


def test_link_is_drained() -> None:
    """The field says so before the status does."""
    drained = link_overview(condition(), spec=ClusterLinkSpec(drained=True))
    assert [each.text for each in link_news(LINK, drained)] == ["spec.drained is true"]
    assert [each.text for each in link_news(drained, LINK)] == ["spec.drained is false"]


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (SeenCluster(PENDING), "connecting"),
        (SeenCluster(Unreachable("", 0)), "the connection was lost"),
        (SeenCluster(PENDING, Problem(LinkReason.UNAUTHORIZED, "401")), "Unauthorized: 401"),
    ],
)
def test_what_is_seen_changes(seen: SeenCluster, text: str) -> None:
    """The page reads the cluster itself, and may see something else than the controller."""
    (news,) = link_news(LINK, evolve(LINK, seen=seen))
    assert news.text == f"as seen from this machine: {text}"
    (news,) = link_news(evolve(LINK, seen=seen), LINK)
    assert news.text == "as seen from this machine: connected"


def test_disabled_link_is_not_read() -> None:
    """That is no problem of the cluster."""
    (news,) = link_news(LINK, link_overview(condition(), spec=ClusterLinkSpec(enabled=False)))
    assert news.text == "as seen from this machine: not read, because the ClusterLink is disabled"
