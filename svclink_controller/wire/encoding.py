"""Encodes EndpointSlices as JSON for request bodies, fast.

A test checks that the core's codec, which is slower, encodes them in the same way.
"""

from __future__ import annotations

from typing import Final

import msgspec

from svclink_core.codec import Json
from svclink_core.diffing import Precondition
from svclink_core.discovery_v1 import (
    CONDITIONS,
    Endpoint,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from svclink_core.meta_v1 import Additions, ObjectMeta, OwnerReference

EncodedObject = dict[str, object]


def encode(body: dict[str, Json]) -> bytes:
    """Encode any JSON object."""
    return _ENCODER.encode(body)


def encode_slice(endpoint_slice: EndpointSlice, precondition: Precondition | None = None) -> bytes:
    """Encode an EndpointSlice, with the order of fields that API servers have.

    Args:
        endpoint_slice: The slice.
        precondition: The uid and resourceVersion that the object must still have when a PUT
            replaces it.
    """
    metadata = _metadata(endpoint_slice.metadata)
    if precondition is not None:
        metadata |= {"uid": precondition.uid, "resourceVersion": precondition.resource_version}
    return _ENCODER.encode(
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": metadata,
            "addressType": endpoint_slice.address_type,
            "endpoints": [_endpoint(each) for each in endpoint_slice.endpoints],
            "ports": [_port(each) for each in endpoint_slice.ports],
        }
    )


def _metadata(metadata: ObjectMeta) -> EncodedObject:
    """Metadata without empty fields. A PUT without the additions of others would remove them."""
    additions = metadata.additions or _NO_ADDITIONS
    fields = {
        "namespace": metadata.namespace,
        "uid": metadata.uid,
        "resourceVersion": metadata.resource_version,
        "generation": metadata.generation,
        "creationTimestamp": metadata.creation_timestamp,
        "deletionTimestamp": metadata.deletion_timestamp,
        "labels": dict(metadata.labels + additions.labels),
        "annotations": dict(metadata.annotations + additions.annotations),
        "ownerReferences": [_owner(each) for each in metadata.owner_references],
        "finalizers": additions.finalizers,
    }
    return {"name": metadata.name, **{key: value for key, value in fields.items() if value}}


def _owner(owner: OwnerReference) -> EncodedObject:
    content: EncodedObject = {
        "apiVersion": owner.api_version,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
    }
    return content | _present(
        controller=owner.controller, blockOwnerDeletion=owner.block_owner_deletion
    )


def _endpoint(endpoint: Endpoint) -> EncodedObject:
    content: EncodedObject = {
        "addresses": endpoint.addresses,
        "conditions": _CONDITIONS[endpoint.conditions],
    }
    if endpoint.hostname is not None:
        content["hostname"] = endpoint.hostname
    if endpoint.target_ref is not None:
        content["targetRef"] = _reference(endpoint.target_ref)
    if endpoint.node_name is not None:
        content["nodeName"] = endpoint.node_name
    if endpoint.zone is not None:
        content["zone"] = endpoint.zone
    if endpoint.hints is not None:
        content["hints"] = _hints(endpoint.hints)
    return content


def _hints(hints: EndpointHints) -> EncodedObject:
    both = {"forZones": hints.for_zones, "forNodes": hints.for_nodes}
    return {key: [{"name": name} for name in names] for key, names in both.items() if names}


def _reference(reference: ObjectReference) -> EncodedObject:
    fields = {
        "kind": reference.kind,
        "namespace": reference.namespace,
        "name": reference.name,
        "uid": reference.uid,
    }
    return {key: value for key, value in fields.items() if value}


def _port(port: EndpointPort) -> EncodedObject:
    content: EncodedObject = {"name": port.name, "protocol": port.protocol}
    return content | _present(port=port.port, appProtocol=port.app_protocol)


def _present(**fields: object) -> EncodedObject:
    return {key: value for key, value in fields.items() if value is not None}


_ENCODER: Final = msgspec.json.Encoder()

_NO_ADDITIONS: Final = Additions()

_CONDITIONS: Final = {
    conditions: _present(
        ready=conditions.ready, serving=conditions.serving, terminating=conditions.terminating
    )
    for conditions in CONDITIONS.values()
}
