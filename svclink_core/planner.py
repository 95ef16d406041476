"""A memory between plans, so that planning again what has not changed costs little."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import define, evolve, field, frozen

from svclink_core.address_conflicts import are_distinct
from svclink_core.cidrs import CIDRs
from svclink_core.diffing import are_equal
from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.full_planning import union
from svclink_core.meta_v1 import NamespacedName
from svclink_core.mirroring import normal_endpoints
from svclink_core.naming import Names
from svclink_core.planning import ClusterPlan, compose, plan_cluster
from svclink_core.plans import Outcome, Plan
from svclink_core.service_view import ServiceView, view_of
from svclink_core.snapshot import RemoteCluster, Snapshot, all_keys


@define
class Planner:
    """Makes the same plans as `plan` and `plan_service`, and remembers intermediate results.

    Whatever it planned before, its plans equal those of an empty Planner (law L14). It recognizes
    values by identity, so keep equal objects instead of replacing them.

    It keeps one entry for each Service in the main cluster and each link. An entry contains only
    what the last plan used, most of which is in the snapshot anyway. The Planner drops the entry
    of a removed Service when it plans that Service or all Services, and the entry of a removed
    link when it plans any Service that used the link.
    """

    _memories: dict[NamespacedName, _ServiceMemory] = field(factory=dict, init=False)

    def plan(self, snapshot: Snapshot, now: float) -> Plan:
        """The plan for every Service of any cluster; see `full_planning.plan`."""
        for key in [key for key in self._memories if key not in snapshot.main.services]:
            del self._memories[key]
        return union({key: self.plan_service(snapshot, key, now) for key in all_keys(snapshot)})

    def plan_service(self, snapshot: Snapshot, key: NamespacedName, now: float) -> Plan:
        """The plan for the Service `key` alone; see `planning.plan_service`."""
        view = view_of(snapshot, key)
        if view.main is None:
            self._memories.pop(key, None)
            return compose(view, now)
        memory = self._memories.get(key)
        if memory is None:
            memory = self._memories[key] = _ServiceMemory()
        return memory.plan(view, now)


@define
class _ServiceMemory:
    """What is remembered of one Service of the main cluster.

    Args:
        main_facts: What the plans of all its clusters depend on.
        clusters: What is remembered of each linked cluster.
        distinct: Endpoints that were found to have no address in common.
    """

    main_facts: Sequence[object] = ()
    clusters: dict[str, _ClusterMemory] = field(factory=dict)
    distinct: Sequence[tuple[Endpoint, ...]] = ()

    def plan(self, view: ServiceView, now: float) -> Plan:
        """The result of `planning.compose`."""
        remotes = view.snapshot.remotes
        if any(name not in remotes for name in self.clusters):
            self.clusters = {name: each for name, each in self.clusters.items() if name in remotes}
        main_facts = (view.main, view.snapshot.options, view.is_decodable, view.call)
        if not _are_same(main_facts, self.main_facts):
            for memory in self.clusters.values():
                memory.part = None
        self.main_facts = main_facts
        return compose(view, now, self.plan_cluster, self.are_distinct)

    def plan_cluster(
        self, view: ServiceView, remote: RemoteCluster, names: Names, now: float
    ) -> ClusterPlan:
        """The answer of `planning.plan_cluster`."""
        memory = self.clusters.get(remote.name)
        if memory is None:
            memory = self.clusters[remote.name] = _ClusterMemory()
        return memory.plan(view, remote, names, now)

    def are_distinct(self, groups: Sequence[tuple[Endpoint, ...]]) -> bool:
        """The result of `address_conflicts.are_distinct`."""
        if _are_same(groups, self.distinct):
            return True
        is_distinct = are_distinct(groups)
        # Endpoints with hints are recreated for every plan: remembering them only costs memory.
        has_hints = any(each.hints for endpoints in groups for each in endpoints[:1])
        self.distinct = groups if is_distinct and not has_hints else ()
        return is_distinct


@frozen
class _NormalForm:
    """The normal form of the endpoints of a remote slice, under the ranges of its link."""

    endpoints: tuple[Endpoint, ...]
    address_type: str
    allowed: CIDRs
    normal: tuple[Endpoint, ...] | None


@define
class _ClusterMemory:
    """What is remembered of one Service of one linked cluster.

    Args:
        facts: What `part` depends on besides the main cluster's facts.
        part: The last plan, if nothing was to be done and time makes no difference.
        normal_forms: By the name of the remote slice, for the slices that the last plan used.
        last_forms: The same for the plan before, while one is being made.
    """

    facts: Sequence[object] = ()
    part: ClusterPlan | None = None
    normal_forms: dict[str, _NormalForm] = field(factory=dict)
    last_forms: dict[str, _NormalForm] = field(factory=dict)

    def plan(
        self, view: ServiceView, remote: RemoteCluster, names: Names, now: float
    ) -> ClusterPlan:
        """The answer of `planning.plan_cluster`."""
        facts = _facts(view, remote)
        if self.part is not None and _are_same(facts, self.facts):
            return self.part
        self.last_forms, self.normal_forms = self.normal_forms, {}
        part = plan_cluster(view, remote, names, now, self.normalize, self.compare)
        self.last_forms = {}
        if part.changes or part.again_at is not None:
            self.facts, self.part = (), None
        else:
            self.facts, self.part = facts, (part := _by_observed(part, view))
        return part

    def normalize(
        self, endpoint_slice: EndpointSlice, allowed: CIDRs
    ) -> tuple[Endpoint, ...] | None:
        """The result of `mirroring.normal_endpoints`."""
        name = endpoint_slice.metadata.name
        form = self.last_forms.get(name)
        if (
            form is None
            or form.endpoints is not endpoint_slice.endpoints
            or form.allowed is not allowed
            or form.address_type != endpoint_slice.address_type
        ):
            endpoints, address_type = endpoint_slice.endpoints, endpoint_slice.address_type
            normal = normal_endpoints(endpoint_slice, allowed)
            form = _NormalForm(endpoints, address_type, allowed, normal)
        self.normal_forms[name] = form
        return form.normal

    def compare(self, wanted: tuple[Endpoint, ...], observed: tuple[Endpoint, ...]) -> bool:
        """The result of `diffing.are_equal`.

        A normal form that equals the endpoints of its mirror is replaced by these: the next
        comparison then takes no time, and endpoints take the memory of one.
        """
        if wanted is observed:
            return True
        if not are_equal(wanted, observed):
            return False
        for name, form in self.normal_forms.items():
            if form.normal is wanted:
                self.normal_forms[name] = evolve(form, normal=observed)
        return True


def _facts(view: ServiceView, remote: RemoteCluster) -> Sequence[object]:
    """What the plan of one linked cluster depends on, unless it has names to give."""
    key, cluster = view.key, remote.link.metadata.name
    return [
        remote.link,
        remote.connection,
        remote.guard,
        remote.services.get(key),
        key in remote.undecodable,
        remote.unread_namespaces and remote.unread_namespaces.get(key.namespace),
        *remote.endpoint_slices.get(key, ()),
        None,
        *view.ours.get(cluster, ()),
        None,
        *view.leftovers.get(cluster, ()),
    ]


def _are_same(some: Sequence[object], others: Sequence[object]) -> bool:
    """Whether two sequences hold the same objects."""
    if len(some) != len(others):
        return False
    for one, other in zip(some, others, strict=True):  # A generator takes half as long again.
        if one is not other:
            break
    else:
        return True
    return False


def _by_observed(part: ClusterPlan, view: ServiceView) -> ClusterPlan:
    """A part with nothing to do, by the slices that exist: they equal those that are wanted."""
    if part.decision.outcome is not Outcome.MIRRORED:
        return part
    observed = view.ours.get(part.decision.cluster, ())
    return evolve(part, slices=[each for each in observed if not each.metadata.is_being_deleted])
