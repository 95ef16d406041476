"""The law of the core that only a real API server can prove. Nothing is stored: every request is a dry run."""

from __future__ import annotations

import json
from collections import Counter
from typing import Final, assert_never

from attrs import evolve
from hypothesis import Phase, given, settings

from svclink_core import (
    Change,
    Create,
    CreateNamespace,
    CreateService,
    Delete,
    EndpointSlice,
    MainCluster,
    Namespace,
    ObjectMeta,
    Options,
    Service,
    Snapshot,
    Update,
    plan,
)
from svclink_core.codec import structure, unstructure
from tests.unit.core.strategies import snapshots

from .api_client import Api, Object, path_of
from .control_planes import Cluster

NOW: Final = 1_800_000_000.0
EXAMPLES: Final = 300


def content(piece: EndpointSlice) -> EndpointSlice:
    """The slice without what an API server adds."""
    old = piece.metadata
    metadata = ObjectMeta(
        old.name,
        old.namespace,
        labels=old.labels,
        annotations=old.annotations,
        owner_references=old.owner_references,
    )
    return evolve(piece, metadata=metadata)


def here(change: Change, namespace: str) -> EndpointSlice | Service | Namespace | None:
    """The object a change writes, in the test's namespace and without what an API server adds; None: nothing new."""
    match change:
        case CreateNamespace():
            return (
                None if change.namespace.metadata.name == "default" else change.namespace
            )  # That one exists.
        case CreateService():
            return evolve(
                change.service, metadata=evolve(change.service.metadata, namespace=namespace)
            )
        case Create() | Update():
            planned = content(change.endpoint_slice)
            return evolve(planned, metadata=evolve(planned.metadata, namespace=namespace))
        case Delete():
            return None
        case unexpected:
            assert_never(unexpected)


RESOURCES: Final = {EndpointSlice: "endpointslices", Service: "services", Namespace: "namespaces"}


def stored(api: Api, value: EndpointSlice | Service | Namespace) -> Object:
    """The object as the API server would store it. Raises `ApiError` where it would not."""
    path = path_of(RESOURCES[type(value)], None, value.metadata.namespace or None) + "?dryRun=All"
    return api.request("POST", path, json.loads(json.dumps(unstructure(value))))


def test_l13_valid(main: Cluster, namespace: str) -> None:
    """Every object a plan creates passes the API server's own validation; slices are stored as they were planned."""
    written = set[EndpointSlice | Service | Namespace]()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
    )
    @given(snapshots)
    def validate(found: Snapshot) -> None:
        empty = Snapshot(
            MainCluster(namespaces=frozenset()), found.remotes, Options(sync_services=True)
        )
        changes = (*plan(found, NOW).changes, *plan(empty, NOW).changes)
        for value in (here(change, namespace) for change in changes):
            if value is not None and value not in written:
                answer = stored(main.api, value)
                assert (
                    not isinstance(value, EndpointSlice)
                    or content(structure(answer, EndpointSlice)) == value
                )
                written.add(value)

    validate()
    counted = Counter(type(value) for value in written)
    assert counted[EndpointSlice] > EXAMPLES // 10
    assert counted[Service] > 1
    assert counted[Namespace] > 1
    assert main.api.find("endpointslices", namespace) == main.api.find("services", namespace) == []
