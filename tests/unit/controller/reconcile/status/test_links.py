"""The status of a link is up to date, and is written only if it differs.

Real: the writer, store, queue, client, sockets and TLS. Substituted: the main API server, by a
fake one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
from aiohttp import web
from attrs import define, evolve
from structlog.testing import capture_logs

from svclink_controller.reconcile.plan_results import PlanResults
from svclink_controller.reconcile.status.links import StatusWriter, is_transition
from svclink_controller.reconcile.traffic_results import TrafficResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.reconcile.write_results import WriteResult, WriteStatus
from svclink_controller.state.changes import LinkStatusChanged, StateChange
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core import (
    SYNCED,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    Create,
    EndpointSlice,
    Finding,
    LinkReason,
    NamespacedName,
    ObjectMeta,
    Options,
    Reason,
    Unreachable,
)
from svclink_core.codec import structure
from svclink_core.controller_namespace import KnownNamespace
from svclink_core.credential_expiry import SOON_SECONDS, Expiry
from svclink_core.link_identity import Problem
from svclink_core.well_known import (
    MAIN,
)
from tests.builders.values import mirrored_slice
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.http_server import Server, connected, serving
from tests.unit.controller.responses import answer, refusal
from tests.unit.controller.waiting import eventually, in_background

Override: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]

WEB = NamespacedName("default", "web")
EARLY, LATE = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"
NEW = ObjectMeta("c1", generation=1)
DISABLED = ClusterLinkSpec(enabled=False)
PROBLEM = Problem(LinkReason.UNAUTHORIZED, "the token is refused")


@define
class Main:
    """A fake main cluster, and a running status writer."""

    server: Server
    cluster: FakeApiServer
    store: Store
    plan_results: PlanResults
    queue: WorkQueue[str]
    writer: StatusWriter

    def add_link(self, name: str = "c1", **changes: Any) -> ClusterLink:
        """Creates a link in the API server and in the store."""
        link = evolve(ClusterLink(ObjectMeta(name, generation=1)), **changes)
        stored = structure(self.cluster.put(link), ClusterLink)
        self.store.put_link(stored)
        return stored

    def overwrite(self) -> None:
        """Another controller replaces the status of a link, and the watch reports it."""
        stored = structure(self.cluster.objects["clusterlinks", "", "c1"], ClusterLink)
        theirs = evolve(stored, status=ClusterLinkStatus("NotReady"))
        self.store.put_link(structure(self.cluster.put(theirs), ClusterLink))
        self.store.mark_status_changed("c1")

    def status(self, name: str = "c1") -> dict[str, Any]:
        found: dict[str, Any] = self.cluster.objects["clusterlinks", "", name].get("status", {})
        return found

    def condition(self, kind: str, name: str = "c1") -> tuple[str, str]:
        (found,) = [each for each in self.status(name)["conditions"] if each["type"] == kind]
        return found["status"], found["reason"]

    async def is_written(self, name: str = "c1", times: int = 1) -> None:
        """Waits until the status was written this many times and the link's queue key is done."""
        await eventually(lambda: self.writes(name) >= times and name not in self.queue._processing)

    def writes(self, name: str = "c1") -> int:
        """Number of status requests for a link."""
        return sum(f"/{name}/" in path for path in self.server.paths)

    async def queue_is_idle(self) -> None:
        """Waits until no key is queued or handled."""
        await eventually(lambda: self.queue.is_idle)

    async def catch_up(self, fence: str = "fence") -> None:
        """Waits until earlier keys are handled: the only worker handles them in order."""
        self.add_link(fence)
        await self.is_written(fence)


