"""ClusterLinks with every field set, and the facts that their status is computed from."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from svclink_core import (
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    Expiry,
    Finding,
    LinkFacts,
    LinkReason,
    ObjectMeta,
    Problem,
    Reason,
    UnreachablePolicy,
    credential_state,
)
from svclink_core.controller_namespace import (
    AmbiguousNamespace,
    AssumedNamespace,
    ControllerNamespace,
    KnownNamespace,
)
from svclink_core.link_identity import SecretFault
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.unit.core.strategies.links import SELECTOR, allowed_cidrs, connections
from tests.unit.core.strategies.names import (
    EARLIER,
    LATER,
    cluster_names,
    keys,
    namespaces,
    service_names,
)

_counts = st.integers(0, 5)
_texts = st.sampled_from((None, "", "some text", "ünï"))
_times = st.sampled_from((EARLIER, LATER))

link_conditions = st.builds(
    Condition,
    type=st.sampled_from(("Ready", "Synced", "Degraded", "CredentialsExpiring", "Other")),
    status=st.sampled_from(("True", "False", "Unknown")),
    reason=st.sampled_from(("Synced", "Stale")),
    message=st.sampled_from(("", "a message")),
    last_transition_time=_times,
    observed_generation=_counts,
)
link_statuses = st.builds(
    ClusterLinkStatus,
    phase=st.sampled_from(("Ready", "NotReady", "Disabled", "Pending")),
    version=st.sampled_from((None, "v1.36.1")),
    cluster_id=st.sampled_from((None, "uid-of-kube-system")),
    connected=st.booleans(),
    last_connected=st.none() | _times,
    credentials_expire=st.none() | _times,
    services=_counts,
    endpoints=_counts,
    slices=_counts,
    still_needed_by=_counts,
    observed_generation=_counts,
    error=_texts,
    conditions=st.lists(
        link_conditions, max_size=3, unique_by=lambda condition: condition.type
    ).map(tuple),
)
_whole_specs = st.builds(
    ClusterLinkSpec,
    enabled=st.booleans(),
    kubeconfig=_texts,
    kubeconfig_secret_ref=st.none()
    | st.builds(SecretKeyReference, st.just("remote"), st.sampled_from(("kubeconfig", "a"))),
    included_namespaces=st.lists(namespaces, max_size=2).map(tuple),
    excluded_namespaces=st.lists(namespaces, max_size=2).map(tuple),
    excluded_services=st.lists(keys.map(str), max_size=2).map(tuple),
    opt_in=st.booleans(),
    service_selector=st.sampled_from((None, SELECTOR)),
    excluded_service_names=st.lists(service_names, max_size=2).map(tuple),
    allowed_cidrs=allowed_cidrs,
    unreachable=st.builds(
        UnreachablePolicy,
        st.sampled_from(("Keep", "NotReady", "Remove")),
        st.integers(0, 600),
        st.booleans(),
    ),
    drained=st.booleans(),
    cluster_id=_texts,
)
cluster_links = st.builds(
    ClusterLink,
    st.builds(
        ObjectMeta,
        cluster_names,
        uid=st.just("uid"),
        generation=_counts,
        creation_timestamp=st.none() | _times,
    ),
    _whole_specs,
    link_statuses,
)
findings = st.builds(
    Finding,
    keys,
    cluster_names,
    st.sampled_from((Reason.PORT_MISMATCH, Reason.INVALID_ENDPOINTS, Reason.LOOP)),
    st.just(("http 80/TCP",)),
)
_ends = st.sampled_from(((0.0, EARLIER), (10.5, LATER), (1_000_000.0, "1970-01-12T13:46:40Z")))
_credentials = st.sampled_from(("the token", "the client certificate"))
expiries = st.lists(
    st.builds(lambda end, credential: Expiry(end[0], credential, end[1]), _ends, _credentials),
    max_size=3,
)
controller_namespaces: SearchStrategy[ControllerNamespace] = (
    st.builds(KnownNamespace, namespaces)
    | st.builds(AssumedNamespace, namespaces, st.booleans())
    | st.builds(AmbiguousNamespace, st.just(("a", "b")))
)
link_facts = st.builds(
    LinkFacts,
    link=cluster_links,
    home=controller_namespaces,
    connection=connections,
    problem=st.none()
    | st.builds(
        Problem,
        st.sampled_from(LinkReason),
        st.just("what to do about it"),
        expired=st.sampled_from(("", "what")),
        secret_fault=st.none() | st.sampled_from(SecretFault),
    ),
    version=st.sampled_from((None, "v1.36.1", "v1.37.0")),
    cluster_id=st.sampled_from((None, "uid-of-kube-system")),
    silent_since=st.none() | _times,
    credentials=st.none()
    | st.builds(credential_state, expiries, st.sampled_from((0, 11, 500_000))),
    services=_counts,
    endpoints=_counts,
    slices=_counts,
    in_use=_counts,
    needed_by=st.lists(st.sampled_from(["default/a", "default/b"]), unique=True).map(sorted),
    findings=st.lists(findings, max_size=5),
    write_failures=st.lists(keys.map(str), max_size=5),
)
