"""Names and messages of hostile clusters are text, whatever they contain."""

from __future__ import annotations

from typing import Final

import pytest
from playwright.sync_api import Page, expect

from svclink_core.well_known import Reason

from .conftest import Pages
from .example_fleet import example_service
from .facts import (
    ERROR,
    WARNING,
    Facts,
    cell,
    condition,
    endpoints,
    happened,
    link,
    row,
    seen,
    snapshot,
)
from .scripted_server import STATIC, ScriptedServer

HOSTILE: Final = (
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(1)</script>",
    "javascript:alert(1)",
    "${alert(1)}{{alert(1)}}",
    "__proto__",
    "constructor",
    "\u202egnitset\u202c",
    "a\u0000b\u200bc\nd",
    "%2e%2e%2f%zz",
    "x" * 4000,
)
SHOWN: Final = {
    "\u202egnitset\u202c": "\ufffdgnitset\ufffd",
    "a\u0000b\u200bc\nd": "a\ufffdb\ufffdc\ufffdd",
}


def hostile_snapshot() -> Facts:
    """A fleet in which everything that a cluster can name has a hostile name."""
    return snapshot(
        [hostile_link(name) for name in HOSTILE],
        {f"{name}/{name}": hostile_row(name) for name in HOSTILE},
        clusters=list(HOSTILE),
        happened=[hostile_change(number, name) for number, name in enumerate(HOSTILE)],
        events=[hostile_event(name) for name in HOSTILE],
        problems=[{"about": name, "message": name} for name in HOSTILE],
        source={"kind": "clusters", "name": HOSTILE[0]},
    )


def hostile_link(name: str) -> Facts:
    unhealthy = condition(name, "False", name, name, healthy=False)
    return link(
        name,
        endpoints(1),
        level=ERROR,
        phase=name,
        reason=name,
        message=name,
        version=name,
        conditions=[unhealthy],
        seen=seen(connection="Unreachable", reason=name, message=name, version=name),
    )


def hostile_row(name: str) -> Facts:
    held = cell(WARNING, "Kept", Reason.DELETION_HELD, active=1)
    cells = [held for _ in HOSTILE]
    return row(cells, policy=name, findings=[(name, Reason.PORT_MISMATCH)])


def hostile_change(number: int, name: str) -> Facts:
    about = {"cluster": name, "service": f"{name}/{name}"}
    return happened(number, "12:00:00", ERROR, "link", name, **about)


def hostile_event(name: str) -> Facts:
    return {
        "uid": name,
        "at": "2026-03-10T12:00:00Z",
        "type": name,
        "reason": name,
        "message": name,
        "object": f"TrafficPolicy/{name}",
        "count": 2,
    }


def hostile_service(name: str) -> Facts:
    """A Service in which everything that a cluster can name has this name."""
    endpoint = {
        "address": name,
        "zone": name,
        "ready": True,
        "serving": True,
        "terminating": False,
        "use": "active",
        "slice": name,
        "ports": [name],
    }
    cluster = {
        **endpoints(1),
        "cluster": name,
        "level": "warning",
        "outcome": name,
        "reason": name,
        "message": name,
        "reference": name,
        "problem": {"reason": name, "message": name},
        "omitted": 0,
        "share": 100.0,
        "zones": [{"zone": name, "active": 1, "standby": 0, "notReady": 0}],
        "endpoints": [endpoint],
    }
    own = {"service": f"{name}/{name}", "clusters": [cluster], "commands": [name]}
    return example_service() | own


@pytest.mark.parametrize("view", ["fleet", "services", "history"])
def test_hostile_names(pages: Pages, server: ScriptedServer, view: str) -> None:
    """Hostile names are shown as text: they run nothing, and add no element."""
    server.snapshot = hostile_snapshot()
    page = pages.open(f"{server.page}#/{view}")
    for name in HOSTILE:
        shown = page.get_by_role("main").get_by_text(SHOWN.get(name, name))
        expect(shown.first).to_be_attached()
    assert_harmless(page)


@pytest.mark.parametrize("name", [HOSTILE[each] for each in (1, 3, 4, 7, 8)], ids=repr)
def test_a_hostile_service(pages: Pages, server: ScriptedServer, name: str) -> None:
    """The page of a hostile Service opens from the matrix, and shows its names as text."""
    server.snapshot = hostile_snapshot()
    server.services[f"{name}/{name}"] = hostile_service(name)
    page = pages.open(f"{server.page}#/services")
    page.get_by_role("rowheader").get_by_role("link").nth(sorted(HOSTILE).index(name)).click()
    shown = SHOWN.get(name, name)
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{shown}/{shown}")
    expect(page.get_by_role("region", name="Traffic")).to_be_visible()
    assert_harmless(page)


def assert_harmless(page: Page) -> None:
    assert page.locator("#app").locator("img, script, iframe, object, style").count() == 0
    links = page.locator("a")
    schemes = links.evaluate_all("links => links.map(link => new URL(link.href).protocol)")
    assert set(schemes) == {"http:"}


def test_no_markup_is_written_from_text() -> None:
    """The page's own code uses none of the ways in which text becomes markup or code."""
    ways = ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function(")
    for script in (STATIC / "js").glob("*.js"):
        code = script.read_text(encoding="utf-8")
        assert [way for way in ways if way in code] == [], script.name
