"""The main cluster: does it answer, has it the CRD of this version, may svclink do its work there?"""

from __future__ import annotations

from typing import Final

import msgspec
from attrs import fields

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.permissions import MAIN_PERMISSIONS as MAIN_CLUSTER
from svclink_controller.cli.permissions import OWN_NAMESPACE, Permission
from svclink_controller.cli.preflight.access import UNANSWERED, check_clock, check_permissions
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, some
from svclink_controller.wire.reading import decode_version
from svclink_controller.wire.resources import CLUSTER_LINKS
from svclink_core.codec import json_name
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec, ClusterLinkStatus
from svclink_core.well_known import API_VERSION, GROUP

APPLY_CRD: Final = "kubectl apply -f crd/"
APPLY_DEPLOYMENT: Final = "kubectl apply -f deploy/deployment.yaml"


async def check_main(client: Client, home: str, account: str | None) -> list[Result]:
    """Everything about the main cluster itself. Where it does not answer, that is all there is to say."""
    try:
        version = decode_version(await client.get("/version"))
    except UNANSWERED as error:
        return [
            Result("fail", MAIN_SUBJECT, "api", f"does not answer: {error}", "kubectl cluster-info")
        ]
    answers = Result("ok", MAIN_SUBJECT, "api", f"answers, Kubernetes {version}")
    try:
        return [
            answers,
            *await check_clock(client, MAIN_SUBJECT),
            *await _check_crd(client),
            *await check_permissions(client, MAIN_SUBJECT, wanted(home), APPLY_DEPLOYMENT, account),
        ]
    except UNANSWERED as error:
        return [
            answers,
            Result(
                "fail", MAIN_SUBJECT, "api", f"answers no more: {error}", "kubectl cluster-info"
            ),
        ]


def wanted(home: str) -> list[tuple[Permission, str]]:
    """The permissions svclink needs in its main cluster, each with its namespace (empty: all)."""
    return [(each, "") for each in MAIN_CLUSTER] + [(each, home) for each in OWN_NAMESPACE]


# The CRD


async def _check_crd(client: Client) -> list[Result]:
    """Whether ClusterLinks exist, as this version knows them. What the API publishes is read: anybody may."""
    try:
        discovery = _DISCOVERY.decode(await client.get(f"/apis/{GROUP}/{API_VERSION}"))
        document = _OPENAPI.decode(await client.get(f"/openapi/v3/apis/{GROUP}/{API_VERSION}"))
    except ApiError as error:
        if error.status.code == 404:
            return [
                Result("fail", MAIN_SUBJECT, "crd", "ClusterLinks are not installed", APPLY_CRD)
            ]
        return [Result("warn", MAIN_SUBJECT, "crd", f"cannot be read: {error}", APPLY_CRD)]
    except msgspec.MsgspecError as error:
        return [Result("warn", MAIN_SUBJECT, "crd", f"is not understood: {error}", APPLY_CRD)]
    if any(each.name == CLUSTER_LINKS.plural and each.namespaced for each in discovery.resources):
        return [
            Result(
                "warn", MAIN_SUBJECT, "crd", "is the namespaced one of the Go release", APPLY_CRD
            )
        ]
    if missing := missing_fields(document):
        return [
            Result(
                "warn",
                MAIN_SUBJECT,
                "crd",
                f"is of another version: it does not know {some(missing)}",
                APPLY_CRD,
            )
        ]
    return [Result("ok", MAIN_SUBJECT, "crd", "is installed and current")]


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
    """The fields of a ClusterLink that this version uses, and the CRD of the cluster does not know."""
    schema = next(
        (
            each
            for name, each in document.components.schemas.items()
            if name.endswith(".ClusterLink")
        ),
        None,
    )
    known = {} if schema is None else schema.properties
    parts = {"spec": ClusterLinkSpec, "status": ClusterLinkStatus}
    return [
        f"{part}.{name}"
        for part, kind in parts.items()
        for name in sorted(json_name(each.name, each.metadata) for each in fields(kind))
        if part not in known or name not in known[part].properties
    ]
