"""The permissions that svclink needs. Tests compare manifests and commands with this list."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from svclink_core.codec import Json
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM


@frozen
class Permission:
    """Verbs on one resource of one API group, limited to the objects `names` (empty: all).

    `effect` says what is wrong without them, if svclink works all the same.
    """

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()
    effect: str = ""

    @property
    def rule(self) -> dict[str, Json]:
        """The same as a rule of a Role or ClusterRole (rbac/v1 PolicyRule)."""
        rule: dict[str, Json] = {
            "apiGroups": [self.group],
            "resources": [self.resource],
            "verbs": list(self.verbs),
        }
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


API_SERVER_CALLERS: Final = tuple(
    Permission(
        group,
        resource,
        ("list", "watch"),
        effect="Services that the API server calls are mirrored too",
    )
    for group, resource in (
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations"),
        ("apiregistration.k8s.io", "apiservices"),
        ("apiextensions.k8s.io", "customresourcedefinitions"),
    )
)
"""In the main cluster: what makes its API server call Services."""

MAIN_PERMISSIONS: Final = (
    Permission("", "services", ("list", "watch", "create")),
    Permission("", "namespaces", ("get", "list", "watch", "create")),
    Permission(
        "discovery.k8s.io", "endpointslices", ("list", "watch", "create", "update", "delete")
    ),
    Permission("svclink.cloudpilot.ai", "clusterlinks", ("list", "watch")),
    Permission("svclink.cloudpilot.ai", "clusterlinks/status", ("patch",)),
    Permission("svclink.cloudpilot.ai", "trafficpolicies", ("list", "watch")),
    Permission("svclink.cloudpilot.ai", "trafficpolicies/status", ("patch",)),
    Permission("", "events", ("create", "patch")),
    *API_SERVER_CALLERS,
)
"""In the main cluster."""

OWN_NAMESPACE: Final = (
    Permission("coordination.k8s.io", "leases", ("get", "create", "update")),
    Permission("", "secrets", ("list", "watch")),
)
"""In the main cluster, in the controller's namespace."""

REMOTE_MIRRORED: Final = (
    Permission("", "services", ("list", "watch")),
    Permission("discovery.k8s.io", "endpointslices", ("list", "watch")),
)
"""In a remote cluster, or in each namespace that its link includes."""

REMOTE_NAMESPACES: Final = (Permission("", "namespaces", ("list", "watch")),)
"""In a remote cluster whose link selects namespaces by their labels."""

REMOTE_IDENTITY: Final = (Permission("", "namespaces", ("get",), (NAMESPACE_KUBE_SYSTEM,)),)
"""In a remote cluster, or in its namespace kube-system, whose uid identifies the cluster."""
