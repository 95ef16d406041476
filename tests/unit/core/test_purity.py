"""Laws L14 and L15: no function changes an argument, and history does not matter.

Real: the whole core. Substituted: the main API server, by the one in `world`.
"""

from __future__ import annotations

import functools
import importlib
import io
import pickle
import pkgutil
from collections import Counter
from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from contextlib import contextmanager
from types import FunctionType, MethodType, ModuleType
from typing import Any, Final, TypeAlias, cast

import attrs
import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, DrawFn

import svclink_core
from svclink_core import (
    UNGUARDED,
    ApiServerCaller,
    ClusterLink,
    ClusterLinkSpec,
    ClusterTraffic,
    DeletionCount,
    EndpointSlice,
    Finding,
    LinkFacts,
    LinkReason,
    NamespacedName,
    ObjectMeta,
    Options,
    Outcome,
    Plan,
    Planner,
    Reason,
    RemoteCluster,
    ServiceTraffic,
    Snapshot,
    Synced,
    TrafficPolicy,
    TrafficPolicyStatus,
    Unreachable,
    UnreachablePolicy,
    main_cluster,
    plan,
    plan_service,
)
from svclink_core.connection_loss import Loss
from svclink_core.credential_expiry import Expiry
from svclink_core.link_identity import Claim, Problem
from svclink_core.link_overview import LinkOverview, SeenCluster
from svclink_core.ownership import Leftover, cluster_of, is_ours, owner_of, service_of
from svclink_core.remote_lifecycle import Broken, RemoteState
from svclink_core.snapshot import all_keys
from svclink_core.traffic_policy_v1alpha1 import ActiveTier
from svclink_core.traffic_shift import Shift, ShiftState
from svclink_core.watch_health import EndedWatch, WatchHealth
from svclink_core.write_retries import NO_ANSWER
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    leftover_slice,
    link,
    mirrored_slice,
    remote_slice,
    service,
    snapshot_of,
    traffic_policy,
)
from tests.unit.core.strategies.events import happenings
from tests.unit.core.strategies.initial_snapshots import fresh_snapshots, healthy_snapshot
from tests.unit.core.strategies.links import SELECTOR
from tests.unit.core.strategies.names import Universe, universes
from tests.unit.core.strategies.snapshots import Happening, events, stories
from tests.unit.core.strategies.statuses import link_facts
from tests.unit.core.strategies.traffic_policies import some_policies
from tests.unit.core.world import (
    NOW,
    applied,
    collected,
    main_slices,
    ours,
    settled,
    with_main,
    without_history,
)

# A large counterexample must not hide behind a warning about its size.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

Function: TypeAlias = Callable[..., object]

MODULES: Final = [
    importlib.import_module(f"svclink_core.{each.name}")
    for each in pkgutil.iter_modules(svclink_core.__path__)
]
FUNCTIONS: Final[Mapping[str, Function]] = {
    name: value
    for module in MODULES
    for name, value in vars(module).items()
    if isinstance(value, FunctionType)
    and value.__module__ == module.__name__
    and not name.startswith("_")
}


# L14 purity: no function of the core changes an argument (deep comparison before and after), and a
# Planner with any history plans what an empty one plans.


class _Fingerprints(pickle.Pickler):
    """Writes all that a value holds, except iterators and code."""

    def reducer_override(self, value: object, /) -> Any:
        kind: Any = type(value)
        if is_one_of(kind, (KeysView, ValuesView, ItemsView)):
            return list, (list(cast("Iterable[object]", value)),)
        if is_one_of(kind, (Iterator, FunctionType, MethodType)):
            return str, (kind.__name__,)
        return NotImplemented


# Cached, because every object at every depth is asked about its class.
is_one_of = functools.cache(issubclass)


def fingerprint(value: object) -> bytes:
    """Everything that a value holds, at any depth."""
    stream = io.BytesIO()
    _Fingerprints(stream).dump(value)
    return stream.getvalue()


def watched(function: Function, called: set[str]) -> Function:
    """The function, which fails if it changes an argument."""

    @functools.wraps(function)
    def call(*arguments: object, **keywords: object) -> object:
        called.add(function.__name__)
        before = fingerprint((arguments, keywords))
        result = function(*arguments, **keywords)
        assert fingerprint((arguments, keywords)) == before, function.__name__
        return result

    return call


