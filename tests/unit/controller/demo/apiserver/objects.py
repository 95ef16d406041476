"""Objects as a user writes them."""

from __future__ import annotations

from typing import Any

from svclink_controller.demo.apiserver.kinds import BUILT_IN, Kind
from svclink_controller.demo.apiserver.refusals import Object


def kind_of(name: str) -> Kind:
    """The built-in kind of a name."""
    return next(kind for kind in BUILT_IN if kind.name == name)


def service(name: str = "web", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"ports": [{"name": "http", "port": 80}]} | spec}


def endpoint_slice(*addresses: str, name: str = "web-abc", **fields: Any) -> Object:
    endpoints = [{"addresses": [address]} for address in addresses]
    meta = {"name": name, "labels": {"kubernetes.io/service-name": "web"}}
    ports = [{"name": "http", "port": 8080}]
    return {"metadata": meta, "addressType": "IPv4", "endpoints": endpoints, "ports": ports} | fields


def owned_by(owner: Object, item: Object) -> Object:
    meta = owner["metadata"]
    reference = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}
    return item | {"metadata": item["metadata"] | {"ownerReferences": [reference]}}


def cluster_link(name: str = "cluster-a", **spec: Any) -> Object:
    return {"metadata": {"name": name}, "spec": {"kubeconfig": "YQ=="} | spec}
