"""Every reason that the conditions of a ClusterLink give."""

from __future__ import annotations

from svclink_core.explained import Explained


class LinkReason(Explained):
    """Why a ClusterLink is in its state: the `reason` of a condition, and a sentence for people."""

    CLUSTER_READY = ("ClusterReady", "Cluster connection established")
    DISABLED = (
        "Disabled",
        "spec.enabled is false: the mirrored EndpointSlices stay as they are until it is true",
    )
    CONNECTING = ("Connecting", "connecting to the cluster")
    INVALID_KUBECONFIG = ("InvalidKubeconfig", "fix the kubeconfig of the link")
    INVALID_SPEC = ("InvalidSpec", "fix the field of the link that the message names")
    INSECURE_KUBECONFIG = (
        "InsecureKubeconfig",
        "remove from the kubeconfig the fields that svclink refuses",
    )
    UNREACHABLE = (
        "Unreachable",
        "check the server address in the kubeconfig, and the network to it",
    )
    UNAUTHORIZED = (
        "Unauthorized",
        "the cluster rejected the credentials: put a new token or certificate into the kubeconfig",
    )
    FORBIDDEN = (
        "Forbidden",
        (
            "grant list and watch on services and endpointslices, and on namespaces if the"
            " link has a namespaceSelector"
        ),
    )
    CERTIFICATE_INVALID = (
        "CertificateInvalid",
        "expired, not yet valid, for another name, or of an unknown CA: fix what the message says",
    )
    SELF_LINK = ("SelfLink", "delete the link, or give it the kubeconfig of another cluster")
    DUPLICATE_CLUSTER = ("DuplicateCluster", "delete one of the two links")
    CLUSTER_CHANGED = (
        "ClusterChanged",
        (
            "mirrored EndpointSlices are kept; if the change is intended, edit the link or set"
            " spec.clusterID"
        ),
    )
    DUPLICATE_NAME = ("DuplicateName", "delete all but one of the ClusterLinks with this name")
    SYNCED = (
        "Synced",
        "all Services and EndpointSlices of the cluster are listed, and their mirrors are written",
    )
    INITIALIZING = ("Initializing", "the cluster has not been listed completely yet")
    STALE = ("Stale", "changes of the cluster may be missing")
    NAMESPACES_MISSING = (
        "NamespacesMissing",
        (
            "grant list and watch on services and endpointslices in each missing"
            " namespace, or no longer include it"
        ),
    )
    WRITE_FAILED = ("WriteFailed", "an EndpointSlice could not be written to the main cluster")
    AS_EXPECTED = ("AsExpected", "all endpoints and ports can be mirrored")
    PORT_MISMATCH = (
        "PortMismatch",
        "give the ports the same name or the same number in both clusters",
    )
    ADDRESS_CONFLICT = (
        "AddressConflict",
        "Pod networks of linked clusters must not overlap: give each cluster its own range",
    )
    DELETION_HELD = (
        "DeletionHeld",
        (
            "the cluster lost most of its mirrored EndpointSlices at once; if that is intended,"
            " edit the link to delete them now"
        ),
    )
    BUDGET_EXCEEDED = (
        "BudgetExceeded",
        "mirrored EndpointSlices of the cluster stay unchanged; other links are not affected",
    )
    INVALID_ENDPOINTS = (
        "InvalidEndpoints",
        "what is invalid, or outside spec.allowedCIDRs, is left out of the mirrored EndpointSlices",
    )
    INVALID_MIRROR_ANNOTATION = (
        "InvalidMirrorAnnotation",
        'set the annotation svclink.cloudpilot.ai/mirror of these Services to "true" or "false"',
    )
    UNDECODABLE = (
        "Undecodable",
        (
            "the EndpointSlices of a Service with an undecodable object stay as they are; fix"
            " the objects that svclink's log names"
        ),
    )

    CREDENTIALS_VALID = (
        "CredentialsValid",
        "no credential of the link expires within a week",
    )
    CREDENTIALS_EXPIRE_SOON = (
        "CredentialsExpireSoon",
        "replace the kubeconfig of the link with one that has new credentials before then",
    )
    CREDENTIALS_EXPIRED = (
        "CredentialsExpired",
        "replace the kubeconfig of the link with one that has new credentials",
    )

    DRAINED = ("Drained", "no Service uses endpoints of the cluster")
    DRAINING = (
        "Draining",
        (
            "some Services still use endpoints of the cluster; svclink is about to put these"
            " endpoints on standby"
        ),
    )
    STILL_NEEDED = (
        "StillNeeded",
        "Services without another ready endpoint of an IP family keep using the cluster",
    )
