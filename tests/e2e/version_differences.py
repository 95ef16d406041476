"""Since which version an API server accepts what; docs/reference/support.md has the list."""

from __future__ import annotations

from typing import Final

from .control_planes import Cluster

# Minor versions of Kubernetes 1.
NAMES_A_ZONE_OR_NODE: Final = 34
"""A `trafficDistribution` other than `PreferClose`, and so hints for nodes."""

BEGINS_WITH_A_DIGIT: Final = 36
"""The name of a Service."""


def minor_of(cluster: Cluster) -> int:
    """The minor version of a cluster, 36 for v1.36.3."""
    return int(cluster.version().split(".")[1])
