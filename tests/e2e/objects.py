"""JSON objects that the tests create."""

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
    """A Service without a selector; by default with the port `http`."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [port("http", 80)] if ports is None else list(ports)} | spec,
    }


def endpoint(address: str, *, ready: bool | None = True, **fields: Any) -> Object:
    """One endpoint; `ready=None` omits all conditions, which Kubernetes treats as ready."""
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
    """An EndpointSlice like those that the endpointslice controller writes."""
    mandatory = {LABEL_SERVICE: service_name, LABEL_MANAGED_BY: MANAGED_BY_KUBERNETES}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": name or usual_slice_name(service_name),
            "namespace": namespace,
            "labels": mandatory | (labels or {}),
        },
        "addressType": address_type,
        "endpoints": list(members),
        "ports": [port("http", 8080)] if ports is None else list(ports),
    }


def usual_slice_name(service_name: str) -> str:
    """The usual name of an EndpointSlice: the name of the Service and five random characters."""
    return f"{service_name}-x7k2p"


def cluster_link(name: str, kubeconfig: str, **spec: Any) -> Object:
    """A ClusterLink with this kubeconfig, given as text."""
    return {
        "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
        "kind": "ClusterLink",
        "metadata": {"name": name},
        "spec": {"kubeconfig": encoded(kubeconfig)} | spec,
    }


def encoded(text: str) -> str:
    """Encode text for `spec.kubeconfig` or the data of a Secret."""
    return base64.b64encode(text.encode()).decode()