@contextmanager
def every_function_watched(called: set[str]) -> Iterator[Mapping[str, Function]]:
    """Every public function is watched, also where one module calls it in another."""
    by_function = {each: watched(each, called) for each in FUNCTIONS.values()}
    places: list[tuple[ModuleType, str, Function]] = [
        (module, name, value)
        for module in (svclink_core, *MODULES)
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value in by_function
    ]
    for module, name, value in places:
        setattr(module, name, by_function[value])
    try:
        yield {name: by_function[each] for name, each in FUNCTIONS.items()}
    finally:
        for module, name, value in places:
            setattr(module, name, value)


def use(core: Mapping[str, Function], happening: Happening, facts: LinkFacts) -> None:
    """Call every function that takes a snapshot or a part of it."""
    found = happening.after
    remembering = Planner()
    for key in core["all_keys"](found):  # type: ignore[attr-defined]  # it gives keys
        assert remembering.plan_service(found, key, NOW) == core["plan_service"](found, key, NOW)
    core["target_port_findings"](found, core["plan"](found, NOW))
    core["stateful_findings"](found, core["plan"](found, NOW))
    core["stateful_set_of"](main_slices(found))
    core["endpoint_group_findings"](found, core["plan"](found, NOW))
    core["with_guards"](found, NOW)
    core["settled_guard"](DeletionCount(24, {}), NOW, 300)
    core["requests_for"](happening.event, found)
    core["counting_policies"](found.main.traffic_policies.values())
    use_shares(core, found)
    show(core, happening)
    core["snapshot"](
        core["main_cluster"](found.main.services.values(), main_slices(found)),
        found.remotes.values(),
    )
    for remote in found.remotes.values():
        core["remote_cluster"](remote.link, remote.services.values(), (), remote.connection)
        count = DeletionCount(24, dict.fromkeys(remote.services, 1))
        guard = core["next_guard"](remote.guard, count, NOW, 300)
        core["guard_deadline"](guard)
        core["lifted_by_edit"](guard, count)
        core["guard_effect"](guard)
        for endpoint_slice in main_slices(found):
            core["cluster_of"](endpoint_slice)
        use_remote(core, remote)
        use_link(core, remote.link)
        core["with_drained"](found, remote.name)
        core["drain_progress"](remote.link, main_slices(found))
        for value in (*remote.services.values(), *main_slices(found), remote.link):
            core["structure"](core["unstructure"](value), type(value))
    status = core["summarize"](facts, "2026-07-01T12:00:00Z")
    core["unstructure_status"](status)


def show(core: Mapping[str, Function], happening: Happening) -> None:
    """Call the functions that show plans, Services and links, and tell what happened to them."""
    found = happening.after
    for key in all_keys(found):
        planned = plan_service(found, key, NOW)
        core["with_notes"](found, planned)
        core["plan_data"](planned, {"c1": Problem(LinkReason.UNAUTHORIZED, "401")})
        for change in planned.changes:
            core["change_text"](change)
        overviews = [
            core["service_overview"](each, key, plan_service(each, key, NOW))
            for each in (happening.before, found)
        ]
        core["service_news"](*overviews)
        core["service_endpoints"](found, key)
    for remote in found.remotes.values():
        overview = LinkOverview(remote.link, SeenCluster(remote.connection))
        core["link_news"](None, overview)
        core["last_transition"](remote.link.status.conditions)
    finding = Finding(WEB, "c1", Reason.LOOP, ())
    core["plan_data"](Plan(findings=(finding,), traffic=(ServiceTraffic(WEB, "web"),)), {})
    core["worst"]((core["level_of"](Reason.PENDING),))


def use_shares(core: Mapping[str, Function], found: Snapshot) -> None:
    """Call the functions that propose shares and shift them."""
    for key in found.main.services:
        policy = found.main.traffic_policies.get(key)
        core["why_not_set"](policy, {"c1": 10}, found.remotes)
        edited = core["edited_policy"](policy, key, {"c1": 10})
        core["has_to_be_written"](policy, edited)
        core["why_policy_refused"](edited.spec)  # type: ignore[attr-defined]  # it gives a policy
        core["preview_traffic"](core["with_policy"](found, edited), key, NOW)
        facts = core["shift_facts"](edited, "c1", main_slices(found))
        core["next_move"](Shift("c1", (10, 20)), ShiftState(), facts, NOW)


