"""The law that planned objects are valid, checked by dry-run requests to a real API server."""

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
from svclink_core.refusal_messages import RefusalSource, is_distribution_refused, refusal_source
from svclink_core.service_creation import with_older_distribution
from tests.builders.manifests import Manifest
from tests.unit.core.strategies.snapshots import snapshots

from .api_client import Api, ApiError, path_of
from .control_planes import Cluster
from .version_differences import BEGINS_WITH_A_DIGIT, NAMES_A_ZONE_OR_NODE, minor_of

NOW: Final = 1_800_000_000.0
EXAMPLES: Final = 300


def without_server_fields(endpoint_slice: EndpointSlice) -> EndpointSlice:
    """The slice without the fields that an API server sets."""
    old = endpoint_slice.metadata
    metadata = ObjectMeta(
        old.name,
        old.namespace,
        labels=old.labels,
        annotations=old.annotations,
        owner_references=old.owner_references,
    )
    return evolve(endpoint_slice, metadata=metadata)


def written_object(change: Change, namespace: str) -> EndpointSlice | Service | Namespace | None:
    """The object that a change creates or updates, moved to the namespace of the test, or None."""
    match change:
        case CreateNamespace():
            exists = change.namespace.metadata.name == "default"
            return None if exists else change.namespace
        case CreateService():
            return evolve(
                change.service, metadata=evolve(change.service.metadata, namespace=namespace)
            )
        case Create() | Update():
            planned = without_server_fields(change.endpoint_slice)
            return evolve(planned, metadata=evolve(planned.metadata, namespace=namespace))
        case Delete():
            return None
        case unexpected:
            assert_never(unexpected)


RESOURCES: Final = {EndpointSlice: "endpointslices", Service: "services", Namespace: "namespaces"}


def dry_run_create(api: Api, value: EndpointSlice | Service | Namespace) -> Manifest:
    """The object as the API server would store it; raises `ApiError` if it is invalid."""
    path = path_of(RESOURCES[type(value)], None, value.metadata.namespace or None) + "?dryRun=All"
    return api.request("POST", path, json.loads(json.dumps(unstructure(value))))


def stored(api: Api, value: Service, minor: int) -> Manifest | None:
    """A Service as main would store it, or None if its version refuses the name.

    Like the applier, take an older `trafficDistribution` where the one of the remote is not known.
    """
    try:
        return dry_run_create(api, value)
    except ApiError as error:
        refusal = error.status, str(error)
        older = with_older_distribution(value)
        if minor < NAMES_A_ZONE_OR_NODE and is_distribution_refused(*refusal) and older:
            return stored(api, older, minor)
        if minor < BEGINS_WITH_A_DIGIT and refusal_source(*refusal) is RefusalSource.SERVICE_NAME:
            return None
        raise


def is_for_a_newer_main(value: EndpointSlice, minor: int) -> bool:
    """Whether a slice has hints for nodes, which no Service of this version can ask for."""
    hints = [each.hints for each in value.endpoints if each.hints]
    return minor < NAMES_A_ZONE_OR_NODE and any(each.for_nodes for each in hints)


def assert_valid(api: Api, value: EndpointSlice | Service | Namespace, minor: int) -> None:
    """Assert that main accepts an object, and would store a slice as it is."""
    match value:
        case EndpointSlice() if is_for_a_newer_main(value, minor):
            pass
        case EndpointSlice():
            answer = structure(dry_run_create(api, value), EndpointSlice)
            assert without_server_fields(answer) == value
        case Service():
            stored(api, value, minor)
        case Namespace():
            dry_run_create(api, value)
        case unexpected:
            assert_never(unexpected)


def test_l13_valid(main: Cluster, namespace: str) -> None:
    """Every planned object passes the API server's validation, and slices are stored as planned."""
    written, minor = set[EndpointSlice | Service | Namespace](), minor_of(main)

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
    )
    @given(snapshots)
    def validate(snapshot: Snapshot) -> None:
        empty = Snapshot(
            MainCluster(namespaces=frozenset()), snapshot.remotes, Options(sync_services=True)
        )
        changes = (*plan(snapshot, NOW).changes, *plan(empty, NOW).changes)
        for value in (written_object(change, namespace) for change in changes):
            if value is not None and value not in written:
                assert_valid(main.api, value, minor)
                written.add(value)

    validate()
    counts = Counter(type(value) for value in written)
    assert counts[EndpointSlice] > EXAMPLES // 10
    assert counts[Service] > 1
    assert counts[Namespace] > 1
    assert main.api.find("endpointslices", namespace) == main.api.find("services", namespace) == []
