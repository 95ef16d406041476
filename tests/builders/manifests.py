"""Builders of JSON objects: as a user writes them, or as an API server returns them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, TypeAlias

from svclink_core.well_known import (
    ANNOTATION_SOURCE_SLICE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.keys import WEB, Key, key_of

Manifest: TypeAlias = dict[str, Any]

MANAGED_BY_KUBERNETES: Final = "endpointslice-controller.k8s.io"

_SET_BY_API_SERVER: Final = {
    "type": "ClusterIP",
    "clusterIP": "10.96.0.1",
    "ipFamilies": ["IPv4", "IPv6"],
}


def port(name: str = "http", number: int = 80, protocol: str = "TCP", **fields: Any) -> Manifest:
    """A port of a Service or of an EndpointSlice."""
    return {"name": name, "port": number, "protocol": protocol, **fields}


def service(
    key: Key = WEB,
    *,
    version: str = "",
    uid: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    metadata: Manifest | None = None,
    **spec: Any,
) -> Manifest:
    """A Service that can be mirrored; `spec` fields are spelled as in the API."""
    key = key_of(key)
    known = _metadata(key.name, key.namespace, version, uid, labels, annotations, metadata)
    defaults = deepcopy(_SET_BY_API_SERVER) if version else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": known,
        "spec": {"ports": [port()], **defaults, **spec},
    }


def endpoint(*addresses: str, ready: bool | None = True, **fields: Any) -> Manifest:
    """An endpoint with address 10.0.0.1; `ready=None` leaves all conditions out."""
    conditions = {} if ready is None else {"ready": ready, "serving": ready, "terminating": False}
    return {"addresses": list(addresses or ("10.0.0.1",)), "conditions": conditions, **fields}


def endpoint_slice(
    name: str | None = None,
    *addresses: str,
    key: Key = WEB,
    version: str = "",
    endpoints: Iterable[Manifest] | None = None,
    ports: Iterable[Manifest] | None = None,
    address_type: str = "IPv4",
    labels: Mapping[str, str] | None = None,
    metadata: Manifest | None = None,
    **fields: Any,
) -> Manifest:
    """The EndpointSlice SERVICE-abc, as Kubernetes' own controller writes it.

    It has a ready endpoint for each address, or the endpoints given.
    """
    key = key_of(key)
    all_labels = {
        LABEL_SERVICE_NAME: key.name,
        LABEL_MANAGED_BY: MANAGED_BY_KUBERNETES,
        **(labels or {}),
    }
    name = name or f"{key.name}-abc"
    if endpoints is None:
        endpoints = map(endpoint, addresses or ("10.0.0.1",))
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": _metadata(name, key.namespace, version, None, all_labels, None, metadata),
        "addressType": address_type,
        "endpoints": list(endpoints),
        "ports": [port("http", 8080)] if ports is None else list(ports),
        **fields,
    }


def mirrored_slice(
    name: str | None = None,
    *addresses: str,
    key: Key = WEB,
    cluster: str = "c1",
    version: str = "7",
    **fields: Any,
) -> Manifest:
    """The mirror SERVICE-CLUSTER of `endpoint_slice()`, as the main cluster stores it."""
    key = key_of(key)
    owner = {
        "apiVersion": "v1",
        "kind": "Service",
        "name": key.name,
        "uid": f"uid-of-{key.name}",
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return endpoint_slice(
        name or f"{key.name}-{cluster}",
        *addresses,
        key=key,
        version=version,
        labels={LABEL_CLUSTER: cluster, LABEL_MANAGED_BY: MANAGED_BY},
        metadata={
            "annotations": {ANNOTATION_SOURCE_SLICE: f"{key.name}-abc"},
            "ownerReferences": [owner],
        },
        **fields,
    )


def cluster_link(
    name: str = "c1",
    *,
    version: str = "",
    uid: str | None = None,
    labels: Mapping[str, str] | None = None,
    metadata: Manifest | None = None,
    status: Manifest | None = None,
    **spec: Any,
) -> Manifest:
    """A ClusterLink; `spec` fields are spelled as in the API."""
    content = {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "ClusterLink",
        "metadata": _metadata(name, "", version, uid, labels, None, metadata),
        "spec": spec,
    }
    return content if status is None else {**content, "status": status}


def traffic_policy(
    key: Key = WEB,
    *clusters: Manifest,
    target: str | None = None,
    version: str = "",
    uid: str | None = None,
    status: Manifest | None = None,
    **spec: Any,
) -> Manifest:
    """A TrafficPolicy for the Service of its name; `spec` fields are spelled as in the API."""
    key = key_of(key)
    content = {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": _metadata(key.name, key.namespace, version, uid, None, None, None),
        "spec": {
            "targetRef": {"kind": "Service", "name": target or key.name},
            "clusters": list(clusters),
            **spec,
        },
    }
    return content if status is None else {**content, "status": status}


def namespace(name: str = "default", *, version: str = "", **metadata: Any) -> Manifest:
    """A Namespace."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": _metadata(name, "", version, None, None, None, metadata),
    }