def use_remote(core: Mapping[str, Function], remote: RemoteCluster) -> None:
    """Call the functions that look at one remote cluster."""
    for key, service_ in remote.services.items():
        core["settles_at"](remote, key)
        slices = [*remote.endpoint_slices.get(key, ())]
        core["is_consistent"](service_, slices)
        core["current_slices"](service_, slices)
        core["may_break_consistency"](service_, None)
        core["with_older_distribution"](service_)
        core["copied_ports"](service_.spec.ports)
        core["is_port_name"]("http")


def use_link(core: Mapping[str, Function], link: ClusterLink) -> None:
    claims = {"a": Claim(link, "1", "2"), "b": Claim(link, "1"), "c": Claim(link, "main")}
    core["refusals"]("main", claims)
    core["known_cluster"](link)
    core["duplicate_name"](core["oldest_of_same_name"]([link, link]))
    core["namespaces_to_read"](link, Options())
    core["link_kubeconfig"](link)
    core["reading_part"](link.spec)
    core["service_selector"](link, Options())
    core["namespace_selector"](link)
    home = core["controller_namespace"](({"a"}, None), "default")
    core["replacement_advice"](Problem(LinkReason.UNAUTHORIZED, "401"), link, home)
    failure = Problem(LinkReason.UNREACHABLE, "no answer")
    core["loss_of"](core["link_target"](link, Options(), "abc"), failure)
    core["names_same_credentials"](link.spec, link.spec)
    core["connection_after"](Synced(), Loss.LOST, "2026-07-01T12:00:00Z", NOW)


def use_rest(core: Mapping[str, Function], universe: Universe) -> None:
    """Call the functions that need no snapshot."""
    for key in universe.keys:
        core["hashed_name"](key, "c", "web-1", 0)
        core["services_named"](f"{key.name}-c", universe.clusters)
        core["is_subdomain"](key.name)
        core["choose_name"](key, "c", "web-1", universe.clusters, lambda _: False)
        core["is_unambiguous"](f"{key.name}-c", "c", universe.clusters)
        core["why_withheld"](UNGUARDED, key)
    for endpoint_slice in (mirrored_slice(), leftover_slice()):
        core["as_kept"](endpoint_slice, service())
        core["only_allowed"](endpoint_slice, (core["parse_cidr"]("10.0.0.0/8"),))
        core["cluster_of"](endpoint_slice)
        core["service_of"](endpoint_slice)
        core["footprint"](endpoint_slice)
        core["delete"](endpoint_slice, Reason.SOURCE_GONE)
    core["outside"]((core["parse_cidr"]("10.0.0.0/8"),), ("10.0.0.1", "11.0.0.1"), "IPv4")
    core["proposed_cidrs"]({"10.0.0.1"}, {"10.0.1.1"}, "IPv4")
    core["calls_by"]([ApiServerCaller(ObjectMeta("hook"), "APIService", universe.keys)])
    core["why_main_refuses"](WEB, service(), Options())
    core["is_label_value"]("zone-a")
    core["is_qualified_name"]("kubernetes.io/h2c")
    core["some_of"](["127.0.0.1"])
    core["is_collected_with"](mirrored_slice(), NamespacedName("default", "web"))
    core["is_distribution_refused"](422, "spec.trafficDistribution: Unsupported value")
    core["json_name"]("cluster_ip", {})
    policy = traffic_policy(ClusterTraffic("c1", 10))
    core["traffic_status"](policy, policy, service(), ServiceTraffic(WEB, "web"), "")
    core["rule_without_policy"](ServiceTraffic(WEB))
    core["percent_of"](1, 3)
    core["parse_selector"]("tier=gold,!old")
    core["selector_of"](SELECTOR)
    core["why_invalid"](SELECTOR)
    core["exactly"](int)
    core["json_type"]([])
    core["read_target_port"](80, None)
    core["read_time"]("2026-07-01T12:00:00Z", None)
    core["sorted_pairs"]({"b": "1", "a": "2"})
    core["is_imported"](service())
    core["next_action"](RemoteState())
    core["stage_of"](RemoteState())
    core["after"](RemoteState(), Broken())
    core["aborts_connecting"](Broken())
    core["longest_pause"](4.0, 0.5)
    expiries = [Expiry(0, "the token", "1970-01-01T00:00:00Z")]
    core["credential_state"](expiries, NOW)
    core["expired_credentials"](expiries, NOW)
    core["next_credential_change"](expiries, NOW)
    core["goes_on_without"](("a", "b"), {"a"}, 403)
    core["explain_refusal"](core["refusal_source"](403, "exceeded quota: few"), "no", "create", "")
    core["delay_before"](
        core["failed_again"](None, "a", "no", pauses=NO_ANSWER, at=0, jitter=0), "a", 1
    )
    health = core["after_watch"](WatchHealth(0, 0), EndedWatch(0, 1))
    core["must_relist"](health, 600.0)


