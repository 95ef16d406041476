"""ClusterLinks, and the remote clusters that they link.

A remote that was never listed or cannot be reached is a different value from a remote with no
Services.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from svclink_core import (
    PENDING,
    SYNCED,
    UNGUARDED,
    ClusterLink,
    ClusterLinkSpec,
    Guard,
    NamespacedName,
    ObjectMeta,
    RemoteCluster,
    Synced,
    Unreachable,
    UnreachablePolicy,
    Wave,
    remote_cluster,
)
from svclink_core.cidrs import CIDRs, parse_cidr
from svclink_core.meta_v1 import LabelSelector, LabelSelectorRequirement
from svclink_core.snapshot import LONG_AGO, Connection, UnreadNamespace
from tests.unit.core.strategies.drawing import mostly, nearly_always_true, pick, seldom_true
from tests.unit.core.strategies.endpoint_slices import all_remote_slices
from tests.unit.core.strategies.names import EARLIER, LATER, Universe
from tests.unit.core.strategies.services import some_remote_services
from tests.unit.core.world import (
    NOW,
)


@cache
def link_specs(universe: Universe) -> SearchStrategy[ClusterLinkSpec]:
    """Links that mirror everything, are disabled, or have filters."""
    return mostly(
        st.builds(
            ClusterLinkSpec,
            st.sampled_from((True,) * 3 + (False,) * 2),
            unreachable=policies,
            drained=seldom_true,
        ),
        filters(universe),
        1,
    )


allowed_cidrs: SearchStrategy[CIDRs] = st.sampled_from(
    tuple(
        tuple(map(parse_cidr, texts))
        for texts in (
            *((),) * 16,
            ("10.0.0.0/8", "192.168.0.0/16", "fd00::/16"),
            ("10.0.0.0/30", "fd00::1/128"),
            ("fd00::/8",),
            ("192.0.2.0/24",),
            ("10.0.0.0/8", "10.0.0/8"),
        )
    )
)
"""Ranges that contain all, some or none of the addresses of endpoints; seldom an invalid one."""


SELECTOR: Final = LabelSelector((("tier", "gold"),), (LabelSelectorRequirement("old", "Exists"),))


@cache
def filters(universe: Universe) -> SearchStrategy[ClusterLinkSpec]:
    """Enabled links with any filter."""
    return st.builds(
        ClusterLinkSpec,
        unreachable=policies,
        included_namespaces=_some(*(key.namespace for key in universe.keys), "other"),
        excluded_namespaces=_some(*(key.namespace for key in universe.keys), "other"),
        excluded_services=_some(*map(str, universe.keys), "other/web"),
        excluded_service_names=_some(*(key.name for key in universe.keys), "Web"),
        allowed_cidrs=allowed_cidrs,
        opt_in=seldom_true,
        service_selector=st.sampled_from((None, None, None, SELECTOR)),
        namespace_selector=st.sampled_from((None, None, None, SELECTOR)),
    )


def _some(*values: str) -> SearchStrategy[tuple[str, ...]]:
    unique = tuple(dict.fromkeys(values))
    return pick(((), (), *((value,) for value in unique), unique))


LOST: Final = Unreachable(EARLIER, 1_767_225_600.0)
LOST_TODAY: Final = Unreachable("2026-07-01T12:00:00Z", NOW)
connections: SearchStrategy[Connection] = st.sampled_from(
    (
        *(SYNCED,) * 8,
        Synced(frozenset({"default"})),
        PENDING,
        LOST,
        LOST_TODAY,
        evolve(LOST_TODAY, never_reached=True),
        evolve(LOST, is_lost=False),
    )
)

policies: SearchStrategy[UnreachablePolicy] = st.sampled_from(
    (
        *(UnreachablePolicy(),) * 2,
        *(UnreachablePolicy("NotReady"),) * 2,
        *(UnreachablePolicy("Remove"),) * 2,
        UnreachablePolicy("Remove", 0),
        UnreachablePolicy("Remove", force=True),
        UnreachablePolicy("NotReady", 0, force=True),
    )
)
HELD: Final = Wave(24, 18, NOW - 100, NOW - 100, NOW + 200)


@cache
def guards(universe: Universe) -> SearchStrategy[Guard]:
    """Deletion guards in every state; most clusters are too small to be guarded."""
    everything = frozenset(universe.keys)
    settling = Wave(24, 1, NOW, NOW)
    return pick(
        (
            *(UNGUARDED,) * 9,
            Guard(is_armed=True),
            Guard(is_armed=True, wave=settling),
            Guard(is_armed=True, wave=HELD),
            Guard(is_armed=True, released=everything),
            Guard(is_armed=True, wave=settling, released=frozenset(universe.keys[:1])),
        )
    )


@cache
def remote_clusters(universe: Universe, name: str) -> SearchStrategy[RemoteCluster]:
    """A remote cluster. One that is not synced still has its last Services and slices.

    The core must not act on those.
    """
    return st.builds(
        lambda cluster, guard, since, changed_at, unread: evolve(
            cluster, guard=guard, since=since, changed_at=changed_at, unread_namespaces=unread
        ),
        st.builds(
            remote_cluster,
            st.builds(
                ClusterLink,
                _link_metadata(name),
                link_specs(universe),
                is_selected=nearly_always_true,
            ),
            some_remote_services(universe),
            all_remote_slices(universe),
            connections,
        ),
        guards(universe),
        _times_of_connection,
        times_of_change(universe),
        unread_namespaces(universe),
    )


@cache
def unread_namespaces(universe: Universe) -> SearchStrategy[dict[str, UnreadNamespace]]:
    """The namespaces of which nothing is read: mostly none."""
    first = universe.keys[0].namespace
    return st.sampled_from([*({},) * 9, *({first: why} for why in UnreadNamespace)])


_times_of_connection = st.sampled_from((LONG_AGO, NOW - 100, NOW - 20, NOW - 1, NOW - 1))


@cache
def times_of_change(universe: Universe) -> SearchStrategy[dict[NamespacedName, float]]:
    """When remote Services last changed: mostly long ago, else now, or for one of them."""
    now = dict.fromkeys(universe.keys, NOW)
    return st.sampled_from([{}, {}, now, {universe.keys[0]: NOW - 1}])


def _link_metadata(name: str) -> SearchStrategy[ObjectMeta]:
    """Metadata of a link: two links may be created in the same second, or at an unknown time."""
    first = ObjectMeta(name, uid=f"uid-of-{name}", generation=1)
    return pick(
        (first, evolve(first, creation_timestamp=EARLIER), evolve(first, creation_timestamp=LATER))
    )