def webhook_configuration(
    name: str = "hook",
    *keys: Key,
    kind: str = "ValidatingWebhookConfiguration",
    version: str = "",
    **client: Any,
) -> Manifest:
    """A webhook configuration that calls Service default/web, or the Services given."""
    webhooks = [
        {
            "name": f"{each.name}.example.com",
            "clientConfig": {
                "service": {"namespace": each.namespace, "name": each.name, "path": "/validate"},
                **client,
            },
            "rules": [],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }
        for each in map(key_of, keys or (WEB,))
    ]
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": _metadata(name, "", version, None, None, None, None),
        "webhooks": webhooks,
    }


def api_service(name: str = "v1.example.com", key: Key | None = WEB) -> Manifest:
    """An APIService that a Service serves, or (None) the API server itself."""
    named = None if key is None else key_of(key)
    service = None if named is None else {"namespace": named.namespace, "name": named.name}
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": name},
        "spec": {"group": "example.com", "version": "v1", "service": service},
    }


def definition(
    name: str = "widgets.example.com", key: Key = WEB, strategy: str = "Webhook"
) -> Manifest:
    """A CustomResourceDefinition whose versions a webhook converts, or with `None` nothing does."""
    service = {"namespace": key_of(key).namespace, "name": key_of(key).name}
    webhook = {"clientConfig": {"service": service}, "conversionReviewVersions": ["v1"]}
    conversion = {"strategy": strategy} | ({"webhook": webhook} if strategy == "Webhook" else {})
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": name},
        "spec": {"group": "example.com", "conversion": conversion},
    }


def secret(key: Key = "svclink/kubeconfig", *, version: str = "", **data: str) -> Manifest:
    """A Secret; the values of `data` are given as text."""
    key = key_of(key)
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(key.name, key.namespace, version, None, None, None, None),
        "data": {each: encoded(text) for each, text in data.items()},
    }


def object_list(*items: Manifest, version: str = "1", token: str | None = None) -> Manifest:
    """One page of a list. `token` is the `continue` of a page that is not the last one."""
    metadata = {"resourceVersion": version} | ({} if token is None else {"continue": token})
    return {"apiVersion": "v1", "kind": "List", "metadata": metadata, "items": list(items)}


def encoded(text: str) -> str:
    """Text in base64, as in `spec.kubeconfig` and in Secrets."""
    return base64.b64encode(text.encode()).decode()


def _metadata(
    name: str,
    namespace: str,
    version: str,
    uid: str | None,
    labels: Mapping[str, str] | None,
    annotations: Mapping[str, str] | None,
    more: Manifest | None,
) -> Manifest:
    """Metadata without empty fields. An object with a resourceVersion is stored and has a uid."""
    fields = {
        "namespace": namespace,
        "uid": uid or (f"uid-of-{name}" if version else ""),
        "resourceVersion": version,
        "labels": dict(labels or {}),
        "annotations": dict(annotations or {}),
    }
    return {
        "name": name,
        **{field: value for field, value in fields.items() if value},
        **(more or {}),
    }