@asynccontextmanager
async def writing(override: Override | None = None, *, interval: float = 60) -> AsyncIterator[Main]:
    cluster = FakeApiServer(override=override)
    queue: WorkQueue[str] = WorkQueue()

    def enqueue(change: StateChange) -> None:
        if isinstance(change, LinkStatusChanged):
            queue.add([change.name])

    store = Store(Options(), enqueue)
    plan_results = PlanResults(store.mark_status_changed)
    async with serving(cluster) as server, connected(server.url) as client:
        writer = StatusWriter(
            client,
            store,
            plan_results,
            TrafficResults(store.main.traffic_policies, WorkQueue()),
            queue,
            home=lambda: KnownNamespace("svclink"),
            interval_seconds=interval,
        )
        async with in_background(writer.run()):
            yield Main(server, cluster, store, plan_results, queue, writer)


def mirrored(name: str = "web-c1", endpoints: int = 1) -> EndpointSlice:
    return mirrored_slice(name, *(f"10.0.0.{number + 1}" for number in range(endpoints)))


# Content


async def test_new_link_is_connecting() -> None:
    """A link that was just created has a status at once."""
    async with writing() as main:
        main.add_link()
        await main.is_written()
        assert main.status()["phase"] == "Pending"
        assert main.condition("Ready") == ("Unknown", "Connecting")


async def test_only_the_status_is_sent() -> None:
    """The write is a merge patch of the status alone; null removes a field without a value."""
    async with writing() as main:
        created = main.add_link()
        await main.is_written()
        (request,) = main.server.requests
    assert (request.method, request.headers["Content-Type"]) == (
        "PATCH",
        "application/merge-patch+json",
    )
    assert request.path == "/apis/svclink.cloudpilot.ai/v1alpha1/clusterlinks/c1/status"
    assert request.json.keys() == {"metadata", "status"}
    version = created.metadata.resource_version
    assert request.json["metadata"] == {"resourceVersion": version}
    assert request.json["status"]["error"] is None


async def test_status_shows_the_state_of_the_store() -> None:
    """Version, identity, times, numbers, findings and failures are those of the store."""
    async with writing() as main:
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        main.store.observe("c1", Observation(None, "v1.36.0", "uid-of-c1"))
        main.store.put(MAIN, mirrored(endpoints=3))
        main.plan_results.record(
            WEB,
            (Finding(WEB, "c1", Reason.PORT_MISMATCH, ("http",)),),
            [WriteResult(Create(mirrored(), Reason.SOURCE_ADDED), WriteStatus.FAILED, "500 no")],
        )
        await main.is_written()
        status = main.status()
        assert (status["phase"], status["connected"], status["version"]) == (
            "Ready",
            True,
            "v1.36.0",
        )
        assert status["clusterID"] == "uid-of-c1"
        assert status["lastConnected"] is not None
        assert (status["services"], status["endpoints"], status["slices"]) == (1, 3, 1)
        assert main.condition("Ready") == ("True", "ClusterReady")
        assert main.condition("Synced") == ("False", "WriteFailed")
        assert main.condition("Degraded") == ("True", "PortMismatch")


async def test_credential_that_expires_soon_while_a_status_is_written_is_shown() -> None:
    """The time comes after the status was made, and before the API server has answered."""
    expiry = Expiry(1_000_000, "the token", "1970-01-12T13:46:40Z")
    times = [expiry.at - SOON_SECONDS - 0.001]
    async with writing() as main:
        main.writer.now = lambda: times[-1]
        main.writer.status_written = lambda *_: times.append(expiry.at - SOON_SECONDS)
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        main.store.observe("c1", Observation(expiries=(expiry,)))
        await main.is_written()
        expected = "True", "CredentialsExpireSoon"
        await eventually(lambda: main.condition("CredentialsExpiring") == expected)


