"""What is known of the objects that make the main cluster's API server call Services.

Real: the store, the sink, the core. Substituted: nothing.
"""

from __future__ import annotations

import pytest
from attrs import define, field
from structlog.testing import capture_logs

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.reflect.sinks import CallerSink
from svclink_controller.state.main.api_server_callers import ApiServerCallers
from svclink_controller.wire.messages import Listing, Status, Undecodable
from svclink_core import (
    CALLER_KINDS,
    ApiServerCaller,
    ApiServerCallsChanged,
    Event,
    NamespacedName,
    ObjectMeta,
)
from tests.builders.keys import WEB

OTHER = NamespacedName("default", "other")
HOOK, *OTHER_KINDS = CALLER_KINDS


@define
class Made:
    """The objects, the sink of webhook configurations, and the events so far."""

    events: list[Event] = field(factory=list)
    callers: ApiServerCallers = field(init=False)
    sink: CallerSink = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.callers = ApiServerCallers(self.events.append)
        self.callers.await_lists()
        self.sink = CallerSink(self.callers, HOOK)

    @property
    def called(self) -> set[NamespacedName]:
        return set(self.callers.calls.by_service)


@pytest.fixture
def made() -> Made:
    """Nothing is listed yet."""
    return Made()


def hook(name: str = "hook", *services: NamespacedName) -> ApiServerCaller:
    return ApiServerCaller(ObjectMeta(name), HOOK, services)


def listing(*items: ApiServerCaller, undecodable: str = "") -> Listing[ApiServerCaller]:
    key = NamespacedName("", undecodable)
    unclear = [Undecodable(key, key, "broken")] if undecodable else []
    return Listing(list(items), unclear, "1")


def refused(code: int = 403) -> ApiError:
    return ApiError(Status(code, "Forbidden", "no"))


async def test_calls_are_known_once_every_kind_was_listed(made: Made) -> None:
    """Until the last kind was listed, a Service that no object names may be called."""
    await made.sink.replace(listing(hook("hook", WEB)))
    for kind in OTHER_KINDS:
        assert not made.callers.calls.of(OTHER).is_known
        assert made.callers.calls.of(WEB).caller == f"{HOOK}/hook"
        await CallerSink(made.callers, kind).replace(listing())
    assert made.callers.calls.of(OTHER).is_known


async def test_only_changed_references_are_events(made: Made) -> None:
    """A change that names the same Services, such as a new certificate, concerns no Service."""
    await made.sink.replace(listing(hook("hook", WEB)))
    made.events.clear()
    made.sink.apply(hook("hook", WEB))
    made.sink.apply(hook("names nothing"))
    made.sink.remove(NamespacedName("", "names nothing"))
    await made.sink.replace(listing(hook("hook", WEB)))
    assert made.events == []
    made.sink.apply(hook("hook", OTHER))
    assert made.called == {OTHER}
    made.sink.remove(NamespacedName("", "hook"))
    assert made.called == set()
    assert [type(each) for each in made.events] == [ApiServerCallsChanged] * 2


async def test_undecodable_object_still_names_what_it_named(made: Made) -> None:
    """An object that cannot be decoded any more keeps the last state that could be."""
    await made.sink.replace(listing(hook("hook", WEB)))
    key = NamespacedName("", "hook")
    made.sink.mark_undecodable(Undecodable(key, key, "broken"))
    await made.sink.replace(listing(undecodable="hook"))
    assert made.called == {WEB}
    await made.sink.replace(listing())
    assert made.called == set()


@pytest.mark.parametrize("code", [403, 404])
async def test_kind_that_cannot_be_listed_is_not_waited_for(made: Made, code: int) -> None:
    """Without permission, or where the kind is not served, mirroring goes on; it is logged once."""
    for kind in OTHER_KINDS:
        await CallerSink(made.callers, kind).replace(listing())
    with capture_logs() as logs:
        made.sink.fail(refused(code))
        made.sink.fail(refused(code))
    assert [each["event"] for each in logs] == ["api server calls unknown"]
    assert made.callers.calls.is_known
    assert not made.callers.is_current(HOOK)
    await made.sink.replace(listing(hook("hook", WEB)))
    assert made.called == {WEB}
    assert made.callers.is_current(HOOK)


async def test_other_failures_are_waited_for(made: Made) -> None:
    """A time-out says nothing: nothing new is mirrored until the list succeeds."""
    for kind in OTHER_KINDS:
        await CallerSink(made.callers, kind).replace(listing())
    made.sink.fail(TransportError("no answer"))
    made.sink.fail(refused(500))
    assert not made.callers.calls.is_known


@pytest.mark.parametrize("error", [refused(), TransportError("no answer")])
async def test_what_was_listed_stays_known(made: Made, error: ApiError | TransportError) -> None:
    """A kind that cannot be read any more still counts as it was; the metric says so."""
    await made.sink.replace(listing(hook("hook", WEB)))
    made.sink.fail(error)
    assert made.called == {WEB}
    assert not made.callers.is_current(HOOK)
    made.sink.apply(hook("hook", OTHER))
    assert made.callers.is_current(HOOK)
