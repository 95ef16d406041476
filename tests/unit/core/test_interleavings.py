"""After any events in any order, the controller reaches the state that a fresh plan would.

Real: the whole core. Substituted: the main API server, by the one in `api_server`, and the
controller, by the lines below: dirty keys, one worker for each key, a queue that a crash loses.
"""

from __future__ import annotations

from collections import Counter
from typing import Final, assert_never

import pytest
from attrs import evolve
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import DataObject, SearchStrategy

from svclink_core import (
    Change,
    Create,
    CreateNamespace,
    CreateService,
    Delete,
    EndpointSlice,
    EndpointSliceChanged,
    Event,
    NamespaceChanged,
    NamespacedName,
    Outcome,
    ServiceChanged,
    Snapshot,
    Update,
    plan,
    plan_service,
    requests_for,
)
from svclink_core.ownership import cluster_of, is_ours, service_of
from svclink_core.snapshot import all_keys
from tests.unit.core.strategies.drawing import mostly, pick
from tests.unit.core.strategies.events import happenings
from tests.unit.core.strategies.initial_snapshots import fresh_snapshots, healthy_snapshot, options
from tests.unit.core.strategies.names import Universe, universes
from tests.unit.core.validation import Refused
from tests.unit.core.world import (
    applied,
    main_slices,
    ours,
    settled,
    with_main,
    without_history,
)

# A large counterexample must not hide behind a warning about its size.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

NOW: Final = 1_800_000_000.0
PATIENCE: Final = 1_000
"""More writes than any plan needs: after them the test fails."""


class Interleavings(RuleBasedStateMachine):
    """The clusters, and the memory of the controller: dirty keys and partly applied plans."""

    @initialize(data=st.data())
    def start(self, data: DataObject) -> None:
        """Starts with a chaotic snapshot, or with one in which everything is mirrored."""
        self.universe: Universe = data.draw(universes)
        self.found: Snapshot = evolve(data.draw(begun(self.universe)), options=data.draw(options))
        self.restart()

    @rule(data=st.data())
    def happen(self, data: DataObject) -> None:
        """An event in the main cluster, in a remote one, or of a link."""
        event, self.found = data.draw(happenings(self.universe, self.found))
        self.dirty |= requests_for(event, self.found)

    @rule(data=st.data())
    def work(self, data: DataObject) -> None:
        """A worker takes its next step: it plans a Service, or writes one change of its plan."""
        for _ in range(data.draw(pick((1, 2, 3, 9)))):
            if steps := self.steps():
                self.take(data.draw(pick(tuple(steps))))

    @rule(data=st.data())
    def crash(self, data: DataObject) -> None:
        """The controller sometimes dies between two writes; the next one plans everything."""
        if data.draw(pick((False, False, False, True))):
            self.restart()

    def restart(self) -> None:
        self.dirty = set(all_keys(self.found))
        self.working: dict[NamespacedName, list[Change]] = {}

    def steps(self) -> list[NamespacedName]:
        """Services with work. A Service is planned again only after its last plan was applied."""
        return sorted(self.dirty | self.working.keys())

    def take(self, key: NamespacedName) -> None:
        """One step of the worker for a Service."""
        if key not in self.working:
            self.dirty.remove(key)
            self.working[key] = list(plan_service(self.found, key, NOW).changes)
        elif not self.working[key]:
            del self.working[key]
        else:
            self.write(key, self.working[key].pop(0))

    def write(self, key: NamespacedName, change: Change) -> None:
        """One request. The API server refuses it if the object has changed since the plan."""
        before = self.found.main.names.get(change.key)
        try:
            self.found = applied(self.found, [change])
        except Refused:
            del self.working[key]
            self.dirty.add(key)
        else:
            self.dirty |= requests_for(event_of(change, before, self.found), self.found)

    @invariant()
    def nothing_is_missed(self) -> None:
        """A Service that is neither dirty nor being worked on needs no write."""
        for key in all_keys(self.found) - self.dirty - self.working.keys():
            assert plan_service(self.found, key, NOW).changes == ()

    def teardown(self) -> None:
        """Without further events the controller finishes, in the state of a fresh plan."""
        for _ in range(PATIENCE if hasattr(self, "found") else 0):
            if not (steps := self.steps()):
                assert plan(self.found, NOW).changes == ()
                decided = decided_pairs(self.found)
                assert mirrored(self.found, decided) == mirrored(
                    settled(without_mirrors(self.found)), decided
                )
                return
            self.take(steps[0])
        assert not hasattr(self, "found"), "the controller never stops writing"


def event_of(change: Change, before: EndpointSlice | None, after: Snapshot) -> Event:
    """The event that a change causes in the watches of the main cluster."""
    match change:
        case CreateNamespace():
            return NamespaceChanged(change.namespace.metadata.name)
        case CreateService():
            return ServiceChanged(None, after.main.services[change.key])
        case Create() | Update() | Delete():
            return EndpointSliceChanged(before, after.main.names.get(change.key), in_main=True)
        case unexpected:
            assert_never(unexpected)


def begun(universe: Universe) -> SearchStrategy[Snapshot]:
    """The first snapshot."""
    return mostly(st.just(settled(healthy_snapshot(universe))), fresh_snapshots(universe), 2)


def decided_pairs(found: Snapshot) -> set[tuple[NamespacedName | None, str | None]]:
    """The mirrored Services and clusters.

    What is kept or garbage-collected depends on history. So does what the API server may call: it
    stays mirrored and is not mirrored anew.
    """
    calls = found.main.api_server_calls
    return {
        (each.service, each.cluster)
        for each in plan(found, NOW).decisions
        if each.outcome is Outcome.MIRRORED and calls.of(each.service).is_known
    }


def mirrored(
    found: Snapshot, pairs: set[tuple[NamespacedName | None, str | None]]
) -> Counter[EndpointSlice]:
    """The mirrors of these pairs with their content, without what depends on history."""
    return Counter(
        without_history(endpoint_slice)
        for endpoint_slice in ours(found)
        if (service_of(endpoint_slice), cluster_of(endpoint_slice)) in pairs
    )


def without_mirrors(found: Snapshot) -> Snapshot:
    """The snapshot without mirrors, as before the first start of svclink."""
    return with_main(
        found,
        slices=[
            endpoint_slice for endpoint_slice in main_slices(found) if not is_ours(endpoint_slice)
        ],
    )


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(stateful_step_count=30)
