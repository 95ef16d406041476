"""The HTTP server of the page.

Real: server, sockets, HTTP, board and facts. Substituted: the files of the page.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from attrs import evolve

from svclink_controller.dashboard.access import HEADERS
from svclink_controller.dashboard.board import Board, MainRead
from svclink_controller.dashboard.facts import Facts
from svclink_controller.dashboard.recorded import recorded_fleet
from svclink_controller.dashboard.server import MAX_STREAMS, PortError
from svclink_core import (
    ClusterLinkSpec,
    ClusterTraffic,
    LinkReason,
    NamespacedName,
    Outcome,
    Problem,
    Reason,
    Snapshot,
)
from svclink_core.core_v1 import ServicePort
from tests.builders.keys import WEB
from tests.builders.values import (
    NOT_READY,
    cluster,
    endpoint,
    local_slice,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
    traffic_policy,
)

from .pages import FILES, Browser, browsing

SECRET = "aHVzaC1odXNo"  # noqa: S105 - not a secret


def world() -> Snapshot:
    """A Service with a policy, local endpoints, one mirror and a planned change."""
    endpoints = [endpoint("10.0.0.1", zone="a"), endpoint("10.0.0.2", conditions=NOT_READY)]
    local = local_slice()
    spec = ClusterLinkSpec(kubeconfig=SECRET)
    linked = cluster("c1", remote_slice(endpoints=endpoints), spec=spec)
    found = snapshot_of(
        linked,
        services=[service(ip_families=("IPv4",), ports=(ServicePort(80, "http"),))],
        slices=[local, mirrored_slice(endpoints=endpoints)],
    )
    policies = {WEB: traffic_policy(ClusterTraffic("c1", share=0))}
    return evolve(found, main=evolve(found.main, traffic_policies=policies))


def shown(problem: str = "") -> tuple[Board, Facts]:
    problems = {"c1": Problem(LinkReason.UNAUTHORIZED, problem)} if problem else {}
    return recorded_fleet(world(), problems)


@pytest.fixture
async def page() -> AsyncIterator[Browser]:
    async with browsing(*shown()) as browser:
        yield browser


async def first(browser: Browser) -> Any:
    """The snapshot that a page gets first."""
    async with browser.events() as events:
        name, data = await anext(events)
        assert name == "snapshot"
        return data


async def test_files_of_the_page(page: Browser) -> None:
    """Each has its type; what is no file of the page is not found, whatever it is called."""
    for path, name in (("/", "index.html"), ("/static/js/app.js", "js/app.js")):
        answer = await page.get(path)
        assert (answer.status, answer.body) == (200, FILES[name].content)
        assert answer.headers["Content-Type"].startswith(FILES[name].content_type)
    assert (await page.get("/static/logo.png")).headers["Content-Type"] == "image/png"
    assert (await page.get("/api/services/a%7Bb/c%2Fd")).json["error"].startswith("no cluster")
    for path in ("/static/..%2fserver.py", "/static/%2e%2e/server.py", "/static/x.js", "/x"):
        assert (await page.get(path)).status == 404, path


async def test_every_answer_has_the_headers(page: Browser) -> None:
    """Errors and streams too: no answer may be framed, sniffed, stored or read elsewhere."""
    answers = [
        await page.get("/"),
        await page.get("/x"),
        await page.get("/api/services/default/web"),
        await page.get("/api/events", Authorization="Bearer wrong"),
        await page.get("/", Host="attacker.example"),
    ]
    for answer in answers:
        assert HEADERS.items() <= dict(answer.headers).items()
        assert "Server" not in answer.headers
    async with page.session.get(f"{page.address}/api/events?token=the-token") as response:
        assert HEADERS.items() <= dict(response.headers).items()
        assert response.headers["Content-Type"] == "text/event-stream"


async def test_stream_has_no_head(page: Browser) -> None:
    """It has no end, so that its length cannot be asked for."""
    assert (await page.get("/api/events", "HEAD")).status == 405


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/events", "/api/services/default/web"])
async def test_page_is_read_only(page: Browser, method: str, path: str) -> None:
    """Nothing but GET is answered, with one sentence of JSON."""
    answer = await page.get(path, method)
    assert answer.status == 405
    assert isinstance(answer.json["error"], str)


async def test_requests_without_the_token_get_no_data(page: Browser) -> None:
    """The sentence says which address to open."""
    for path in ("/api/events", "/api/services/default/web", "/api/x"):
        answer = await page.get(path, Authorization="Bearer wrong")
        assert answer.status == 401
        assert "svclink dashboard printed" in answer.json["error"]


async def test_bytes_that_are_no_text_are_no_token(page: Browser) -> None:
    """The answer is a refusal, and no error of the server."""
    reader, writer = await asyncio.open_connection(*page.address.removeprefix("http://").split(":"))
    head = b"GET /api/events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    writer.write(head + b"Authorization: Bearer \xff\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 401")
    writer.close()


async def test_service_in_detail(page: Browser) -> None:
    """Endpoints by cluster and zone, shares, reasons, and what a plan would change."""
    found = (await page.get("/api/services/default/web")).json
    main, remote = found["clusters"]
    assert found["main"]["ports"] == [{"name": "http", "port": 80, "protocol": "TCP"}]
    assert (main["cluster"], main["reason"], main["active"]) == (None, None, 1)
    assert (remote["cluster"], remote["outcome"], remote["level"]) == ("c1", "Mirrored", "ok")
    assert (remote["active"], remote["notReady"], remote["total"]) == (1, 1, 2)
    assert (remote["share"], remote["omitted"], remote["problem"]) == (50, 0, None)
    assert remote["zones"] == [
        {"zone": None, "active": 0, "standby": 0, "notReady": 1},
        {"zone": "a", "active": 1, "standby": 0, "notReady": 0},
    ]
    assert remote["endpoints"][0] == {
        "address": "10.0.0.1",
        "zone": "a",
        "ready": True,
        "serving": True,
        "terminating": False,
        "use": "active",
        "slice": "web-c1",
        "ports": ["http 8080/TCP"],
    }
    assert found["policy"] == {
        "name": "web",
        "minReady": 1,
        "recoverySeconds": 30,
        "conditions": [],
    }
    assert [each["wantedShare"] for each in found["traffic"]["clusters"]] == [None, 0]
    assert found["ruleWithoutPolicy"] == "all ready endpoints get an equal share"
    (change,) = found["changes"]
    assert (change["change"], change["name"], change["reason"]) == (
        "update",
        "default/web-c1",
        "Standby",
    )
    assert change["text"].startswith("update EndpointSlice default/web-c1 (0 of 2 endpoints")
    assert "object" not in change


async def test_problem_of_a_cluster_is_in_the_detail() -> None:
    """Why its Services cannot be read from here."""
    async with browsing(*shown("the token expired")) as page:
        (_, remote) = (await page.get("/api/services/default/web")).json["clusters"]
        assert remote["problem"] == {"reason": "Unauthorized", "message": "the token expired"}
        links = (await first(page))["links"]
        assert links["c1"]["seen"]["message"] == "the token expired"


async def test_unknown_service_is_not_found(page: Browser) -> None:
    """No cluster has it."""
    answer = await page.get("/api/services/default/nothing")
    assert (answer.status, list(answer.json)) == (404, ["error"])


async def test_nothing_is_said_before_everything_is_read() -> None:
    """What is not known is not absent."""
    _, facts = shown()
    async with browsing(Board(), facts) as page:
        assert (await page.get("/api/services/default/web")).status == 503
        assert (await first(page))["state"] == "loading"


async def test_page_begins_with_a_snapshot(page: Browser) -> None:
    """Cells are in the order of the clusters, and refer to reasons by their place."""
    found = await first(page)
    assert (found["state"], found["clusters"]) == ("ready", ["c1"])
    assert found["levels"][found["links"]["c1"]["level"]] == "waiting"
    row = found["services"]["default/web"]
    assert (row["local"], row["policy"], row["tier"]) == ([1, 1], "web", 0)
    level, outcome, reason, *numbers = row["cells"][0]
    assert found["levels"][level] == "ok"
    assert found["outcomes"][outcome] == Outcome.MIRRORED.value
    assert found["reasons"][reason]["code"] == Reason.MIRRORED.code
    assert numbers == [1, 0, 2, 1]
    assert found["main"]["endpoints"] == {"active": 1, "standby": 0, "notReady": 0, "total": 1}
    assert (found["events"], found["happened"]) == (None, [])


async def test_page_never_gets_a_kubeconfig(page: Browser) -> None:
    """Neither the stream nor the details have the credentials of the link in them."""
    assert world().remotes["c1"].link.spec.kubeconfig == SECRET
    answer = await page.get("/api/services/default/web")
    assert SECRET.encode() not in answer.body
    assert SECRET not in str(await first(page))


async def test_changes_come_as_deltas() -> None:
    """Only what changed is in a delta, and Services that are gone are null."""
    board, facts = shown()
    async with browsing(board, facts) as page, page.events() as events:
        assert (await anext(events))[0] == "snapshot"
        board.tells_news = True
        board.put_service(WEB, None)
        name, data = await anext(events)
        assert (name, data["services"]) == ("delta", {"default/web": None})
        assert data["main"]["services"] == 0
        assert [each["text"] for each in data["happened"]] == ["the Service was removed"]
        board.put_main(MainRead(is_complete=True, problems=(("services", "403"),)))
        name, data = await anext(events)
        assert data["problems"] == [{"about": "services", "message": "403"}]
        assert data.keys() == {
            "revision",
            "now",
            "main",
            "state",
            "problems",
            "eventsProblem",
        }


async def test_reason_why_events_are_missing_is_shown() -> None:
    """Events that were read stay, and may be out of date until they are read again."""
    board, facts = shown()
    async with browsing(board, facts) as page, page.events() as events:
        assert (await anext(events))[1]["eventsProblem"] is None
        board.note_events_problem("no route")
        assert (await anext(events))[1]["eventsProblem"] == "no route"
        board.replace_events(())
        name, data = await anext(events)
        assert (name, data["events"], data["eventsProblem"]) == ("snapshot", [], None)


async def test_slow_page_gets_merged_changes() -> None:
    """Nothing is queued for it: it gets the last state of what changed, once."""
    board, facts = shown()
    row = board.service(WEB)
    assert row is not None
    async with browsing(board, facts) as page, page.events() as events:
        await anext(events)
        for tier in range(100):
            board.put_service(WEB, evolve(row, tier=tier))
        _, data = await anext(events)
        assert data["services"]["default/web"]["tier"] == 99
        assert data["revision"] == board.revision


@pytest.mark.parametrize("name", ["a\nevent: snapshot", "a\r\n\r\ndata: {}", "a\u2028b", "<b>\x00"])
async def test_hostile_names_stay_in_their_event(name: str) -> None:
    """A line break in a name neither ends an event nor begins another one."""
    board, facts = shown()
    row = board.service(WEB)
    assert row is not None
    key = NamespacedName("default", name)
    async with browsing(board, facts) as page, page.events() as events:
        await anext(events)
        board.put_service(key, evolve(row, key=key))
        event, data = await anext(events)
        assert (event, list(data["services"])) == ("delta", [f"default/{name}"])
        board.put_service(key, None)
        assert (await anext(events))[1]["services"] == {f"default/{name}": None}


async def test_other_columns_come_as_a_snapshot() -> None:
    """Cells without the names of their clusters would be read wrong."""
    board, facts = shown()
    async with browsing(board, facts) as page, page.events() as events:
        await anext(events)
        board.put_link("c1", None)
        board.put_service(NamespacedName("default", "web"), None)
        name, data = await anext(events)
        assert (name, data["clusters"]) == ("snapshot", [])


async def test_quiet_stream_says_that_it_is_alive() -> None:
    """A page that hears nothing for longer is not connected."""
    async with browsing(*shown(), alive_seconds=0.01) as page, page.events() as events:
        await anext(events)
        assert (await anext(events))[0] == "alive"


async def test_streams_are_limited() -> None:
    """A page that is closed makes room for another one, though nothing is sent meanwhile."""
    async with browsing(*shown(), alive_seconds=10_000) as page:
        async with AsyncExitStack() as stack:
            for _ in range(MAX_STREAMS):
                await anext(await stack.enter_async_context(page.events()))
            assert (await page.get("/api/events")).status == 503
        await _has_room(page)


async def _has_room(page: Browser) -> None:
    async with asyncio.timeout(30):
        while (await _status(page)) == 503:  # noqa: ASYNC110 - the server has no event for it
            await asyncio.sleep(0.01)


async def _status(page: Browser) -> int:
    async with page.session.get(f"{page.address}/api/events?token=the-token") as response:
        return response.status


async def test_port_that_is_taken_is_named() -> None:
    """The sentence says what to do."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortError, match=f"port {port}.*pass a different --port"):
            async with browsing(*shown(), port=port):
                pass
