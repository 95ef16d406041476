"""Stores TrafficPolicies in the state, and what it means that they cannot be read."""

from __future__ import annotations

from attrs import define

from svclink_controller.api.errors import NOT_LISTABLE, ApiError
from svclink_controller.reflect.reflector import ReadError, warn_unread
from svclink_controller.state.main.traffic_policies import TrafficPolicies
from svclink_controller.state.store import Store
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_controller.wire.resources import TRAFFIC_POLICIES
from svclink_core.meta_v1 import NamespacedName
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy


@define
class TrafficPolicySink:
    """TrafficPolicies of the main cluster.

    Args:
        store: The state.
    """

    store: Store
    _refused: int | None = None

    async def replace(self, listing: Listing[TrafficPolicy]) -> None:
        """Take a complete list."""
        self._refused = None
        self._policies.replace(listing)
        self.store.mark_listed(TrafficPolicy)

    def apply(self, item: TrafficPolicy) -> None:
        """Add or change a policy."""
        self._policies.put(item)

    def remove(self, key: NamespacedName) -> None:
        """Remove a policy."""
        self._policies.remove(key)

    def mark_undecodable(self, each: Undecodable) -> None:
        """Note that a policy exists but could not be decoded."""
        self._policies.mark_undecodable(each)

    def fail(self, error: ReadError) -> None:
        """Note that policies cannot be read.

        Known policies stay in force. A controller that starts without the CRD or without the
        permission goes on without any. Each of the two is logged once. An API server that deletes
        the CRD deletes its policies first, and the watch shows that.
        """
        code = error.status.code if isinstance(error, ApiError) else 0
        if code not in NOT_LISTABLE:
            warn_unread(TRAFFIC_POLICIES.plural, error)
            return
        self.store.mark_listed(TrafficPolicy)
        if code != self._refused:
            warn_unread(TRAFFIC_POLICIES.plural, error)
        self._refused = code

    @property
    def _policies(self) -> TrafficPolicies:
        return self.store.main.traffic_policies
