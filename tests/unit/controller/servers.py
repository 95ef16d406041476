"""API servers on the loopback interface, with TLS: one that does as a test says, and one that behaves.

Real: sockets, TLS, HTTP, certificates. Substituted: what Kubernetes would answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, Final, TypeAlias

import trustme
import yaml
from aiohttp import web
from attrs import define, evolve, field

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import remote_client
from svclink_controller.api.limits import DEFAULT_LIMITS, Limits
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_core.codec import Json, unstructure
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.svclink_v1alpha1 import ClusterLink

Object: TypeAlias = dict[str, Any]
Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

AUTHORITY: Final = trustme.CA()
OTHER_AUTHORITY: Final = trustme.CA()
TOKEN: Final = "hush.hush-0123456789"  # noqa: S105 - no secret of anybody

_CERTIFICATE: Final = AUTHORITY.issue_cert("127.0.0.1", "localhost")
CLIENT: Final = AUTHORITY.issue_cert("svclink.test")


@define
class Request:
    """What a server was asked."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def is_watch(self) -> bool:
        return self.query.get("watch") == "true"


@define
class Server:
    """A running server, and what it was asked so far."""

    url: str
    requests: list[Request] = field(factory=list)

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.requests]

    @property
    def watches(self) -> list[Request]:
        return [request for request in self.requests if request.is_watch]

    @property
    def lists(self) -> list[Request]:
        """Requests for everything; those for the newest resourceVersion ask for one object."""
        return [
            request
            for request in self.requests
            if not request.is_watch and request.query.get("limit") != "1"
        ]


