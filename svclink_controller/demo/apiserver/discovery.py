"""Discovery and OpenAPI: the documents that list the served resource types."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from svclink_controller.demo.apiserver.resource_types import ACCESS_REVIEW, ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject

SERVER_VERSION: Final[JsonObject] = {
    "major": "1",
    "minor": "36",
    "gitVersion": "v1.36.0+svclink-demo",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z",
    "goVersion": "none",
    "compiler": "none",
    "platform": "python",
}
VERBS: Final = ["create", "delete", "get", "list", "patch", "update", "watch"]


def discover(path: str, resource_types: Iterable[ResourceType]) -> JsonObject | None:
    """Return the discovery or OpenAPI document at a path; None if the path has none."""
    served = list(resource_types)
    parts = path.strip("/").split("/")
    document: JsonObject | None
    match parts:
        case ["version"]:
            document = SERVER_VERSION
        case ["api"]:
            document = {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
        case ["apis"]:
            names = dict.fromkeys(each.group for each in served if each.group)
            groups = [_group(name, served) for name in names]
            document = {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
        case ["apis", group] if any(each.group == group for each in served):
            document = {"kind": "APIGroup", "apiVersion": "v1"} | _group(group, served)
        case ["openapi", "v3"]:
            roots = dict.fromkeys(each.root for each in served)
            paths = {root: {"serverRelativeURL": f"/openapi/v3/{root}"} for root in roots}
            document = {"paths": paths}
        case ["openapi", "v3", *root]:
            document = _openapi([each for each in served if each.root == "/".join(root)])
        case _:
            document = _resource_list([each for each in served if each.root == "/".join(parts)])
    return document


def _group(name: str, served: list[ResourceType]) -> JsonObject:
    in_group = (each for each in served if each.group == name)
    versions = [
        {"groupVersion": api_version, "version": version}
        for api_version, version in dict.fromkeys((t.api_version, t.version) for t in in_group)
    ]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(of_version: list[ResourceType]) -> JsonObject | None:
    """Return the APIResourceList of one API version."""
    if not of_version:
        return None
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": of_version[0].api_version,
        "resources": [entry for each in of_version for entry in _resource_entries(each)],
    }


def _resource_entries(resource_type: ResourceType) -> list[JsonObject]:
    common = {"namespaced": resource_type.namespaced, "kind": resource_type.kind}
    entry = {
        "name": resource_type.plural,
        "singularName": resource_type.kind.lower(),
        "shortNames": list(resource_type.short_names),
        "verbs": ["create"] if resource_type.plural == ACCESS_REVIEW else VERBS,
    }
    if not resource_type.has_status:
        return [common | entry]
    status = {
        "name": f"{resource_type.plural}/status",
        "singularName": "",
        "verbs": ["get", "patch", "update"],
    }
    return [common | entry, common | status]


def _openapi(of_version: list[ResourceType]) -> JsonObject | None:
    """Return the OpenAPI document of one API version, with the schemas of custom resources.

    It declares the parameter `fieldValidation`, so that kubectl leaves validation to the server
    (KEP-2885).
    """
    if not of_version:
        return None
    paths: JsonObject = {}
    schemas: JsonObject = {}
    for each in of_version:
        identity = {"group": each.group, "version": each.version, "kind": each.kind}
        namespaced = "namespaces/{namespace}/" if each.namespaced else ""
        paths[f"/{each.root}/{namespaced}{each.plural}/{{name}}"] = {
            "patch": {
                "parameters": [
                    {"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}
                ],
                "responses": {},
                "x-kubernetes-group-version-kind": identity,
            }
        }
        if each.definition is not None:
            schemas[f"{each.group}.{each.kind}"] = {
                **each.definition["schema"]["openAPIV3Schema"],
                "x-kubernetes-group-version-kind": [identity],
            }
    info = {"title": "Kubernetes", "version": SERVER_VERSION["gitVersion"]}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}
