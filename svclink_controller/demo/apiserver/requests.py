"""Read an HTTP request: the path, the verb, the query and the body."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec
from aiohttp import web
from attrs import frozen

from svclink_controller.demo.apiserver.access.authorization import Attributes
from svclink_controller.demo.apiserver.registry.patch import merge, strategic_merge
from svclink_controller.demo.apiserver.resource_types import NAMESPACE_TYPE, ResourceType
from svclink_controller.demo.apiserver.status_errors import (
    JsonObject,
    StatusError,
    bad_request,
    unknown_path,
)

MAX_REQUEST_BYTES: Final = 3 * 2**20
WRITE_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@frozen
class RequestTarget:
    """The object that a path names, or a collection if `name` is empty."""

    resource_type: ResourceType
    namespace: str
    name: str
    subresource: str


def parse_path(path: str, resource_types: Iterable[ResourceType]) -> RequestTarget | None:
    """Return what a path names; None for a path outside the API groups.

    Raises:
        StatusError: 404, the resource type of the path is not served.
    """
    parts = path.strip("/").split("/")
    depth = {"api": 2, "apis": 3}.get(parts[0], 0)
    root, rest = "/".join(parts[:depth]), parts[depth:]
    if not depth or not rest:
        return None
    namespace = ""
    is_namespaced = rest[0] == "namespaces" and len(rest) > 2
    if is_namespaced and rest[2] not in ("status", "finalize"):
        namespace, rest = rest[1], rest[2:]
    if len(rest) > 3:
        raise unknown_path()
    plural, name, subresource = (*rest, "", "")[:3]
    for each in resource_types:
        fits_scope = each.namespaced or not namespace
        if each.root == root and each.plural == plural and fits_scope:
            return RequestTarget(each, namespace, name, subresource)
    raise unknown_path()


def attributes_of(request: web.BaseRequest, target: RequestTarget | None) -> Attributes:
    """Return the action that a request asks for."""
    if target is None:
        return Attributes(request.method.lower())
    is_namespace = target.resource_type.plural == NAMESPACE_TYPE.plural
    return Attributes(
        WRITE_VERBS.get(request.method) or _read_verb(request, target),
        target.resource_type.group,
        target.resource_type.plural,
        target.subresource,
        target.name if is_namespace else target.namespace,
        target.name,
    )


def _read_verb(request: web.BaseRequest, target: RequestTarget) -> str:
    if target.name:
        return "get"
    return "watch" if request.query.get("watch") in ("true", "1") else "list"


def wants_table(request: web.BaseRequest) -> bool:
    """Report whether the client asks for Tables, as `kubectl get` does."""
    return "as=Table" in request.headers.get("Accept", "")


def check_number(query: Mapping[str, str], name: str) -> None:
    """Check that a parameter of a query is a number or missing.

    Raises:
        StatusError: 400, it is something else.
    """
    text = query.get(name) or "0"
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax ({name})')


async def read_object(request: web.BaseRequest) -> JsonObject:
    """Return the object in the body of a request; an empty body counts as an empty object.

    Raises:
        StatusError: 400, 413 or 415, the body is invalid, too large or not JSON.
    """
    try:
        content = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise StatusError(413, "RequestEntityTooLarge", f"limit is {MAX_REQUEST_BYTES}") from error
    if request.content_type.endswith("protobuf"):
        message = (
            "this server reads only JSON: run `kubectl create --dry-run=client -o yaml`, "
            "and apply the output"
        )
        raise StatusError(415, "UnsupportedMediaType", message)
    try:
        decoded = msgspec.json.decode(content or b"{}")
    except msgspec.DecodeError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error
    if not isinstance(decoded, dict | list):
        raise bad_request("the object provided is unrecognized: it is not an object")
    # A list is a JSON patch, which `patch_function` refuses.
    return decoded  # type: ignore[return-value]


def patch_function(
    content_type: str, resource_type: ResourceType, body: JsonObject
) -> Callable[[JsonObject], JsonObject]:
    """Return the function that applies a patch to an object.

    Raises:
        StatusError: 415, for example for a strategic merge patch of a custom resource.
    """
    match content_type:
        case "application/merge-patch+json":
            return lambda old: merge(old, body)  # type: ignore[return-value]
        case "application/strategic-merge-patch+json" if resource_type.definition is None:
            return lambda old: strategic_merge(old, body, resource_type.kind)
        case _:
            message = (
                "the body of the request was in an unknown format - "
                "accepted media types include: application/merge-patch+json"
            )
            raise StatusError(415, "UnsupportedMediaType", message)
