"""What changes is shown at once, and a lost connection is said and repaired."""

from __future__ import annotations

from playwright.sync_api import Page, expect

from tests.e2e.polling import eventually

from .conftest import Pages
from .example_fleet import example_service, example_snapshot
from .facts import OK, cell, endpoints, happened, link, row, snapshot
from .scripted_server import ScriptedServer


def test_changes_appear(pages: Pages, server: ScriptedServer) -> None:
    """A link, a Service and an entry that change in a delta change on the page."""
    server.snapshot = snapshot(
        [link("cluster-a", endpoints(2))], {"shop/web": row([cell(active=2)])}
    )
    page = pages.open(f"{server.page}#/services")
    cells = page.get_by_role("gridcell")
    expect(cells).to_have_text(["2", "2"])
    server.send(
        "delta",
        {
            "revision": 2,
            "now": "2026-03-10T12:00:01Z",
            "links": {"cluster-a": link("cluster-a", endpoints(7))},
            "services": {"shop/web": row([cell(active=7)]), "shop/api": row([cell(active=1)])},
            "happened": [happened(1, "12:00:01", OK, "endpoints", "5 more endpoints")],
        },
    )
    expect(cells).to_have_text(["2", "1", "2", "7"])
    page.get_by_role("link", name="Activity").click()
    expect(page.get_by_text("5 more endpoints")).to_be_visible()
    server.send("delta", {"revision": 3, "services": {"shop/api": None}})
    page.get_by_role("link", name="Services").click()
    expect(cells).to_have_text(["2", "7"])


def test_an_open_service_is_read_again(pages: Pages, server: ScriptedServer) -> None:
    """The page of a Service follows a delta that touches it."""
    page = pages.open(f"{server.page}#/services/shop/web")
    expect(page.get_by_text("None. The main cluster is up to date.")).to_be_visible()
    change = {
        "change": "update",
        "kind": "EndpointSlice",
        "name": "shop/web-eu-west",
        "cluster": "eu-west",
        "reason": "Activated",
        "message": "the Service needs more active endpoints in the cluster",
        "text": "",
    }
    server.services["shop/web"] = example_service() | {"changes": [change]}
    server.send("delta", {"revision": 2, "touched": ["shop/web"]})
    expect(page.get_by_role("region", name="Planned changes")).to_contain_text(
        "EndpointSlice shop/web-eu-west"
    )


def test_a_lost_connection(pages: Pages, server: ScriptedServer) -> None:
    """A page without connection says that it may be out of date, and later reads it all again."""
    page = pages.open(f"{server.page}#/services")
    expect(page.get_by_role("grid")).to_be_visible()
    server.lose_connections(is_down=True)
    expect(page.get_by_text("this page may be out of date")).to_be_visible()
    expect(page.get_by_role("grid")).to_be_visible()
    server.snapshot = example_snapshot() | {
        "services": {"shop/only": row([cell(active=1) for _ in range(6)])}
    }
    server.is_down = False
    expect(page.get_by_role("rowheader")).to_have_text(["shop/only"])
    expect(page.get_by_text("this page may be out of date")).to_have_count(0)
    pages.complaints.clear()  # Chromium logs every failed request.


def test_too_many_pages(pages: Pages, server: ScriptedServer) -> None:
    """A page that gets no events because others do says so, until one of them is closed."""
    server.is_full = True
    page = pages.open(server.page)
    expect(page.get_by_text("Too many dashboard pages are open")).to_be_visible()
    server.is_full = False
    expect(page.get_by_text("Too many dashboard pages are open")).to_have_count(0)
    pages.complaints.clear()  # Chromium logs every failed request.


def test_many_changes_of_an_open_service(pages: Pages, server: ScriptedServer) -> None:
    """It is not read for each of them, but after the last one."""
    page = pages.open(f"{server.page}#/services/shop/web")
    expect(page.get_by_text("None. The main cluster is up to date.")).to_be_visible()
    for revision in range(2, 102):
        server.send("delta", {"revision": revision, "touched": ["shop/web"]})
    server.services["shop/web"] = example_service() | {"main": None}
    server.send("delta", {"revision": 102, "touched": ["shop/web"]})
    expect(page.get_by_text("The main cluster has no Service")).to_be_visible()
    assert len(server.requests) < 100


