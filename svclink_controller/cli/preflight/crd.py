"""Whether the CRD of ClusterLinks is installed, and is that of this version."""

from __future__ import annotations

from typing import Final

import msgspec
from attrs import fields

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, Severity, shortened
from svclink_controller.wire.resources import CLUSTER_LINKS
from svclink_core.codec import json_name
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec, ClusterLinkStatus
from svclink_core.well_known import API_VERSION, GROUP

APPLY_CRD: Final = "kubectl apply -f crd/"


async def check_crd(client: Client) -> list[Result]:
    """Compare with the discovery and the schemas of the API server, which every user may read."""
    try:
        discovery = _DISCOVERY.decode(await client.get(f"/apis/{GROUP}/{API_VERSION}"))
        document = _OPENAPI.decode(await client.get(f"/openapi/v3/apis/{GROUP}/{API_VERSION}"))
    except ApiError as error:
        if error.status.code == 404:
            return _problem("fail", "ClusterLinks are not installed")
        return _problem("warn", f"cannot be read: {error}")
    except msgspec.MsgspecError as error:
        return _problem("warn", f"cannot be decoded: {error}")
    if any(each.name == CLUSTER_LINKS.plural and each.namespaced for each in discovery.resources):
        return _problem("warn", "is the namespaced one of the Go release")
    if missing := missing_fields(document):
        return _problem("warn", f"is of another version: it lacks {shortened(missing)}")
    return [Result("ok", MAIN_SUBJECT, "crd", "is installed and current")]


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
    """The fields of a ClusterLink that this version uses and the CRD of the cluster lacks."""
    schema = next(
        (
            each
            for name, each in document.components.schemas.items()
            if name.endswith(".ClusterLink")
        ),
        None,
    )
    present = {} if schema is None else schema.properties
    parts = {"spec": ClusterLinkSpec, "status": ClusterLinkStatus}
    return [
        f"{part}.{name}"
        for part, kind in parts.items()
        for name in sorted(json_name(each.name, each.metadata) for each in fields(kind))
        if part not in present or name not in present[part].properties
    ]
