"""Names that Kubernetes or svclink defines, and the reason for everything that is planned."""

from __future__ import annotations

from enum import Enum
from typing import Final

from svclink_core.explained import Explained

# Labels and annotations. Sources: KEP-752 (EndpointSlice), KEP-1645 (multi-cluster services).
LABEL_SERVICE_NAME: Final = "kubernetes.io/service-name"
LABEL_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"
LABEL_HEADLESS: Final = "service.kubernetes.io/headless"
LABEL_SERVICE_PROXY_NAME: Final = "service.kubernetes.io/service-proxy-name"
LABEL_MCS_SOURCE_CLUSTER: Final = "multicluster.kubernetes.io/source-cluster"
LABEL_CLUSTER: Final = "svclink.cloudpilot.ai/cluster"
LABEL_IMPORTED: Final = "svclink.cloudpilot.ai/imported"
LABEL_GO_CLUSTER: Final = "cloudpilot.ai/svclink-cluster"
ANNOTATION_GO_IMPORTED: Final = "cloudpilot.ai/svclink"
ANNOTATION_SOURCE_SLICE: Final = "svclink.cloudpilot.ai/source-slice"
ANNOTATION_SHARD: Final = "svclink.cloudpilot.ai/source-slice-shard"
ANNOTATION_TOPOLOGY_MODE: Final = "service.kubernetes.io/topology-mode"
ANNOTATION_TOPOLOGY_HINTS: Final = "service.kubernetes.io/topology-aware-hints"
ANNOTATION_ENDPOINT_GROUP: Final = "cloud.google.com/neg"
ANNOTATION_UNREACHABLE: Final = "svclink.cloudpilot.ai/unreachable"
ANNOTATION_MIRROR: Final = "svclink.cloudpilot.ai/mirror"
ANNOTATION_STANDBY: Final = "svclink.cloudpilot.ai/standby"
NOT_READY: Final = "NotReady"
MANAGED_BY: Final = "svclink.cloudpilot.ai"

REASONED_LABELS: Final = frozenset(
    {
        LABEL_SERVICE_NAME,
        LABEL_MANAGED_BY,
        LABEL_HEADLESS,
        LABEL_SERVICE_PROXY_NAME,
        LABEL_MCS_SOURCE_CLUSTER,
        LABEL_CLUSTER,
        LABEL_IMPORTED,
        LABEL_GO_CLUSTER,
    }
)
"""The label keys that the core keeps: others would cost memory and change no decision."""

MIRROR_ANNOTATIONS: Final = frozenset(
    {ANNOTATION_SOURCE_SLICE, ANNOTATION_SHARD, ANNOTATION_UNREACHABLE, ANNOTATION_STANDBY}
)
"""The annotation keys that svclink writes to a mirror."""

REASONED_ANNOTATIONS: Final = MIRROR_ANNOTATIONS | {
    ANNOTATION_MIRROR,
    ANNOTATION_ENDPOINT_GROUP,
    ANNOTATION_GO_IMPORTED,
    ANNOTATION_TOPOLOGY_HINTS,
    ANNOTATION_TOPOLOGY_MODE,
}
"""The annotation keys that the core keeps."""

GROUP: Final = "svclink.cloudpilot.ai"
API_VERSION: Final = "v1alpha1"
PLURAL_CLUSTER_LINKS: Final = "clusterlinks"
PLURAL_TRAFFIC_POLICIES: Final = "trafficpolicies"

MAIN: Final = ""
"""The key of the main cluster among those of remote ones: no ClusterLink has an empty name."""

NAMESPACE_KUBE_SYSTEM: Final = "kube-system"
SERVICE_KUBERNETES: Final = "kubernetes"

# kube-proxy ignores the hints of a Service unless every ready endpoint has one (KEP-4444). These
# match no Node: a zone is a topology label of a Node, and none is named like this.
ZONE_OF_NO_NODE: Final = "svclink.no-zone"
NODE_OF_NO_CLUSTER: Final = "svclink.no-node"


