"""svclink.cloudpilot.ai/v1alpha1: ClusterLink, which declares one remote cluster."""

from __future__ import annotations

from typing import Final, Literal

from attrs import field, frozen

from svclink_core.cidrs import CIDRs
from svclink_core.meta_v1 import LabelSelector, ObjectMeta

ConditionStatus = Literal["True", "False", "Unknown"]
Phase = Literal["Ready", "NotReady", "Disabled", "Pending"]
UnreachableAction = Literal["Keep", "NotReady", "Remove"]


@frozen
class SecretKeyReference:
    """One key of a Secret in the controller's namespace."""

    name: str
    key: str = "kubeconfig"


@frozen
class UnreachablePolicy:
    """What happens to mirrors after their cluster has been unreachable for `after_seconds`."""

    action: UnreachableAction = "Keep"
    after_seconds: int = 300
    force: bool = False


@frozen
class ClusterLinkSpec:
    """Credentials for a remote cluster, and which of its Services to mirror.

    Exactly one of `kubeconfig` (base64) and `kubeconfig_secret_ref` is set. Empty
    `included_namespaces` and `allowed_cidrs` mean all. With `opt_in`, only Services with the
    annotation `mirror: "true"` are mirrored. If `drained`, its endpoints serve only Services that
    have no other ready endpoint.
    """

    enabled: bool = True
    kubeconfig: str | None = field(default=None, repr=False)
    kubeconfig_secret_ref: SecretKeyReference | None = None
    included_namespaces: tuple[str, ...] = ()
    excluded_namespaces: tuple[str, ...] = ()
    excluded_services: tuple[str, ...] = ()
    excluded_service_names: tuple[str, ...] = ()
    allowed_cidrs: CIDRs = field(default=(), metadata={"json": "allowedCIDRs"})
    service_selector: LabelSelector | None = None
    namespace_selector: LabelSelector | None = None
    opt_in: bool = False
    unreachable: UnreachablePolicy = UnreachablePolicy()
    drained: bool = False
    cluster_id: str | None = field(default=None, metadata={"json": "clusterID"})


TRUE_IF_UNHEALTHY: Final = frozenset({"Degraded", "CredentialsExpiring"})
"""The types of conditions that are True when something is wrong."""


@frozen
class Condition:
    """One aspect of a ClusterLink's state. Its transition time changes only with `status`."""

    type: str
    status: ConditionStatus
    reason: str
    message: str
    last_transition_time: str
    observed_generation: int = 0

    @property
    def state(self) -> tuple[str, ConditionStatus, str]:
        """What the condition says, apart from wording and times."""
        return self.type, self.status, self.reason

    @property
    def is_healthy(self) -> bool:
        """Whether the condition has the status of a link without problems."""
        return self.status == ("False" if self.type in TRUE_IF_UNHEALTHY else "True")


@frozen
class ClusterLinkStatus:
    """The state of the remote cluster, and how much of it is mirrored. Times are RFC 3339.

    `still_needed_by` is the number of Services that have no ready endpoints outside this cluster,
    although it is drained.
    """

    phase: Phase = "Pending"
    version: str | None = None
    cluster_id: str | None = field(default=None, metadata={"json": "clusterID"})
    connected: bool = False
    last_connected: str | None = None
    services: int = 0
    endpoints: int = 0
    slices: int = 0
    observed_generation: int = 0
    error: str | None = None
    conditions: tuple[Condition, ...] = ()
    credentials_expire: str | None = None
    still_needed_by: int = 0


@frozen
class ClusterLink:
    """Declares one remote cluster. Its name is the cluster's name in labels and slice names.

    If the link is not selected, another controller handles it, and its mirrors are not touched.

    Args:
        metadata: Its metadata.
        spec: What it asks for.
        status: What svclink wrote last.
        is_selected: Whether the controller handles it.
        undecodable: Why the link could not be decoded, in which case `spec` and `status` are empty.
            Empty for a link that was decoded.
    """

    metadata: ObjectMeta
    spec: ClusterLinkSpec = ClusterLinkSpec()
    status: ClusterLinkStatus = ClusterLinkStatus()
    is_selected: bool = field(default=True, metadata={"json": ""})
    undecodable: str = field(default="", metadata={"json": ""})
