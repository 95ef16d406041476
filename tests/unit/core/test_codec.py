"""Kubernetes JSON to and from the core's types, one fact in each test."""

from __future__ import annotations

import copy
from datetime import date
from typing import Final, cast

import pytest

from svclink_core import (
    BadInputError,
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectMeta,
    ObjectReference,
    OwnerReference,
    Service,
    ServicePort,
    ServiceSpec,
)
from svclink_core.cidrs import parse_cidr
from svclink_core.codec import Json, structure, unstructure, unstructure_status
from svclink_core.meta_v1 import Additions, LabelSelector, LabelSelectorRequirement
from svclink_core.svclink_v1alpha1 import SecretKeyReference, UnreachablePolicy
from tests.builders.values import mirrored_slice, remote_slice

from .manifests import SERVICE, SLICE

EPOCH: Final = date(1970, 1, 1)
"""What a YAML reader makes of a timestamp without quotes."""


def test_service_is_decoded() -> None:
    """Every field that the core uses is decoded; other fields are ignored."""
    assert structure(SERVICE, Service) == Service(
        ObjectMeta(
            "web",
            "default",
            "u1",
            "42",
            3,
            "2026-01-01T00:00:00Z",
            "2026-01-02T00:00:00Z",
            (("svclink.cloudpilot.ai/imported", "true"),),
            (("service.kubernetes.io/topology-mode", "Auto"),),
        ),
        ServiceSpec(
            "ClusterIP",
            "None",
            ("IPv4", "IPv6"),
            (ServicePort(80, "http", "TCP", "http", 8080),),
            "PreferClose",
        ),
    )


def test_a_service_is_written_with_its_kind() -> None:
    """The JSON of a Service has apiVersion and kind, so that an API server accepts it."""
    content = unstructure(structure(SERVICE, Service))
    assert (content["apiVersion"], content["kind"]) == ("v1", "Service")
    assert content["spec"] == {
        "type": "ClusterIP",
        "clusterIP": "None",
        "ipFamilies": ["IPv4", "IPv6"],
        "trafficDistribution": "PreferClose",
        "ports": [
            {
                "name": "http",
                "port": 80,
                "protocol": "TCP",
                "appProtocol": "http",
                "targetPort": 8080,
            }
        ],
        "publishNotReadyAddresses": False,
    }


def test_service_with_cluster_ip_none_is_headless() -> None:
    """`clusterIP: None` makes a Service headless."""
    assert structure(SERVICE, Service).is_headless


def test_input_is_not_changed() -> None:
    """Decoding does not change its argument."""
    before = copy.deepcopy(SERVICE)
    structure(SERVICE, Service)
    assert before == SERVICE


def test_slice_is_decoded() -> None:
    """Every field of an EndpointSlice that the core uses is decoded."""
    assert structure(SLICE, EndpointSlice) == EndpointSlice(
        ObjectMeta(
            "web-abc",
            owner_references=(
                OwnerReference(
                    "v1", "Service", "web", "u1", controller=True, block_owner_deletion=False
                ),
            ),
        ),
        "IPv4",
        (
            Endpoint(
                ("10.0.0.1",),
                EndpointConditions(ready=True, serving=True, terminating=False),
                "zone-a",
                EndpointHints(("zone-a",), ("worker-0",)),
                "web-0",
                "worker-0",
                ObjectReference("Pod", "default", "web-0", "p1"),
            ),
        ),
        (EndpointPort("http", "TCP", 8080, "http"),),
    )


def test_a_slice_is_written_as_it_was_read() -> None:
    """Encoding a decoded slice neither loses nor adds a field that the core uses."""
    assert unstructure(structure(SLICE, EndpointSlice)) == SLICE


@pytest.mark.parametrize(
    "hints", [{"forZones": [{"name": "a"}]}, {"forNodes": [{"name": "a"}]}, {}]
)
def test_hints_are_written_as_they_were_read(hints: dict[str, Json]) -> None:
    """A list of hints that is absent stays absent."""
    content = edited(SLICE, "endpoints.0.hints", hints)
    assert unstructure(structure(content, EndpointSlice)) == content


@pytest.mark.parametrize("empty", [None, []])
def test_empty_lists_are_null_on_the_wire(empty: Json) -> None:
    """The API server writes empty lists as null, and the codec accepts that."""
    content = {**SLICE, "endpoints": empty, "ports": empty}
    endpoint_slice = structure(content, EndpointSlice)
    assert (endpoint_slice.endpoints, endpoint_slice.ports) == ((), ())