def test_a_service_that_cannot_be_read_any_more(pages: Pages, server: ScriptedServer) -> None:
    """What was read before stays."""
    page = pages.open(f"{server.page}#/services/shop/web")
    expect(page.get_by_text("None. The main cluster is up to date.")).to_be_visible()
    server.is_down = True
    with page.expect_response("**/api/services/shop/web"):
        server.send("delta", {"revision": 2, "touched": ["shop/web"]})
    news = happened(1, "12:00:01", OK, "endpoints", "one more endpoint", service="shop/web")
    server.send("delta", {"revision": 3, "happened": [news]})
    expect(page.get_by_text("one more endpoint")).to_be_visible()
    expect(page.get_by_text("None. The main cluster is up to date.")).to_be_visible()
    pages.complaints.clear()  # Chromium logs every failed request.


def test_a_service_that_is_open_while_everything_loads(
    pages: Pages, server: ScriptedServer
) -> None:
    """It is read as soon as the main cluster was, without waiting for the next regular read."""
    found = server.services.pop("shop/web")
    server.snapshot = server.snapshot | {"state": "loading"}
    page = pages.open("about:blank")
    page.add_init_script("window.setInterval = () => 0;")
    page.goto(f"{server.page}#/services/shop/web")
    eventually(lambda: _require("shop/web" in server.requests))
    expect(page.get_by_text("Loading the main cluster")).to_be_visible()
    server.services["shop/web"] = found
    server.send("delta", {"revision": 2, "state": "ready"})
    expect(page.get_by_text("None. The main cluster is up to date.")).to_be_visible()
    pages.complaints.clear()  # Chromium logs every failed request.


def test_a_reason_that_nothing_has_any_more(pages: Pages, server: ScriptedServer) -> None:
    """The filter still shows what it is set to, so that it can be taken back."""
    page = pages.open(f"{server.page}#/services?reason=NameTooLong&namespace=gone")
    expect(page.get_by_text("No Service matches the filters.")).to_be_visible()
    for name, value in (("Reason", "NameTooLong"), ("Namespace", "gone")):
        choice = page.get_by_label(name, exact=True)
        expect(choice).to_have_value(value)
        choice.select_option("")
    expect(page.get_by_role("grid")).to_be_visible()


def test_colors_of_the_system_change(pages: Pages, server: ScriptedServer) -> None:
    """The page has the new ones, and offers the others."""
    page = pages.open(server.page)
    expect(page.get_by_role("button", name="Dark colors")).to_be_visible()
    page.emulate_media(color_scheme="dark")
    expect(page.get_by_role("button", name="Light colors")).to_be_visible()


def test_a_browser_without_storage(pages: Pages, server: ScriptedServer) -> None:
    """The page works, and can be loaded again: the token stays in its address."""
    page = pages.open("about:blank")
    page.add_init_script(
        """Object.defineProperty(window, "localStorage", {
            get() { throw new DOMException("denied", "SecurityError"); },
        });"""
    )
    page.goto(server.page)
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()
    page.reload()
    expect(page.get_by_role("heading", name="Fleet")).to_be_visible()


def test_a_page_in_the_background(pages: Pages, server: ScriptedServer) -> None:
    """A page that is not in view keeps no connection, and reads everything again when it is."""
    page = pages.open(f"{server.page}#/services")
    expect(page.get_by_role("grid")).to_be_visible()
    set_hidden(page, is_hidden=True)
    eventually(lambda: _require(server.page_count == 0))
    server.snapshot = example_snapshot() | {
        "services": {"shop/only": row([cell(active=1) for _ in range(6)])}
    }
    set_hidden(page, is_hidden=False)
    expect(page.get_by_role("rowheader")).to_have_text(["shop/only"])


def set_hidden(page: Page, *, is_hidden: bool) -> None:
    page.evaluate(
        """value => {
            Object.defineProperty(document, "hidden", { value, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        is_hidden,
    )


def _require(holds: bool) -> None:
    assert holds
