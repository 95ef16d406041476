"""Whatever happens in whatever order, the controller ends where a fresh plan for everything would.

What is real: the whole core. What is substituted: the main API server, by the tiny one in `world`, and the controller,
by the few lines below: dirty keys, one worker a key, and a queue that is lost in a crash.
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
from tests.unit.core.world import applied, main_slices, ours, settled, with_main

# A large counterexample must not hide behind a warning about its size.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

NOW: Final = 1_800_000_000.0
PATIENCE: Final = 1_000
"""Writes after which it is certain that they would go on for ever."""


class Interleavings(RuleBasedStateMachine):
    """The world, and what the controller has in memory of it: keys to plan, and plans half carried out."""

    @initialize(data=st.data())
    def start(self, data: DataObject) -> None:
        """Chaos, or every Service in every cluster and all of it mirrored: then there is something to lose."""
        self.universe: Universe = data.draw(universes)
        self.found: Snapshot = evolve(data.draw(begun(self.universe)), options=data.draw(options))
        self.restart()

    @rule(data=st.data())
    def happen(self, data: DataObject) -> None:
        """Something happens in the main cluster, in a remote one, or to a link."""
        event, self.found = data.draw(happenings(self.universe, self.found))
        self.dirty |= requests_for(event, self.found)

    @rule(data=st.data())
    def work(self, data: DataObject) -> None:
        """A worker takes the next step: plans a Service, or writes one change of what it planned earlier."""
        for _ in range(data.draw(pick((1, 2, 3, 9)))):
            if steps := self.steps():
                self.take(data.draw(pick(tuple(steps))))

    @rule(data=st.data())
    def crash(self, data: DataObject) -> None:
        """Now and then the controller dies between two writes. The next one plans everything there is."""
        if data.draw(pick((False, False, False, True))):
            self.restart()

    def restart(self) -> None:
        self.dirty = set(all_keys(self.found))
        self.working: dict[NamespacedName, list[Change]] = {}

    def steps(self) -> list[NamespacedName]:
        """Services somebody can do something about. One that is worked on is not begun again before that is done."""
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
        """One request. Meanwhile the world may have become another than was planned for: then it is refused."""
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
        """There is nothing to write for a Service that nobody is going to look at."""
        for key in all_keys(self.found) - self.dirty - self.working.keys():
            assert plan_service(self.found, key, NOW).changes == ()

    def teardown(self) -> None:
        """Nothing happens any more: the controller finishes, and then all is as a fresh plan would have it."""
        for _ in range(PATIENCE if hasattr(self, "found") else 0):
            if not (steps := self.steps()):
                assert plan(self.found, NOW).changes == ()
                decided = decided_pairs(self.found)
                assert mirrored(self.found, decided) == mirrored(
                    settled(without_mirrors(self.found)), decided
                )
                return
            self.take(steps[0])
        assert not hasattr(self, "found"), "it writes for ever"


def event_of(change: Change, before: EndpointSlice | None, after: Snapshot) -> Event:
    """What the watches of the main cluster tell of a change."""
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
    """Where a story begins."""
    return mostly(st.just(settled(healthy_snapshot(universe))), fresh_snapshots(universe), 2)


def decided_pairs(found: Snapshot) -> set[tuple[NamespacedName | None, str | None]]:
    """The Services and clusters that are mirrored: what is kept, or left to the garbage collector, is history."""
    return {
        (each.service, each.cluster)
        for each in plan(found, NOW).decisions
        if each.outcome is Outcome.MIRRORED
    }


def mirrored(
    found: Snapshot, pairs: set[tuple[NamespacedName | None, str | None]]
) -> Counter[EndpointSlice]:
    """What is mirrored of them, with all content. Which of two rivals has the readable name is history, too."""
    return Counter(
        evolve(
            piece,
            metadata=evolve(piece.metadata, name="", uid="", resource_version="", generation=0),
        )
        for piece in ours(found)
        if (service_of(piece), cluster_of(piece)) in pairs
    )


def without_mirrors(found: Snapshot) -> Snapshot:
    """The snapshot as svclink would find it in a cluster where it never was."""
    return with_main(found, slices=[piece for piece in main_slices(found) if not is_ours(piece)])


TestInterleavings = Interleavings.TestCase
TestInterleavings.settings = settings(stateful_step_count=30)
