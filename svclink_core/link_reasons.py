"""Every reason that the conditions of a ClusterLink give."""

from __future__ import annotations

from svclink_core.explained import Explained


class LinkReason(Explained):
    """Why a ClusterLink is in its state: the `reason` of a condition and a sentence."""

    CLUSTER_READY = ("ClusterReady", "Cluster connection established")
    DISABLED = (
        "Disabled",
        "spec.enabled is false: mirrored EndpointSlices stay unchanged until you set it to true",
    )
    CONNECTING = ("Connecting", "connecting to the cluster")
    INVALID_KUBECONFIG = ("InvalidKubeconfig", "fix the link's kubeconfig")
    INVALID_SPEC = ("InvalidSpec", "fix the link field that the message names")
    INSECURE_KUBECONFIG = (
        "InsecureKubeconfig",
        "remove the rejected fields from the kubeconfig",
    )
    UNREACHABLE = (
        "Unreachable",
        "check the server address in the kubeconfig and the network path to it",
    )
    UNAUTHORIZED = (
        "Unauthorized",
        "the cluster rejected the credentials: put a new token or certificate into the kubeconfig",
    )
    FORBIDDEN = (
        "Forbidden",
        (
            "grant permission to list and watch services and endpointslices, and namespaces if"
            " the link has a namespaceSelector"
        ),
    )
    CERTIFICATE_INVALID = (
        "CertificateInvalid",
        (
            "the certificate has expired, is not yet valid, is for another name, or is from"
            " an unknown CA"
        ),
    )
    SELF_LINK = ("SelfLink", "delete the link, or give it the kubeconfig of another cluster")
    DUPLICATE_CLUSTER = ("DuplicateCluster", "delete one of the two links")
    CLUSTER_CHANGED = (
        "ClusterChanged",
        (
            "mirrored EndpointSlices are kept; if the change is intentional, edit the link or set"
            " spec.clusterID"
        ),
    )
    DUPLICATE_NAME = ("DuplicateName", "delete all but one of the ClusterLinks with this name")
    SYNCED = (
        "Synced",
        (
            "all of the cluster's Services and EndpointSlices have been listed, and their mirrors"
            " have been written"
        ),
    )
    INITIALIZING = ("Initializing", "the cluster has not been fully listed yet")
    STALE = ("Stale", "recent changes in the cluster may be missing")
    NAMESPACES_MISSING = (
        "NamespacesMissing",
        (
            "grant permission to list and watch services and endpointslices in each missing"
            " namespace, or remove the namespace from includedNamespaces"
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
            "most of the EndpointSlices that svclink mirrors disappeared from the cluster at once;"
            " if the loss is intentional, edit the link to delete the mirrors now"
        ),
    )
    BUDGET_EXCEEDED = (
        "BudgetExceeded",
        "the cluster's mirrored EndpointSlices stay unchanged; other links are not affected",
    )
    INVALID_ENDPOINTS = (
        "InvalidEndpoints",
        (
            "invalid data and addresses outside spec.allowedCIDRs are left out of the"
            " mirrored EndpointSlices"
        ),
    )
    INVALID_MIRROR_ANNOTATION = (
        "InvalidMirrorAnnotation",
        'set the annotation svclink.cloudpilot.ai/mirror to "true" or "false"',
    )
    UNDECODABLE = (
        "Undecodable",
        (
            "some objects could not be decoded, so the affected EndpointSlices stay unchanged;"
            " fix the objects named in svclink's log"
        ),
    )

    CREDENTIALS_VALID = (
        "CredentialsValid",
        "none of the link's credentials expires within a week",
    )
    CREDENTIALS_EXPIRE_SOON = (
        "CredentialsExpireSoon",
        "replace the link's kubeconfig before its current credentials expire",
    )
    CREDENTIALS_EXPIRED = (
        "CredentialsExpired",
        "replace the link's kubeconfig with one that has new credentials",
    )

    DRAINED = ("Drained", "no Service uses the cluster's endpoints")
    DRAINING = (
        "Draining",
        (
            "some Services still use the cluster's endpoints; svclink is about to"
            " put these endpoints on standby"
        ),
    )
    STILL_NEEDED = (
        "StillNeeded",
        "Services with no other ready endpoint for at least one IP family keep using the cluster",
    )