async def test_warning_comes_while_nothing_else_happens() -> None:
    """A credential that expires soon is shown when that time has come, without any other event."""
    expiry = Expiry(1_000_000, "the token", "1970-01-12T13:46:40Z")
    started, begin = asyncio.get_running_loop().time(), expiry.at - SOON_SECONDS - 0.5
    async with writing() as main:
        main.writer.now = lambda: begin + asyncio.get_running_loop().time() - started
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        main.store.observe("c1", Observation(expiries=(expiry,)))
        await main.is_written()
        assert main.condition("CredentialsExpiring") == ("False", "CredentialsValid")
        assert main.status()["credentialsExpire"] == expiry.shown
        expected = "True", "CredentialsExpireSoon"
        await eventually(lambda: main.condition("CredentialsExpiring") == expected)
        main.writer.now = lambda: expiry.at
        main.queue.add(["c1"])
        expected = "True", "CredentialsExpired"
        await eventually(lambda: main.condition("CredentialsExpiring") == expected)
        assert main.writes() == 3


async def test_renewed_credentials_clear_the_warning() -> None:
    """Nothing is written about an end that comes nearer, and new credentials are shown at once."""
    old, new = (Expiry(at, "the token", shown) for at, shown in ((9, EARLY), (9_000_000, LATE)))
    async with writing() as main:
        main.writer.now = lambda: 0
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        main.store.observe("c1", Observation(expiries=(old,)))
        await main.is_written()
        main.writer.now = lambda: 1
        main.queue.add(["c1"])
        await main.catch_up()
        assert main.writes() == 1
        main.store.observe("c1", Observation(expiries=(new,)))
        await main.is_written(times=2)
        assert main.condition("CredentialsExpiring") == ("False", "CredentialsValid")
        assert main.status()["credentialsExpire"] == LATE
        main.store.observe("c1", Observation())
        await main.is_written(times=3)
        assert "credentialsExpire" not in main.status()


async def test_problem_is_shown_until_it_is_solved() -> None:
    """A problem of the connection is the error of the link until the cluster is connected."""
    async with writing() as main:
        main.add_link()
        main.store.observe("c1", Observation(PROBLEM))
        await eventually(lambda: "the token is refused" in (main.status().get("error") or ""))
        assert main.condition("Ready") == ("False", "Unauthorized")
        main.store.set_connection("c1", SYNCED)
        main.store.observe("c1", Observation(version="v1.36.0"))
        await eventually(lambda: main.status()["phase"] == "Ready")
        assert "error" not in main.status()


async def test_successor_of_a_link_does_not_get_its_status() -> None:
    """A link that was deleted and created again gets a status once the watch has reported it."""
    async with writing() as main:
        told: list[Iterable[Condition]] = []
        main.writer.status_written = lambda _, conditions: told.append(conditions)
        old = main.add_link()
        main.store.observe("c1", Observation(PROBLEM))
        main.cluster.remove(old)
        successor = structure(main.cluster.put(evolve(old, metadata=NEW)), ClusterLink)
        with capture_logs() as logs:
            await main.is_written(times=2)
        assert (main.status()["conditions"], told, logs) == ([], [], [])
        main.store.remove_link("c1")
        main.store.put_link(successor)
        main.store.mark_status_changed("c1")
        await eventually(lambda: len(told) == 1)
        assert main.condition("Ready") == ("Unknown", "Connecting")


async def test_edited_link_gets_the_status_of_what_it_is_now() -> None:
    """A status that was made for the link before its edit is not written."""
    async with writing() as main:
        old = main.add_link()
        edited = structure(main.cluster.put(evolve(old, spec=DISABLED)), ClusterLink)
        await main.is_written(times=2)
        assert main.status()["conditions"] == []
        main.store.put_link(edited)
        main.store.mark_status_changed("c1")
        await eventually(lambda: main.status()["phase"] == "Disabled")


# Times of writes


async def test_unchanged_status_is_not_written() -> None:
    """If nothing differs, no request is sent, however often the link is queued."""
    async with writing(interval=0) as main:
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        await main.is_written()
        main.queue.add(["c1"])
        await main.catch_up()
        main.queue.add(["c1"])
        await main.catch_up("second fence")
        assert main.writes() == 1