def test_absent_fields_have_the_defaults_of_the_api() -> None:
    """An absent field has the default of the Kubernetes API."""
    content = {
        "metadata": {"name": "x"},
        "addressType": "IPv4",
        "endpoints": [{"addresses": ["a"]}],
        "ports": [{}],
    }
    assert structure(content, EndpointSlice) == EndpointSlice(
        ObjectMeta("x"), "IPv4", (Endpoint(("a",)),), (EndpointPort("", "TCP", None),)
    )


LINK: dict[str, Json] = {
    "apiVersion": "svclink.cloudpilot.ai/v1alpha1",
    "kind": "ClusterLink",
    "metadata": {"name": "c1"},
    "spec": {
        "enabled": False,
        "kubeconfigSecretRef": {"name": "c1", "key": "kubeconfig"},
        "includedNamespaces": ["a"],
        "excludedNamespaces": ["b"],
        "excludedServices": ["a/b"],
        "excludedServiceNames": ["c"],
        "allowedCIDRs": ["10.0.0.0/8", "FD00::/8", "10.0/8"],
        "serviceSelector": {
            "matchLabels": {"tier": "gold", "example.com/team": "a"},
            "matchExpressions": [{"key": "shard", "operator": "In", "values": ["a", "b"]}],
        },
        "namespaceSelector": {
            "matchLabels": {},
            "matchExpressions": [{"key": "old", "operator": "DoesNotExist", "values": []}],
        },
        "optIn": True,
        "unreachable": {"action": "Remove", "afterSeconds": 60, "force": True},
        "drained": True,
        "clusterID": "uid",
    },
    "status": {
        "phase": "Ready",
        "version": "v1.36.0",
        "clusterID": "uid",
        "connected": True,
        "lastConnected": "2026-01-01T00:00:00Z",
        "credentialsExpire": "2027-01-01T00:00:00Z",
        "services": 1,
        "endpoints": 2,
        "slices": 3,
        "stillNeededBy": 5,
        "observedGeneration": 4,
        "error": "none",
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "ClusterReady",
                "message": "m",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
                "observedGeneration": 4,
            }
        ],
    },
}


def test_link_is_decoded() -> None:
    """Every field of a ClusterLink is decoded, including clusterID."""
    condition = Condition("Ready", "True", "ClusterReady", "m", "2026-01-01T00:00:00Z", 4)
    status = ClusterLinkStatus(
        "Ready", "v1.36.0", "uid", True, "2026-01-01T00:00:00Z", 1, 2, 3, 4, "none", (condition,),  # noqa: FBT003
        "2027-01-01T00:00:00Z", 5,
    )  # fmt: skip
    spec = ClusterLinkSpec(
        enabled=False,
        kubeconfig_secret_ref=SecretKeyReference("c1"),
        included_namespaces=("a",),
        excluded_namespaces=("b",),
        excluded_services=("a/b",),
        excluded_service_names=("c",),
        allowed_cidrs=tuple(map(parse_cidr, ("10.0.0.0/8", "FD00::/8", "10.0/8"))),
        service_selector=LabelSelector(
            (("example.com/team", "a"), ("tier", "gold")),
            (LabelSelectorRequirement("shard", "In", ("a", "b")),),
        ),
        namespace_selector=LabelSelector((), (LabelSelectorRequirement("old", "DoesNotExist"),)),
        opt_in=True,
        unreachable=UnreachablePolicy("Remove", 60, force=True),
        drained=True,
        cluster_id="uid",
    )
    assert structure(LINK, ClusterLink) == ClusterLink(ObjectMeta("c1"), spec, status)


def test_a_link_is_written_as_it_was_read() -> None:
    """Encoding a decoded link neither loses nor adds a field."""
    assert unstructure(structure(LINK, ClusterLink)) == LINK


def test_empty_link_mirrors_everything() -> None:
    """A link without a spec is enabled and has no filter."""
    assert structure({"metadata": {"name": "c1"}}, ClusterLink) == ClusterLink(ObjectMeta("c1"))
    assert ClusterLinkSpec().enabled
    assert ClusterLinkSpec().unreachable == UnreachablePolicy("Keep", 300, force=False)
    assert ClusterLinkStatus() == ClusterLinkStatus(
        "Pending", connected=False, services=0, endpoints=0, slices=0
    )