@asynccontextmanager
async def serving(
    handler: Handler, certificate: trustme.LeafCert | None = None
) -> AsyncIterator[Server]:
    """A server that answers as the handler says, with a certificate that counts or the one given."""
    server = Server("")

    async def record(request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        server.requests.append(
            Request(request.method, request.path, dict(request.query), dict(request.headers), body)
        )
        return await handler(request)

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    (certificate or _CERTIFICATE).configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    runner = web.ServerRunner(web.Server(record, handler_cancellation=True), shutdown_timeout=0.05)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"https://127.0.0.1:{port}"
    try:
        yield server
    finally:
        await runner.cleanup()


def credentials(url: str, **changes: Any) -> Credentials:
    """What reaches a server of `serving`: its CA and a token, and what a test changes of that."""
    return evolve(
        Credentials(server=url, ca_data=AUTHORITY.cert_pem.bytes().decode(), token=TOKEN), **changes
    )


def with_certificate(url: str) -> Credentials:
    """The same with a client certificate instead of a token."""
    return credentials(
        url,
        token=None,
        client_certificate=CLIENT.cert_chain_pems[0].bytes().decode(),
        client_key=CLIENT.private_key_pem.bytes().decode(),
    )


def kubeconfig(url: str, ca: trustme.CA = AUTHORITY, token: str = TOKEN) -> str:
    """A kubeconfig, in base64, as it stands in `spec.kubeconfig`."""
    content = {
        "clusters": [
            {
                "name": "a",
                "cluster": {
                    "server": url,
                    "certificate-authority-data": _base64(ca.cert_pem.bytes()),
                },
            }
        ],
        "users": [{"name": "a", "user": {"token": token}}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "current-context": "a",
    }
    return _base64(yaml.safe_dump(content).encode())


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def connected(url: str, limits: Limits = DEFAULT_LIMITS) -> AbstractAsyncContextManager[Client]:
    """A client of a server, closed afterwards."""
    return connecting(credentials(url), limits=limits)


@asynccontextmanager
async def connecting(
    wanted: Credentials, trust: Trust = STRICT, limits: Limits = DEFAULT_LIMITS
) -> AsyncIterator[Client]:
    """A client with these credentials, closed afterwards."""
    client = await remote_client(wanted, trust, limits)
    try:
        yield client
    finally:
        await client.close()


async def read_lines(client: Client, path: str = "/watch") -> list[bytes]:
    """The lines of a watch, until it ends."""
    async with aclosing(client.lines(path, {})) as lines:
        return [line async for line in lines]


async def eventually(condition: Callable[[], bool], *, seconds: float = 10) -> None:
    """Waits until something is so; that it takes long is no failure, that it never comes is one."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for is the state of the world, which has no event
            await asyncio.sleep(0.002)


# Answers


def answer(content: Json, status: int = 200) -> web.Response:
    """An answer in JSON."""
    return web.json_response(content, status=status)


def refusal(
    code: int,
    reason: str = "",
    message: str = "no",
    *,
    retry_after: int | None = None,
    cause: str | None = None,
) -> web.Response:
    """A Status, as an API server refuses."""
    return answer(status_object(code, reason, message, retry_after=retry_after, cause=cause), code)


def status_object(
    code: int,
    reason: str = "",
    message: str = "no",
    *,
    retry_after: int | None = None,
    cause: str | None = None,
) -> dict[str, Json]:
    """A meta/v1 Status."""
    details: dict[str, Json] = {}
    if retry_after is not None:
        details["retryAfterSeconds"] = retry_after
    if cause is not None:
        details["causes"] = [{"reason": cause, "message": "because"}]
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "reason": reason,
        "message": message,
        "details": details,
    }


def page(*items: Json, version: str = "1", token: str | None = None) -> web.Response:
    """One page of a list."""
    metadata: dict[str, Json] = {"resourceVersion": version}
    if token is not None:
        metadata["continue"] = token
    return answer({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": list(items)})


def event(kind: str, content: Json) -> bytes:
    """A line of a watch."""
    return json.dumps({"type": kind, "object": content}).encode() + b"\n"


def bookmark(version: str) -> bytes:
    """The line of a watch that says: nothing happened up to here."""
    return event("BOOKMARK", {"kind": "Service", "metadata": {"resourceVersion": version}})


async def stream(
    request: web.BaseRequest, *chunks: bytes, stay: bool = False
) -> web.StreamResponse:
    """A watch that says some things and then ends, or stays open until the client leaves."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for chunk in chunks:
        await response.write(chunk)
    if stay:
        await asyncio.Event().wait()
    await response.write_eof()
    return response


# A server that behaves

_KINDS: Final = {Service: "services", EndpointSlice: "endpointslices", ClusterLink: "clusterlinks"}


@define(eq=False)
class Cluster:
    """The API of one cluster, as far as svclink uses it.

    Args:
        uid: Identity of the cluster, the uid of its `kube-system` namespace.
        override: Asked first; its answer, if it has one, is given instead.
    """

    uid: str = "uid-of-the-cluster"
    override: Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]] | None = None
    objects: dict[tuple[str, str, str], Object] = field(factory=dict)
    revision: int = 100
    watchers: set[asyncio.BaseTransport] = field(factory=set)
    _history: list[tuple[int, tuple[str, str, str], Object | None, Object | None]] = field(
        factory=list
    )
    _news: asyncio.Event = field(factory=asyncio.Event)

    def put(self, item: Service | EndpointSlice | ClusterLink) -> Object:
        """Somebody makes or changes an object."""
        return self._store(_KINDS[type(item)], unstructure(item))

    def put_raw(self, plural: str, content: Object) -> None:
        """Somebody makes or changes an object, of which everything is given."""
        self._store(plural, content)

    def put_secret(self, namespace: str, name: str, data: Object) -> None:
        """Somebody makes or changes a Secret."""
        self._store(
            "secrets",
            {"kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data},
        )

    def remove(self, item: Service | EndpointSlice | ClusterLink) -> None:
        """Somebody deletes an object."""
        self.remove_key(_KINDS[type(item)], item.metadata.namespace, item.metadata.name)

    def remove_key(self, plural: str, namespace: str, name: str) -> None:
        """Somebody deletes an object."""
        self._drop((plural, namespace, name))

    def hang_up(self) -> None:
        """Breaks the connection of every watch."""
        for transport in self.watchers:
            transport.close()

    def all(self, plural: str) -> list[Object]:
        """The objects of a kind."""
        return [item for (kind, _, _), item in self.objects.items() if kind == plural]

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.override is not None and (found := await self.override(request)) is not None:
            return found
        if request.path == "/version":
            return answer({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
        if request.path == "/api/v1/namespaces/kube-system":
            return answer(
                {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": self.uid}}
            )
        plural, namespace, name = _parse(request.path)
        if not name:
            return await self._of_all(request, plural, namespace)
        key = plural, namespace, name
        return await self._of_one(request, key) if key in self.objects else refusal(404, "NotFound")

    async def _of_all(
        self, request: web.BaseRequest, plural: str, namespace: str
    ) -> web.StreamResponse:
        if request.method == "POST":
            content = await request.json()
            if namespace:
                content["metadata"].setdefault("namespace", namespace)
            if (plural, namespace, content["metadata"]["name"]) in self.objects:
                return refusal(409, "AlreadyExists")
            return answer(self._store(plural, content), 201)
        if request.query.get("watch") == "true":
            return await self._watch(request, plural, namespace)
        asked = [
            item
            for key, item in self.objects.items()
            if _is_asked_for(request, plural, namespace, key)
        ]
        items = [item for item in asked if _is_selected(request, item)]
        return page(*items, version=str(self.revision))

    async def _of_one(
        self, request: web.BaseRequest, key: tuple[str, str, str]
    ) -> web.StreamResponse:
        if request.method == "GET":
            return answer(self.objects[key])
        content = await request.json()
        if request.method == "PATCH":
            return answer(self._store(key[0], self.objects[key] | content))
        if not self._fits(
            key, content["preconditions"] if request.method == "DELETE" else content["metadata"]
        ):
            return refusal(409, "Conflict")
        if request.method == "DELETE":
            self._drop(key)
            return answer({"kind": "Status", "status": "Success"})
        return answer(self._store(key[0], content))

    def _fits(self, key: tuple[str, str, str], wanted: Object) -> bool:
        metadata = self.objects[key]["metadata"]
        return all(metadata[each] == wanted[each] for each in ("uid", "resourceVersion"))

    def _store(self, plural: str, content: Object) -> Object:
        metadata = content["metadata"]
        key = plural, metadata.get("namespace", ""), metadata["name"]
        known = self.objects.get(key)
        self.revision += 1
        uid = (
            known["metadata"]["uid"]
            if known is not None
            else metadata.get("uid") or f"uid-{self.revision}"
        )
        stored = content | {
            "metadata": metadata | {"uid": uid, "resourceVersion": str(self.revision)}
        }
        self.objects[key] = stored
        self._tell(key, known, stored)
        return stored

    def _drop(self, key: tuple[str, str, str]) -> None:
        gone = self.objects.pop(key)
        self.revision += 1
        self._tell(key, gone, None)

    def _tell(self, key: tuple[str, str, str], old: Object | None, new: Object | None) -> None:
        self._history.append((self.revision, key, old, new))
        self._news.set()
        self._news = asyncio.Event()

    async def _watch(
        self, request: web.BaseRequest, plural: str, namespace: str
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        transport = request.transport
        assert transport is not None
        self.watchers.add(transport)
        reached = int(request.query["resourceVersion"])
        try:
            while True:
                news = self._news
                for revision, key, old, new in list(self._history):
                    if revision > reached and _is_asked_for(request, plural, namespace, key):
                        await response.write(_told(request, revision, old, new))
                reached = max(reached, self.revision)
                await news.wait()
        finally:
            self.watchers.discard(transport)


def _is_asked_for(
    request: web.BaseRequest, plural: str, namespace: str, key: tuple[str, str, str]
) -> bool:
    """Whether a list or watch is of an object; the only field selector is that of a name."""
    kind, space, name = key
    wanted = request.query.get("fieldSelector", "").removeprefix("metadata.name=")
    return (kind, space, name) == (plural, namespace or space, wanted or name)


def _told(request: web.BaseRequest, revision: int, old: Object | None, new: Object | None) -> bytes:
    """The line of a change for a watch: what leaves its selection counts as deleted, what enters as new."""
    was, is_ = (item is not None and _is_selected(request, item) for item in (old, new))
    if is_ and new is not None:
        return event("MODIFIED" if was else "ADDED", new)
    if was and old is not None:
        return event(
            "DELETED", old | {"metadata": old["metadata"] | {"resourceVersion": str(revision)}}
        )
    return b""


def _is_selected(request: web.BaseRequest, item: Object) -> bool:
    """Whether the label selector of a list or watch takes an object: `key`, `!key` and `key!=value`, all of them."""
    labels = item["metadata"].get("labels") or {}
    for each in filter(None, request.query.get("labelSelector", "").split(",")):
        key, _, value = each.lstrip("!").partition("!=")
        if labels.get(key) == value if "!=" in each else (key in labels) is each.startswith("!"):
            return False
    return True


def _parse(path: str) -> tuple[str, str, str]:
    """Kind, namespace and name in a path; its status counts as the object itself."""
    parts = re.sub(r"^.*?/v1(alpha1)?/|/status$", "", path).split("/")
    namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 2 else ""
    kind, *name = parts[2:] if namespace else parts
    return kind, namespace, "".join(name)
