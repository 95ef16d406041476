"""News are timed from when the first of them came to when they are written; silence, from the last word.

Real: sinks, store and clock. Substituted: reflectors, by direct calls.
"""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_controller import clock
from svclink_controller.reflect.sinks import ObjectSink
from svclink_controller.state.propagation import PropagationTimes
from svclink_controller.state.store import Store
from svclink_core import ClusterLink, EndpointSlice, NamespacedName, ObjectMeta, Options, Service
from svclink_core.well_known import LABEL_SERVICE_NAME, MAIN

WEB, API = NamespacedName("default", "web"), NamespacedName("default", "api")


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which a test sets."""
    times = [100.0]
    monkeypatch.setattr(clock, "elapsed", lambda: times[-1])
    return times


def new_store() -> Store:
    store = Store(Options())
    store.put_link(ClusterLink(ObjectMeta("c1")))
    return store


def piece(service: NamespacedName = WEB) -> EndpointSlice:
    return EndpointSlice(
        ObjectMeta("abc", "default", labels=((LABEL_SERVICE_NAME, service.name),)), "IPv4"
    )


def test_first_of_several_events_counts(time: list[float]) -> None:
    """A plan made after three events is as late as the first of them."""
    propagation = PropagationTimes()
    for moment in (101.0, 102.0, 103.0):
        time.append(moment)
        propagation.record_change("c1", WEB)
    assert propagation.take(WEB) == {"c1": 101.0}
    assert propagation.take(WEB) == {}


def test_what_could_not_be_written_is_news_still(time: list[float]) -> None:
    """News that are put back are as old as they are, whatever came after them."""
    propagation = PropagationTimes()
    propagation.record_change("c1", WEB)
    time.append(150.0)
    propagation.record_change("c1", WEB)
    propagation.put_back(WEB, "c1", 100.0)
    assert propagation.take(WEB) == {"c1": 100.0}


def test_age_counts_from_the_last_word(time: list[float]) -> None:
    """The age of a watch is the time since its last event."""
    propagation = PropagationTimes()
    propagation.record_activity("c1", "services")
    time.append(107.0)
    propagation.record_activity("c2", "services")
    time.append(110.0)
    assert propagation.ages() == {("c1", "services"): 10.0, ("c2", "services"): 3.0}


def test_cluster_that_is_forgotten_leaves_nothing() -> None:
    """Neither its ages nor its news stay; those of others do."""
    propagation = PropagationTimes()
    for cluster in ("c1", "c2"):
        propagation.record_activity(cluster, "services")
        propagation.record_change(cluster, WEB)
    propagation.record_change("c1", API)
    propagation.forget("c1")
    assert [cluster for cluster, _ in propagation.ages()] == ["c2"]
    assert set(propagation.take(WEB)) == {"c2"}
    assert propagation.take(API) == {}


def test_events_of_a_remote_are_news_of_their_services() -> None:
    """A slice that is added, changes its Service or goes is news of the Services it belonged to."""
    store = new_store()
    sink = ObjectSink(store, "c1", EndpointSlice)
    sink.apply(piece())
    assert set(store.propagation.take(WEB)) == {"c1"}
    sink.apply(piece(API))
    assert (set(store.propagation.take(WEB)), set(store.propagation.take(API))) == ({"c1"}, {"c1"})
    sink.remove(piece().metadata.key)
    assert (set(store.propagation.take(WEB)), set(store.propagation.take(API))) == (set(), {"c1"})
    ObjectSink(store, "c1", Service).apply(Service(ObjectMeta("web", "default")))
    assert set(store.propagation.take(WEB)) == {"c1"}


def test_events_of_the_main_cluster_and_of_strangers_are_no_news() -> None:
    """Only what a linked cluster says can be late in the main cluster."""
    store = new_store()
    for cluster in (MAIN, "c2"):
        ObjectSink(store, cluster, EndpointSlice).apply(piece())
        ObjectSink(store, cluster, Service).apply(Service(ObjectMeta("web", "default")))
    assert store.propagation.take(WEB) == {}


def test_slice_without_a_service_is_no_news() -> None:
    """What belongs to nothing is mirrored nowhere."""
    store = new_store()
    stray = piece()
    ObjectSink(store, "c1", EndpointSlice).apply(
        evolve(stray, metadata=evolve(stray.metadata, labels=()))
    )
    assert store.propagation.take(NamespacedName("default", "")) == {}


def test_link_that_goes_or_is_disabled_takes_its_times_with_it() -> None:
    """A cluster that is not read is not late."""
    for leave in (Store.remove_link, Store.forget):
        store = new_store()
        store.propagation.record_activity("c1", "services")
        leave(store, "c1")
        assert store.propagation.ages() == {}
