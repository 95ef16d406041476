"""The API server: HTTP in and out. What writes mean is in `registry`, what is kept is in `storage`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import Final

import msgspec
from aiohttp import web
from attrs import define, frozen

from svclink_controller import clock
from svclink_controller.demo.apiserver.authorization import ANONYMOUS, Attributes, Authority, User
from svclink_controller.demo.apiserver.patch import merge, strategic_merge
from svclink_controller.demo.apiserver.registry import Registry
from svclink_controller.demo.apiserver.resource_types import (
    ACCESS_REVIEW,
    SERVICE_ACCOUNTS,
    ResourceType,
    discover,
)
from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError, bad_request
from svclink_controller.demo.apiserver.storage import HISTORY, Storage
from svclink_controller.demo.apiserver.tables import table
from svclink_controller.demo.apiserver.watch import BOOKMARK_SECONDS, Watch, collection

MAX_REQUEST_BYTES: Final = 3 * 2**20
GARBAGE_SECONDS: Final = 0.1
"""How long the garbage collector waits before it looks: it is a neighbour, and never acts at once."""
OPEN_PATHS: Final = ("/version", "/healthz", "/livez", "/readyz")
TOKEN_SECRET: Final = "kubernetes.io/service-account-token"  # noqa: S105 - a type
LASTING_SECONDS: Final = 10 * 365 * 24 * 3600
WRITE_VERBS: Final = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@frozen
class RequestTarget:
    """What a path names. Without a name it is a collection."""

    kind: ResourceType
    namespace: str
    name: str
    subresource: str


@define
class ApiServer:
    """Answers the requests of one cluster.

    Args:
        audit: Called with each finished (or, for a watch, started) request, as audit.k8s.io/v1 has it.
    """

    registry: Registry
    authority: Authority
    audit: Callable[[JsonObject], None]
    bookmark_seconds: float = BOOKMARK_SECONDS

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        user, asked, target = ANONYMOUS, Attributes(request.method.lower()), None
        try:
            certificate = (
                None if request.transport is None else request.transport.get_extra_info("peercert")
            )
            user = self.authority.authenticate(certificate, request.headers.get("Authorization"))
            target = self._target(request.path)
            asked = attributes(request, target)
            self._authorize(user, asked, request.path)
            if asked.verb == "watch" and target is not None:
                self._log(request, user, asked, 200, "ResponseStarted")
                try:
                    return await self._watch(request, target)
                finally:
                    self._log(request, user, asked, 200, "ResponseComplete")
            response = await self._answer(request, target, user)
        except StatusError as error:
            response = answer(error.status, error.code)
        self._log(request, user, asked, response.status, "ResponseComplete")
        return response

    async def collect_garbage(self) -> None:
        """Tidy up after changes, for ever."""
        while True:
            news = self.registry.storage.news
            if not self.registry.collect_garbage():
                await news.wait()
            await asyncio.sleep(GARBAGE_SECONDS)

    def _authorize(self, user: User, asked: Attributes, path: str) -> None:
        if user is ANONYMOUS and not asked.resource and path not in OPEN_PATHS:
            raise StatusError(
                403, "Forbidden", f'forbidden: User "{user.name}" cannot {asked.verb} path "{path}"'
            )
        if asked.resource == ACCESS_REVIEW and user is not ANONYMOUS:
            return
        if not self.authority.allows(user, asked):
            where = (
                f'in the namespace "{asked.namespace}"'
                if asked.namespace
                else "at the cluster scope"
            )
            what = "/".join(filter(None, (asked.resource, asked.subresource)))
            full = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
            message = (
                f'{full} is forbidden: User "{user.name}" cannot {asked.verb} resource "{what}" '
                f'in API group "{asked.group}" {where}'
            )
            raise StatusError(403, "Forbidden", message, kind=asked.resource, group=asked.group)

    def _target(self, path: str) -> RequestTarget | None:
        """What a path names; None where it is no path of objects."""
        parts = path.strip("/").split("/")
        depth = {"api": 2, "apis": 3}.get(parts[0], 0)
        root, rest = "/".join(parts[:depth]), parts[depth:]
        if not depth or not rest:
            return None
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
            namespace, rest = rest[1], rest[2:]
        plural, name, subresource, *more = [*rest, "", "", ""][: max(3, len(rest))]
        for kind in self.registry.kinds():
            fits = kind.namespaced or not namespace
            if kind.root == root and kind.plural == plural and fits and not any(more):
                return RequestTarget(kind, namespace, name, subresource)
        raise StatusError(404, "NotFound", "the server could not find the requested resource")

    async def _answer(
        self, request: web.BaseRequest, target: RequestTarget | None, user: User
    ) -> web.Response:
        if target is None:
            return self._document(request.path)
        if request.method == "GET":
            return self._read(request, target)
        if target.kind.plural == ACCESS_REVIEW:
            return answer(self._review(user, await body_of(request)), 201)
        if (target.kind.name, target.subresource) == ("ServiceAccount", "token"):
            return answer(self._issue_token(target, await body_of(request)), 201)
        if target.subresource and not (target.subresource == "status" and target.kind.has_status):
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        content, made = await self._write(request, target)
        if _wants_table(request):
            return answer(
                table(target.kind, [content], content["metadata"]["resourceVersion"]), made
            )
        return answer(content, made)

    def _document(self, path: str) -> web.Response:
        if path in OPEN_PATHS[1:]:
            return web.Response(text="ok")
        found = discover(path, self.registry.kinds())
        if found is None:
            raise StatusError(404, "NotFound", "the server could not find the requested resource")
        return answer(found)

    # Reading

    def _read(self, request: web.BaseRequest, target: RequestTarget) -> web.Response:
        as_table = _wants_table(request)
        if target.name:
            item = self.registry.get(target.kind, target.namespace, target.name)
            version = item["metadata"]["resourceVersion"]
            return answer(table(target.kind, [item], version) if as_table else item)
        kind, version = target.kind, str(self.registry.storage.revision)
        items = collection(kind, target.namespace, request.query).among(
            self.registry.storage.objects
        )
        if as_table:
            return answer(table(kind, items, version))
        meta = {"resourceVersion": version}
        return answer(
            {
                "kind": f"{kind.name}List",
                "apiVersion": kind.api_version,
                "metadata": meta,
                "items": items,
            }
        )

    async def _watch(self, request: web.BaseRequest, target: RequestTarget) -> web.StreamResponse:
        wanted = collection(target.kind, target.namespace, request.query)
        for name in ("resourceVersion", "timeoutSeconds"):
            number(request.query, name)  # Refused before the answer begins.
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        watch = Watch(
            self.registry.storage,
            wanted,
            request.query,
            as_table=_wants_table(request),
            bookmark_seconds=self.bookmark_seconds,
        )
        async with aclosing(watch.lines()) as lines:
            async for portion in lines:
                await response.write(portion)
        await response.write_eof()
        return response

    # Writing

    async def _write(
        self, request: web.BaseRequest, target: RequestTarget
    ) -> tuple[JsonObject, int]:
        """Do what is asked; returns the object of the answer and its HTTP status."""
        kind, namespace, name = target.kind, target.namespace, target.name
        dry_run = "dryRun" in request.query
        body = await body_of(request)
        match request.method, bool(name):
            case "POST", False:
                if body.get("type") == TOKEN_SECRET:
                    body = self._with_token(namespace, body)
                return self.registry.create(kind, namespace, body, dry_run=dry_run), 201
            case "PUT", True:
                return self.registry.update(
                    kind, namespace, name, body, target.subresource, dry_run=dry_run
                ), 200
            case "PATCH", True:
                change = patch_of(request.content_type, kind, body)
                done = self.registry.patch(
                    kind, namespace, name, change, target.subresource, dry_run=dry_run
                )
                return done, 200
            case "DELETE", True:
                options = body | ({"dryRun": True} if dry_run else {})
                gone = self.registry.delete(kind, namespace, name, options)
                return gone if kind.name == "Namespace" else success(kind, gone), 200
            case _:
                raise StatusError(
                    405, "MethodNotAllowed", "the server does not allow this method on the resource"
                )

    def _issue_token(self, target: RequestTarget, body: JsonObject) -> JsonObject:
        account = self.registry.get(target.kind, target.namespace, target.name)
        seconds = int((body.get("spec") or {}).get("expirationSeconds") or 3600)
        expires = clock.rfc3339(clock.seconds() + seconds)
        status = {
            "token": self.authority.issue_token(account, seconds),
            "expirationTimestamp": expires,
        }
        return (
            {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "metadata": {}}
            | body
            | {"status": status}
        )

    def _with_token(self, namespace: str, secret: JsonObject) -> JsonObject:
        """A Secret for the token of a ServiceAccount, with the token, which a real cluster fills in a little later."""
        name = (
            (secret.get("metadata") or {})
            .get("annotations", {})
            .get("kubernetes.io/service-account.name", "")
        )
        account = self.registry.get(SERVICE_ACCOUNTS, namespace, name)
        token = self.authority.issue_token(account, LASTING_SECONDS).encode()
        return secret | {"data": {"token": base64.b64encode(token).decode()}}

    def _review(self, user: User, body: JsonObject) -> JsonObject:
        """The answer to "may I?"."""
        asked = (body.get("spec") or {}).get("resourceAttributes") or {}
        names = ("verb", "group", "resource", "subresource", "namespace", "name")
        allowed = self.authority.allows(
            user, Attributes(**{name: asked.get(name, "") for name in names})
        )
        return body | {"status": {"allowed": allowed}}

    def _log(
        self, request: web.BaseRequest, user: User, asked: Attributes, code: int, stage: str
    ) -> None:
        reference = {
            name: getattr(asked, name) for name in ("resource", "subresource", "namespace", "name")
        }
        event: JsonObject = {
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": "Metadata",
            "stage": stage,
            "requestURI": request.path_qs,
            "verb": asked.verb,
            "user": {"username": user.name, "groups": user.groups},
            "userAgent": request.headers.get("User-Agent", ""),
            "responseStatus": {"code": code},
            "requestReceivedTimestamp": clock.now(),
            "annotations": {"authorization.k8s.io/decision": "forbid" if code == 403 else "allow"},
        }
        self.audit(
            event | ({"objectRef": {name: value for name, value in reference.items() if value}})
        )


def make_api_server(
    journal: Path | None,
    key: bytes,
    audit: Callable[[JsonObject], None] = lambda _: None,
    history: int = HISTORY,
) -> ApiServer:
    """An API server with the content of a journal; `key` is what its tokens are signed with."""
    storage = Storage(journal, history)
    registry = Registry(storage)
    registry.start()
    return ApiServer(registry, Authority(storage, key), audit)


def attributes(request: web.BaseRequest, target: RequestTarget | None) -> Attributes:
    """What a request asks for."""
    if target is None:
        return Attributes(request.method.lower())
    watches = request.query.get("watch") in ("true", "1") and not target.name
    reads = "get" if target.name else "watch" if watches else "list"
    verb = WRITE_VERBS.get(request.method, reads)
    namespace = target.name if target.kind.plural == "namespaces" else target.namespace
    return Attributes(
        verb, target.kind.group, target.kind.plural, target.subresource, namespace, target.name
    )


async def body_of(request: web.BaseRequest) -> JsonObject:
    """The object in a request.

    Raises:
        StatusError: 400 or 413, there is none.
    """
    try:
        content = await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise StatusError(413, "RequestEntityTooLarge", f"limit is {MAX_REQUEST_BYTES}") from error
    try:
        if request.content_type.endswith("protobuf"):
            message = "this server reads JSON only: use `kubectl create --dry-run=client -o yaml`, and apply that"
            raise StatusError(415, "UnsupportedMediaType", message)
        decoded = msgspec.json.decode(content or b"{}")
    except msgspec.DecodeError as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error
    if not isinstance(decoded, dict | list):
        raise bad_request("the object provided is unrecognized: it is no object")
    return decoded  # type: ignore[return-value]  # a list only where it is a JSON patch, which is refused


def number(query: Mapping[str, str], name: str) -> int:
    """A number in a query; 0 where it is not there."""
    text = query.get(name) or "0"
    if not (text.isascii() and text.isdigit()):
        raise bad_request(f'strconv.ParseInt: parsing "{text}": invalid syntax ({name})')
    return int(text)


def patch_of(
    content_type: str, kind: ResourceType, body: JsonObject
) -> Callable[[JsonObject], JsonObject]:
    """What a patch does to an object.

    Raises:
        StatusError: 415, as for a strategic merge patch of a custom resource.
    """
    match content_type:
        case "application/merge-patch+json":
            return lambda old: merge(old, body)  # type: ignore[return-value]
        case "application/strategic-merge-patch+json" if kind.definition is None:
            return lambda old: strategic_merge(old, body, kind.name)
        case _:
            message = (
                "the body of the request was in an unknown format - accepted media types include: "
            )
            accepted = "application/merge-patch+json"
            raise StatusError(415, "UnsupportedMediaType", message + accepted)


def success(kind: ResourceType, gone: JsonObject) -> JsonObject:
    """The Status that answers a deletion."""
    details = {
        "name": gone["metadata"]["name"],
        "group": kind.group,
        "kind": kind.plural,
        "uid": gone["metadata"]["uid"],
    }
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Success",
        "details": details,
    }


def answer(content: JsonObject, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.Response(
        body=msgspec.json.encode(content), status=status, content_type="application/json"
    )


def _wants_table(request: web.BaseRequest) -> bool:
    return "as=Table" in request.headers.get("Accept", "")