LOST: Final = evolve(
    cluster("c2", connection=Unreachable("2026-01-01T00:00:00Z", 0)),
    link=link("c2", ClusterLinkSpec(unreachable=UnreachablePolicy("NotReady"))),
)
RECOVERING: Final = TrafficPolicyStatus(
    1, tiers=(ActiveTier(1, "IPv4", "2026-07-01T11:00:00Z", "2026-07-01T12:00:00Z"),)
)


def with_policy(found: Snapshot, policy: TrafficPolicy) -> Snapshot:
    return evolve(found, main=evolve(found.main, traffic_policies={policy.service: policy}))


RARE: Final = (
    snapshot_of(
        cluster("c1", remote_slice(None, "010.0.0.1")),
        LOST,
        services=[service(traffic_distribution="PreferClose")],
        slices=[mirrored_slice(cluster="c2"), mirrored_slice(), leftover_slice()],
    ),
    snapshot_of(cluster("c1"), slices=[mirrored_slice()]),
    with_policy(
        snapshot_of(
            cluster("c1", remote_slice(None, "10.0.0.1", "10.0.0.2")),
            LOST,
            slices=[mirrored_slice(cluster="c2"), mirrored_slice()],
        ),
        traffic_policy(ClusterTraffic("c1", 50), ClusterTraffic("c2", tier=1), status=RECOVERING),
    ),
    snapshot_of(cluster("c1", remote_slice(endpoints=[])), slices=[mirrored_slice()]),
    snapshot_of(
        evolve(cluster("c1", remote_slice(), services=[]), changed_at={WEB: NOW}),
        slices=[mirrored_slice()],
    ),
    evolve(
        snapshot_of(cluster("c1"), services=[], options=Options(sync_services=True)),
        main=main_cluster((), (), ()),
    ),
)
"""Snapshots that reach functions which few others reach."""


def test_l14_no_function_changes_an_argument() -> None:
    """No function of the core changes an argument, and every public one is called here."""
    called: set[str] = set()

    @settings(max_examples=60, derandomize=True, database=None, deadline=None)
    @given(events(), link_facts, universes)
    def check(happening: Happening, facts: LinkFacts, universe: Universe) -> None:
        with every_function_watched(called) as core:
            use(core, happening, facts)
            use_rest(core, universe)

    check()
    with every_function_watched(called) as core:
        for found in RARE:
            assert Planner().plan(found, NOW) == core["plan"](found, NOW)
    assert FUNCTIONS.keys() - called == set()


def test_l14_an_argument_that_changes_is_seen() -> None:
    """The test above notices a change at any depth."""
    called: set[str] = set()
    changing = watched(lambda value: value["list"].append(1), called)
    with pytest.raises(AssertionError):
        changing({"list": []})


@pytest.mark.parametrize(
    "kind",
    [
        each
        for module in MODULES
        for each in vars(module).values()
        if isinstance(each, type) and each.__module__ == module.__name__ and attrs.has(each)
    ],
    ids=lambda kind: kind.__name__,
)
def test_l14_values_hold_nothing_but_their_fields(kind: type) -> None:
    """A value stores nothing besides its fields, for example no cache.

    attrs may keep the hash of a NamespacedName, as Python does with that of a string.
    """
    fields = {each.name for each in attrs.fields(kind)}
    slots = {name for each in kind.__mro__ for name in vars(each).get("__slots__", ())}
    assert slots - fields <= {"__weakref__", "_attrs_cached_hash"}
    assert "__dict__" not in slots


@given(stories(), st.data())
def test_l14_what_a_planner_remembers_changes_no_plan(
    story: tuple[Universe, Snapshot], data: DataObject
) -> None:
    """A Planner with any history plans what an empty one plans.

    Links come and go, guards change, Services are re-created, and plans are applied in part. The
    clock that plans are made by never goes back.
    """
    universe, found = story
    remembering, now = Planner(), NOW
    for _ in range(6):
        now = max(now, data.draw(st.sampled_from((NOW, NOW + 10_000.0))))
        for key in data.draw(st.permutations(sorted(all_keys(found)))):
            assert remembering.plan_service(found, key, now) == Planner().plan_service(
                found, key, now
            )
        planned = remembering.plan(found, now)
        assert planned == plan(found, now)
        count = data.draw(st.integers(0, len(planned.changes)))
        found = applied(found, planned.changes[:count])
        _, found = data.draw(happenings(universe, found))


