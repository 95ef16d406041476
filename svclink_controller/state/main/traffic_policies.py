"""The TrafficPolicies of the main cluster."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from attrs import define, evolve, field, frozen

from svclink_controller.state.link_index import is_older
from svclink_controller.state.versioned_map import VersionedMap
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core.enqueueing import Event, TrafficPolicyChanged
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.traffic_policy_v1alpha1 import (
    ActiveTier,
    TargetReference,
    TrafficPolicy,
    TrafficPolicySpec,
    counting_policies,
)


@frozen
class _Decision:
    """The tiers that the leader decided to use, for a policy with this uid."""

    uid: str
    tiers: tuple[ActiveTier, ...]


@define
class TrafficPolicies:
    """The TrafficPolicies, and the one that counts for each Service.

    Args:
        changed: Called after every change that plans depend on.
    """

    changed: Callable[[Event], None]
    _policies: dict[NamespacedName, TrafficPolicy] = field(factory=dict)
    _by_service: dict[NamespacedName, dict[NamespacedName, TrafficPolicy]] = field(factory=dict)
    _counting: VersionedMap[NamespacedName, TrafficPolicy] = field(factory=VersionedMap)
    _decided: dict[NamespacedName, _Decision] = field(factory=dict)
    _undecodable: dict[NamespacedName, NamespacedName] = field(factory=dict)

    # Reading

    def get(self, key: NamespacedName) -> TrafficPolicy | None:
        """The last decoded state of a policy, as the API server has it."""
        return self._policies.get(key)

    def keys(self) -> Collection[NamespacedName]:
        """Every policy that was decoded."""
        return self._policies.keys()

    def of_service(self, service: NamespacedName) -> Collection[TrafficPolicy]:
        """Every policy for a Service."""
        return self._by_service.get(service, {}).values()

    def counting(self) -> Mapping[NamespacedName, TrafficPolicy]:
        """The policy that counts for each Service, with the tiers that were decided last."""
        return self._counting.version()

    def undecodable(self) -> frozenset[NamespacedName]:
        """The Services with a policy whose current state could not be decoded."""
        return frozenset(self._undecodable.values())

    # Changes

    def replace(self, listing: Listing[TrafficPolicy]) -> None:
        """Take a complete list."""
        listed = {policy.metadata.key for policy in listing.items}
        unclear = {each.key for each in listing.undecodable}
        for key in (self._policies.keys() | self._undecodable.keys()) - listed - unclear:
            self.remove(key)
        for policy in listing.items:
            self._put(policy)
        for each in listing.undecodable:
            self.mark_undecodable(each)

    def put(self, policy: TrafficPolicy) -> None:
        """Add or change a policy, as a watch or the response to a status write has it.

        A watch lags behind the responses to svclink's own writes. An older state is ignored.
        """
        held = self._policies.get(policy.metadata.key)
        if held is None or not is_older(policy.metadata, held.metadata):
            self._put(policy)

    def remove(self, key: NamespacedName) -> None:
        """Remove a policy."""
        self._clear_undecodable(key)
        self._decided.pop(key, None)
        if (old := self._policies.pop(key, None)) is not None:
            self._take_away(old)
            self.changed(TrafficPolicyChanged(old, None))

    def mark_undecodable(self, each: Undecodable) -> None:
        """Note that a policy exists but could not be decoded. Its Service is left as it is."""
        held = self._policies.get(each.key)
        service = each.service if held is None else held.service
        if self._undecodable.get(each.key) != service:
            self._clear_undecodable(each.key)
            self._undecodable[each.key] = service
            self.changed(TrafficPolicyChanged(None, _of_service(each.key, service)))

    def decide(self, policy: TrafficPolicy, tiers: tuple[ActiveTier, ...]) -> None:
        """Set the tiers that plans take for those in use; the API server learns it later."""
        key = policy.metadata.key
        held = self._policies.get(key)
        if held is not None and held.metadata.uid == policy.metadata.uid:
            self._decided[key] = _Decision(held.metadata.uid, tiers)
            self._elect(held)

    def forget_decisions(self) -> None:
        """Forget what was decided: another replica decides now, and writes it to the status."""
        decided = [self._policies[key] for key in self._decided]
        self._decided.clear()
        for policy in decided:
            self._elect(policy)

    def _put(self, policy: TrafficPolicy) -> None:
        key = policy.metadata.key
        self._clear_undecodable(key)
        old = self._policies.get(key)
        self._policies[key] = policy
        if old is not None and old.service != policy.service:
            self._take_away(old)
            self.changed(TrafficPolicyChanged(old, None))
        self._by_service.setdefault(policy.service, {})[key] = policy
        is_elected = self._elect(policy)
        if not is_elected and (old is None or _meaning(old) != _meaning(policy)):
            # Its Service is planned as before, but its status says that another one counts.
            self.changed(TrafficPolicyChanged(old, policy))

    def _take_away(self, old: TrafficPolicy) -> None:
        others = self._by_service[old.service]
        del others[old.metadata.key]
        if not others:
            del self._by_service[old.service]
        self._set_counting(old.service)

    def _elect(self, policy: TrafficPolicy) -> bool:
        """Choose the policy of a Service again. Returns whether another one counts."""
        before = self._counting.get(policy.service)
        after = self._set_counting(policy.service)
        if after is not before:
            self.changed(TrafficPolicyChanged(before, after))
        return after is not before

    def _set_counting(self, service: NamespacedName) -> TrafficPolicy | None:
        """Set the policy that counts for a Service. One that means the same stays the same object.

        Plans compare policies by identity, and svclink's own writes change their status.
        """
        policies = self._by_service.get(service, {}).values()
        chosen = counting_policies(policies).get(service)
        if chosen is None:
            self._counting.pop(service)
            return None
        decided, before = self._with_decision(chosen), self._counting.get(service)
        if before is not None and _meaning(before) == _meaning(decided):
            return before
        self._counting.set(service, decided)
        return decided

    def _with_decision(self, policy: TrafficPolicy) -> TrafficPolicy:
        decided = self._decided.get(policy.metadata.key)
        if decided is None or decided.uid != policy.metadata.uid:
            return policy
        return evolve(policy, status=evolve(policy.status, tiers=decided.tiers))

    def _clear_undecodable(self, key: NamespacedName) -> None:
        if (service := self._undecodable.pop(key, None)) is not None:
            self.changed(TrafficPolicyChanged(_of_service(key, service), None))


def _meaning(policy: TrafficPolicy) -> tuple[object, ...]:
    """The parts of a policy that plans depend on."""
    metadata = policy.metadata
    return metadata.key, metadata.uid, metadata.generation, policy.spec, policy.status.tiers


def _of_service(key: NamespacedName, service: NamespacedName) -> TrafficPolicy:
    """A policy of which only its Service is known."""
    target = TargetReference(service.name)
    return TrafficPolicy(ObjectMeta(key.name, key.namespace), TrafficPolicySpec(target))
