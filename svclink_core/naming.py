"""Names of mirrored EndpointSlices: readable, unique, at most 63 characters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Container
from itertools import count

from attrs import frozen

from svclink_core.api_rules import MAX_NAME_LENGTH
from svclink_core.meta_v1 import NamespacedName

HASH_LENGTH = 10
"""Hexadecimal digits after a clipped name: 40 bits. Collisions are rare, and handled."""


@frozen
class Names:
    """The names of EndpointSlices that can be given in one namespace.

    Args:
        namespace: The namespace.
        clusters: Names of all ClusterLinks.
        held: Every EndpointSlice that exists.
        given: Names that a plan has given to slices it creates.
    """

    namespace: str
    clusters: Collection[str]
    held: Container[NamespacedName]
    given: frozenset[str] = frozenset()

    def choose(self, service: NamespacedName, cluster: str, source: str) -> str:
        """A name for a new mirrored slice that no other slice has or is given."""
        return choose_name(service, cluster, source, self.clusters, self._is_taken)

    def without(self, *names: str) -> Names:
        """The names that can still be given after these."""
        return Names(self.namespace, self.clusters, self.held, self.given.union(names))

    def _is_taken(self, name: str) -> bool:
        return name in self.given or NamespacedName(self.namespace, name) in self.held


def choose_name(
    service: NamespacedName,
    cluster: str,
    source: str,
    clusters: Collection[str],
    is_taken: Callable[[str], bool],
) -> str:
    """A name for a new mirror: `{service}-{cluster}` if free and unambiguous, else hashed.

    >>> web = NamespacedName("shop", "web")
    >>> choose_name(web, "cluster-a", "web-9ddm4", {"cluster-a"}, is_taken=lambda name: False)
    'web-cluster-a'
    >>> taken = {"web-cluster-a"}
    >>> choose_name(web, "cluster-a", "web-9ddm4", {"cluster-a"}, taken.__contains__)
    'web-cluster-a-1098ed93f9'

    Args:
        service: The Service, in whose namespace names must differ.
        cluster: The ClusterLink the slice comes from.
        source: The remote slice; tells several slices of one Service and cluster apart.
        clusters: Names of all ClusterLinks.
        is_taken: Whether a slice of this name exists in the namespace, or was just given the name.
    """
    readable = readable_name(service, cluster)
    if is_unambiguous(readable, cluster, clusters) and not is_taken(readable):
        return readable
    return next(
        name
        for name in (hashed_name(service, cluster, source, n) for n in count())
        if not is_taken(name)
    )


def readable_name(service: NamespacedName, cluster: str) -> str:
    """The name of the first slice of a Service and cluster."""
    return f"{service.name}-{cluster}"


def is_unambiguous(readable: str, cluster: str, clusters: Collection[str]) -> bool:
    """Whether a readable name fits and belongs to this cluster alone.

    Both Service `a-b` of cluster `c` and Service `a` of cluster `b-c` read `a-b-c`. The cluster
    with the longest name gets it, so that the decision depends on no other Service.
    """
    ending = f"-{cluster}"
    longer = [other for other in clusters if other.endswith(ending)]
    return len(readable) <= MAX_NAME_LENGTH and not any(
        readable.endswith(f"-{other}") for other in longer
    )


def hashed_name(service: NamespacedName, cluster: str, source: str, attempt: int) -> str:
    """`{cut}-{hash}`: the readable name, cut, and a hash over what identifies a mirror."""
    identity = "\0".join((service.namespace, service.name, cluster, source, str(attempt)))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:HASH_LENGTH]
    cut = readable_name(service, cluster)[: MAX_NAME_LENGTH - HASH_LENGTH - 1].rstrip("-.")
    return f"{cut}-{digest}"


def services_named(name: str, clusters: Collection[str]) -> list[str]:
    """The Services with this readable name for some cluster: reverses `{service}-{cluster}`."""
    return [
        name[: -len(cluster) - 1]
        for cluster in clusters
        if name.endswith(f"-{cluster}") and len(name) > len(cluster) + 1
    ]