class Side(Enum):
    """What causes a Service of a cluster not to be mirrored."""

    REMOTE = "the remote cluster"
    MAIN = "the main cluster"
    OPERATOR = "the administrator"


class Reason(Explained):
    """Why svclink changes, keeps or skips something: a CamelCase code and a sentence.

    Reasons not to mirror something also say which side caused it.
    """

    # Kept: the slices stay because nothing is known for certain, or because the user said so.
    FROZEN = (
        "Frozen",
        "the ClusterLink is disabled",
        Side.OPERATOR,
    )
    NOT_SELECTED = (
        "NotSelected",
        "--link-selector leaves the ClusterLink to another controller",
        Side.OPERATOR,
    )
    PENDING = (
        "Pending",
        "the cluster has not been fully listed yet",
        Side.REMOTE,
    )
    UNREACHABLE = (
        "Unreachable",
        "the cluster cannot be reached",
        Side.REMOTE,
    )
    NAMESPACE_MISSING = (
        "NamespaceMissing",
        "svclink cannot read the Service's namespace in the cluster",
        Side.REMOTE,
    )
    UNREACHABLE_NOT_READY = (
        "UnreachableNotReady",
        (
            "the link's spec.unreachable marks the endpoints as not ready while the cluster is"
            " unreachable"
        ),
        Side.OPERATOR,
    )
    LAST_ENDPOINTS = (
        "LastEndpoints",
        (
            "the Service has no ready endpoint outside the unreachable cluster for at least one IP"
            " family"
        ),
        Side.REMOTE,
    )
    DELETION_SETTLING = (
        "DeletionSettling",
        "svclink is waiting to see whether more EndpointSlices disappear from the cluster",
        Side.REMOTE,
    )
    DELETION_HELD = (
        "DeletionHeld",
        "most of the EndpointSlices that svclink mirrors disappeared from the cluster at once",
        Side.REMOTE,
    )
    REMOTE_CHANGING = (
        "RemoteChanging",
        "svclink is waiting for the remote Service and its EndpointSlices to become consistent",
    )
    MAIN_UNDECODABLE = (
        "MainUndecodable",
        "an object of the Service in the main cluster could not be decoded",
        Side.MAIN,
    )
    API_SERVER_CALLS_UNKNOWN = (
        "APIServerCallsUnknown",
        "the main cluster's webhook configurations, APIServices and CRDs have not all been listed",
        Side.MAIN,
    )
    UNDECODABLE = (
        "Undecodable",
        "an object of the Service in the remote cluster could not be decoded",
        Side.REMOTE,
    )
    INVALID_SPEC = (
        "InvalidSpec",
        "a field of the ClusterLink is invalid",
        Side.OPERATOR,
    )

    # Skipped: rules over a Service of a cluster, in the order of docs/explanation/concepts.md.
    NAMESPACE_KUBE_SYSTEM = ("KubeSystem", "the kube-system namespace is never mirrored")
    SERVICE_KUBERNETES = ("KubernetesService", "the kubernetes Service is never mirrored")
    NAMESPACE_NOT_IN_FLAG = (
        "NamespaceNotInFlag",
        "the Service's namespace is not in --included-namespaces",
        Side.OPERATOR,
    )
    NAMESPACE_NOT_INCLUDED = (
        "NamespaceNotIncluded",
        "the Service's namespace is not in the link's includedNamespaces",
        Side.OPERATOR,
    )
    NAMESPACE_EXCLUDED = (
        "NamespaceExcluded",
        "the Service's namespace is in the link's excludedNamespaces",
        Side.OPERATOR,
    )
    SERVICE_EXCLUDED = (
        "ServiceExcluded",
        "the Service is in the link's excludedServices",
        Side.OPERATOR,
    )
    SERVICE_NAME_EXCLUDED = (
        "ServiceNameExcluded",
        "the Service's name is in the link's excludedServiceNames",
        Side.OPERATOR,
    )
    NAMESPACE_NOT_SELECTED = (
        "NamespaceNotSelected",
        "the link's namespaceSelector does not select the Service's namespace",
        Side.OPERATOR,
    )
    SERVICE_NOT_SELECTED = (
        "ServiceNotSelected",
        "the link's serviceSelector, or --service-selector, does not select the remote Service",
        Side.OPERATOR,
    )
    MIRROR_FALSE = (
        "MirrorFalse",
        f'the main Service has the annotation {ANNOTATION_MIRROR}: "false"',
        Side.MAIN,
    )
    NOT_OPTED_IN = (
        "NotOptedIn",
        (
            f'the main Service lacks the annotation {ANNOTATION_MIRROR}: "true", which --opt-in or'
            " optIn requires"
        ),
        Side.MAIN,
    )
    REMOTE_SERVICE_MISSING = (
        "RemoteServiceMissing",
        "the cluster has no Service with this namespace and name",
        Side.REMOTE,
    )
    SELECTED_SERVICE_MISSING = (
        "SelectedServiceMissing",
        "the cluster has no Service with this namespace and name that matches the selectors",
        Side.REMOTE,
    )
    REMOTE_EXTERNAL_NAME = (
        "RemoteExternalName",
        "the remote Service is of type ExternalName",
        Side.REMOTE,
    )
    REMOTE_HEADLESS = ("RemoteHeadless", "the remote Service is headless", Side.REMOTE)
    REMOTE_IMPORTED = (
        "RemoteImported",
        "the remote Service was itself created by svclink",
        Side.REMOTE,
    )
    REMOTE_DELETING = ("RemoteDeleting", "the remote Service is being deleted", Side.REMOTE)
    MAIN_SERVICE_MISSING = (
        "MainServiceMissing",
        "the main cluster has no Service with this namespace and name",
        Side.MAIN,
    )
    NAMESPACE_RESERVED = (
        "NamespaceReserved",
        "svclink does not create Services in kube-* namespaces",
    )
    NAME_INVALID = (
        "NameInvalid",
        "the main cluster would reject the remote Service's name",
    )
    NAME_TOO_LONG = (
        "NameTooLong",
        (
            "the namespace, name and port name together are too long for kube-proxy in Kubernetes"
            " versions before 1.37"
        ),
        Side.REMOTE,
    )
    NAMESPACES_UNKNOWN = (
        "NamespacesUnknown",
        "the main cluster's namespaces have not been listed yet",
    )
    NAMESPACE_TERMINATING = (
        "NamespaceTerminating",
        "the Service's namespace in the main cluster is being deleted",
    )
    REMOTE_PORTLESS = (
        "RemotePortless",
        "the remote Service has no ports, and the main cluster would reject such a Service",
        Side.REMOTE,
    )
    OLDER_LINK_AWAITED = (
        "OlderLinkAwaited",
        "the cluster of an older ClusterLink is still being listed and may have the Service too",
    )
    SERVICE_AWAITED = ("ServiceAwaited", "the Service must first be created in the main cluster")
    MAIN_HEADLESS = ("MainHeadless", "the main Service is headless", Side.MAIN)
    MAIN_EXTERNAL_NAME = (
        "MainExternalName",
        "the main Service is of type ExternalName",
        Side.MAIN,
    )
    MAIN_DELETING = ("MainDeleting", "the main Service is being deleted", Side.MAIN)
    CALLED_BY_API_SERVER = (
        "CalledByAPIServer",
        (
            "the main cluster's API server calls the Service, and such calls must stay in the main"
            " cluster"
        ),
        Side.MAIN,
    )

    # Skipped: it was mirrored and no longer is.
    UNREACHABLE_REMOVED = (
        "UnreachableRemoved",
        "the link's spec.unreachable removes the EndpointSlices while the cluster is unreachable",
        Side.OPERATOR,
    )

    # Skipped: rules over one remote EndpointSlice.
    LOOP = ("Loop", "the remote EndpointSlice is itself a mirror", Side.REMOTE)
    ADDRESS_TYPE = (
        "AddressType",
        "the main Service does not have the remote EndpointSlice's IP family",
        Side.MAIN,
    )
    OUTSIDE_ALLOWED_CIDRS = (
        "OutsideAllowedCIDRs",
        "no endpoint is within the link's allowedCIDRs",
        Side.OPERATOR,
    )
    NO_ENDPOINTS = (
        "NoEndpoints",
        "the remote Service has no endpoint that can be mirrored",
        Side.REMOTE,
    )

    # Mirrored, and why a change is made.
    MIRRORED = ("Mirrored", "the Service's EndpointSlices are mirrored")
    SOURCE_ADDED = ("SourceAdded", "the remote EndpointSlice is not mirrored yet")
    CONTENT_CHANGED = ("ContentChanged", "the mirrored EndpointSlice differs from the remote one")
    OWNER_CHANGED = ("OwnerChanged", "the main Service was re-created with a different uid")
    RESTORED = (
        "Restored",
        (
            "the link's spec.unreachable no longer applies, so endpoints that were ready become"
            " ready again"
        ),
    )
    ACTIVATED = ("Activated", "the Service needs more active endpoints in the cluster")
    STANDBY = (
        "Standby",
        "a TrafficPolicy or a drained ClusterLink calls for fewer active endpoints in the cluster",
    )
    SOURCE_GONE = ("SourceGone", "the remote EndpointSlice no longer exists", Side.REMOTE)
    MAIN_PORTS_CHANGED = (
        "MainPortsChanged",
        "the main Service no longer has the mirrored EndpointSlice's ports",
        Side.MAIN,
    )
    LINK_GONE = ("LinkGone", "there is no ClusterLink for the cluster", Side.OPERATOR)
    LEFTOVER_REPLACED = (
        "LeftoverReplaced",
        "svclink's own EndpointSlice replaces the one from the Go release",
    )
    DUPLICATE = ("Duplicate", "another mirrored EndpointSlice has the same source")

    # Created: the main cluster has no such Service, and the controller is told to create those.
    SERVICE_CREATED = (
        "ServiceCreated",
        "--sync-services-to-local-cluster creates Services that exist only in remote clusters",
    )
    NAMESPACE_CREATED = (
        "NamespaceCreated",
        "a Service that svclink will create needs the namespace",
    )

    # Findings: mirrored, but something had to be left out.
    PORT_MISMATCH = (
        "PortMismatch",
        "a remote port has no matching port in the main Service",
        Side.REMOTE,
    )
    ADDRESS_CONFLICT = ("AddressConflict", "another cluster has an endpoint with the same address")
    TARGET_PORTS_DIFFER = (
        "TargetPortsDiffer",
        (
            "target ports differ between clusters; kube-proxy supports that, but OVN-Kubernetes"
            " (OpenShift) does not"
        ),
    )
    INVALID_ENDPOINTS = (
        "InvalidEndpoints",
        "part of a remote EndpointSlice is invalid or outside the link's allowedCIDRs",
    )
    LOOKS_STATEFUL = (
        "LooksStateful",
        "the Service's Pods look like a StatefulSet's, so they may differ between clusters",
    )
    HAS_ENDPOINT_GROUP = (
        "HasEndpointGroup",
        (
            "the Service has a GKE network endpoint group, and mirrors may stop the group from"
            " tracking Pods"
        ),
        Side.MAIN,
    )
    INVALID_MIRROR_ANNOTATION = (
        "InvalidMirrorAnnotation",
        f'the annotation {ANNOTATION_MIRROR} is neither "true" nor "false", so it is ignored',
        Side.MAIN,
    )

    def __init__(self, code: str, sentence: str, caused_by: Side | None = None) -> None:
        super().__init__(code, sentence)
        self.caused_by = caused_by