async def test_restart_is_not_a_transition() -> None:
    """Before the first attempt to connect, the status of the previous run stays."""
    known = ClusterLinkStatus(
        "Ready",
        conditions=(Condition("Ready", "True", "ClusterReady", "", "2026-01-01T00:00:00Z"),),
    )
    async with writing() as main:
        main.add_link(status=known)
        await main.catch_up()
        assert main.writes() == 0


async def test_transition_time_moves_only_with_the_state() -> None:
    """A condition that does not change keeps its transition time over a write (law L9)."""
    old = ClusterLinkStatus(
        conditions=(Condition("Ready", "True", "ClusterReady", "", "2026-01-01T00:00:00Z"),)
    )
    async with writing() as main:
        main.add_link(status=old)
        main.store.set_connection("c1", SYNCED)
        await main.is_written()
        (ready,) = [each for each in main.status()["conditions"] if each["type"] == "Ready"]
        assert ready["lastTransitionTime"] == "2026-01-01T00:00:00Z"


async def test_new_numbers_wait_for_the_interval() -> None:
    """Numbers that change constantly are not written constantly."""
    async with writing() as main:
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        await main.is_written()
        for number in range(5):
            main.store.put(MAIN, mirrored(f"web-c1-{number}"))
            await main.catch_up(f"fence-{number}")
        assert (main.writes(), main.status()["slices"]) == (1, 0)


async def test_new_numbers_are_written_after_the_interval() -> None:
    """The latest numbers are written after the interval, without any other event."""
    async with writing(interval=0.3) as main:
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        await main.is_written()
        for number in range(5):
            main.store.put(MAIN, mirrored(f"web-c1-{number}"))
        await eventually(lambda: main.status()["slices"] == 5)


async def test_transition_does_not_wait() -> None:
    """Another state is written at once, within the interval."""
    async with writing() as main:
        main.add_link()
        await main.is_written()
        main.store.set_connection("c1", SYNCED)
        await main.is_written(times=2)
        main.store.set_connection("c1", Unreachable("2026-01-01T00:00:00Z", 1_767_225_600.0))
        await main.is_written(times=3)
        assert main.status()["phase"] == "NotReady"


async def test_simultaneous_changes_are_one_write() -> None:
    """Several changes at the same time are one write."""
    async with writing() as main:
        main.add_link()
        main.store.set_connection("c1", SYNCED)
        main.store.observe("c1", Observation(version="v1.36.0"))
        for number in range(20):
            main.store.put(MAIN, mirrored(f"web-c1-{number}"))
        await main.catch_up()
        assert (main.writes(), main.status()["slices"]) == (1, 20)


# Errors


@pytest.mark.parametrize(
    "rejection",
    [
        lambda: refusal(500),
        lambda: refusal(409, "Conflict"),
        lambda: web.Response(status=429, text="later"),
        lambda: web.Response(text="<html>"),
    ],
)
async def test_failed_write_is_retried(rejection: Callable[[], web.Response]) -> None:
    """Whatever the API server answers, the status is written eventually."""
    answers = [rejection(), rejection()]

    async def refuse_twice(_: web.BaseRequest) -> web.StreamResponse | None:
        return answers.pop() if answers else None

    async with writing(refuse_twice) as main:
        main.add_link()
        await eventually(lambda: bool(main.status()["conditions"]))
        assert main.writes() == 3


async def test_changes_do_not_shorten_the_pauses_of_a_write_that_fails() -> None:
    """However often the state of a link changes, the intervals double, and the log says why."""
    text = 'clusterlinks is forbidden: User "svclink" cannot patch'
    async with writing(lambda _: refused(text)) as main:
        main.add_link()
        started = asyncio.get_running_loop().time()
        with capture_logs() as logs:
            for number in itertools.count():
                problem = evolve(PROBLEM, message=f"refused {number} times")
                main.store.observe("c1", Observation(problem if number % 2 else None))
                await asyncio.sleep(0.01)
                if main.writes() >= 6:
                    break
        least = sum(0.1 * 2**each / 2 for each in range(5))
        assert asyncio.get_running_loop().time() - started > least
    assert {(each["event"], each["problem"]) for each in logs} == {
        (
            "status not written",
            f"grant svclink permission to patch clusterlinks/status (403 Forbidden: {text})",
        )
    }


