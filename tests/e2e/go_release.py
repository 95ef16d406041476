"""A stand-in for the Go release of svclink: its CRD, its ClusterLinks and its EndpointSlices.

Its CRD is namespaced; in the status it has `phase`, `version` and the conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from svclink_core.well_known import (
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.manifests import Manifest, cluster_link, encoded, port

from .api_client import Api
from .world import endpoints

_STRINGS: Final = {"type": "array", "items": {"type": "string"}}
_CONDITION: Final = {
    "type": "object",
    "required": ["lastTransitionTime", "message", "reason", "status", "type"],
    "properties": {
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "message": {"type": "string", "maxLength": 32768},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
        "reason": {
            "type": "string",
            "minLength": 1,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "type": {"type": "string", "maxLength": 316},
    },
}
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        "spec": {
            "type": "object",
            "properties": {
                "enabled": {"type": "boolean", "default": True},
                "kubeconfig": {"type": "string"},
                "includedNamespaces": _STRINGS,
                "excludedNamespaces": _STRINGS,
                "excludedServices": _STRINGS,
                "excludedServiceNames": _STRINGS,
            },
        },
        "status": {
            "type": "object",
            "properties": {
                "phase": {"type": "string"},
                "version": {"type": "string"},
                "conditions": {"type": "array", "items": _CONDITION},
            },
        },
    },
}
CRD: Final[Manifest] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "clusterlinks.svclink.cloudpilot.ai"},
    "spec": {
        "group": "svclink.cloudpilot.ai",
        "scope": "Namespaced",
        "names": {"kind": "ClusterLink", "plural": "clusterlinks", "singular": "clusterlink"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": _SCHEMA},
                "additionalPrinterColumns": [
                    {"name": "Enabled", "type": "boolean", "jsonPath": ".spec.enabled"},
                    {"name": "Version", "type": "string", "jsonPath": ".status.version"},
                    {"name": "Status", "type": "string", "jsonPath": ".status.phase"},
                    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
                ],
            }
        ],
    },
}


def link(namespace: str, name: str, kubeconfig: str, **spec: Any) -> Manifest:
    """A ClusterLink of the Go release."""
    metadata = {"namespace": namespace}
    return cluster_link(
        name, metadata=metadata, enabled=True, kubeconfig=encoded(kubeconfig), **spec
    )


def slice_name(service: str, cluster: str) -> str:
    """The name that the Go release gives to its slice of a Service and cluster."""
    return f"{service}-svclink-{cluster}"


def sync(main: Api, namespace: str, service: str, cluster: str, addresses: Sequence[str]) -> None:
    """Sync one Service as the Go release does: write a slice with these addresses.

    A slice that already has the name is overwritten.
    """
    name = slice_name(service, cluster)
    body: Manifest = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "labels": {
                LABEL_SERVICE_NAME: service,
                LABEL_GO_CLUSTER: cluster,
                LABEL_MANAGED_BY: MANAGED_BY,
            },
        },
        "addressType": "IPv4",
        "endpoints": endpoints(*addresses),
        "ports": [port("http", 8080)],
    }
    existing = {each["metadata"]["name"] for each in main.find("endpointslices", namespace)}
    if name in existing:
        main.patch("endpointslices", name, namespace, body)
    else:
        main.create(body)
