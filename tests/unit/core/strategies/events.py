"""Events that can happen to a snapshot.

Law L7: if one event changes plan_service(key), then key is in requests_for(event).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    ApiServerCallsChanged,
    ClusterChanged,
    ClusterLinkSpec,
    EndpointSlice,
    EndpointSliceChanged,
    Event,
    GuardChanged,
    NamespaceChanged,
    NamespacedName,
    RemoteNamespaceChanged,
    Service,
    ServiceChanged,
    Snapshot,
    TrafficPolicyChanged,
    UnreachablePolicy,
    plan,
)
from svclink_core.ownership import service_of
from svclink_core.snapshot import UnreadNamespace
from svclink_core.svclink_v1alpha1 import UnreachableAction
from tests.unit.core.strategies.drawing import mostly_true, nearly_always_true, pick, seldom_true
from tests.unit.core.strategies.endpoint_slices import (
    TAMPERINGS,
    any_main_slices,
    numbered,
    remote_endpoint_slices,
    tampered,
)
from tests.unit.core.strategies.links import (
    LOST,
    connections,
    guards,
    link_specs,
    policies,
    remote_clusters,
)
from tests.unit.core.strategies.names import Universe
from tests.unit.core.strategies.services import api_server_calls, remote_services, services
from tests.unit.core.strategies.traffic_policies import traffic_policies
from tests.unit.core.world import (
    NOW,
    main_slices,
    remote_slices,
    with_link,
    with_main,
    with_remote,
    without_link,
)


@st.composite
def happenings(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """One event on a snapshot, and the snapshot after it."""
    always = (_main_slice, _main_service, _main_slice, _link, _link, _policy, _namespace, _calls)
    remote = (_remote_service, _remote_slice, _remote_slice, _undecodable, _guard, _unread)
    kind = draw(pick((*always, *remote) if before.remotes else always))
    return kind(draw, universe, before)


_of_a_service = st.sampled_from(("replace", "re-create", "delete"))


def _main_service(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A main Service is created, changed, deleted, or re-created between two looks at it."""
    key = draw(pick(universe.keys))
    old = before.main.services.get(key)
    new: Service | None
    match draw(_of_a_service) if old is not None else "replace":
        case "re-create" if old is not None:
            new = evolve(old, metadata=evolve(old.metadata, uid=f"{old.metadata.uid}-again"))
        case "delete":
            new = None
        case _:
            new = draw(services(key))
    return ServiceChanged(old, new), with_main(
        before, services=_replaced(before.main.services, key, new)
    )


