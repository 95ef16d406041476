"""The page follows clusters as they are.

Real: reflectors, remotes, state, plans, server, HTTP, TLS. Substituted: the API servers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import evolve, frozen

from svclink_controller.dashboard.board import Board
from svclink_controller.dashboard.event_sink import NOT_PERMITTED
from svclink_controller.dashboard.live import LiveFleet, make_live_fleet
from svclink_controller.remotes.session import Heartbeat
from svclink_core import ClusterLinkStatus, Condition, NamespacedName, Options, Reason
from svclink_core.link_overview import LinkOverview
from svclink_core.snapshot import Synced
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.keys import WEB
from tests.builders.values import local_slice, mirrored_slice, remote_slice, service
from tests.unit.controller.faults import Answer, Fault, Garbage, Hang, HangUp, Refuse, ends_with
from tests.unit.controller.fleets import Fleet, fleet
from tests.unit.controller.http_server import connected, kubeconfig
from tests.unit.controller.waiting import eventually, in_background

from .pages import browsing

HOME: Final = "svclink"
OTHER: Final = NamespacedName("default", "other")
LOST: Final = Condition("Ready", "False", "Unreachable", "no route", "2026-07-01T12:00:00Z")


@frozen
class Following:
    """Clusters, and a page that follows them."""

    clusters: Fleet
    live: LiveFleet

    @property
    def board(self) -> Board:
        return self.live.board

    def link(self, name: str = "c1") -> LinkOverview:
        return self.board.link(name)

    async def is_ready(self) -> None:
        """Waits until everything was read once, and is shown."""
        await eventually(lambda: self.board.main.is_complete and self.board.tells_news)

    async def has_reason(self, reason: Reason) -> None:
        """Waits until the Service of the only link has this reason."""
        await eventually(lambda: self.reason() is reason)

    def reason(self) -> Reason | None:
        found = self.board.service(WEB)
        cells = () if found is None else found.cells
        return cells[0].reason if cells else None

    async def has_problem(self, about: str, *words: str) -> None:
        """Waits until the page names a problem of the main cluster, in these words."""
        await eventually(lambda: all(word in self._problem(about) for word in words))

    def _problem(self, about: str) -> str:
        return dict(self.board.main.problems).get(about, "")

    def writes(self) -> list[str]:
        """Requests that are no reading, apart from questions about permissions."""
        return [
            f"{name}: {request.method} {request.path}"
            for name, server in self.clusters.servers.items()
            for request in server.requests
            if request.is_write and not request.path.endswith("accessreviews")
        ]


@asynccontextmanager
async def following(
    directory: Path, namespace: str | None = HOME, **settings: Any
) -> AsyncIterator[Following]:
    """A main cluster and one remote, both with Service default/web, linked; not followed yet."""
    async with AsyncExitStack() as stack:
        clusters = await stack.enter_async_context(fleet(directory, "c1"))
        for each in (clusters.main, clusters.remotes["c1"]):
            each.put(service(ip_families=("IPv4",)))
        clusters.remotes["c1"].put(remote_slice())
        clusters.link("c1")
        client = await stack.enter_async_context(connected(clusters.servers["main"].url))
        live = make_live_fleet(
            client, Options(), namespace=namespace, context_namespace="default", **settings
        )
        live.ages_seconds = live.main_seconds = 0.01
        yield Following(clusters, live)


@asynccontextmanager
async def running(world: Following) -> AsyncIterator[None]:
    async with in_background(world.live.run()):
        yield


async def test_services_links_and_endpoints_are_shown(tmp_path: Path) -> None:
    """What the controller would mirror, what is there now, and what is seen of the cluster."""
    async with following(tmp_path) as world:
        own = local_slice()
        world.clusters.main.put(own)
        async with running(world):
            await world.has_reason(Reason.MIRRORED)
            found = world.board.service(WEB)
            assert found is not None
            assert found.local is not None
            assert (found.local.active, found.cells[0].changes) == (1, 1)
            assert isinstance(world.link().seen.connection, Synced)
            assert world.link().seen.version == "v1.36.0"
            await eventually(lambda: world.link().seen.services == 1)
            assert 0 < world.link().seen.memory < world.link().seen.memory_budget
            await eventually(lambda: world.link().seen.last_event is not None)
        assert world.writes() == []


async def test_changes_are_shown_at_once(tmp_path: Path) -> None:
    """A mirror that the controller writes, and the status that it writes, with their news."""
    async with following(tmp_path) as world, running(world):
        await world.has_reason(Reason.MIRRORED)
        await world.is_ready()
        world.clusters.main.put(mirrored_slice())
        await eventually(lambda: world.link().endpoints.active == 1)
        status = ClusterLinkStatus(phase="NotReady", conditions=(LOST,))
        world.clusters.link("c1", status=status)
        await eventually(lambda: world.link().shown == LOST)
        texts = [each.news.text for each in world.board.news_since(0)]
        assert "endpoints: 1 active (was 0)" in texts
        assert "Unreachable: no route" in texts


async def test_lost_cluster_is_not_empty(tmp_path: Path) -> None:
    """The page says what it sees: its reason, and the Service as the plan decides."""
    async with following(tmp_path) as world:
        world.clusters.remotes["c1"].fail(Refuse(401, "Unauthorized"))
        async with running(world):
            await eventually(lambda: "c1" in world.board.links)
            await eventually(lambda: world.link().seen.problem is not None)
            await world.is_ready()
            assert world.reason() is not Reason.REMOTE_SERVICE_MISSING
            async with browsing(world.board, world.live.facts()) as page:
                found = (await page.get("/api/services/default/web")).json
                assert found["clusters"][1]["problem"]["reason"] == "Unauthorized"


async def test_link_is_edited_and_deleted(tmp_path: Path) -> None:
    """A disabled link is not read, and one that is gone leaves no column."""
    async with following(tmp_path) as world, running(world):
        await world.has_reason(Reason.MIRRORED)
        world.clusters.link("c1", enabled=False)
        await world.has_reason(Reason.FROZEN)
        world.clusters.main.remove_key("clusterlinks", "", "c1")
        await eventually(lambda: world.board.columns == [])


async def test_main_cluster_that_cannot_be_read(tmp_path: Path) -> None:
    """Nothing counts as absent: the page goes on loading, and says why, until it can be read."""
    async with following(tmp_path) as world:
        rule = Refuse(403, "Forbidden")
        world.clusters.main.fail(rule, when=ends_with("/endpointslices"))
        async with running(world):
            await eventually(lambda: bool(world.board.main.problems))
            ((about, message),) = world.board.main.problems
            assert about == "endpointslices"
            assert "grant svclink permission to list and watch endpointslices" in message
            assert not world.board.main.is_complete
            world.clusters.main.heal()
            await world.has_reason(Reason.MIRRORED)
            await eventually(lambda: world.board.main.problems == ())


async def test_kinds_that_are_not_served_are_no_problem(tmp_path: Path) -> None:
    """A cluster without the CRD of TrafficPolicies has none."""
    async with following(tmp_path) as world:
        world.clusters.main.fail(Refuse(404, "NotFound"), when=ends_with("/trafficpolicies"))
        async with running(world):
            await world.has_reason(Reason.MIRRORED)
            await world.is_ready()
            assert world.board.main.problems == ()


async def test_kubeconfig_in_a_secret(tmp_path: Path) -> None:
    """It is read with the credentials of the user, where the controller runs."""
    async with following(tmp_path, namespace=None) as world:
        content = kubeconfig(world.clusters.servers["c1"].url)
        world.clusters.main.put_secret("default", "c1", {"kubeconfig": content})
        reference = SecretKeyReference("c1")
        world.clusters.link("c1", kubeconfig=None, kubeconfig_secret_ref=reference)
        async with running(world):
            await world.has_reason(Reason.MIRRORED)
            await world.is_ready()
            async with browsing(world.board, world.live.facts()) as page, page.events() as events:
                name, data = await anext(events)
                assert name == "snapshot"
                assert content not in str(data)


async def test_events_of_svclink_are_shown(tmp_path: Path) -> None:
    """Those of others are not, and a deleted one stays."""
    async with following(tmp_path) as world:
        events = {
            "ours": {"reportingComponent": "svclink"},
            "other": {"reportingComponent": "kubelet"},
        }
        for name, fields in events.items():
            world.clusters.main.put_raw("events", _event(name) | fields)
        async with running(world):
            await eventually(lambda: bool(world.board.events_since(0)))
            world.clusters.main.put_raw("events", _event("later") | events["ours"])
            await eventually(lambda: len(world.board.events_since(0) or ()) == 2)
            world.clusters.main.remove_key("events", "default", "later")
            assert [each.about for each in world.board.events_since(0) or ()] == [
                "ClusterLink/c1",
                "ClusterLink/c1",
            ]


def _event(name: str) -> dict[str, Any]:
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "default"},
        "involvedObject": {"kind": "ClusterLink", "name": "c1"},
        "type": "Warning",
        "reason": "Unreachable",
        "message": "no route",
        "lastTimestamp": "2026-07-01T12:00:00Z",
    }


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (Refuse(403, "Forbidden"), "403 Forbidden"),
        (Refuse(500, "InternalError"), "500 InternalError"),
        (HangUp(), "cannot list Events"),
        (Garbage(), "cannot list Events"),
    ],
)
async def test_events_that_cannot_be_read(tmp_path: Path, fault: Fault, problem: str) -> None:
    """The page says why, and shows everything else, until they can be read."""
    async with following(tmp_path) as world:
        world.clusters.main.fail(fault, when=ends_with("/events"))
        async with running(world):
            await world.has_reason(Reason.MIRRORED)
            await eventually(lambda: problem in (world.board.events_problem or ""))
            assert world.board.events_since(0) is None
            world.clusters.main.heal()
            await eventually(lambda: world.board.events_since(0) is not None)
            assert world.board.events_problem is None


async def test_events_that_may_not_be_listed(tmp_path: Path) -> None:
    """Nothing is requested that would be denied, and the page says so."""
    async with following(tmp_path) as world:
        world.clusters.main.fail(Answer({"status": {"allowed": False}}), when=ends_with("reviews"))
        async with running(world):
            await eventually(lambda: world.board.events_problem == NOT_PERMITTED)
            assert world.board.events_since(0) is None


async def test_plan_ends_by_itself(tmp_path: Path) -> None:
    """A Service that is deleted in the cluster alone waits for its slices, and then goes."""
    async with following(tmp_path) as world, running(world):
        await world.has_reason(Reason.MIRRORED)
        world.clusters.main.put(mirrored_slice())
        world.clusters.remotes["c1"].remove(service())
        world.clusters.remotes["c1"].remove(remote_slice())
        await world.has_reason(Reason.REMOTE_SERVICE_MISSING)
        assert evolve(world.board.main, problems=()).is_complete


@asynccontextmanager
async def flooding(world: Following) -> AsyncIterator[None]:
    """A remote cluster that changes all the time: the queues are never seen empty."""

    async def flood() -> None:
        while True:
            world.live.services.add((WEB, OTHER))
            await asyncio.sleep(0)

    async with in_background(flood()):
        yield


async def test_cluster_that_keeps_changing_does_not_delay_the_page(tmp_path: Path) -> None:
    """What waited when the main cluster was complete is shown: the rest is news."""
    async with following(tmp_path) as world, flooding(world), running(world):
        await world.is_ready()
        assert world.reason() is not None


async def test_cluster_that_keeps_changing_hides_no_problem(tmp_path: Path) -> None:
    """That the main cluster cannot be read any more is shown, though plans never end."""
    async with following(tmp_path) as world, running(world):
        await world.is_ready()
        async with flooding(world):
            world.clusters.main.fail(Refuse(403, "Forbidden"), when=ends_with("/services"))
            world.clusters.main.hang_up()
            await eventually(lambda: bool(world.board.main.problems))


@pytest.mark.parametrize(
    ("refusal", "fix"),
    [(Refuse(500, "InternalError"), "500"), (Refuse(404, "NotFound"), "create that namespace")],
)
async def test_main_cluster_that_is_not_identified(
    tmp_path: Path, refusal: Refuse, fix: str
) -> None:
    """Its links are not read before: the page says why it is loading, until they are."""
    async with following(tmp_path) as world:
        world.clusters.main.fail(refusal, when=ends_with("/namespaces/kube-system"))
        async with running(world):
            await world.has_problem(
                "kube-system", "the kube-system namespace in the main cluster", fix
            )
            assert not world.board.main.is_complete
            world.clusters.main.heal()
            await world.is_ready()
            await eventually(lambda: world.board.main.problems == ())


async def test_main_cluster_is_watched_while_nothing_else_happens(tmp_path: Path) -> None:
    """Its problems do not wait for the next plan, nor for the ages of the links."""
    async with following(tmp_path) as world:
        world.live.ages_seconds = 1000
        async with running(world):
            await world.is_ready()
            await eventually(lambda: world.live.services.is_idle and world.live.links.is_idle)
            world.clusters.main.fail(Refuse(403, "Forbidden"), when=ends_with("/services"))
            world.clusters.main.hang_up()
            await world.has_problem("services", "403")
            world.clusters.main.heal()
            await eventually(lambda: world.board.main.problems == ())


async def test_controller_that_is_not_found(tmp_path: Path) -> None:
    """Its namespace has the Secrets of the links: the page says why it is loading."""
    async with following(tmp_path, namespace=None) as world:
        world.clusters.main.fail(Refuse(500, "InternalError"), when=ends_with("accessreviews"))
        async with running(world):
            await world.has_problem("controller", "the controller's namespace", "500")
            assert not world.board.main.is_complete
            world.clusters.main.heal()
            await world.is_ready()
            await eventually(lambda: world.board.main.problems == ())


async def test_secret_that_cannot_be_read_any_more(tmp_path: Path) -> None:
    """Its link goes on with what was read, so that the page has to tell; until it is read again."""
    async with following(tmp_path) as world:
        content = kubeconfig(world.clusters.servers["c1"].url)
        world.clusters.main.put_secret(HOME, "c1", {"kubeconfig": content})
        reference = SecretKeyReference("c1")
        world.clusters.link("c1", kubeconfig=None, kubeconfig_secret_ref=reference)
        async with running(world):
            await world.has_reason(Reason.MIRRORED)
            world.clusters.main.fail(Refuse(403, "Forbidden"), when=ends_with("/secrets"))
            world.clusters.main.hang_up()
            await world.has_problem(
                "secrets/c1", "Secret c1", "grant svclink permission to list and watch"
            )
            assert world.reason() is Reason.MIRRORED
            world.clusters.main.heal()
            await eventually(lambda: world.board.main.problems == ())


async def test_secret_that_no_link_names_is_no_problem(tmp_path: Path) -> None:
    """The problem goes with the link."""
    async with following(tmp_path) as world:
        world.clusters.main.fail(Refuse(403, "Forbidden"), when=ends_with("/secrets"))
        reference = SecretKeyReference("c1")
        world.clusters.link("c1", kubeconfig=None, kubeconfig_secret_ref=reference)
        async with running(world):
            await world.has_problem("secrets/c1", "Secret c1", "403")
            world.clusters.main.remove_key("clusterlinks", "", "c1")
            await eventually(lambda: world.board.main.problems == ())


@pytest.mark.parametrize("fault", [Hang(), HangUp(), Refuse(401, "Unauthorized")])
async def test_main_cluster_that_does_not_answer(tmp_path: Path, fault: Fault) -> None:
    """Its watches only look quiet: it is asked, as linked clusters are, and the page tells."""
    async with following(tmp_path) as world:
        world.live.heartbeat = Heartbeat(interval=0.01, timeout=0.05)
        async with running(world):
            await world.is_ready()
            world.clusters.main.fail(fault, when=ends_with("/version"))
            await world.has_problem("main", "the main cluster does not respond")
            world.clusters.main.heal()
            world.live.heartbeat = Heartbeat(interval=0.01)
            await eventually(lambda: world.board.main.problems == ())
