"""RBAC objects: roles, bindings and their subjects, and what an API server makes of them.

An API server sees a changed role or binding after a moment, because it watches them. A test that
depends on the change waits for `may` to answer accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tests.builders.manifests import Manifest

from .api_client import Api

RBAC_GROUP: Final = "rbac.authorization.k8s.io"
DISCOVERY_GROUP: Final = "discovery.k8s.io"
RBAC: Final = f"{RBAC_GROUP}/v1"


def user(name: str) -> Manifest:
    return {"apiGroup": RBAC_GROUP, "kind": "User", "name": name}


def group(name: str) -> Manifest:
    return {"apiGroup": RBAC_GROUP, "kind": "Group", "name": name}


def service_account(name: str, namespace: str) -> Manifest:
    return {"kind": "ServiceAccount", "name": name, "namespace": namespace}


def grant(
    api: Api, name: str, rules: Sequence[object], subject: Manifest, namespace: str | None = None
) -> None:
    """Create a role with these rules and a binding of the same name for the subject."""
    create_role(api, name, rules, namespace)
    bind(api, name, name, subject, namespace)


def create_role(api: Api, name: str, rules: Sequence[object], namespace: str | None = None) -> None:
    """Create a Role or, without a namespace, a ClusterRole."""
    kind = "Role" if namespace else "ClusterRole"
    metadata = _metadata(name, namespace)
    api.create({"apiVersion": RBAC, "kind": kind, "metadata": metadata, "rules": list(rules)})


def bind(api: Api, name: str, role: str, subject: Manifest, namespace: str | None = None) -> None:
    """Create a RoleBinding or, without a namespace, a ClusterRoleBinding."""
    kind = "Role" if namespace else "ClusterRole"
    api.create(
        {
            "apiVersion": RBAC,
            "kind": f"{kind}Binding",
            "metadata": _metadata(name, namespace),
            "roleRef": {"apiGroup": RBAC_GROUP, "kind": kind, "name": role},
            "subjects": [subject],
        }
    )


def may(
    api: Api,
    username: str,
    verb: str,
    resource: str,
    namespace: str = "",
    name: str = "",
    *,
    groups: Sequence[str] = (),
) -> bool:
    """Whether the API server allows a request of this user, who is a member of these groups."""
    group = DISCOVERY_GROUP if resource == "endpointslices" else ""
    attributes = {
        "verb": verb,
        "resource": resource,
        "group": group,
        "namespace": namespace,
        "name": name,
    }
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": username, "groups": [*groups], "resourceAttributes": attributes},
    }
    answer = api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", review)
    return bool(answer["status"]["allowed"])


def _metadata(name: str, namespace: str | None) -> Manifest:
    return {"name": name} | ({"namespace": namespace} if namespace else {})