def _remote_service(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    cluster = draw(pick(tuple(sorted(before.remotes))))
    key = draw(pick(universe.keys))
    found = before.remotes[cluster].services
    old, new = found.get(key), draw(remote_services(key))
    given = None if old is not None and draw(st.booleans()) else new
    after = with_remote(before, cluster, services=_replaced(found, key, given))
    return ServiceChanged(old, given), _with_time(draw, after, cluster, key)


def _with_time(draw: DrawFn, after: Snapshot, cluster: str, key: NamespacedName) -> Snapshot:
    """The snapshot in which a change of a remote Service was just now, or is long ago."""
    remote = after.remotes[cluster]
    times = {each: at for each, at in remote.changed_at.items() if each != key}
    if draw(st.booleans()):
        times[key] = NOW
    return evolve(after, remotes={**after.remotes, cluster: evolve(remote, changed_at=times)})


def _replaced(
    found: Mapping[NamespacedName, Service], key: NamespacedName, new: Service | None
) -> list[Service]:
    kept = [each for each in found.values() if each.metadata.key != key]
    return kept if new is None else [*kept, new]


def _remote_slice(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A remote slice is added, deleted, or re-created with the same name and other content."""
    cluster = draw(pick(tuple(sorted(before.remotes))))
    found = remote_slices(before.remotes[cluster])
    if len(found) > 0 and draw(st.booleans()):
        old = draw(st.sampled_from(found))
        slices = [endpoint_slice for endpoint_slice in found if endpoint_slice != old]
        return EndpointSliceChanged(old, None, in_main=False), with_remote(
            before, cluster, slices=slices
        )
    new = draw(remote_endpoint_slices(universe))
    slices = [
        endpoint_slice
        for endpoint_slice in found
        if endpoint_slice.metadata.key != new.metadata.key
    ]
    event = EndpointSliceChanged(_same_name(found, new), new, in_main=False)
    after = with_remote(before, cluster, slices=[*slices, new])
    service = service_of(new)
    return event, after if service is None else _with_time(draw, after, cluster, service)


def _namespace(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A Namespace of the main cluster is added, begins to terminate, or is deleted."""
    name = draw(pick(universe.keys)).namespace
    names, terminating = (
        set(before.main.namespaces or ()) - {name},
        set(before.main.terminating) - {name},
    )
    if draw(mostly_true):
        names.add(name)
        if not draw(mostly_true):
            terminating.add(name)
    main = evolve(before.main, namespaces=frozenset(names), terminating=frozenset(terminating))
    return NamespaceChanged(name), evolve(before, main=main)


def _calls(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """An object that makes the API server call Services is added, changed or deleted."""
    calls = draw(api_server_calls(universe))
    event = ApiServerCallsChanged(before.main.api_server_calls, calls)
    return event, evolve(before, main=evolve(before.main, api_server_calls=calls))


def _policy(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A TrafficPolicy is created, changed, for example by its status, or deleted."""
    key = draw(pick(universe.keys))
    policies = dict(before.main.traffic_policies)
    old = policies.pop(key, None)
    new = (
        None
        if old is not None and draw(st.booleans())
        else draw(traffic_policies(key, universe.clusters))
    )
    if new is not None:
        policies[key] = new
    main = evolve(before.main, traffic_policies=policies)
    return TrafficPolicyChanged(old, new), evolve(before, main=main)


def _guard(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """The deletion guard of a cluster changes its state."""
    cluster = draw(pick(tuple(sorted(before.remotes))))
    after = evolve(before.remotes[cluster], guard=draw(guards(universe)))
    decided = plan(before, NOW).decisions
    services = frozenset(
        each.service for each in decided if each.cluster == cluster and each.deletions
    )
    return GuardChanged(services), evolve(before, remotes={**before.remotes, cluster: after})


def _unread(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A namespace of a cluster loses the labels that its link selects, gets them, or is read."""
    cluster = draw(pick(tuple(sorted(before.remotes))))
    name = draw(pick(universe.keys)).namespace
    remote = before.remotes[cluster]
    unread = {each: why for each, why in remote.unread_namespaces.items() if each != name}
    if (why := draw(_why_unread)) is not None:
        unread[name] = why
    after = evolve(remote, unread_namespaces=unread)
    event = RemoteNamespaceChanged(name)
    return event, evolve(before, remotes={**before.remotes, cluster: after})


_why_unread = st.sampled_from((None, *UnreadNamespace))


def _undecodable(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """An object of a Service becomes undecodable, or decodable again."""
    cluster = draw(pick(tuple(sorted(before.remotes))))
    key = draw(pick(universe.keys))
    if not draw(mostly_true):
        main = evolve(before.main, undecodable=frozenset(before.main.undecodable) ^ {key})
        found = before.main.services.get(key)
        return ServiceChanged(None, found or draw(services(key))), evolve(before, main=main)
    remote = before.remotes[cluster]
    known = remote.services.get(key)
    unknown = frozenset(remote.undecodable) ^ {key}
    after = evolve(before, remotes={**before.remotes, cluster: evolve(remote, undecodable=unknown)})
    some = known if known is not None else draw(services(key))
    return ServiceChanged(some, some), after


_user_actions = st.sampled_from(("edit", "make", "delete", "copy"))
_edits = st.sampled_from(TAMPERINGS)


def _main_slice(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A user creates, edits, deletes or copies an EndpointSlice of the main cluster."""
    found = main_slices(before)
    action = draw(_user_actions) if len(found) > 0 else "make"
    if action == "make":
        return _written(found, draw(any_main_slices(universe)), before)
    old = draw(st.sampled_from(found))
    match action:
        case "edit":
            labels = tampered(dict(old.metadata.labels), draw(_edits))
            return _written(
                found, evolve(old, metadata=evolve(old.metadata, labels=labels)), before
            )
        case "copy":
            return _written(found, evolve(old, metadata=evolve(old.metadata, name="copy")), before)
        case _:
            slices = [endpoint_slice for endpoint_slice in found if endpoint_slice != old]
            return EndpointSliceChanged(old, None, in_main=True), with_main(before, slices=slices)


def _written(
    found: list[EndpointSlice], new: EndpointSlice, before: Snapshot
) -> tuple[Event, Snapshot]:
    """A slice is created or, if its name exists, edited: its uid and address type stay."""
    newest = max(
        [int(endpoint_slice.metadata.resource_version) for endpoint_slice in found], default=0
    )
    new = numbered(new, newest + 1)
    old = _same_name(found, new)
    if old is not None:
        metadata = evolve(
            new.metadata, uid=old.metadata.uid, deletion_timestamp=old.metadata.deletion_timestamp
        )
        new = evolve(old, metadata=metadata, ports=new.ports)
    slices = [
        endpoint_slice
        for endpoint_slice in found
        if endpoint_slice.metadata.key != new.metadata.key
    ]
    return EndpointSliceChanged(old, new, in_main=True), with_main(before, slices=[*slices, new])


def _same_name(slices: Iterable[EndpointSlice], wanted: EndpointSlice) -> EndpointSlice | None:
    return next((each for each in slices if each.metadata.key == wanted.metadata.key), None)


_link_events = st.sampled_from(("delete", "edit", "connect", "lose", "lose", "policy", "policy"))
_losses: SearchStrategy[UnreachableAction] = st.sampled_from(("NotReady", "Remove"))


def _link(draw: DrawFn, universe: Universe, before: Snapshot) -> tuple[Event, Snapshot]:
    """A link is created, deleted or edited, or its cluster is synced or lost."""
    cluster = draw(pick(universe.clusters))
    event = ClusterChanged(cluster)
    if cluster not in before.remotes:
        new = draw(remote_clusters(universe, cluster))
        return event, evolve(before, remotes={**before.remotes, cluster: new})
    match draw(_link_events):
        case "delete":
            return event, without_link(before, cluster)
        case "edit":
            spec, is_selected = draw(link_specs(universe)), draw(nearly_always_true)
            return event, with_link(before, cluster, spec, is_selected=is_selected)
        case "policy":
            spec = evolve(before.remotes[cluster].link.spec, unreachable=draw(policies))
            return event, with_link(before, cluster, spec)
        case "lose":
            policy = UnreachablePolicy(draw(_losses), force=draw(seldom_true))
            return event, with_link(before, cluster, ClusterLinkSpec(unreachable=policy), LOST)
        case _:
            return event, with_link(before, cluster, connection=draw(connections))
