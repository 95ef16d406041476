"""Objects as a user would write them."""

from __future__ import annotations

from typing import Any

from svclink_controller.demo.apiserver.resource_types import BUILT_IN, ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject


def type_of(kind: str) -> ResourceType:
    """Return the built-in type of a kind."""
    return next(each for each in BUILT_IN if each.kind == kind)


def service(name: str = "web", **spec: Any) -> JsonObject:
    return {"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}]} | spec}


def endpoint_slice(*addresses: str, name: str = "web-abc", **fields: Any) -> JsonObject:
    endpoints = [{"addresses": [address]} for address in addresses]
    meta = {"name": name, "labels": {"kubernetes.io/service-name": "web"}}
    ports = [{"name": "http", "port": 8080}]
    return {
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    } | fields


def owned_by(owner: JsonObject, item: JsonObject) -> JsonObject:
    meta = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}
    return item | {"metadata": item["metadata"] | {"ownerReferences": [reference]}}


def cluster_link(name: str = "cluster-a", **spec: Any) -> JsonObject:
    return {"metadata": {"name": name}, "spec": {"kubeconfig": "YQ=="} | spec}
