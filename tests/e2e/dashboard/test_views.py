"""Each view shows what the server said."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from svclink_core import Reason

from .conftest import Pages
from .example_fleet import example_snapshot, large_snapshot
from .facts import NONE, Facts, cell, endpoints, link, row, snapshot
from .scripted_server import ScriptedServer


def test_fleet(pages: Pages, server: ScriptedServer) -> None:
    """A card says why a link is in trouble, and what its cluster has."""
    page = pages.open(server.page)
    cards = page.get_by_role("listitem").filter(has=page.get_by_role("heading", level=2))
    expect(cards).to_have_count(6)
    lost = cards.filter(has=page.get_by_role("heading", name="us-west"))
    for words in ("NotReady", "Unreachable", "connection refused", "v1.37.2", "44 active"):
        expect(lost).to_contain_text(words)
    drained = cards.filter(has=page.get_by_role("heading", name="eu-north"))
    for words in ("drained", "0 active, 38 standby", "NotReady after 2 min"):
        expect(drained).to_contain_text(words)


def test_a_card_leads_to_the_services_of_its_cluster(pages: Pages, server: ScriptedServer) -> None:
    """The link on a card shows the column of that cluster alone."""
    page = pages.open(server.page)
    page.get_by_role("link", name="12 mirrored from").or_(
        page.get_by_role("link", name="20 mirrored from")
    ).first.click()
    expect(page.get_by_role("columnheader")).to_have_text(["Service", "main", "ap-south"])


def test_services(pages: Pages, server: ScriptedServer) -> None:
    """The matrix has a row for each Service, those in trouble first, and says what a cell means."""
    page = pages.open(f"{server.page}#/services")
    grid = page.get_by_role("grid", name="Services by cluster")
    expect(grid).to_have_attribute("aria-rowcount", "25")
    first = grid.get_by_role("row").nth(1)
    expect(first.get_by_role("gridcell").last).to_have_attribute(
        "aria-label",
        "2 active; Kept: the cluster cannot be reached",
    )


def test_service_that_is_never_mirrored(pages: Pages, server: ScriptedServer) -> None:
    """It may be in every cluster: the matrix says why it is not mirrored, not that it is absent."""
    shown = row([cell(NONE, "Skipped", Reason.SERVICE_KUBERNETES)])
    server.snapshot = snapshot([link("c1", endpoints(2))], {"default/kubernetes": shown})
    page = pages.open(f"{server.page}#/services")
    cells = page.get_by_role("row").nth(1).get_by_role("gridcell")
    words = "Skipped: the kubernetes Service is never mirrored"
    expect(cells.last).to_have_attribute("aria-label", words)
    cells.last.click()
    expect(page.locator(".told")).to_contain_text(words)
    legend = page.get_by_role("list", name="Legend")
    expect(legend).to_contain_text("nothing to mirror")
    expect(legend).not_to_contain_text("not in this cluster")


@pytest.mark.parametrize(
    ("choice", "option", "left"),
    [
        ("Show", "trouble", 14),
        ("Namespace", "shop", 5),
        ("Reason", "PortMismatch", 1),
        ("Cluster", "edge-lab", 4),
        ("Policy", "any", 2),
        ("Policy", "failover", 1),
    ],
)
def test_filters(pages: Pages, server: ScriptedServer, choice: str, option: str, left: int) -> None:
    """A filter leaves the Services that it names, and stays when the page is loaded again."""
    page = pages.open(f"{server.page}#/services")
    page.get_by_label(choice, exact=True).select_option(option)
    expect(page.get_by_role("status").first).to_contain_text(f"{left} of 24 Services")
    page.reload()
    expect(page.get_by_role("status").first).to_contain_text(f"{left} of 24 Services")


def test_search(pages: Pages, server: ScriptedServer) -> None:
    """The slash key leads to the search, and every word must be in the name."""
    page = pages.open(f"{server.page}#/services")
    expect(page.get_by_role("grid")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("shop we")
    expect(page.get_by_role("rowheader")).to_have_text(["shop/webpolicy"])
    page.keyboard.type("nothing")
    expect(page.get_by_text("No Service matches the filters.")).to_be_visible()


def test_service(pages: Pages, server: ScriptedServer) -> None:
    """A Service shows wanted and reachable shares, and the conditions of each endpoint."""
    page = pages.open(f"{server.page}#/services/shop/web")
    shares = page.get_by_role("region", name="Traffic")
    canary = shares.get_by_role("row").filter(has_text="eu-west")
    for words in ("2 of 6 ready", "9%", "10%", "closest to the wanted share"):
        expect(canary).to_contain_text(words)
    cluster = page.get_by_role("region", name="eu-west", exact=True)
    expect(
        cluster.get_by_role("row").filter(has_text="standby").first.get_by_role("cell")
    ).to_have_text(
        [
            "10.4.0.13",
            "standby",
            "false",
            "true",
            "true",
            "eu-west-a",
            "http 8080/TCP",
            "web-eu-west",
        ]
    )
    expect(cluster).to_contain_text("eu-west-b 1 active, 2 standby")
    expect(page.get_by_role("region", name="us-west", exact=True)).to_contain_text(
        "Cannot be read from this machine (Unreachable): connection refused"
    )


def test_a_service_that_no_cluster_has(pages: Pages, server: ScriptedServer) -> None:
    """The page of such a Service says so, in the words of the server."""
    page = pages.open(f"{server.page}#/services/shop/unknown")
    expect(page.get_by_text("No cluster has a Service shop/unknown.")).to_be_visible()
    pages.complaints.clear()  # Chromium logs every answer 404.


def test_what_happened(pages: Pages, server: ScriptedServer) -> None:
    """Changes and Events are one list, newest first, and a kind can be chosen."""
    page = pages.open(f"{server.page}#/history")
    entries = page.get_by_role("main").get_by_role("list").get_by_role("listitem")
    expect(entries).to_have_count(9)
    expect(entries.first).to_contain_text("shop/web")
    page.get_by_role("button", name="Events").click()
    expect(entries).to_have_count(2)
    page.get_by_role("button", name="Everything").click()
    page.get_by_role("button", name="Problems only").click()
    expect(entries).to_have_count(4)


@pytest.mark.parametrize(
    ("events", "problem", "shown"),
    [
        (None, "403 Forbidden", "Events are missing: 403 Forbidden"),
        (None, None, "Events have not been read yet."),
        ([], "no route", "Events may be out of date: no route"),
    ],
)
def test_events_that_cannot_be_read(
    pages: Pages, server: ScriptedServer, events: list[Facts] | None, problem: str, shown: str
) -> None:
    """The page says why Events are missing, or may be out of date."""
    server.snapshot = example_snapshot() | {"events": events, "eventsProblem": problem}
    page = pages.open(f"{server.page}#/history")
    expect(page.get_by_text(shown)).to_be_visible()


def test_files_have_no_events(pages: Pages, server: ScriptedServer) -> None:
    """Nothing is said to be missing that cannot be there."""
    files = {"kind": "files", "name": "main.yaml"}
    server.snapshot = example_snapshot() | {"events": None, "source": files}
    page = pages.open(f"{server.page}#/history")
    expect(page.get_by_role("button", name="Endpoints")).to_be_visible()
    expect(page.get_by_role("button", name="Events")).to_have_count(0)
    expect(page.get_by_text("Events have not been read yet.")).to_have_count(0)


def test_invalid_times_are_unknown(pages: Pages, server: ScriptedServer) -> None:
    """A time that a cluster wrote may be anything; every view is shown nevertheless."""
    invalid = "soon"
    condition = {
        "type": "Synced",
        "status": "False",
        "reason": "Partly",
        "message": "",
        "since": invalid,
        "healthy": False,
    }
    odd = link("a", endpoints(1), credentialsExpire=invalid, conditions=[condition])
    event = {
        "uid": "1",
        "at": invalid,
        "type": "Normal",
        "reason": "Synced",
        "message": "",
        "object": "ClusterLink/a",
        "count": 1,
    }
    server.snapshot = snapshot([odd], {}, events=[event], started=invalid)
    page = pages.open(server.page)
    expect(page.get_by_text("unknown")).to_have_count(2)
    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_role("time")).to_have_text(["unknown"])
    expect(page.get_by_text("since unknown")).to_be_visible()


def test_nothing_is_shown_as_empty_while_it_is_unknown(
    pages: Pages, server: ScriptedServer
) -> None:
    """While the main cluster is being read, the page says so instead of showing no Services."""
    problem = {"about": "services", "message": "services of the main cluster cannot be read"}
    server.snapshot = snapshot([], {}, state="loading", problems=[problem])
    page = pages.open(f"{server.page}#/services")
    expect(page.get_by_text("services of the main cluster cannot be read")).to_be_visible()
    expect(page.get_by_text("Loading the main cluster")).to_be_visible()


def test_a_fleet_without_links(pages: Pages, server: ScriptedServer) -> None:
    """Without a ClusterLink, the fleet says that nothing is mirrored."""
    server.snapshot = snapshot([], {})
    page = pages.open(server.page)
    expect(page.get_by_text("There are no ClusterLinks")).to_be_visible()


def test_a_fleet_of_many_links(pages: Pages, server: ScriptedServer) -> None:
    """The drawing of 100 clusters has a line for each."""
    server.snapshot = large_snapshot(1, 100)
    page = pages.open(server.page)
    drawing = page.get_by_role("region", name="Endpoints of each cluster")
    expect(drawing.get_by_role("link")).to_have_count(100)
    box = drawing.bounding_box()
    assert box is not None
    assert box["height"] < 1_500


def test_a_link_without_status(pages: Pages, server: ScriptedServer) -> None:
    """The card of a link that no controller handles says so."""
    new: Facts = {"phase": "Pending", "reason": None, "message": None, "conditions": []}
    server.snapshot = snapshot([link("cluster-a", endpoints(0), **new)], {})
    page = pages.open(server.page)
    expect(
        page.get_by_text("No controller has written the status of this link yet.")
    ).to_be_visible()


def test_a_wrong_token(pages: Pages, server: ScriptedServer) -> None:
    """Without the token, the page says where to find it."""
    page = pages.open(f"{server.address}/?token=wrong")
    expect(page.get_by_text("Open the address that svclink dashboard printed")).to_be_visible()
    pages.complaints.clear()  # Chromium logs every answer 401.


def test_the_token_leaves_the_address(pages: Pages, server: ScriptedServer) -> None:
    """The token is not in the address bar; a reload and another tab still work."""
    page = pages.open(f"{server.page}#/services")
    expect(page.get_by_role("grid")).to_be_visible()
    assert page.url == f"{server.address}/#/services"
    page.reload()
    expect(page.get_by_role("grid")).to_be_visible()
    another = page.context.new_page()
    another.goto(f"{server.address}/#/services")
    expect(another.get_by_role("grid")).to_be_visible()


def test_a_bookmark_works_once_the_printed_address_was_opened(
    pages: Pages, server: ScriptedServer
) -> None:
    """As the documentation says: with the same port, again after each start of the dashboard."""
    bookmark = f"{server.address}/#/services?namespace=shop"
    page = pages.open(server.page)
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    page.goto(bookmark)
    expect(page.get_by_role("grid")).to_be_visible()
    server.token = "another-token"  # noqa: S105 - opens pages of tests only
    another = page.context.new_page()
    another.goto(bookmark)
    expect(another.get_by_text("Open the address that svclink dashboard printed")).to_be_visible()
    another.goto(server.page)
    expect(another.get_by_role("heading", name="Fleet")).to_be_visible()
    another.goto(bookmark)
    expect(another.get_by_role("grid")).to_be_visible()
    pages.complaints.clear()  # Chromium logs every answer 401.
