"""Transitions of links become Events, repetitions are counted, and nothing waits for an Event.

Real: events, client, sockets and TLS. Substituted: the main API server, by a fake one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define, evolve

from svclink_controller.reconcile.events import MAX_MESSAGE, MAX_WAITING, Events, transitions
from svclink_core import ClusterLink, ClusterLinkStatus, Condition, LinkReason, ObjectMeta
from svclink_core.traffic_status import PolicyReason
from tests.builders.values import traffic_policy
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Hang, Refuse
from tests.unit.controller.http_server import Server, connected, serving
from tests.unit.controller.waiting import eventually, in_background

LINK = ClusterLink(ObjectMeta("c1", uid="uid-of-c1"))


def condition(
    kind: str, status: Any, reason: LinkReason | PolicyReason, message: str = ""
) -> Condition:
    return Condition(kind, status, reason.code, message or reason.sentence, "2026-01-01T00:00:00Z")


READY = condition("Ready", "True", LinkReason.CLUSTER_READY)
CONNECTING = condition("Ready", "Unknown", LinkReason.CONNECTING)
UNREACHABLE = condition("Ready", "False", LinkReason.UNREACHABLE)
UNAUTHORIZED = condition("Ready", "False", LinkReason.UNAUTHORIZED)
DISABLED = condition("Ready", "False", LinkReason.DISABLED)
SYNCED = condition("Synced", "True", LinkReason.SYNCED)
INITIALIZING = condition("Synced", "False", LinkReason.INITIALIZING)
STALE = condition("Synced", "False", LinkReason.STALE)
WRITE_FAILED = condition("Synced", "False", LinkReason.WRITE_FAILED)
AS_EXPECTED = condition("Degraded", "False", LinkReason.AS_EXPECTED)
MISMATCH = condition("Degraded", "True", LinkReason.PORT_MISMATCH)
INVALID = condition("Degraded", "True", LinkReason.INVALID_ENDPOINTS)
VALID = condition("CredentialsExpiring", "False", LinkReason.CREDENTIALS_VALID)
SOON = condition("CredentialsExpiring", "True", LinkReason.CREDENTIALS_EXPIRE_SOON, "the token")
OTHER_SOON = condition("CredentialsExpiring", "True", LinkReason.CREDENTIALS_EXPIRE_SOON, "a new")
DRAINING = condition("Drained", "False", LinkReason.DRAINING)
NEEDED = condition("Drained", "False", LinkReason.STILL_NEEDED)
DRAINED = condition("Drained", "True", LinkReason.DRAINED)
ACCEPTED = condition("Accepted", "True", PolicyReason.ACCEPTED)
CONFLICTED = condition("Accepted", "False", PolicyReason.CONFLICTED)
NOT_APPLIED = condition("Applied", "False", PolicyReason.CONFLICTED)
APPLIED = condition("Applied", "True", PolicyReason.APPLIED)
FAILED_OVER = condition("Applied", "True", PolicyReason.FAILED_OVER)
MISSED = condition("Applied", "False", PolicyReason.SHARE_UNREACHABLE)
EXPIRED = condition("CredentialsExpiring", "True", LinkReason.CREDENTIALS_EXPIRED)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ((), (CONNECTING, INITIALIZING, AS_EXPECTED), ()),
        ((), (READY, SYNCED, AS_EXPECTED), (READY,)),
        ((), (UNAUTHORIZED, INITIALIZING, AS_EXPECTED), (UNAUTHORIZED,)),
        ((CONNECTING, INITIALIZING, AS_EXPECTED), (READY, SYNCED, AS_EXPECTED), (READY,)),
        ((READY, SYNCED, AS_EXPECTED), (READY, SYNCED, AS_EXPECTED), ()),
        ((READY, SYNCED, AS_EXPECTED), (UNREACHABLE, STALE, AS_EXPECTED), (UNREACHABLE,)),
        ((UNREACHABLE, STALE, AS_EXPECTED), (READY, SYNCED, AS_EXPECTED), (READY,)),
        ((UNREACHABLE, STALE, AS_EXPECTED), (UNAUTHORIZED, STALE, AS_EXPECTED), (UNAUTHORIZED,)),
        ((READY, SYNCED, AS_EXPECTED), (DISABLED, SYNCED, AS_EXPECTED), (DISABLED,)),
        ((READY, SYNCED, AS_EXPECTED), (READY, WRITE_FAILED, MISMATCH), (WRITE_FAILED, MISMATCH)),
        ((READY, WRITE_FAILED, MISMATCH), (READY, SYNCED, INVALID), (SYNCED, INVALID)),
        ((READY, SYNCED, INVALID), (READY, SYNCED, AS_EXPECTED), (AS_EXPECTED,)),
        ((), (VALID,), ()),
        ((), (SOON,), (SOON,)),
        ((VALID,), (SOON,), (SOON,)),
        ((SOON,), (SOON,), ()),
        ((SOON,), (OTHER_SOON,), (OTHER_SOON,)),
        ((SOON,), (EXPIRED,), (EXPIRED,)),
        ((SOON,), (VALID,), (VALID,)),
        ((SOON,), (), ()),
        ((), (DRAINING,), ()),
        ((DRAINING,), (DRAINED,), (DRAINED,)),
        ((DRAINING,), (NEEDED,), (NEEDED,)),
        ((DRAINED,), (), ()),
        ((), (ACCEPTED, APPLIED), ()),
        ((), (CONFLICTED, NOT_APPLIED), (CONFLICTED,)),
        ((CONFLICTED, NOT_APPLIED), (ACCEPTED, APPLIED), (ACCEPTED, APPLIED)),
        ((ACCEPTED, APPLIED), (ACCEPTED, FAILED_OVER), (FAILED_OVER,)),
        ((ACCEPTED, FAILED_OVER), (ACCEPTED, APPLIED), (APPLIED,)),
        ((ACCEPTED, APPLIED), (ACCEPTED, MISSED), (MISSED,)),
    ],
)
def test_transitions_become_events(
    old: tuple[Condition, ...], new: tuple[Condition, ...], expected: tuple[Condition, ...]
) -> None:
    """A change that matters becomes one Event; a passing state does not."""
    assert transitions(old, new) == list(expected)


def test_new_wording_is_not_a_transition() -> None:
    """Only a new status or reason of a condition is a transition."""
    other = condition("Ready", "False", LinkReason.UNREACHABLE, "another address was tried")
    assert transitions([UNREACHABLE], [other]) == []


# Writing


@define
class Main:
    """A fake main cluster, and Events written to it."""

    cluster: FakeApiServer
    server: Server
    events: Events

    def become(self, *conditions: Condition, link: ClusterLink = LINK) -> None:
        """The link gets these conditions instead of none."""
        self.events.record(link, conditions)

    def all(self) -> list[dict[str, Any]]:
        return self.cluster.all("events")

    def counts(self) -> dict[str, int]:
        return {each["reason"]: each["count"] for each in self.all()}


@asynccontextmanager
async def writing(repeat_seconds: float = 60) -> AsyncIterator[Main]:
    cluster = FakeApiServer()
    async with serving(cluster) as server, connected(server.url) as client:
        made = Events(client, repeat_seconds=repeat_seconds)
        async with in_background(made.run()):
            yield Main(cluster, server, made)


async def test_event_on_a_policy_is_in_its_namespace() -> None:
    """The owner of a Service sees it with `kubectl describe trafficpolicy`."""
    async with writing() as main:
        main.events.record(traffic_policy(key="shop/web"), [FAILED_OVER])
        await eventually(lambda: len(main.all()) == 1)
        (made,) = main.all()
        assert made["metadata"]["namespace"] == "shop"
        assert made["involvedObject"] == {
            "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
            "kind": "TrafficPolicy",
            "name": "web",
            "namespace": "shop",
            "uid": "uid-of-web",
        }
        assert (made["type"], made["reason"]) == ("Warning", "FailedOver")


async def test_event_is_shown_by_kubectl_describe() -> None:
    """It is in `default`, as for all cluster-scoped objects, and names link, uid and reason."""
    async with writing() as main:
        main.become(UNAUTHORIZED)
        await eventually(lambda: len(main.all()) == 1)
        (made,) = main.all()
        assert made["metadata"]["namespace"] == "default"
        assert made["involvedObject"] == {
            "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
            "kind": "ClusterLink",
            "name": "c1",
            "uid": "uid-of-c1",
        }
        assert (made["type"], made["reason"], made["count"]) == ("Warning", "Unauthorized", 1)
        assert made["message"] == LinkReason.UNAUTHORIZED.sentence
        assert made["source"] == {"component": "svclink"}
        assert made["firstTimestamp"] == made["lastTimestamp"]


async def test_event_of_a_namespaced_link_is_in_its_namespace() -> None:
    """Links of the Go release are in namespaces, and so are the Events about them."""
    async with writing() as main:
        main.become(READY, link=ClusterLink(ObjectMeta("c1", "prod")))
        await eventually(lambda: len(main.all()) == 1)
        (made,) = main.all()
        assert made["metadata"]["namespace"] == made["involvedObject"]["namespace"] == "prod"
        assert made["type"] == "Normal"


async def test_event_about_credentials_is_a_warning() -> None:
    """Credentials that expire soon are worth a Warning, and renewed ones are Normal."""
    async with writing() as main:
        main.become(SOON)
        main.events.record(evolve(LINK, status=ClusterLinkStatus(conditions=(SOON,))), [VALID])
        await eventually(lambda: len(main.all()) == 2)
        assert {each["reason"]: each["type"] for each in main.all()} == {
            "CredentialsExpireSoon": "Warning",
            "CredentialsValid": "Normal",
        }


async def test_repeated_transition_is_counted() -> None:
    """The same transition again increments the count of the same Event."""
    async with writing(repeat_seconds=0) as main:
        for number in range(1, 4):
            main.become(UNREACHABLE)
            await eventually(lambda wanted=number: main.counts() == {"Unreachable": wanted})  # type: ignore[misc]
        main.become(READY)
        await eventually(lambda: main.counts() == {"Unreachable": 3, "ClusterReady": 1})


async def test_flapping_link_writes_few_events() -> None:
    """A hundred transitions at once are two Events; the rest is counted with the next."""
    async with writing() as main:
        for _ in range(50):
            main.become(UNREACHABLE)
            main.become(READY)
            await asyncio.sleep(0)
        await eventually(lambda: main.events._waiting.empty() and len(main.all()) == 2)
        assert len(main.server.requests) == 2
        main.events.repeat_seconds = 0
        main.become(UNREACHABLE)
        await eventually(lambda: main.counts()["Unreachable"] == 51)
        assert len(main.server.requests) == 3


async def test_expired_event_is_created_again() -> None:
    """The API server deletes Events after an hour."""
    async with writing(repeat_seconds=0) as main:
        main.become(UNREACHABLE)
        await eventually(lambda: main.counts() == {"Unreachable": 1})
        (made,) = main.all()
        main.cluster.remove_key("events", "default", made["metadata"]["name"])
        main.become(UNREACHABLE)
        await eventually(lambda: main.counts() == {"Unreachable": 1})


@pytest.mark.parametrize("code", [403, 404, 409, 429, 500])
async def test_rejected_event_is_dropped(code: int) -> None:
    """Whatever the API server answers, the next Event is written."""
    async with writing() as main:
        rejection = main.cluster.fail(Refuse(code))
        main.become(UNREACHABLE)
        await eventually(lambda: rejection.hits == 1)
        main.cluster.heal()
        main.become(READY)
        await eventually(lambda: main.counts() == {"ClusterReady": 1})


async def test_recording_never_blocks() -> None:
    """If the server hangs, a limited number of Events waits and the rest is dropped."""
    async with writing() as main:
        hanging = main.cluster.fail(Hang())
        main.become(UNREACHABLE)
        await eventually(lambda: hanging.hits == 1)
        for _ in range(MAX_WAITING * 2):
            main.become(READY)
        assert main.events._waiting.qsize() == MAX_WAITING


async def test_long_message_is_cut() -> None:
    """A message over the limit of Events is cut."""
    async with writing() as main:
        main.become(condition("Ready", "False", LinkReason.UNREACHABLE, "x" * 5000))
        await eventually(lambda: len(main.all()) == 1)
        assert len(main.all()[0]["message"]) == MAX_MESSAGE
