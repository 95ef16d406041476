"""The status of a link shows since when its watches have been silent."""

from __future__ import annotations

from svclink_controller.remotes.silences import Silences
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core import Options
from tests.builders.values import link


def new_store() -> Store:
    store = Store(Options())
    store.put_link(link())
    return store


def test_longest_silence_is_shown_until_every_watch_is_heard() -> None:
    """A link has several watches, and one that is silent is enough."""
    store = new_store()
    silences = Silences(store, "c1")
    silences.record("services", "", 600)
    first = store.observations["c1"].silent_since
    silences.record("endpointslices", "", 6_000)
    assert first is not None
    assert (store.observations["c1"].silent_since or "") < first
    silences.record("endpointslices", "", None)
    assert store.observations["c1"].silent_since == first
    silences.record("services", "", None)
    assert store.observations["c1"].silent_since is None


def test_silence_that_goes_on_changes_nothing() -> None:
    """The status is not written again while the same watch stays silent."""
    store = new_store()
    silences = Silences(store, "c1")
    silences.record("services", "", 600)
    before = store.observations["c1"]
    silences.record("services", "", 9_000)
    assert store.observations["c1"] is before


def test_other_observations_stay() -> None:
    """Silence concerns nothing else that is known of the connection."""
    store = new_store()
    store.observe("c1", Observation(version="v1.36.0"))
    Silences(store, "c1").record("services", "", 600)
    assert store.observations["c1"].version == "v1.36.0"
