"""A main cluster that refuses writes: by a quota, or by an admission policy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import pytest

from .admission import SliceQuota, WriteBan, assert_refused, write_ban
from .api_client import Api
from .control_planes import CONTROLLER
from .polling import consistently, eventually
from .world import RecordMeasure, World

SERVICES: Final = tuple(f"web-{number:02}" for number in range(20))
REFUSED_SECONDS: Final = 20
# Intervals that double from 0.1 s on are 9 tries in 20 s; five tries a second were 100.
MOST_TRIES: Final = 12
# The pause after these seconds is about as long as all pauses before.
RECOVERY_SECONDS: Final = 45

pytestmark = pytest.mark.real_servers("the embedded server has neither quotas nor policies")


@pytest.fixture
def quota(linked: World) -> SliceQuota:
    """A quota that allows no EndpointSlice in the namespace; it is deleted with the namespace."""
    return SliceQuota(linked.main.api, linked.namespace)


@pytest.fixture
def policy(linked: World) -> Iterator[WriteBan]:
    """An admission policy that denies the controller every write of an EndpointSlice."""
    with write_ban(linked.main.api, CONTROLLER) as ban:
        yield ban


@pytest.mark.parametrize("refusal", ["quota", "policy"])
def test_refused_writes_are_tried_ever_less_often(
    linked: World, refusal: str, request: pytest.FixtureRequest, record_measure: RecordMeasure
) -> None:
    """Each object has a few tries, the status names the refusal, and later all are mirrored."""
    limit: SliceQuota | WriteBan = request.getfixturevalue(refusal)
    limit.impose()
    api = Api(linked.main.server, linked.main.tls_context(common_name=CONTROLLER))
    eventually(lambda: assert_refused(api, linked.namespace))
    api.close()
    mark = linked.main.audit_mark()

    for number, name in enumerate(SERVICES):
        linked.declare(name)
        linked.publish(linked.c1, name, f"10.1.0.{number + 1}")
    message = linked.links.await_condition("c1", "False", "WriteFailed", kind="Synced")["message"]
    consistently(REFUSED_SECONDS, linked.controller.assert_healthy)

    tries = tries_by_name(linked, mark)
    assert len(tries) == len(SERVICES)
    assert max(tries.values()) <= MOST_TRIES, tries
    record_measure(f"writes of an object that a {refusal} refused", max(tries.values()))
    assert limit.said in message
    assert "grant" not in message
    assert linked.mirrors() == {}

    limit.lift()
    eventually(lambda: assert_all_mirrored(linked), RECOVERY_SECONDS)
    linked.links.await_condition("c1", "True", "Synced", kind="Synced")


def tries_by_name(world: World, mark: int) -> Counter[str]:
    """How often the controller tried to write each EndpointSlice."""
    return Counter(
        event.name
        for event in world.main.audit_events(mark, CONTROLLER)
        if event.writes and event.resource == "endpointslices" and event.name != "web-abc"
    )


def assert_all_mirrored(world: World) -> None:
    for number, name in enumerate(SERVICES):
        world.assert_mirrored(name, c1=[f"10.1.0.{number + 1}"])