async def refused(text: str) -> web.StreamResponse:
    return refusal(403, "Forbidden", text)


# Two controllers on one link


async def test_controller_that_agrees_writes_nothing() -> None:
    """A second controller that connected at another time leaves the status as it is."""
    async with writing() as main:
        main.add_link()
        main.store.set_connection("c1", Unreachable("2026-01-01T00:00:00Z", 1_767_225_600.0))
        await main.is_written()
        status = structure(main.cluster.objects["clusterlinks", "", "c1"], ClusterLink).status
    async with writing() as main:
        main.add_link(status=status)
        main.store.set_connection("c1", Unreachable("2026-01-01T00:00:09Z", 1_767_225_609.0))
        await main.catch_up()
        assert main.writes() == 0


async def test_controllers_that_disagree_write_at_growing_intervals() -> None:
    """Each overwrites the state of the other, which is no transition of its own."""
    interval = 0.05
    async with writing(interval=interval) as main:
        main.add_link()
        started = asyncio.get_running_loop().time()
        for written in range(1, 6):
            await main.is_written(times=written)
            main.overwrite()
        assert asyncio.get_running_loop().time() - started > (1 + 2 + 4 + 8) * interval


async def test_own_transition_does_not_wait_for_another_controller() -> None:
    """Whatever another controller wrote, a new state of the link is written at once."""
    async with writing() as main:
        main.add_link()
        await main.is_written()
        main.overwrite()
        await main.catch_up()
        assert main.writes() == 1
        main.store.set_connection("c1", SYNCED)
        await main.is_written(times=2)


async def test_link_that_was_created_again_has_a_status_at_once() -> None:
    """What was written for another link of the same name delays nothing."""
    async with writing() as main:
        main.cluster.remove(main.add_link())
        await main.is_written()
        main.add_link()
        await main.is_written(times=2)


# The namespaced kind of the Go release


async def test_fields_that_the_crd_drops_are_not_written_again() -> None:
    """The older CRD drops fields it does not declare: the same status is written once."""
    clusters: list[FakeApiServer] = []

    async def keep_some(request: web.BaseRequest) -> web.StreamResponse | None:
        if request.method != "PATCH":
            return None
        content = await request.json()
        kept = {key: content["status"][key] for key in ("phase", "version", "conditions")}
        held = clusters[0].objects["clusterlinks", "ops", request.path.split("/")[-2]]
        return answer(clusters[0]._store("clusterlinks", held | {"status": kept}))

    async with writing(keep_some) as main:
        clusters.append(main.cluster)
        main.add_link(metadata=ObjectMeta("c1", "ops", generation=1))
        await main.is_written()
        for _ in range(3):
            main.store.mark_status_changed("c1")
            await main.queue_is_idle()
        assert main.writes() == 1
        main.store.observe("c1", Observation(PROBLEM))
        await main.is_written(times=2)
        main.store.mark_status_changed("c1")
        await main.queue_is_idle()
        assert main.writes() == 2
    assert main.server.paths[-1].endswith("/namespaces/ops/clusterlinks/c1/status")


async def test_only_the_older_of_two_links_of_one_name_is_used() -> None:
    """The other is NotReady, and its status names the one in use."""
    async with writing() as main:
        for namespace, created in (
            ("ops", "2026-01-01T00:00:00Z"),
            ("dev", "2026-02-01T00:00:00Z"),
        ):
            main.add_link(
                metadata=ObjectMeta("c1", namespace, generation=1, creation_timestamp=created)
            )
        await main.is_written(times=2)
        phases = {key[1]: item["status"]["phase"] for key, item in main.cluster.objects.items()}
        assert phases == {"ops": "Pending", "dev": "NotReady"}
        (ready,) = [
            each
            for each in main.cluster.objects["clusterlinks", "dev", "c1"]["status"]["conditions"]
            if each["type"] == "Ready"
        ]
        assert (ready["reason"], "ops/c1" in ready["message"]) == ("DuplicateName", True)


