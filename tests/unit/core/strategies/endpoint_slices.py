"""EndpointSlices of remote clusters and of the main cluster.

Those of the main cluster have passed its validation; those of a remote cluster are not trusted.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    Endpoint,
    EndpointSlice,
    ObjectMeta,
    OwnerReference,
)
from svclink_core.meta_v1 import Additions
from svclink_core.naming import hashed_name
from svclink_core.standby import ready_addresses, with_standby
from svclink_core.unreachable_policy import as_last_resort
from svclink_core.well_known import (
    ANNOTATION_SHARD,
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_HEADLESS,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.unit.core.strategies.drawing import pick
from tests.unit.core.strategies.endpoints import (
    MAIN_ENDPOINTS,
    REMOTE_ENDPOINTS,
    main_ports,
    remote_ports,
)
from tests.unit.core.strategies.names import (
    EARLIER,
    IMPOSSIBLE_NAMES,
    Universe,
    remote_names,
    source_names,
    sources,
    universes,
)
from tests.unit.core.strategies.services import uid_of

LOCAL_CONTROLLER: Final = "endpointslice-controller.k8s.io"

_LOOP_LABELS: Final = (
    (LABEL_MANAGED_BY, MANAGED_BY),
    (LABEL_CLUSTER, "c"),
    (LABEL_GO_CLUSTER, "c"),
    (LABEL_MCS_SOURCE_CLUSTER, "c"),
)
_LOCAL_LABELS: Final = ((LABEL_MANAGED_BY, LOCAL_CONTROLLER),)
_address_types = st.sampled_from(("IPv4",) * 8 + ("IPv6",) * 3 + ("FQDN",))
_remote_labels = st.sampled_from(
    [*(_LOCAL_LABELS,) * 16, *((*_LOCAL_LABELS, label) for label in _LOOP_LABELS)]
)
_mostly_labelled = st.sampled_from((True,) * 15 + (False,))
_marks: SearchStrategy[Callable[[EndpointSlice], EndpointSlice]] = st.sampled_from(
    (
        *(lambda mirror: mirror,) * 6,
        as_last_resort,
        lambda mirror: with_standby(mirror, ready_addresses(mirror)[1:], is_fallback=True),
        lambda mirror: with_standby(mirror, (), is_fallback=False),
    )
)
"""What a policy made of a mirror before."""
_seldom_dying = st.sampled_from((None,) * 7 + (EARLIER,))


@cache
def remote_endpoint_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """EndpointSlices of a remote cluster for one of the Services; their content is not trusted."""
    return _remote_endpoint_slices(universe)


@st.composite
def _remote_endpoint_slices(draw: DrawFn, universe: Universe) -> EndpointSlice:
    key = draw(pick(universe.keys))
    address_type = draw(_address_types)
    labels = dict(draw(_remote_labels))
    if draw(_mostly_labelled):
        labels[LABEL_SERVICE_NAME] = key.name
    metadata = ObjectMeta(
        name=draw(remote_names),
        namespace=key.namespace,
        uid="remote",
        resource_version="1",
        labels=tuple(sorted(labels.items())),
        owner_references=tuple(
            OwnerReference("v1", "Service", key.name, uid_of(key, incarnation), controller=True)
            for incarnation in draw(_owners)
        ),
    )
    return EndpointSlice(
        metadata, address_type, draw(REMOTE_ENDPOINTS[address_type]), draw(remote_ports)
    )


TAMPERINGS: Final[tuple[dict[str, str | None], ...]] = (
    {LABEL_SERVICE_NAME: None},
    {LABEL_SERVICE_NAME: "web"},
    {LABEL_CLUSTER: None},
    {LABEL_CLUSTER: "c"},
    {LABEL_HEADLESS: ""},
    {LABEL_SERVICE_NAME: None, LABEL_CLUSTER: None},
)
_tamperings = st.sampled_from([*({},) * 3, *TAMPERINGS])
_mirrored_address_types = st.sampled_from(("IPv4", "IPv4", "IPv6"))
_owners: SearchStrategy[tuple[int, ...]] = st.sampled_from(((1,), (1,), (2,), ()))
_additions = st.sampled_from(
    (
        *(None,) * 7,
        Additions((("team", "a"),), (("example.com/note", "x"),), ("example.com/hold",)),
    )
)
"""What users and other controllers put on mirrors."""
_names_in_order = st.sampled_from(
    (*(source_names,) * 5, ("web-1", *IMPOSSIBLE_NAMES), (*IMPOSSIBLE_NAMES, "web-1"))
)
_main_slice_counts = st.sampled_from((1, 2, 3, 0))
_remote_slice_counts = st.sampled_from((1, 2, 2, 3, 0))


def tampered(labels: dict[str, str], edit: dict[str, str | None]) -> tuple[tuple[str, str], ...]:
    """The labels after a user edited them; a value of None removes a label."""
    merged: dict[str, str | None] = {**labels, **edit}
    return tuple(sorted((label, value) for label, value in merged.items() if value is not None))


@cache
def mirrored_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """Mirrors of any cluster or of a deleted link: current, outdated, or edited by hand."""
    return _mirrored_slices(universe)


@st.composite
def _mirrored_slices(draw: DrawFn, universe: Universe) -> EndpointSlice:
    key = draw(pick(universe.keys))
    cluster = draw(pick(universe.clusters + universe.gone))
    source = draw(sources)
    labels = {LABEL_CLUSTER: cluster, LABEL_MANAGED_BY: MANAGED_BY, LABEL_SERVICE_NAME: key.name}
    readable = f"{key.name}-{cluster}"[:63].rstrip("-")
    address_type = draw(_mirrored_address_types)
    all_labels = tampered(labels, draw(_tamperings))
    is_ours = {LABEL_CLUSTER, LABEL_MANAGED_BY} <= dict(all_labels).keys()
    metadata = ObjectMeta(
        name=draw(pick((readable, readable, hashed_name(key, cluster, source, 0), "renamed"))),
        namespace=key.namespace,
        deletion_timestamp=draw(_seldom_dying),
        labels=all_labels,
        annotations=draw(_source_annotations(source)),
        owner_references=tuple(
            OwnerReference(
                "v1",
                "Service",
                key.name,
                uid_of(key, incarnation),
                controller=True,
                block_owner_deletion=False,
            )
            for incarnation in draw(_owners)
        ),
        additions=draw(_additions) if is_ours else None,
    )
    contents = tuple(_storable(each) for each in draw(MAIN_ENDPOINTS[address_type]))
    made = EndpointSlice(metadata, address_type, contents, draw(main_ports))
    return draw(_marks)(made)


@cache
def _source_annotations(source: str) -> SearchStrategy[tuple[tuple[str, str], ...]]:
    """What a mirror says about its source: shards as written today and by earlier versions."""
    whole = (ANNOTATION_SOURCE_SLICE, source)
    return pick(
        (
            *((whole,),) * 5,
            (whole, (ANNOTATION_SHARD, "1")),
            ((ANNOTATION_SOURCE_SLICE, f"{source}/1"),),
            (),
        )
    )


def _storable(endpoint: Endpoint) -> Endpoint:
    """The endpoint without repeated addresses, as svclink writes it."""
    return evolve(endpoint, addresses=tuple(dict.fromkeys(endpoint.addresses)))


@cache
def foreign_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """EndpointSlices of the main cluster that svclink did not write.

    Local ones, ones that hold a name which svclink would choose, and ones of the Go release.
    """
    return _foreign_slices(universe)


@st.composite
def _foreign_slices(draw: DrawFn, universe: Universe) -> EndpointSlice:
    key = draw(pick(universe.keys))
    cluster = draw(pick(universe.clusters))
    source = draw(sources)
    wanted = f"{key.name}-{cluster}"[:63].rstrip("-")
    of_go_release = ((LABEL_GO_CLUSTER, cluster), (LABEL_SERVICE_NAME, key.name))
    labels = (
        ((LABEL_MANAGED_BY, LOCAL_CONTROLLER), (LABEL_SERVICE_NAME, key.name)),
        *((*of_go_release, (LABEL_MANAGED_BY, MANAGED_BY)),) * 2,
        (*of_go_release, (LABEL_MANAGED_BY, MANAGED_BY), (LABEL_CLUSTER, cluster)),
        of_go_release,
        ((LABEL_SERVICE_NAME, key.name), (LABEL_CLUSTER, cluster)),
        (),
    )
    address_type = draw(_address_types)
    metadata = ObjectMeta(
        name=draw(pick((wanted, hashed_name(key, cluster, source, 0), f"{key.name[:57]}-abcde"))),
        namespace=key.namespace,
        labels=tuple(sorted(draw(pick(labels)))),
        annotations=draw(pick(((), ((ANNOTATION_SOURCE_SLICE, source),)))),
        owner_references=(OwnerReference("v1", "Service", key.name, uid_of(key), controller=True),),
    )
    return EndpointSlice(
        metadata, address_type, draw(MAIN_ENDPOINTS[address_type]), draw(main_ports)
    )


@cache
def all_main_slices(universe: Universe) -> SearchStrategy[list[EndpointSlice]]:
    """The EndpointSlices of the main cluster, each with its own name, uid and resourceVersion."""
    return _all_main_slices(universe)


@st.composite
def _all_main_slices(draw: DrawFn, universe: Universe) -> list[EndpointSlice]:
    either = any_main_slices(universe)
    drawn = [draw(either) for _ in range(draw(_main_slice_counts))]
    unique = {endpoint_slice.metadata.key: endpoint_slice for endpoint_slice in drawn}
    return [
        numbered(endpoint_slice, number)
        for number, endpoint_slice in enumerate(unique.values(), start=1)
    ]


@cache
def any_main_slices(universe: Universe) -> SearchStrategy[EndpointSlice]:
    """An EndpointSlice of the main cluster, ours or foreign."""
    return mirrored_slices(universe) | foreign_slices(universe)


def numbered(endpoint_slice: EndpointSlice, number: int) -> EndpointSlice:
    """The slice with the uid and the resourceVersion that the API server gives it."""
    return evolve(
        endpoint_slice,
        metadata=evolve(endpoint_slice.metadata, uid=f"uid-{number}", resource_version=str(number)),
    )


@cache
def all_remote_slices(universe: Universe) -> SearchStrategy[list[EndpointSlice]]:
    """The EndpointSlices of a remote cluster, with unique names, which seldom are impossible."""
    return _all_remote_slices(universe)


@st.composite
def _all_remote_slices(draw: DrawFn, universe: Universe) -> list[EndpointSlice]:
    count = draw(_remote_slice_counts)
    drawn = [draw(remote_endpoint_slices(universe)) for _ in range(count)]
    return [
        evolve(endpoint_slice, metadata=evolve(endpoint_slice.metadata, name=name))
        for endpoint_slice, name in zip(drawn, draw(_names_in_order), strict=False)
    ]


all_slices = universes.flatmap(
    lambda universe: st.one_of(
        remote_endpoint_slices(universe), mirrored_slices(universe), foreign_slices(universe)
    )
)
