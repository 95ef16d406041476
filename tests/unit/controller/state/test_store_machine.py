"""Any sequence of events gives the state that its last events describe.

Real: the store and the core. Substituted: reflectors and workers, by direct calls.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import define, evolve, field
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from svclink_controller.state.mirror_counts import MirrorCounts
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_core import (
    Change,
    ClusterLink,
    ClusterLinkSpec,
    EndpointSlice,
    Finding,
    NamespacedName,
    Service,
    TrafficPolicy,
    counting_policies,
    plan_service,
)
from svclink_core.ownership import cluster_of, is_ours, service_of
from svclink_core.snapshot import Connection, all_keys, group_by_service
from svclink_core.well_known import MAIN
from tests.builders.stores import replace_objects
from tests.builders.values import link
from tests.unit.controller.state.fingerprints import fingerprint
from tests.unit.controller.state.stores import (
    world,
)
from tests.unit.core.strategies.endpoint_slices import any_main_slices, remote_endpoint_slices
from tests.unit.core.strategies.links import connections, link_specs
from tests.unit.core.strategies.names import AMBIGUOUS
from tests.unit.core.strategies.services import services
from tests.unit.core.strategies.traffic_policies import traffic_policies
from tests.unit.core.world import NOW

# Anything, in any order


NAMES: Final = AMBIGUOUS
main_slices = any_main_slices(NAMES)


@define
class Model:
    """The expected content of a store, in plain dictionaries."""

    main_services: dict[NamespacedName, Service] = field(factory=dict)
    main_slices: dict[NamespacedName, EndpointSlice] = field(factory=dict)
    links: dict[str, ClusterLink] = field(factory=dict)
    remote_services: dict[tuple[str, NamespacedName], Service] = field(factory=dict)
    remote_slices: dict[tuple[str, NamespacedName], EndpointSlice] = field(factory=dict)
    policies: dict[NamespacedName, TrafficPolicy] = field(factory=dict)


class StoreMachine(RuleBasedStateMachine):
    """All events of reflectors and remotes, in any order, and a simple model of the state."""

    @initialize()
    def begin(self) -> None:
        self.world = world()
        self.store = self.world.store
        self.model = Model()
        self.version = 100
        self.plans_before: dict[NamespacedName, list[Change | Finding]] = {}
        self.taken = self.store.snapshot()
        self.content = fingerprint(self.taken)

    def numbered(self, item: EndpointSlice, uid: str) -> EndpointSlice:
        self.version += 1
        return evolve(
            item, metadata=evolve(item.metadata, uid=uid, resource_version=str(self.version))
        )

    def about_to_change(self) -> None:
        """Records the snapshot before a change. The last invariant has recorded the plans."""
        self.world.changes.clear()
        self.taken = self.store.snapshot()
        self.content = fingerprint(self.taken)

    def plans(self) -> dict[NamespacedName, list[Change | Finding]]:
        view = self.store.snapshot()
        plans = {key: plan_service(view, key, NOW) for key in {*NAMES.keys, *all_keys(view)}}
        return {key: [*plan.changes, *plan.findings] for key, plan in plans.items()}

    @rule(drawn=main_slices)
    def main_slice_is_put(self, drawn: EndpointSlice) -> None:
        self.about_to_change()
        held = self.model.main_slices.get(drawn.metadata.key)
        new = self.numbered(drawn, held.metadata.uid if held is not None else f"uid-{self.version}")
        self.store.put(MAIN, new)
        self.model.main_slices[new.metadata.key] = new

    @rule(drawn=main_slices, data=st.data())
    def main_watch_lags(self, drawn: EndpointSlice, data: st.DataObject) -> None:
        if self.model.main_slices:
            self.about_to_change()
            held = self.model.main_slices[
                data.draw(st.sampled_from(sorted(self.model.main_slices)))
            ].metadata
            old = evolve(
                drawn.metadata,
                name=held.name,
                namespace=held.namespace,
                uid=held.uid,
                resource_version="1",
            )
            self.store.put(MAIN, evolve(drawn, metadata=old))

    @rule(drawn=main_slices)
    def main_slice_is_removed(self, drawn: EndpointSlice) -> None:
        self.about_to_change()
        self.store.remove(MAIN, EndpointSlice, drawn.metadata.key)
        self.model.main_slices.pop(drawn.metadata.key, None)

    @rule(all_drawn=st.lists(main_slices, max_size=3, unique_by=lambda drawn: drawn.metadata.key))
    def main_slices_are_listed(self, all_drawn: list[EndpointSlice]) -> None:
        self.about_to_change()
        new = [self.numbered(drawn, f"uid-{self.version}") for drawn in all_drawn]
        replace_objects(self.store, MAIN, EndpointSlice, Listing(new, [], "1"))
        self.model.main_slices = {drawn.metadata.key: drawn for drawn in new}

    @rule(
        drawn=st.sampled_from(NAMES.keys).flatmap(
            lambda key: traffic_policies(key, NAMES.clusters)
        ),
        name=st.sampled_from(["a", "b"]),
        is_removed=st.booleans(),
    )
    def policy_is_put_or_removed(self, drawn: TrafficPolicy, name: str, is_removed: bool) -> None:
        self.about_to_change()
        new = evolve(drawn, metadata=evolve(drawn.metadata, name=name))
        policies, key = self.store.main.traffic_policies, new.metadata.key
        if is_removed:
            policies.remove(key)
            self.model.policies.pop(key, None)
        else:
            policies.put(new)
            self.model.policies[key] = new

    @rule(new=st.sampled_from(NAMES.keys).flatmap(services), is_removed=st.booleans())
    def main_service_is_put_or_removed(self, new: Service, is_removed: bool) -> None:
        self.about_to_change()
        key = new.metadata.key
        if is_removed:
            self.store.remove(MAIN, Service, key)
            self.model.main_services.pop(key, None)
        else:
            self.version += 1
            new = evolve(new, metadata=evolve(new.metadata, resource_version=str(self.version)))
            self.store.put(MAIN, new)
            self.model.main_services[key] = new

    @rule(name=st.sampled_from(NAMES.clusters), spec=link_specs(NAMES))
    def link_is_put(self, name: str, spec: ClusterLinkSpec) -> None:
        self.about_to_change()
        self.version += 1
        self.model.links[name] = link(name, spec, version=str(self.version))
        self.store.put_link(self.model.links[name])

    @rule(name=st.sampled_from(NAMES.clusters))
    def link_is_removed(self, name: str) -> None:
        self.about_to_change()
        self.store.remove_link(name)
        self.model.links.pop(name, None)
        self.forget(name)

    @rule(name=st.sampled_from(NAMES.clusters), connection=connections)
    def cluster_is_synced_or_lost(self, name: str, connection: Connection) -> None:
        self.about_to_change()
        self.store.set_connection(name, connection)

    @rule(name=st.sampled_from(NAMES.clusters))
    def cluster_is_forgotten(self, name: str) -> None:
        self.about_to_change()
        self.store.forget(name)
        self.forget(name)

    @rule(
        name=st.sampled_from(NAMES.clusters),
        new=st.sampled_from(NAMES.keys).flatmap(services),
        is_removed=st.booleans(),
    )
    def remote_service_is_put_or_removed(self, name: str, new: Service, is_removed: bool) -> None:
        self.about_to_change()
        key = new.metadata.key
        if is_removed:
            self.store.remove(name, Service, key)
            self.model.remote_services.pop((name, key), None)
        else:
            self.version += 1
            new = evolve(new, metadata=evolve(new.metadata, resource_version=str(self.version)))
            self.store.put(name, new)
            if name in self.model.links:
                self.model.remote_services[name, key] = new

    @rule(
        name=st.sampled_from(NAMES.clusters),
        drawn=remote_endpoint_slices(NAMES),
        is_removed=st.booleans(),
    )
    def remote_slice_is_put_or_removed(
        self, name: str, drawn: EndpointSlice, is_removed: bool
    ) -> None:
        self.about_to_change()
        new = self.numbered(drawn, "remote")
        key = new.metadata.key
        if is_removed:
            self.store.remove(name, EndpointSlice, key)
            self.model.remote_slices.pop((name, key), None)
        else:
            self.store.put(name, new)
            if name in self.model.links:
                self.model.remote_slices[name, key] = new

    @rule(
        name=st.sampled_from(NAMES.clusters),
        drawn=remote_endpoint_slices(NAMES),
        is_removed=st.booleans(),
    )
    def remote_slice_is_undecodable(
        self, name: str, drawn: EndpointSlice, is_removed: bool
    ) -> None:
        """The slice stays undecodable, or is missing in the next list of its namespace."""
        self.about_to_change()
        key, owner = drawn.metadata.key, service_of(drawn) or drawn.metadata.key
        each = Undecodable(key, owner, "field missing")
        if is_removed:
            replace_objects(self.store, name, EndpointSlice, Listing([], [], "1"), key.namespace)
            for cluster, other in list(self.model.remote_slices):
                if (cluster, other.namespace) == (name, key.namespace):
                    del self.model.remote_slices[cluster, other]
        else:
            self.store.mark_undecodable(name, EndpointSlice, each)

    def forget(self, name: str) -> None:
        model = self.model
        model.remote_services = {
            key: each for key, each in model.remote_services.items() if key[0] != name
        }
        model.remote_slices = {
            key: each for key, each in model.remote_slices.items() if key[0] != name
        }

    @invariant()
    def content_is_that_of_the_model(self) -> None:
        view = self.store.snapshot()
        assert dict(view.main.services) == self.model.main_services
        assert dict(view.main.names) == self.model.main_slices
        assert self.store.links == self.model.links
        assert {name: remote.link.spec for name, remote in view.remotes.items()} == {
            name: each.spec for name, each in self.model.links.items()
        }
        for name, remote in view.remotes.items():
            assert dict(remote.services) == {
                key: each
                for (cluster, key), each in self.model.remote_services.items()
                if cluster == name
            }

    @invariant()
    def snapshot_before_the_change_is_what_it_was(self) -> None:
        assert fingerprint(self.taken) == self.content

    @invariant()
    def index_by_service_is_what_grouping_gives(self) -> None:
        view = self.store.snapshot()
        assert _sets(view.main.endpoint_slices) == _sets(
            group_by_service(self.model.main_slices.values())
        )
        counting = counting_policies(self.model.policies.values())
        assert _meanings(view.main.traffic_policies) == _meanings(counting)
        for name, remote in view.remotes.items():
            held = [
                each for (cluster, _), each in self.model.remote_slices.items() if cluster == name
            ]
            assert _sets(remote.endpoint_slices) == _sets(group_by_service(held))

    @invariant()
    def numbers_are_what_counting_gives(self) -> None:
        for cluster in {*NAMES.clusters, *NAMES.gone}:
            ours = [
                each
                for each in self.model.main_slices.values()
                if is_ours(each) and cluster_of(each) == cluster
            ]
            ours = [each for each in ours if service_of(each) is not None]
            counted = MirrorCounts(
                len({service_of(each) for each in ours}),
                sum(len(each.endpoints) for each in ours),
                len(ours),
                len(
                    {
                        service_of(each)
                        for each in ours
                        if any(e.conditions.ready is not False for e in each.endpoints)
                    }
                ),
            )
            assert self.store.mirrored(cluster) == counted

    @invariant()
    def services_with_another_plan_were_enqueued(self) -> None:
        """Law L7 with a store: a Service is enqueued if a change gives it another plan."""
        after = self.plans()
        changed = {
            key
            for key in self.plans_before.keys() | after.keys()
            if self.plans_before.get(key, []) != after.get(key, [])
        }
        assert changed <= set(self.world.enqueued)
        self.plans_before = after


def _meanings(policies: Mapping[NamespacedName, TrafficPolicy]) -> dict[NamespacedName, object]:
    """What plans take from the policies that count."""
    return {
        key: (each.metadata.name, each.spec, each.status.tiers) for key, each in policies.items()
    }


def _sets(
    groups: Mapping[NamespacedName, Iterable[EndpointSlice]],
) -> dict[NamespacedName, set[EndpointSlice]]:
    return {key: set(all_drawn) for key, all_drawn in groups.items()}


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(stateful_step_count=20)
