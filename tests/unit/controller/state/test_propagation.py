"""Propagation is timed from the first change of a Service until it is written.

Real: sinks and store. Substituted: reflectors, by direct calls, and the clock.
"""

from __future__ import annotations

from typing import Final

from attrs import define

from svclink_controller.reflect.sinks import ObjectSink
from svclink_controller.state.propagation import PropagationTimes
from svclink_controller.state.store import Store
from svclink_core import EndpointSlice, NamespacedName, Options, Service
from svclink_core.well_known import MAIN
from tests.builders.keys import WEB
from tests.builders.values import foreign_slice, link, remote_slice, service

API: Final = NamespacedName("default", "api")


@define
class Clock:
    """A clock that a test sets."""

    now: float = 100.0

    def elapsed(self) -> float:
        return self.now


def new_store() -> Store:
    store = Store(Options())
    store.put_link(link("c1"))
    return store


def test_first_of_several_changes_counts() -> None:
    """A plan after three changes is as late as the first of them."""
    time = Clock()
    propagation = PropagationTimes(time.elapsed)
    for moment in (101.0, 102.0, 103.0):
        time.now = moment
        propagation.record_change("c1", WEB)
    assert propagation.take(WEB) == {"c1": 101.0}
    assert propagation.take(WEB) == {}


def test_change_that_could_not_be_written_keeps_its_time() -> None:
    """A change that is put back keeps its age, even if another one came since."""
    time = Clock()
    propagation = PropagationTimes(time.elapsed)
    propagation.record_change("c1", WEB)
    time.now = 150.0
    propagation.record_change("c1", WEB)
    propagation.put_back(WEB, "c1", 100.0)
    assert propagation.take(WEB) == {"c1": 100.0}


def test_age_of_a_watch_counts_from_its_last_activity() -> None:
    """The age of a watch is the time since its last event."""
    time = Clock()
    propagation = PropagationTimes(time.elapsed)
    propagation.record_activity("c1", "services")
    time.now = 107.0
    propagation.record_activity("c2", "services")
    time.now = 110.0
    assert propagation.ages() == {("c1", "services"): 10.0, ("c2", "services"): 3.0}


def test_forgotten_cluster_has_no_times() -> None:
    """The ages and changes of a forgotten cluster are dropped; those of other clusters stay."""
    propagation = PropagationTimes()
    for cluster in ("c1", "c2"):
        propagation.record_activity(cluster, "services")
        propagation.record_change(cluster, WEB)
    propagation.record_change("c1", API)
    propagation.forget("c1")
    assert [cluster for cluster, _ in propagation.ages()] == ["c2"]
    assert set(propagation.take(WEB)) == {"c2"}
    assert propagation.take(API) == {}


def test_event_of_a_remote_is_a_change_of_its_service() -> None:
    """A slice that is added, moved or removed changes the Services that it belonged to."""
    store = new_store()
    sink = ObjectSink(store, "c1", EndpointSlice)
    sink.apply(remote_slice("abc"))
    assert set(store.propagation.take(WEB)) == {"c1"}
    sink.apply(remote_slice("abc", key=API))
    assert (set(store.propagation.take(WEB)), set(store.propagation.take(API))) == ({"c1"}, {"c1"})
    sink.remove(remote_slice("abc").metadata.key)
    assert (set(store.propagation.take(WEB)), set(store.propagation.take(API))) == (set(), {"c1"})
    ObjectSink(store, "c1", Service).apply(service())
    assert set(store.propagation.take(WEB)) == {"c1"}


def test_events_of_main_and_of_unlinked_clusters_are_not_timed() -> None:
    """Only a change of a linked cluster can be late in the main cluster."""
    store = new_store()
    for cluster in (MAIN, "c2"):
        ObjectSink(store, cluster, EndpointSlice).apply(remote_slice())
        ObjectSink(store, cluster, Service).apply(service())
    assert store.propagation.take(WEB) == {}


def test_slice_without_a_service_is_not_timed() -> None:
    """A slice that belongs to no Service is not mirrored."""
    store = new_store()
    ObjectSink(store, "c1", EndpointSlice).apply(foreign_slice())
    assert store.propagation.take(NamespacedName("default", "")) == {}


def test_cluster_that_is_no_longer_read_has_no_times() -> None:
    """A cluster whose link is removed or disabled is not late."""
    for leave in (Store.remove_link, Store.forget):
        store = new_store()
        store.propagation.record_activity("c1", "services")
        leave(store, "c1")
        assert store.propagation.ages() == {}


def test_standby_notes_no_change() -> None:
    """What is not mirrored is not timed: nothing would take the notes away."""
    times = PropagationTimes(Clock().elapsed)
    times.record_change("c1", WEB)
    times.stop_mirroring()
    times.record_change("c1", API)
    times.put_back(API, "c1", 7)
    assert times._changed_at == {}
    times.start_mirroring()
    times.record_change("c1", WEB)
    assert times.take(WEB) == {"c1": 100}
