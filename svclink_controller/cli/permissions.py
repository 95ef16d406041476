"""What svclink asks for: the verbs it uses and none besides. Manifests and commands are held to this by tests."""

from __future__ import annotations

from typing import Final

from attrs import frozen

from svclink_core.codec import Json
from svclink_core.well_known import NAMESPACE_KUBE_SYSTEM


@frozen
class Permission:
    """Verbs on one resource of one API group; `names` (empty: all) says on which objects."""

    group: str
    resource: str
    verbs: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def rule(self) -> dict[str, Json]:
        """As a Role or ClusterRole has it (rbac/v1 PolicyRule)."""
        rule: dict[str, Json] = {
            "apiGroups": [self.group],
            "resources": [self.resource],
            "verbs": list(self.verbs),
        }
        return rule | ({"resourceNames": list(self.names)} if self.names else {})


MAIN_PERMISSIONS: Final = (
    Permission("", "services", ("list", "watch", "create")),
    Permission("", "namespaces", ("get", "list", "watch", "create")),
    Permission(
        "discovery.k8s.io", "endpointslices", ("list", "watch", "create", "update", "delete")
    ),
    Permission("svclink.cloudpilot.ai", "clusterlinks", ("list", "watch")),
    Permission("svclink.cloudpilot.ai", "clusterlinks/status", ("patch",)),
    Permission("", "events", ("create", "patch")),
)
"""In the main cluster."""

OWN_NAMESPACE: Final = (
    Permission("coordination.k8s.io", "leases", ("get", "create", "update")),
    Permission("", "secrets", ("list", "watch")),
)
"""In the main cluster, in the namespace of the controller."""

REMOTE_MIRRORED: Final = (
    Permission("", "services", ("list", "watch")),
    Permission("discovery.k8s.io", "endpointslices", ("list", "watch")),
)
"""In a remote cluster, or in each of the namespaces a link names."""

REMOTE_IDENTITY: Final = (Permission("", "namespaces", ("get",), (NAMESPACE_KUBE_SYSTEM,)),)
"""In a remote cluster, or in its namespace kube-system, whose uid tells clusters apart."""
