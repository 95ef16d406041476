"""svclink's core: decides which EndpointSlices a main Kubernetes cluster should have.

Values in, values out: no function does I/O or changes an argument.
"""

from svclink_core.api_server_calls import (
    CALLER_KINDS,
    ApiServerCall,
    ApiServerCaller,
    ApiServerCalls,
    calls_by,
)
from svclink_core.core_v1 import Namespace, Service, ServicePort, ServiceSpec
from svclink_core.credential_expiry import CredentialState, Expiry, credential_state
from svclink_core.deletion_guard import UNGUARDED, DeletionCount, Guard, Wave, next_guard
from svclink_core.diffing import Create, Delete, Precondition, SliceChange, Update
from svclink_core.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from svclink_core.enqueueing import (
    ApiServerCallsChanged,
    ClusterChanged,
    EndpointSliceChanged,
    Event,
    GuardChanged,
    NamespaceChanged,
    RemoteNamespaceChanged,
    ServiceChanged,
    TrafficPolicyChanged,
    requests_for,
)
from svclink_core.errors import BadInputError, ProgrammerError, SvclinkError
from svclink_core.full_planning import plan
from svclink_core.link_identity import Claim, Problem, refusals
from svclink_core.link_reasons import LinkReason
from svclink_core.link_target import LinkTarget, link_target
from svclink_core.meta_v1 import NamespacedName, ObjectMeta, OwnerReference
from svclink_core.mirroring import Finding
from svclink_core.ownership import Foreign, Leftover, Ours, Owner, Unclear, owner_of, service_of
from svclink_core.planner import Planner
from svclink_core.planning import plan_service
from svclink_core.plans import Change, Decision, Outcome, Plan
from svclink_core.service_creation import CreateNamespace, CreateService
from svclink_core.service_traffic import (
    EndpointUse,
    FamilyTraffic,
    ServiceTraffic,
    TrafficReason,
)
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
from svclink_core.svclink_v1alpha1 import (
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    UnreachablePolicy,
)
from svclink_core.traffic_policy_v1alpha1 import (
    ClusterTraffic,
    TrafficPolicy,
    TrafficPolicySpec,
    TrafficPolicyStatus,
    counting_policies,
)
from svclink_core.traffic_status import PolicyReason, traffic_status
from svclink_core.well_known import Reason

__all__ = [
    "CALLER_KINDS",
    "PENDING",
    "SYNCED",
    "UNGUARDED",
    "ApiServerCall",
    "ApiServerCaller",
    "ApiServerCalls",
    "ApiServerCallsChanged",
    "BadInputError",
    "Change",
    "Claim",
    "ClusterChanged",
    "ClusterLink",
    "ClusterLinkSpec",
    "ClusterLinkStatus",
    "ClusterTraffic",
    "Condition",
    "Create",
    "CreateNamespace",
    "CreateService",
    "CredentialState",
    "Decision",
    "Delete",
    "DeletionCount",
    "Endpoint",
    "EndpointConditions",
    "EndpointHints",
    "EndpointPort",
    "EndpointSlice",
    "EndpointSliceChanged",
    "EndpointUse",
    "Event",
    "Expiry",
    "FamilyTraffic",
    "Finding",
    "Foreign",
    "Guard",
    "GuardChanged",
    "Leftover",
    "LinkFacts",
    "LinkReason",
    "LinkTarget",
    "MainCluster",
    "Namespace",
    "NamespaceChanged",
    "NamespacedName",
    "ObjectMeta",
    "ObjectReference",
    "Options",
    "Ours",
    "Outcome",
    "Owner",
    "OwnerReference",
    "Pending",
    "Plan",
    "Planner",
    "PolicyReason",
    "Precondition",
    "Problem",
    "ProgrammerError",
    "Reason",
    "RemoteCluster",
    "RemoteNamespaceChanged",
    "Service",
    "ServiceChanged",
    "ServicePort",
    "ServiceSpec",
    "ServiceTraffic",
    "SliceChange",
    "Snapshot",
    "SvclinkError",
    "Synced",
    "TrafficPolicy",
    "TrafficPolicyChanged",
    "TrafficPolicySpec",
    "TrafficPolicyStatus",
    "TrafficReason",
    "Unclear",
    "Unreachable",
    "UnreachablePolicy",
    "Update",
    "Wave",
    "calls_by",
    "counting_policies",
    "credential_state",
    "link_target",
    "main_cluster",
    "next_guard",
    "owner_of",
    "plan",
    "plan_service",
    "refusals",
    "remote_cluster",
    "requests_for",
    "service_of",
    "snapshot",
    "summarize",
    "traffic_status",
]
