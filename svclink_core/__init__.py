"""svclink's core: decides which EndpointSlices a main Kubernetes cluster should have. Values in, values out, no I/O."""

from svclink_core.core_v1 import Service, ServicePort, ServiceSpec
from svclink_core.diffing import Change, Create, Delete, Precondition, Update
from svclink_core.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from svclink_core.enqueueing import ClusterChanged, EndpointSliceChanged, Event, ServiceChanged, requests_for
from svclink_core.errors import BadInputError, ProgrammerError, SvclinkError
from svclink_core.identifying import Claim, Problem, refusals
from svclink_core.meta_v1 import NamespacedName, ObjectMeta, OwnerReference
from svclink_core.mirroring import Finding
from svclink_core.planning import Decision, Outcome, Plan, plan, plan_service
from svclink_core.snapshot import (
    PENDING,
    SYNCED,
    MainCluster,
    Options,
    Pending,
    RemoteCluster,
    Snapshot,
    Synced,
    Unreachable,
    main_cluster,
    remote_cluster,
    snapshot,
)
from svclink_core.status import LinkFacts, summarize
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec, ClusterLinkStatus, Condition
from svclink_core.well_known import LinkReason, Reason

__all__ = [
    "PENDING",
    "SYNCED",
    "BadInputError",
    "Change",
    "Claim",
    "ClusterChanged",
    "ClusterLink",
    "ClusterLinkSpec",
    "ClusterLinkStatus",
    "Condition",
    "Create",
    "Decision",
    "Delete",
    "Endpoint",
    "EndpointConditions",
    "EndpointHints",
    "EndpointPort",
    "EndpointSlice",
    "EndpointSliceChanged",
    "Event",
    "Finding",
    "LinkFacts",
    "LinkReason",
    "MainCluster",
    "NamespacedName",
    "ObjectMeta",
    "ObjectReference",
    "Options",
    "Outcome",
    "OwnerReference",
    "Pending",
    "Plan",
    "Precondition",
    "Problem",
    "ProgrammerError",
    "Reason",
    "RemoteCluster",
    "Service",
    "ServiceChanged",
    "ServicePort",
    "ServiceSpec",
    "Snapshot",
    "SvclinkError",
    "Synced",
    "Unreachable",
    "Update",
    "main_cluster",
    "plan",
    "plan_service",
    "refusals",
    "remote_cluster",
    "requests_for",
    "snapshot",
    "summarize",
]
