"""Objects as a user would write them: without a namespace, which the path of the request has."""

from __future__ import annotations

from typing import Any

from svclink_controller.demo.apiserver.resource_types import BUILT_IN, ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject
from tests.builders import manifests


def type_of(kind: str) -> ResourceType:
    """Return the built-in type of a kind."""
    return next(each for each in BUILT_IN if each.kind == kind)


def service(name: str = "web", **spec: Any) -> JsonObject:
    return _without_namespace(manifests.service(name, **spec))


def endpoint_slice(*addresses: str, name: str = "web-abc", **fields: Any) -> JsonObject:
    """Return a slice of the Service web, with an endpoint without conditions for each address."""
    endpoints = [manifests.endpoint(address, ready=None) for address in addresses]
    return _without_namespace(manifests.endpoint_slice(name, endpoints=endpoints)) | fields


def owned_by(owner: JsonObject, item: JsonObject) -> JsonObject:
    meta = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}
    return item | {"metadata": item["metadata"] | {"ownerReferences": [reference]}}


def cluster_link(name: str = "cluster-a", **spec: Any) -> JsonObject:
    return manifests.cluster_link(name, **{"kubeconfig": "YQ=="} | spec)


def _without_namespace(item: JsonObject) -> JsonObject:
    del item["metadata"]["namespace"]
    return item