# L15 history does not matter: any two sequences of events that end in the same facts end, after
# applying, in the same state of the world.


@st.composite
def histories(draw: DrawFn, universe: Universe) -> tuple[Snapshot, Planner]:
    """What svclink may have seen and written so far, and the Planner that planned it."""
    start = draw(st.booleans())
    found = draw(fresh_snapshots(universe)) if start else healthy_snapshot(universe)
    found = evolve(found, main=evolve(found.main, traffic_policies=draw(some_policies(universe))))
    remembering = Planner()
    for _ in range(draw(st.integers(0, 3))):
        changes = remembering.plan(found, NOW).changes
        found = applied(found, changes[: draw(st.integers(0, len(changes)))])
        _, found = draw(happenings(universe, found))
    return found, remembering


def with_history(facts: Snapshot, history: Snapshot) -> Snapshot:
    """The facts, in a main cluster that holds the mirrors that a history left."""
    others = [each for each in main_slices(facts) if not is_ours(each)]
    taken = {each.metadata.key for each in others}
    left = [each for each in ours(history) if each.metadata.key not in taken]
    return collected(with_main(facts, slices=[*others, *left]))


def ended(found: Snapshot, remembering: Planner) -> Snapshot:
    """The snapshot once nothing is left to do, as planned by a Planner."""
    for _ in range(4):
        found = applied(found, remembering.plan(found, NOW).changes)
    assert remembering.plan(found, NOW).changes == ()
    return found


Pair: TypeAlias = tuple[NamespacedName | None, str | None]


def decided_by_facts(found: Snapshot) -> set[Pair]:
    """The Services and clusters whose mirrors facts alone decide.

    What is kept is what was mirrored before, which is a matter of history. That holds too for
    Services that main lacks, whose mirrors the garbage collector removes, for what an unreachable
    policy removes because mirrors that are kept remain ready, and for Services that main's API
    server may call: only those that were mirrored before are. Which endpoints are active depends on
    those that are kept, too.
    """
    calls = found.main.api_server_calls
    decided = plan(found, NOW)
    decisions = decided.decisions
    with_kept = {each.service for each in decisions if each.outcome is Outcome.KEPT}
    unsure = with_kept & {each.service for each in decided.traffic}
    return {
        (each.service, each.cluster)
        for each in decisions
        if (
            each.outcome is Outcome.MIRRORED
            and calls.of(each.service).is_known
            and each.service not in unsure
        )
        or (
            each.outcome is Outcome.SKIPPED
            and each.service in found.main.services
            and not (each.reason is Reason.UNREACHABLE_REMOVED and each.service in with_kept)
        )
    }


def state_of(found: Snapshot, pairs: set[Pair]) -> Counter[EndpointSlice]:
    """The mirrors of some Services and clusters without their history, and Go leftovers."""
    known = {name for name, each in found.remotes.items() if isinstance(each.connection, Synced)}
    return Counter(
        without_history(each)
        for each in main_slices(found)
        if (is_ours(each) or (isinstance(owner_of(each), Leftover) and cluster_of(each) in known))
        and (service_of(each), cluster_of(each)) in pairs
    )


@given(st.data())
def test_l15_history_does_not_matter(data: DataObject) -> None:
    """Any two histories that end in the same facts end in the same state of the world.

    Services are not created here: which cluster gives one is decided once, when main lacks it.
    """
    universe = data.draw(universes)
    facts, _ = data.draw(histories(universe))
    facts = evolve(facts, options=evolve(facts.options, sync_services=False))
    (one, first), (other, second) = (data.draw(histories(universe)) for _ in range(2))
    ends = [
        ended(with_history(facts, one), first),
        ended(with_history(facts, other), second),
        settled(with_history(facts, other)),
    ]
    pairs = decided_by_facts(ends[0]) & decided_by_facts(ends[1])
    states = [state_of(end, pairs) for end in ends]
    assert states[0] == states[1] == states[2]
    fresh = ended(collected(with_main(facts, slices=others_of(facts))), Planner())
    assert decided_by_facts(fresh) >= pairs
    assert state_of(fresh, pairs) == states[0]


def others_of(facts: Snapshot) -> list[EndpointSlice]:
    return [each for each in main_slices(facts) if not is_ours(each)]
