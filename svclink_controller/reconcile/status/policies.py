"""Writes the status of TrafficPolicies: transitions at once, numbers every 30 seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from attrs import define, evolve, field

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.monitoring.metrics import Metrics
from svclink_controller.reconcile.held_back_writes import HeldBackWrites
from svclink_controller.reconcile.status.patching import StatusPatches, write_forever
from svclink_controller.reconcile.traffic_results import TrafficResults
from svclink_controller.reconcile.workqueue import WorkQueue
from svclink_controller.state.store import Store
from svclink_controller.wire.reading import decode_object
from svclink_controller.wire.resources import TRAFFIC_POLICIES
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import Condition
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy, TrafficPolicyStatus
from svclink_core.traffic_status import traffic_status

POLICY_STATUS_INTERVAL_SECONDS: Final = 30
"""Minimum time between two writes of one status that differ only in numbers or wording.

The numbers change with every Pod that comes or goes; a rollout must not write the status all along.
"""

POLICY_STATUS_WRITERS: Final = 2
"""Policies handled concurrently."""


@define
class PolicyStatusWriter:
    """Keeps the status of every policy up to date.

    Args:
        client: The main cluster.
        store: The current state.
        traffic_results: What the latest plans say.
        queue: Keys of policies whose status may have changed.
        metrics: Where writes are counted.
        status_written: Called with a policy, as it was before, and the conditions written.
        interval_seconds: Minimum time between two writes of one status without a transition.
        retries: Decides when a write that failed may be sent again.
    """

    client: Client
    store: Store
    traffic_results: TrafficResults
    queue: WorkQueue[NamespacedName]
    metrics: Metrics = field(factory=Metrics)
    status_written: Callable[[TrafficPolicy, Iterable[Condition]], None] = lambda _, __: None
    interval_seconds: float = POLICY_STATUS_INTERVAL_SECONDS
    retries: HeldBackWrites = field(factory=HeldBackWrites)
    _patches: StatusPatches[TrafficPolicyStatus] = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._patches = StatusPatches(
            client=self.client,
            kind="TrafficPolicy",
            resource=TRAFFIC_POLICIES.plural,
            path=lambda key: TRAFFIC_POLICIES.path(key.namespace, key.name),
            named=_named,
            is_transition=is_policy_transition,
            interval_seconds=self.interval_seconds,
            metrics=self.metrics,
            retries=self.retries,
        )

    async def run(self) -> None:
        """Write until cancelled."""
        await write_forever(self.queue, self._write, _named)

    def forget_all(self) -> None:
        """Forget what was written: another replica may write now."""
        self._patches.forget_all()

    async def _write(self, key: NamespacedName) -> float:
        """Write the status of a policy if it differs. Returns the seconds to wait, or 0."""
        policy = self.store.main.traffic_policies.get(key)
        if policy is None:
            self._patches.forget(key)
            return 0
        return await self._patches.write(
            policy.metadata,
            policy.status,
            lambda status: self._status(evolve(policy, status=status)),
            partial(self._record, policy),
        )

    def _record(
        self, policy: TrafficPolicy, status: TrafficPolicyStatus, answer: bytes
    ) -> TrafficPolicyStatus:
        """Note a written status. Returns what the API server stored."""
        stored = decode_object(answer, TRAFFIC_POLICIES)
        self.status_written(policy, status.conditions)
        if self.store.main.traffic_policies.get(policy.metadata.key) is not None:
            self.store.main.traffic_policies.put(stored)
        return stored.status

    def _status(self, policy: TrafficPolicy) -> TrafficPolicyStatus:
        """Return the status that a policy should have."""
        main, service = self.store.snapshot().main, policy.service
        return traffic_status(
            policy,
            main.traffic_policies.get(service, policy),
            main.services.get(service),
            self.traffic_results.of(policy),
            clock.now(),
            write_failure=self.traffic_results.failure_of(service),
        )


def is_policy_transition(old: TrafficPolicyStatus, new: TrafficPolicyStatus) -> bool:
    """Whether two statuses differ in more than numbers and wording.

    The tiers in use are what a restart must not forget.
    """
    return _state(old) != _state(new)


def _state(status: TrafficPolicyStatus) -> tuple[object, ...]:
    conditions = [each.state for each in status.conditions]
    return status.observed_generation, status.active_tier, status.tiers, conditions


def _named(key: NamespacedName) -> dict[str, str]:
    """How log lines name a policy."""
    return {"policy": str(key)}