def test_absent_fields_of_a_status_are_null() -> None:
    """Fields without a value are null, so that a merge patch clears them."""
    content = unstructure_status(ClusterLinkStatus())
    assert (
        content["version"]
        is content["error"]
        is content["lastConnected"]
        is content["clusterID"]
        is None
    )
    assert content["services"] == 0


def test_repr_of_a_link_hides_its_kubeconfig() -> None:
    """Credentials never appear in the text of a log line or traceback."""
    assert "c2VjcmV0" not in repr(ClusterLinkSpec(kubeconfig="c2VjcmV0"))


def edited(content: dict[str, Json], path: str, value: Json) -> dict[str, Json]:
    """A copy of an object with another value at a path of keys and indices."""
    result = copy.deepcopy(content)
    *parents, last = path.split(".")
    node: Json = result
    for part in parents:
        node = node[int(part)] if isinstance(node, list) else node[part]  # type: ignore[index]
    node[int(last) if isinstance(node, list) else last] = value  # type: ignore[index]
    return result


@pytest.mark.parametrize(
    ("kind", "content", "path", "value", "message"),
    [
        (Service, SERVICE, "metadata", None, "$.metadata: required field missing"),
        (Service, SERVICE, "metadata", [], "$.metadata: must be an object but is a list"),
        (Service, SERVICE, "metadata.name", None, "$.metadata.name: required field missing"),
        (Service, SERVICE, "metadata.name", 3, "$.metadata.name: must be a string but is a number"),
        (
            Service,
            SERVICE,
            "metadata.generation",
            "3",
            "$.metadata.generation: must be a whole number but is a string",
        ),
        (
            Service,
            SERVICE,
            "metadata.generation",
            True,
            "$.metadata.generation: must be a whole number but is a boolean",
        ),
        (
            Service,
            SERVICE,
            "metadata.labels",
            [],
            "$.metadata.labels: must be an object but is a list",
        ),
        (
            Service,
            SERVICE,
            "metadata.labels",
            {"svclink.cloudpilot.ai/imported": True},
            "$.metadata.labels: must be a string but is a boolean",
        ),
        (
            Service,
            SERVICE,
            "spec.clusterIP",
            {},
            "$.spec.clusterIP: must be a string but is an object",
        ),
        (Service, SERVICE, "spec.ports", {}, "$.spec.ports: must be a list but is an object"),
        (Service, SERVICE, "spec.ports", "http", "$.spec.ports: must be a list but is a string"),
        (
            Service,
            SERVICE,
            "spec.ports.0.port",
            "80",
            "$.spec.ports[0].port: must be a whole number but is a string",
        ),
        (
            Service,
            SERVICE,
            "spec.ports.0.port",
            1.5,
            "$.spec.ports[0].port: must be a whole number but is a number",
        ),
        (
            Service,
            SERVICE,
            "spec.ports.0.targetPort",
            True,
            "$.spec.ports[0].targetPort: must be a whole number or a string but is a boolean",
        ),
        (
            Service,
            SERVICE,
            "spec.ports.0.port",
            None,
            "$.spec.ports[0].port: required field missing",
        ),
        (Service, SERVICE, "spec.ports.0", None, "$.spec.ports[0]: must be an object but is null"),
        (
            Service,
            SERVICE,
            "spec.ports.0.appProtocol",
            1,
            "$.spec.ports[0].appProtocol: must be a string but is a number",
        ),
        (EndpointSlice, SLICE, "addressType", None, "$.addressType: required field missing"),
        (
            EndpointSlice,
            SLICE,
            "endpoints.0.addresses",
            None,
            "$.endpoints[0].addresses: required field missing",
        ),
        (
            EndpointSlice,
            SLICE,
            "endpoints.0.addresses.0",
            1,
            "$.endpoints[0].addresses[0]: must be a string but is a number",
        ),
        (
            EndpointSlice,
            SLICE,
            "endpoints.0.conditions.ready",
            "yes",
            "$.endpoints[0].conditions.ready: must be true or false but is a string",
        ),
        (
            EndpointSlice,
            SLICE,
            "endpoints.0.hints",
            [],
            "$.endpoints[0].hints: must be an object but is a list",
        ),
        (
            EndpointSlice,
            SLICE,
            "endpoints.0.hints.forZones",
            {},
            "$.endpoints[0].hints: must be a list but is an object",
        ),
        (
            EndpointSlice,
            SLICE,
            "endpoints.0.hints.forZones.0.name",
            1,
            "$.endpoints[0].hints: must be a string but is a number",
        ),
        (
            EndpointSlice,
            SLICE,
            "metadata.ownerReferences.0.apiVersion",
            None,
            "$.metadata.ownerReferences[0].apiVersion: required field missing",
        ),
        (
            ClusterLink,
            LINK,
            "spec.unreachable.action",
            "Explode",
            "$.spec.unreachable.action: must be one of Keep, NotReady, Remove",
        ),
        (
            ClusterLink,
            LINK,
            "spec.clusterID",
            1,
            "$.spec.clusterID: must be a string but is a number",
        ),
        (
            ClusterLink,
            LINK,
            "spec.allowedCIDRs",
            "10.0.0.0/8",
            "$.spec.allowedCIDRs: must be a list but is a string",
        ),
        (
            ClusterLink,
            LINK,
            "spec.allowedCIDRs",
            [1],
            "$.spec.allowedCIDRs[0]: must be a string but is a number",
        ),
        (
            ClusterLink,
            LINK,
            "spec.kubeconfigSecretRef.name",
            None,
            "$.spec.kubeconfigSecretRef.name: required field missing",
        ),
        (
            ClusterLink,
            LINK,
            "spec.excludedServices.0",
            1,
            "$.spec.excludedServices[0]: must be a string but is a number",
        ),
        (
            ClusterLink,
            LINK,
            "status.conditions.0.status",
            "Maybe",
            "$.status.conditions[0].status: must be one of True, False, Unknown",
        ),
    ],
)
def test_errors_name_the_path(
    kind: type[Service | EndpointSlice | ClusterLink],
    content: dict[str, Json],
    path: str,
    value: Json,
    message: str,
) -> None:
    """An error names the path of the bad field and the expected type."""
    with pytest.raises(BadInputError) as caught:
        structure(edited(content, path, value), kind)  # type: ignore[type-var]
    assert str(caught.value) == message
    assert f"{caught.value.path}: {caught.value.problem}" == message


