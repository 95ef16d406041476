"""What becomes of the mirrors of one Service when their cluster is lost.

The rules are in `unreachable_policy`; this module turns them into changes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from attrs import frozen

from svclink_core.core_v1 import Service
from svclink_core.diffing import SliceChange, deletions, updates
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.kept_slices import allowed_parts, follow_main, only_allowed
from svclink_core.mirroring import with_owner
from svclink_core.service_view import ServiceView
from svclink_core.snapshot import RemoteCluster, Synced
from svclink_core.standby import as_remote_said, without_standby
from svclink_core.traffic import may_be_used
from svclink_core.unreachable_policy import (
    as_last_resort,
    counts_as_ready,
    covers,
    is_expired,
    ready_families,
    unreachable_action,
)
from svclink_core.well_known import Reason

_DELETING: Final = (Reason.UNREACHABLE_REMOVED, Reason.OUTSIDE_ALLOWED_CIDRS)


@frozen
class LossPlan:
    """What the plan of a Service says about a lost cluster.

    Args:
        reason: What the policy of the cluster does. If it differs by IP family, what keeps most.
        slices: What the main cluster has of the Service and cluster afterwards.
        changes: What to do.
    """

    reason: Reason
    slices: Sequence[EndpointSlice]
    changes: Sequence[SliceChange]


def is_under_policy(view: ServiceView, remote: RemoteCluster, now: float) -> bool:
    """Whether the policy of a cluster decides what becomes of its mirrors of a Service.

    Without a main Service nothing can take over from them.
    """
    if isinstance(remote.connection, Synced) or view.main is None:
        return False
    mirrors = view.ours.get(remote.name, ())
    return is_expired(remote, now) or any(covers(remote, each, now) for each in mirrors)


def ready_elsewhere(
    view: ServiceView,
    slices: Mapping[str, Iterable[EndpointSlice]],
    lost: Iterable[RemoteCluster],
    now: float,
) -> frozenset[str]:
    """The address types of the ready endpoints of a Service that no policy covers.

    What a TrafficPolicy never uses does not count, and what it keeps as a standby does.

    Args:
        view: The Service.
        slices: What it will have of each cluster. Those of lost clusters are not looked at.
        lost: The clusters that are under their policies.
        now: Seconds, on the clock of `Unreachable.at`.
    """
    remotes, under_policy = view.snapshot.remotes, {remote.name: remote for remote in lost}
    others, unused = [*view.local], never_used(view)
    for name, some in slices.items():
        if name in unused:
            continue
        if (remote := under_policy.get(name)) is not None:
            kept = [each for each in view.ours.get(name, ()) if not covers(remote, each, now)]
            others += map(as_remote_said, allowed_parts(kept, remote.allowed_cidrs))
        elif name not in remotes or not remotes[name].link.spec.enabled:
            others += some
        elif counts_as_ready(remotes[name].link):
            others += map(without_standby, some)
    return ready_families(others)


def never_used(view: ServiceView) -> frozenset[str]:
    """The clusters that the TrafficPolicy of a Service never uses, whatever else is ready."""
    policy = view.snapshot.main.traffic_policies.get(view.key)
    rules = () if policy is None else policy.spec.clusters
    return frozenset([each.name for each in rules if not may_be_used(each)])


def plan_lost(
    remote: RemoteCluster,
    mirrors: Sequence[EndpointSlice],
    main: Service,
    ready: frozenset[str],
    now: float,
) -> LossPlan:
    """What becomes of the mirrors of a cluster that is under its policy.

    Args:
        remote: The cluster.
        mirrors: All its mirrors of the Service.
        main: The main Service.
        ready: The address types of the ready endpoints that the Service has elsewhere.
        now: Seconds, on the clock of `Unreachable.at`.
    """
    allowed = remote.allowed_cidrs
    by_action: dict[Reason, list[EndpointSlice]] = {}
    for each in mirrors:
        is_outside = only_allowed(each, allowed) is None
        action = (
            Reason.OUTSIDE_ALLOWED_CIDRS
            if is_outside
            else unreachable_action(each, remote, ready, now)
        )
        by_action.setdefault(action, []).append(each)
    gone = {reason: by_action.pop(reason, []) for reason in _DELETING}
    resorts = by_action.pop(Reason.UNREACHABLE_NOT_READY, [])
    kept = [each for some in by_action.values() for each in some]
    wanted = [_resort(each, main) for each in allowed_parts(resorts, allowed)]
    changes: list[SliceChange] = [
        *follow_main(kept, main, allowed),
        *updates(zip(wanted, resorts, strict=True), Reason.UNREACHABLE_NOT_READY),
        *[change for reason, some in gone.items() for change in deletions(some, reason)],
    ]
    slices = [*map(as_remote_said, allowed_parts(kept, allowed)), *wanted]
    if Reason.LAST_ENDPOINTS in by_action:
        return LossPlan(Reason.LAST_ENDPOINTS, slices, changes)
    if slices:
        return LossPlan(Reason.UNREACHABLE_NOT_READY, slices, changes)
    # A cluster of which there is nothing may have been removed before.
    is_removed = remote.link.spec.unreachable.action == "Remove"
    reason = Reason.UNREACHABLE_REMOVED if is_removed else Reason.UNREACHABLE
    return LossPlan(reason, slices, changes)


def _resort(mirror: EndpointSlice, main: Service) -> EndpointSlice:
    """A mirror as NotReady leaves it. Its standby endpoints are ready in the remote cluster."""
    return with_owner(as_last_resort(without_standby(mirror)), main)
