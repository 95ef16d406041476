"""Snapshots, and one event after another on them.

Law L15: any two sequences of events that end in the same facts end in the same state.
"""

from __future__ import annotations

from typing import Final

from attrs import evolve, frozen
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    Event,
    Snapshot,
    main_cluster,
)
from tests.unit.core.strategies.drawing import mostly_true
from tests.unit.core.strategies.events import happenings
from tests.unit.core.strategies.initial_snapshots import (
    fresh_snapshots,
    healthy_snapshot,
    options,
    some_namespaces,
)
from tests.unit.core.strategies.names import Universe, universes
from tests.unit.core.strategies.traffic_policies import some_policies
from tests.unit.core.world import (
    settled,
)

_seldom_chaotic = st.sampled_from((False, False, False, True))
_courses: SearchStrategy[tuple[bool, ...]] = st.sampled_from(
    (
        (False,),
        (True, False),
        (True, False, False),
        (True, True, False),
        (False, True, False),
        (True, False, False, False),
    )
)
"""One entry for each event: whether the plan is applied after it."""


@st.composite
def stories(draw: DrawFn) -> tuple[Universe, Snapshot]:
    """Any snapshot, with its names.

    The first snapshot is chaotic or healthy. Then a few events happen, and after some of them the
    plan is applied.
    """
    universe = draw(universes)
    found = draw(fresh_snapshots(universe)) if draw(_seldom_chaotic) else healthy_snapshot(universe)
    if draw(mostly_true):  # A Namespace can be seen deleted before its Services are.
        spaces = main_cluster((), (), draw(some_namespaces(universe)))
        found = evolve(
            found,
            main=evolve(found.main, namespaces=spaces.namespaces, terminating=spaces.terminating),
        )
    found = evolve(found, main=evolve(found.main, traffic_policies=draw(some_policies(universe))))
    for is_settled in draw(_courses):
        _, found = draw(happenings(universe, found))
        if is_settled:
            found = settled(found)
    return universe, evolve(found, options=draw(options))


_stories = stories()
snapshots: Final[SearchStrategy[Snapshot]] = _stories.map(lambda story: story[1])
settled_snapshots: Final[SearchStrategy[Snapshot]] = snapshots.map(settled)


@frozen
class Happening:
    """An event, with the snapshots before and after it."""

    before: Snapshot
    event: Event
    after: Snapshot


@st.composite
def events(draw: DrawFn) -> Happening:
    """Any event, on any snapshot."""
    universe, before = draw(_stories)
    event, after = draw(happenings(universe, before))
    return Happening(before, event, after)
