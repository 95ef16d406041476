"""The API server: authenticate, authorize and answer each request, and write the audit log."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web
from attrs import asdict, define

from svclink_controller import clock
from svclink_controller.demo.apiserver.access.authentication import ANONYMOUS, Authenticator, User
from svclink_controller.demo.apiserver.access.authorization import Attributes, Authorizer
from svclink_controller.demo.apiserver.discovery import discover
from svclink_controller.demo.apiserver.registry.garbage_collection import collect_garbage
from svclink_controller.demo.apiserver.registry.registry import Registry
from svclink_controller.demo.apiserver.requests import (
    RequestTarget,
    attributes_of,
    check_number,
    parse_path,
    patch_function,
    read_object,
    wants_table,
)
from svclink_controller.demo.apiserver.resource_types import (
    ACCESS_REVIEW,
    NAMESPACE_TYPE,
    SERVICE_ACCOUNT_TYPE,
    ResourceType,
)
from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError, unknown_path
from svclink_controller.demo.apiserver.storage import HISTORY, Storage
from svclink_controller.demo.apiserver.tables import table
from svclink_controller.demo.apiserver.watch import BOOKMARK_SECONDS, Watch, parse_collection

GARBAGE_SECONDS: Final = 0.1
"""Pause before each round of garbage collection, which is never immediate in a real cluster."""
HEALTH_PATHS: Final = ("/healthz", "/livez", "/readyz")
ANONYMOUS_PATHS: Final = ("/version", *HEALTH_PATHS)
TOKEN_SECRET: Final = "kubernetes.io/service-account-token"  # noqa: S105 - the type of a Secret
LONG_LIVED_SECONDS: Final = 10 * 365 * 24 * 3600
DEFAULT_TOKEN_SECONDS: Final = 3600


@define
class ApiServer:
    """Answer the requests of one cluster.

    Args:
        audit: Called with an audit.k8s.io/v1 Event for each finished request and started watch.
        bookmark_seconds: How often an idle watch sends a bookmark.
    """

    registry: Registry
    authenticator: Authenticator
    authorizer: Authorizer
    audit: Callable[[JsonObject], None]
    bookmark_seconds: float = BOOKMARK_SECONDS

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        user, attributes, target = ANONYMOUS, Attributes(request.method.lower()), None
        try:
            user = self._user(request)
            target = parse_path(request.path, self.registry.resource_types())
            attributes = attributes_of(request, target)
            self._authorize(user, attributes, request.path)
            if attributes.verb == "watch" and target is not None:
                self._log(request, user, attributes, 200, "ResponseStarted")
                try:
                    return await self._watch(request, target)
                finally:
                    self._log(request, user, attributes, 200, "ResponseComplete")
            response = await self._answer(request, target, user)
        except StatusError as error:
            response = json_response(error.status, error.code)
        self._log(request, user, attributes, response.status, "ResponseComplete")
        return response

    async def collect_garbage(self) -> None:
        """Collect garbage after each change, forever."""
        while True:
            changed = self.registry.storage.changed
            if not collect_garbage(self.registry):
                await changed.wait()
            await asyncio.sleep(GARBAGE_SECONDS)

    def _user(self, request: web.BaseRequest) -> User:
        transport = request.transport
        certificate = None if transport is None else transport.get_extra_info("peercert")
        return self.authenticator.authenticate(certificate, request.headers.get("Authorization"))

    def _authorize(self, user: User, attributes: Attributes, path: str) -> None:
        verb, resource, group = attributes.verb, attributes.resource, attributes.group
        if user is ANONYMOUS and not resource and path not in ANONYMOUS_PATHS:
            message = f'forbidden: User "{user.name}" cannot {verb} path "{path}"'
            raise StatusError(403, "Forbidden", message)
        is_access_review = resource == ACCESS_REVIEW and user is not ANONYMOUS
        if is_access_review or self.authorizer.allows(user, attributes):
            return
        namespace = attributes.namespace
        scope = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
        with_group = f"{resource}.{group}" if group else resource
        with_subresource = "/".join(filter(None, (resource, attributes.subresource)))
        message = (
            f'{with_group} is forbidden: User "{user.name}" cannot {verb} '
            f'resource "{with_subresource}" in API group "{group}" {scope}'
        )
        raise StatusError(403, "Forbidden", message, kind=resource, group=group)

    async def _answer(
        self, request: web.BaseRequest, target: RequestTarget | None, user: User
    ) -> web.Response:
        if target is None:
            return self._document(request.path)
        if request.method == "GET":
            return self._read(request, target)
        resource_type, subresource = target.resource_type, target.subresource
        if resource_type.plural == ACCESS_REVIEW:
            return json_response(self._review_access(user, await read_object(request)), 201)
        if resource_type == SERVICE_ACCOUNT_TYPE and subresource == "token":
            return json_response(self._issue_token(target, await read_object(request)), 201)
        if subresource and not (subresource == "status" and resource_type.has_status):
            raise unknown_path()
        content, status = await self._write(request, target)
        if wants_table(request):
            content = table(resource_type, [content], content["metadata"]["resourceVersion"])
        return json_response(content, status)

    def _document(self, path: str) -> web.Response:
        if path in HEALTH_PATHS:
            return web.Response(text="ok")
        document = discover(path, self.registry.resource_types())
        if document is None:
            raise unknown_path()
        return json_response(document)

    # Reading

    def _read(self, request: web.BaseRequest, target: RequestTarget) -> web.Response:
        resource_type, as_table = target.resource_type, wants_table(request)
        if target.name:
            item = self.registry.get(resource_type, target.namespace, target.name)
            version = item["metadata"]["resourceVersion"]
            return json_response(table(resource_type, [item], version) if as_table else item)
        storage = self.registry.storage
        collection = parse_collection(resource_type, target.namespace, request.query)
        items, version = collection.select(storage.objects), str(storage.revision)
        if as_table:
            return json_response(table(resource_type, items, version))
        return json_response(
            {
                "kind": f"{resource_type.kind}List",
                "apiVersion": resource_type.api_version,
                "metadata": {"resourceVersion": version},
                "items": items,
            }
        )

    async def _watch(self, request: web.BaseRequest, target: RequestTarget) -> web.StreamResponse:
        collection = parse_collection(target.resource_type, target.namespace, request.query)
        # A request is refused before the response begins, or not at all.
        for name in ("resourceVersion", "timeoutSeconds"):
            check_number(request.query, name)
        watch = Watch(
            self.registry.storage,
            collection,
            request.query,
            as_table=wants_table(request),
            bookmark_seconds=self.bookmark_seconds,
        )
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        async with aclosing(watch.lines()) as lines:
            async for portion in lines:
                await response.write(portion)
        await response.write_eof()
        return response

    # Writing

    async def _write(
        self, request: web.BaseRequest, target: RequestTarget
    ) -> tuple[JsonObject, int]:
        """Write an object; returns the body and the HTTP status of the response."""
        registry, resource_type = self.registry, target.resource_type
        where = resource_type, target.namespace
        dry_run = "dryRun" in request.query
        body = await read_object(request)
        match request.method, bool(target.name):
            case "POST", False:
                if body.get("type") == TOKEN_SECRET:
                    body = self._with_token(target.namespace, body)
                return registry.create(*where, body, dry_run=dry_run), 201
            case "PUT", True:
                new = registry.update(
                    *where, target.name, body, target.subresource, dry_run=dry_run
                )
                return new, 200
            case "PATCH", True:
                apply = patch_function(request.content_type, resource_type, body)
                new = registry.patch(
                    *where, target.name, apply, target.subresource, dry_run=dry_run
                )
                return new, 200
            case "DELETE", True:
                options = body | ({"dryRun": True} if dry_run else {})
                gone = registry.delete(*where, target.name, options)
                is_namespace = resource_type == NAMESPACE_TYPE
                return gone if is_namespace else deletion_status(resource_type, gone), 200
            case _:
                message = "the server does not allow this method on the resource"
                raise StatusError(405, "MethodNotAllowed", message)

    def _issue_token(self, target: RequestTarget, body: JsonObject) -> JsonObject:
        account = self.registry.get(target.resource_type, target.namespace, target.name)
        requested = (body.get("spec") or {}).get("expirationSeconds")
        seconds = int(requested or DEFAULT_TOKEN_SECONDS)
        status = {
            "token": self.authenticator.issue_token(account, seconds),
            "expirationTimestamp": clock.rfc3339(clock.seconds() + seconds),
        }
        return {
            "kind": "TokenRequest",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {},
            **body,
            "status": status,
        }

    def _with_token(self, namespace: str, secret: JsonObject) -> JsonObject:
        """Add the token to a new token Secret; a controller does this in a real cluster."""
        annotations = (secret.get("metadata") or {}).get("annotations", {})
        name = annotations.get("kubernetes.io/service-account.name", "")
        account = self.registry.get(SERVICE_ACCOUNT_TYPE, namespace, name)
        token = self.authenticator.issue_token(account, LONG_LIVED_SECONDS).encode()
        return secret | {"data": {"token": base64.b64encode(token).decode()}}

    def _review_access(self, user: User, body: JsonObject) -> JsonObject:
        """Answer a SelfSubjectAccessReview."""
        requested = (body.get("spec") or {}).get("resourceAttributes") or {}
        names = ("verb", "group", "resource", "subresource", "namespace", "name")
        attributes = Attributes(**{name: requested.get(name, "") for name in names})
        return body | {"status": {"allowed": self.authorizer.allows(user, attributes)}}

    def _log(
        self, request: web.BaseRequest, user: User, attributes: Attributes, code: int, stage: str
    ) -> None:
        event: JsonObject = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "stage": stage,
            "requestURI": request.path_qs,
            "verb": attributes.verb,
            "user": {"username": user.name, "groups": user.groups},
            "userAgent": request.headers.get("User-Agent", ""),
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": clock.now(),
            "annotations": {"authorization.k8s.io/decision": "forbid" if code == 403 else "allow"},
        }
        names = ("resource", "subresource", "namespace", "name")
        reference = {name: value for name, value in asdict(attributes).items() if name in names}
        event["objectRef"] = {name: value for name, value in reference.items() if value}
        self.audit(event)


def make_api_server(
    journal: Path | None,
    key: bytes,
    audit: Callable[[JsonObject], None] = lambda _: None,
    history: int = HISTORY,
) -> ApiServer:
    """Return an API server.

    Args:
        journal: File that keeps the objects; None keeps them in memory only.
        key: Signs ServiceAccount tokens.
        audit: Called with each audit event.
        history: Minimum number of changes kept for watches.
    """
    storage = Storage(journal, history)
    registry = Registry(storage)
    registry.start()
    return ApiServer(registry, Authenticator(storage, key), Authorizer(storage), audit)


def deletion_status(resource_type: ResourceType, gone: JsonObject) -> JsonObject:
    """Return the meta/v1 Status of a successful deletion."""
    details = {
        "name": gone["metadata"]["name"],
        "group": resource_type.group,
        "kind": resource_type.plural,
        "uid": gone["metadata"]["uid"],
    }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def json_response(content: JsonObject, status: int = 200) -> web.Response:
    """Return a response with a JSON body."""
    return web.Response(
        body=msgspec.json.encode(content), status=status, content_type="application/json"
    )