@pytest.mark.parametrize(
    ("content", "problem"),
    [([], "is a list"), ("x", "is a string"), (None, "is null"), (EPOCH, "is date")],
)
def test_non_object_is_an_error_at_the_root(content: object, problem: str) -> None:
    """A value that is not a JSON object is an error with the path `$`."""
    with pytest.raises(BadInputError, match=rf"^\$: must be an object but {problem}$"):
        structure(content, Service)


@pytest.mark.parametrize(
    ("entry", "names"), [("zone-a", ()), ({}, ("",)), ({"name": "zone-a"}, ("zone-a",))]
)
def test_odd_names_of_hints(entry: Json, names: tuple[str, ...]) -> None:
    """Remote hints are not copied, so malformed ones are ignored and do not drop the slice."""
    endpoint_slice = structure(edited(SLICE, "endpoints.0.hints.forZones.0", entry), EndpointSlice)
    assert endpoint_slice.endpoints[0].hints == EndpointHints(names, ("worker-0",))


def test_additions_of_others_are_read_and_written() -> None:
    """What others put on a mirror is part of the object; on any other slice it is not read."""
    added: dict[str, Json] = {
        "labels": {**dict(mirrored_slice().metadata.labels), "team": "a"},
        "annotations": {"svclink.cloudpilot.ai/source-slice": "web-abc", "note": "x"},
        "finalizers": ["example.com/hold"],
    }
    content = unstructure(mirrored_slice())
    metadata = cast("dict[str, Json]", content["metadata"]) | added
    read = structure({**content, "metadata": metadata}, EndpointSlice)
    assert read.metadata.additions == Additions(
        (("team", "a"),), (("note", "x"),), ("example.com/hold",)
    )
    assert unstructure(read) == {**content, "metadata": metadata}
    foreign = unstructure(remote_slice())
    metadata = cast("dict[str, Json]", foreign["metadata"]) | {"finalizers": ["example.com/hold"]}
    assert structure({**foreign, "metadata": metadata}, EndpointSlice) == remote_slice()
