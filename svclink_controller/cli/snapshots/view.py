"""What a command looks at: a snapshot, and why some of it is not known."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from svclink_core.link_identity import Problem
from svclink_core.snapshot import Snapshot


@frozen
class FleetView:
    """What a plan rests on, and why nothing is known of some of the clusters.

    Args:
        snapshot: Everything that is known.
        problems: By the name of its link, what stands in the way of a cluster.
    """

    snapshot: Snapshot
    problems: Mapping[str, Problem] = field(factory=dict)
