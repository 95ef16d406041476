"""The resource types that the API server serves: built-in ones and custom resources."""

from __future__ import annotations

from typing import Final

from attrs import field, frozen

from svclink_controller.demo.apiserver.status_errors import JsonObject

RBAC_GROUP: Final = "rbac.authorization.k8s.io"
ADMISSION_GROUP: Final = "admissionregistration.k8s.io"
ACCESS_REVIEW: Final = "selfsubjectaccessreviews"


@frozen
class ResourceType:
    """A kind of object, and where it is served.

    Args:
        conditional_update: Whether an update must carry a resourceVersion.
        definition: The version in the CustomResourceDefinition; None for a built-in type.
    """

    group: str
    version: str
    kind: str
    plural: str
    short_names: tuple[str, ...] = ()
    namespaced: bool = True
    has_status: bool = False
    conditional_update: bool = False
    definition: JsonObject | None = field(default=None, eq=False)

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name without a version, for example `endpointslices.discovery.k8s.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def root(self) -> str:
        """The path of its API version, without the leading slash."""
        return f"apis/{self.group}/{self.version}" if self.group else f"api/{self.version}"


NAMESPACE_TYPE: Final = ResourceType(
    "", "v1", "Namespace", "namespaces", ("ns",), namespaced=False, has_status=True
)
SERVICE_TYPE: Final = ResourceType("", "v1", "Service", "services", ("svc",), has_status=True)
SERVICE_ACCOUNT_TYPE: Final = ResourceType("", "v1", "ServiceAccount", "serviceaccounts", ("sa",))
CLUSTER_ROLE_TYPE: Final = ResourceType(
    RBAC_GROUP, "v1", "ClusterRole", "clusterroles", namespaced=False
)
DEFINITION_TYPE: Final = ResourceType(
    "apiextensions.k8s.io",
    "v1",
    "CustomResourceDefinition",
    "customresourcedefinitions",
    ("crd", "crds"),
    namespaced=False,
    has_status=True,
    conditional_update=True,
)

BUILT_IN: Final = (
    NAMESPACE_TYPE,
    SERVICE_TYPE,
    ResourceType("", "v1", "Secret", "secrets"),
    ResourceType("", "v1", "ConfigMap", "configmaps", ("cm",)),
    SERVICE_ACCOUNT_TYPE,
    ResourceType("", "v1", "Event", "events", ("ev",)),
    ResourceType("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
    ResourceType("coordination.k8s.io", "v1", "Lease", "leases", conditional_update=True),
    ResourceType("apps", "v1", "Deployment", "deployments", ("deploy",), has_status=True),
    ResourceType(
        "policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets", ("pdb",), has_status=True
    ),
    ResourceType(RBAC_GROUP, "v1", "Role", "roles"),
    ResourceType(RBAC_GROUP, "v1", "RoleBinding", "rolebindings"),
    CLUSTER_ROLE_TYPE,
    ResourceType(RBAC_GROUP, "v1", "ClusterRoleBinding", "clusterrolebindings", namespaced=False),
    DEFINITION_TYPE,
    ResourceType(
        ADMISSION_GROUP,
        "v1",
        "ValidatingWebhookConfiguration",
        "validatingwebhookconfigurations",
        namespaced=False,
    ),
    ResourceType(
        ADMISSION_GROUP,
        "v1",
        "MutatingWebhookConfiguration",
        "mutatingwebhookconfigurations",
        namespaced=False,
    ),
    ResourceType(
        "apiregistration.k8s.io",
        "v1",
        "APIService",
        "apiservices",
        namespaced=False,
        has_status=True,
        conditional_update=True,
    ),
    ResourceType(
        "authorization.k8s.io", "v1", "SelfSubjectAccessReview", ACCESS_REVIEW, namespaced=False
    ),
)


def defined_by(definition: JsonObject) -> list[ResourceType]:
    """Return the resource types of a CustomResourceDefinition, one per served version."""
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