# Removed links


async def test_removed_link_is_not_written() -> None:
    """The status of a deleted link is not written or retried."""
    async with writing() as main:
        link = main.add_link()
        await main.is_written()
        main.store.observe("c1", Observation(PROBLEM))
        main.cluster.remove(link)
        main.store.remove_link("c1")
        await main.catch_up()
        assert main.writes() == 1
        assert {key.name for key in main.writer._patches._written} == {"fence"}


async def test_link_deleted_during_the_write_stays_deleted() -> None:
    """The response of a write does not bring back a link that the store has removed."""
    async with writing() as main:

        async def lose_link(_: web.BaseRequest) -> web.StreamResponse | None:
            main.store.remove_link("c1")
            return None

        main.cluster.override = lose_link
        main.add_link()
        await main.is_written()
        main.cluster.override = None
        await main.catch_up()
        assert main.store.links.keys() == {"fence"}


async def test_link_edited_during_the_write_stays_edited() -> None:
    """The response of a write does not undo an edit that the watch reported earlier."""
    async with writing() as main:

        async def edit(_: web.BaseRequest) -> web.StreamResponse | None:
            stored = main.cluster.objects["clusterlinks", "", "c1"]
            edited = ClusterLink(
                ObjectMeta(
                    "c1", uid=stored["metadata"]["uid"], resource_version="999999", generation=2
                ),
                ClusterLinkSpec(excluded_namespaces=("secret",)),
            )
            main.store.put_link(edited)
            main.cluster.override = None
            return None

        main.cluster.override = edit
        main.add_link()
        await main.is_written()
        await main.catch_up()
        assert main.store.links["c1"].spec.excluded_namespaces == ("secret",)


async def test_edit_updates_the_observed_generation_at_once() -> None:
    """After an edit, `observedGeneration` shows without delay that the status is up to date."""
    async with writing() as main:
        link = main.add_link()
        await main.is_written()
        edited = evolve(
            link, metadata=evolve(link.metadata, generation=2), spec=ClusterLinkSpec(cluster_id="x")
        )
        main.store.put_link(structure(main.cluster.put(edited), ClusterLink))
        await eventually(lambda: main.status()["observedGeneration"] == 2)


# Transitions


def condition(**changes: Any) -> Condition:
    return evolve(
        Condition("Ready", "True", "ClusterReady", "all is well", "2026-01-01T00:00:00Z", 1),
        **changes,
    )


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (ClusterLinkStatus("Ready", conditions=(condition(),)), False),
        (
            ClusterLinkStatus(
                "Ready", services=1, endpoints=2, slices=3, conditions=(condition(),)
            ),
            False,
        ),
        (ClusterLinkStatus("Ready", conditions=(condition(message="other words"),)), False),
        (ClusterLinkStatus("NotReady", conditions=(condition(),)), True),
        (ClusterLinkStatus("Ready", error="no", conditions=(condition(),)), False),
        (ClusterLinkStatus("Ready", conditions=(condition(status="False"),)), True),
        (ClusterLinkStatus("Ready", conditions=(condition(reason="Other"),)), True),
        (ClusterLinkStatus("Ready", conditions=()), True),
    ],
)
def test_new_state_is_a_transition_and_new_numbers_are_not(
    new: ClusterLinkStatus, expected: bool
) -> None:
    """Phase, and status and reason of conditions are states; numbers and wording are not."""
    assert is_transition(ClusterLinkStatus("Ready", conditions=(condition(),)), new) is expected
