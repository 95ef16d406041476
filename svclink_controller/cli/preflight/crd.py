"""Whether the CRDs of svclink are installed, and are those of this version."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

import msgspec
from attrs import AttrsInstance, fields

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, Severity, shortened
from svclink_controller.wire.resources import CLUSTER_LINKS, TRAFFIC_POLICIES
from svclink_core.codec import json_name
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec, ClusterLinkStatus
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicySpec, TrafficPolicyStatus
from svclink_core.well_known import API_VERSION, GROUP

APPLY_CRD: Final = "kubectl apply -f crd/"


async def check_crd(client: Client) -> list[Result]:
    """Compare with the discovery and the schemas of the API server, which every user may read."""
    try:
        discovery = _DISCOVERY.decode(await client.get(f"/apis/{GROUP}/{API_VERSION}"))
        document = _OPENAPI.decode(await client.get(f"/openapi/v3/apis/{GROUP}/{API_VERSION}"))
    except ApiError as error:
        if error.status.code == 404:
            return _problem("fail", "the ClusterLink CRD is not installed")
        return _problem("warn", f"cannot be read: {error}")
    except msgspec.MsgspecError as error:
        return _problem("warn", f"cannot be decoded: {error}")
    served = {each.name: each.namespaced for each in discovery.resources}
    if (fault := _fault(served, document)) is not None:
        return _problem("warn", fault)
    return [Result("ok", MAIN_SUBJECT, "crd", "is installed and current")]


def _fault(served: Mapping[str, bool], document: _OpenApi) -> str | None:
    """What is wrong with the CRDs, None if nothing is.

    Args:
        served: The resources of svclink's API group, and whether each is namespaced.
        document: Their schemas.
    """
    if served.get(CLUSTER_LINKS.plural):
        return "is the Go release's namespaced CRD"
    if TRAFFIC_POLICIES.plural not in served:
        return "the TrafficPolicy CRD is not installed, so traffic policies have no effect"
    if missing := missing_fields(document):
        return f"is a different version: it lacks {shortened(missing)}"
    return None


def _problem(level: Severity, message: str) -> list[Result]:
    return [Result(level, MAIN_SUBJECT, "crd", message, APPLY_CRD)]


class _Resource(msgspec.Struct):
    name: str
    namespaced: bool = False


class _Discovery(msgspec.Struct):
    resources: list[_Resource]


class _Schema(msgspec.Struct):
    properties: dict[str, _Schema] = {}


class _Components(msgspec.Struct):
    schemas: dict[str, _Schema]


class _OpenApi(msgspec.Struct):
    components: _Components


_DISCOVERY: Final = msgspec.json.Decoder(_Discovery)
_OPENAPI: Final = msgspec.json.Decoder(_OpenApi)


def missing_fields(document: _OpenApi) -> list[str]:
    """The fields that this version uses and the CRDs of the cluster lack."""
    return [
        f"{kind}.{part}.{name}"
        for kind, parts in _TYPES.items()
        for part, cls in parts.items()
        for name in sorted(json_name(each.name, each.metadata) for each in fields(cls))
        if name not in _properties(document, kind, part)
    ]


_TYPES: Final[Mapping[str, Mapping[str, type[AttrsInstance]]]] = {
    "ClusterLink": {"spec": ClusterLinkSpec, "status": ClusterLinkStatus},
    "TrafficPolicy": {"spec": TrafficPolicySpec, "status": TrafficPolicyStatus},
}


def _properties(document: _OpenApi, kind: str, part: str) -> Collection[str]:
    """The fields of spec or status of a kind."""
    for name, schema in document.components.schemas.items():
        if name.endswith(f".{kind}") and part in schema.properties:
            return schema.properties[part].properties
    return ()
