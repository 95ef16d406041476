"""What a command proposes for the traffic of a Service, refused before anything is written."""

from __future__ import annotations

from svclink_controller.cli.traffic.writing import TrafficError
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import Snapshot
from svclink_core.traffic_edits import Shares, edited_policy, why_not_set, with_policy
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from svclink_core.traffic_preview import TrafficPreview, preview_traffic


def current_traffic(found: Snapshot, service: NamespacedName, now: float) -> TrafficPreview:
    """What becomes of the traffic of a Service.

    Raises:
        TrafficError: The main cluster lacks the Service, or an object of it cannot be decoded.
    """
    if (shown := preview_traffic(found, service, now)) is not None:
        return shown
    if service in found.main.services:
        raise TrafficError(
            f"cannot change the traffic of {service}: an object of the Service could not be"
            " decoded; the warning above names the object and says why"
        )
    raise TrafficError(f"there is no Service {service} in the main cluster: create it first")


def propose_policy(found: Snapshot, current: TrafficPreview, shares: Shares) -> TrafficPolicy:
    """The policy of a Service with other shares.

    Raises:
        TrafficError: A cluster cannot have its share; the message names the field and the fix.
    """
    if (refusal := why_not_set(current.policy, shares, found.remotes)) is not None:
        raise TrafficError(refusal)
    return edited_policy(current.policy, current.service, shares)


def preview_policy(found: Snapshot, policy: TrafficPolicy, now: float) -> TrafficPreview:
    """What becomes of the traffic of a Service with a policy."""
    return current_traffic(with_policy(found, policy), policy.service, now)
