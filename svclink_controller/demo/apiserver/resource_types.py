"""The kinds of objects the API server knows, and how it tells clients of them (discovery and OpenAPI)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from attrs import field, frozen

from svclink_controller.demo.apiserver.status_errors import JsonObject

SERVER_VERSION: Final[JsonObject] = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+svclink-demo",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "python",
}
VERBS: Final = ["create", "delete", "get", "list", "patch", "update", "watch"]


@frozen
class ResourceType:
    """A kind of objects and where they are served.

    Args:
        conditional_update: Whether an update must carry a resourceVersion.
        definition: The version of a CustomResourceDefinition it comes from; None for what is built in.
    """

    group: str
    version: str
    name: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = False
    conditional_update: bool = False
    definition: JsonObject | None = field(default=None, eq=False)

    @property
    def api_version(self) -> str:
        """As in the `apiVersion` of an object."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name that does not depend on the version: `services`, `endpointslices.discovery.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The path of its API group and version, without the first slash."""
        return f"apis/{self.group}/{self.version}" if self.group else f"api/{self.version}"


RBAC_GROUP: Final = "rbac.authorization.k8s.io"

BUILT_IN: Final = (
    ResourceType("", "v1", "Namespace", "namespaces", ("ns",), namespaced=False, has_status=True),
    ResourceType("", "v1", "Service", "services", ("svc",), has_status=True),
    ResourceType("", "v1", "Secret", "secrets"),
    ResourceType("", "v1", "ConfigMap", "configmaps", ("cm",)),
    ResourceType("", "v1", "ServiceAccount", "serviceaccounts", ("sa",)),
    ResourceType("", "v1", "Event", "events", ("ev",)),
    ResourceType("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    ResourceType("coordination.k8s.io", "v1", "Lease", "leases", conditional_update=True),
    ResourceType("apps", "v1", "Deployment", "deployments", ("deploy",), has_status=True),
    ResourceType("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", ("pdb",), has_status=True),
    ResourceType(RBAC_GROUP, "v1", "Role", "roles"),
    ResourceType(RBAC_GROUP, "v1", "RoleBinding", "rolebindings"),
    ResourceType(RBAC_GROUP, "v1", "ClusterRole", "clusterroles", namespaced=False),
    ResourceType(RBAC_GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    ResourceType(
        "apiextensions.k8s.io", "v1", "CustomResourceDefinition", "customresourcedefinitions", ("crd", "crds"),
        namespaced=False, has_status=True, conditional_update=True,
    ),
    ResourceType("authorization.k8s.io", "v1", "SelfSubjectAccessReview", "selfsubjectaccessreviews", namespaced=False),
)  # fmt: skip

CUSTOM_RESOURCE_DEFINITIONS: Final = next(
    kind for kind in BUILT_IN if kind.name == "CustomResourceDefinition"
)
NAMESPACE_TYPE: Final = BUILT_IN[0]
SERVICE_ACCOUNTS: Final = next(kind for kind in BUILT_IN if kind.name == "ServiceAccount")
ACCESS_REVIEW: Final = "selfsubjectaccessreviews"


def defined_by(definition: JsonObject) -> list[ResourceType]:
    """The kinds that a CustomResourceDefinition adds: one for each served version."""
    spec = definition["spec"]
    names = spec["names"]
    return [
        ResourceType(
            spec["group"],
            version["name"],
            names["kind"],
            names["plural"],
            tuple(names.get("shortNames") or ()),
            namespaced=spec["scope"] == "Namespaced",
            has_status="status" in (version.get("subresources") or {}),
            conditional_update=True,
            definition=version,
        )
        for version in spec["versions"]
        if version.get("served")
    ]


def discover(path: str, kinds: Iterable[ResourceType]) -> JsonObject | None:
    """The document at a path that tells clients what there is; None where the path is no such one."""
    known = list(kinds)
    parts = path.strip("/").split("/")
    if parts == ["version"]:
        return SERVER_VERSION
    match parts:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            groups = dict.fromkeys(kind.group for kind in known if kind.group)
            return {
                "kind": "APIGroupList",
                "apiVersion": "v1",
                "groups": [_group(name, known) for name in groups],
            }
        case ["apis", group] if any(kind.group == group for kind in known):
            return {"kind": "APIGroup", "apiVersion": "v1"} | _group(group, known)
        case ["openapi", "v3", *root]:
            return _openapi(known, "/".join(root))
        case _:
            return _resources([kind for kind in known if kind.root == "/".join(parts)])


def _group(name: str, kinds: list[ResourceType]) -> JsonObject:
    versions = dict.fromkeys(
        (kind.api_version, kind.version) for kind in kinds if kind.group == name
    )
    listed = [{"groupVersion": full, "version": version} for full, version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _resources(kinds: list[ResourceType]) -> JsonObject | None:
    if not kinds:
        return None
    resources: list[JsonObject] = []
    for kind in kinds:
        common = {"namespaced": kind.namespaced, "kind": kind.name}
        names = {
            "name": kind.plural,
            "singularName": kind.name.lower(),
            "shortNames": list(kind.short_names),
        }
        resources.append(
            common | names | {"verbs": ["create"] if kind.plural == ACCESS_REVIEW else VERBS}
        )
        if kind.has_status:
            status = {
                "name": f"{kind.plural}/status",
                "singularName": "",
                "verbs": ["get", "patch", "update"],
            }
            resources.append(common | status)
    group_version = kinds[0].api_version
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version,
        "resources": resources,
    }


def _openapi(kinds: list[ResourceType], root: str) -> JsonObject | None:
    """The index; or schemas of custom resources, and what makes kubectl leave validation to the server (KEP-2885)."""
    if not root:
        return {
            "paths": {
                kind.root: {"serverRelativeURL": f"/openapi/v3/{kind.root}"} for kind in kinds
            }
        }
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {}
    for kind in (kind for kind in kinds if kind.root == root):
        named = {"group": kind.group, "version": kind.version, "kind": kind.name}
        parameters = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
        patch = {
            "parameters": parameters,
            "responses": {},
            "x-kubernetes-group-version-kind": named,
        }
        prefix = "namespaces/{namespace}/" if kind.namespaced else ""
        paths[f"/{kind.root}/{prefix}{kind.plural}/{{name}}"] = {"patch": patch}
        if kind.definition is not None:
            schema = {"x-kubernetes-group-version-kind": [named]}
            schemas[f"{kind.group}.{kind.name}"] = (
                kind.definition["schema"]["openAPIV3Schema"] | schema
            )
    if not paths:
        return None
    info = {"title": "Kubernetes", "version": SERVER_VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
