"""A small synchronous client for the Kubernetes API that works on JSON objects."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

Manifest = dict[str, Any]

ADMISSION: Final = "/apis/admissionregistration.k8s.io/v1"
# resource -> (root of its API group, kind)
RESOURCES: Final[Mapping[str, tuple[str, str]]] = {
    "namespaces": ("/api/v1", "Namespace"),
    "nodes": ("/api/v1", "Node"),
    "pods": ("/api/v1", "Pod"),
    "secrets": ("/api/v1", "Secret"),
    "configmaps": ("/api/v1", "ConfigMap"),
    "services": ("/api/v1", "Service"),
    "resourcequotas": ("/api/v1", "ResourceQuota"),
    "events": ("/api/v1", "Event"),
    "serviceaccounts": ("/api/v1", "ServiceAccount"),
    "endpointslices": ("/apis/discovery.k8s.io/v1", "EndpointSlice"),
    "deployments": ("/apis/apps/v1", "Deployment"),
    "leases": ("/apis/coordination.k8s.io/v1", "Lease"),
    "clusterlinks": ("/apis/svclink.cloudpilot.ai/v1alpha1", "ClusterLink"),
    "trafficpolicies": ("/apis/svclink.cloudpilot.ai/v1alpha1", "TrafficPolicy"),
    "clusterroles": ("/apis/rbac.authorization.k8s.io/v1", "ClusterRole"),
    "clusterrolebindings": ("/apis/rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
    "roles": ("/apis/rbac.authorization.k8s.io/v1", "Role"),
    "validatingadmissionpolicies": (ADMISSION, "ValidatingAdmissionPolicy"),
    "validatingadmissionpolicybindings": (ADMISSION, "ValidatingAdmissionPolicyBinding"),
    "rolebindings": ("/apis/rbac.authorization.k8s.io/v1", "RoleBinding"),
}
RESOURCE_OF_KIND: Final = {kind: resource for resource, (_, kind) in RESOURCES.items()}

# Errors of a request on a kept-alive connection that the server closed after the request before.
CLOSED_WHILE_IDLE: Final = (ConnectionError, http.client.BadStatusLine, ssl.SSLEOFError)


class ApiError(Exception):
    """The API server rejected a request.

    Args:
        status: HTTP status.
        body: Body of the response, usually a Status object.
    """

    def __init__(self, status: int, body: str) -> None:
        try:
            answer = json.loads(body)
        except ValueError:
            answer = {"message": body[:200]}
        self.status = status
        self.reason = str(answer.get("reason", ""))
        super().__init__(f"{status} {self.reason}: {answer.get('message', '')}")


class Api:
    """One API server, accessed by one user. Not thread-safe."""

    def __init__(self, server: str, context: ssl.SSLContext, token: str | None = None) -> None:
        self._host = urlsplit(server).netloc
        self._context = context
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._connection: http.client.HTTPSConnection | None = None

    def get(self, resource: str, name: str, namespace: str | None = None) -> Manifest:
        return self.request("GET", path_of(resource, name, namespace))

    def find(
        self, resource: str, namespace: str | None = None, labels: Mapping[str, str] | None = None
    ) -> list[Manifest]:
        """List objects; without a namespace in all namespaces, and without labels all of them."""
        selector = ",".join(f"{label}={value}" for label, value in (labels or {}).items())
        query = "?" + urlencode({"labelSelector": selector}) if selector else ""
        items: list[Manifest] = self.request("GET", path_of(resource, None, namespace) + query)[
            "items"
        ]
        return items

    def create(self, obj: Manifest) -> Manifest:
        return self.request(
            "POST",
            path_of(RESOURCE_OF_KIND[obj["kind"]], None, obj["metadata"].get("namespace")),
            obj,
        )

    def replace(self, obj: Manifest) -> Manifest:
        meta = obj["metadata"]
        return self.request(
            "PUT", path_of(RESOURCE_OF_KIND[obj["kind"]], meta["name"], meta.get("namespace")), obj
        )

    def patch(
        self,
        resource: str,
        name: str,
        namespace: str | None,
        changes: Manifest,
        subresource: str = "",
    ) -> Manifest:
        """Send a JSON merge patch: objects are merged, lists replaced, and None removes a field."""
        path = path_of(resource, name, namespace) + (f"/{subresource}" if subresource else "")
        return self.request("PATCH", path, changes, "application/merge-patch+json")

    def delete(self, resource: str, name: str, namespace: str | None = None) -> None:
        self.request("DELETE", path_of(resource, name, namespace))

    def request(
        self,
        method: str,
        path: str,
        body: Manifest | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        """Send one request and return the object in the response.

        Raises:
            ApiError: the API server rejected the request.
            OSError: the API server did not respond.
        """
        status, text = self._exchange(
            method, path, None if body is None else json.dumps(body), content_type
        )
        if status >= 300:
            raise ApiError(status, text)
        answer: Manifest = json.loads(text) if text.startswith("{") else {"text": text}
        return answer

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _exchange(
        self, method: str, path: str, body: str | None, content_type: str
    ) -> tuple[int, str]:
        reused = self._connection is not None
        try:
            return self._send(method, path, body, content_type)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if not (reused and isinstance(error, CLOSED_WHILE_IDLE)):
                raise OSError(f"{method} {path}: {error!r}") from error
        return self._exchange(method, path, body, content_type)

    def _send(self, method: str, path: str, body: str | None, content_type: str) -> tuple[int, str]:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(
                self._host, timeout=30, context=self._context
            )
        headers = self._headers | ({"Content-Type": content_type} if body is not None else {})
        self._connection.request(method, path, body, headers)
        with self._connection.getresponse() as response:
            return response.status, response.read().decode()


def path_of(resource: str, name: str | None = None, namespace: str | None = None) -> str:
    """The URL path of an object or, without a name, of a collection."""
    parts = [RESOURCES[resource][0]]
    if namespace is not None:
        parts += ["namespaces", namespace]
    parts.append(resource)
    if name is not None:
        parts.append(name)
    return "/".join(parts)
