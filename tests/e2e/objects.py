"""Kubernetes objects as the tests create them."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from .api_client import Object

LABEL_SERVICE: Final = "kubernetes.io/service-name"
LABEL_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
LABEL_CLUSTER: Final = "svclink.cloudpilot.ai/cluster"
ANNOTATION_SOURCE: Final = "svclink.cloudpilot.ai/source-slice"
MANAGED_BY_SVCLINK: Final = "svclink.cloudpilot.ai"
MANAGED_BY_KUBERNETES: Final = "endpointslice-controller.k8s.io"


def port(name: str, number: int, protocol: str = "TCP", **fields: Any) -> Object:
    """A port of a Service or of an EndpointSlice."""
    return {"name": name, "port": number, "protocol": protocol} | fields


def service(
    namespace: str, name: str, ports: Sequence[Object] | None = None, **spec: Any
) -> Object:
    """A Service without a selector, with the port `http` unless told otherwise."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [port("http", 80)] if ports is None else list(ports)} | spec,
    }


def endpoint(address: str, *, ready: bool | None = True, **fields: Any) -> Object:
    """One endpoint; `ready=None` leaves all conditions open, which Kubernetes takes for ready."""
    conditions = {} if ready is None else {"ready": ready, "serving": ready, "terminating": False}
    return {"addresses": [address], "conditions": conditions} | fields


def endpoints(*addresses: str) -> list[Object]:
    return [endpoint(address) for address in addresses]


def endpoint_slice(
    namespace: str,
    service_name: str,
    members: Sequence[Object],
    *,
    name: str | None = None,
    ports: Sequence[Object] | None = None,
    address_type: str = "IPv4",
    labels: Object | None = None,
) -> Object:
    """An EndpointSlice as the endpointslice controller writes it."""
    mandatory = {LABEL_SERVICE: service_name, LABEL_MANAGED_BY: MANAGED_BY_KUBERNETES}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or slice_name(service_name),
            "namespace": namespace,
            "labels": mandatory | (labels or {}),
        },
        "addressType": address_type,
        "endpoints": list(members),
        "ports": [port("http", 8080)] if ports is None else list(ports),
    }


def slice_name(service_name: str) -> str:
    """The usual name of an EndpointSlice: that of the Service and five letters."""
    return f"{service_name}-x7k2p"


def cluster_link(name: str, kubeconfig: str, **spec: Any) -> Object:
    """A ClusterLink; the kubeconfig is given as text."""
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "ClusterLink",
        "metadata": {"name": name},
        "spec": {"kubeconfig": encoded(kubeconfig)} | spec,
    }


def encoded(text: str) -> str:
    """As `spec.kubeconfig` and the data of Secrets are written."""
    return base64.b64encode(text.encode()).decode()
