"""The one fake API server of the unit tests: it behaves as Kubernetes does until a test breaks it.

    api = FakeApiServer()
    api.put(values.service())                              # a user creates or changes an object
    async with serving(api) as server:                     # server.url, server.requests
        api.fail(Refuse(403), when=ends_with("/services")) # a fault, see faults.py
        await eventually(lambda: ...)                      # wait for a state, see waiting.py
        api.heal()

Real: paged lists, watches, selectors, resourceVersions, preconditions and conflicts.
Missing: validation, defaulting, authorization (every access is allowed), finalizers (see the demo's
embedded API server).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple, TypeAlias

from aiohttp import web
from attrs import define, field, frozen

from svclink_controller.demo.apiserver.registry.patch import merge
from svclink_core.codec import unstructure
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.label_selector import parse_selector
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy
from tests.unit.controller.faults import Fault, Predicate, Rule, any_request, respond
from tests.unit.controller.http_server import Request, received
from tests.unit.controller.responses import answer, bookmark, event, page, refusal, status_object

Object: TypeAlias = dict[str, Any]
Override: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse | None]]

_PLURALS: Final = {
    Service: "services",
    EndpointSlice: "endpointslices",
    ClusterLink: "clusterlinks",
    TrafficPolicy: "trafficpolicies",
}


class Location(NamedTuple):
    """Kind, namespace and name in a path. A collection has no name."""

    plural: str
    namespace: str
    name: str


@frozen
class Revision:
    """One write: the object before and after it. A bookmark has no location."""

    number: int
    location: Location | None = None
    old: Object | None = None
    new: Object | None = None


@define(eq=False)
class FakeApiServer:
    """The API of one cluster, as far as svclink uses it: a handler for `serving`.

    Args:
        uid: Identity of the cluster, the uid of its Namespace `kube-system`.
        override: Called first; its response, if any, is returned. Prefer `fail`.
        page_size: The largest page of a list.
        objects: What the cluster holds, by plural, namespace and name.
        revision: The newest resourceVersion.
        requests: Every request so far.
        watchers: The connections of open watches.
    """

    uid: str = "uid-of-the-cluster"
    override: Override | None = None
    page_size: int = 500
    objects: dict[tuple[str, str, str], Object] = field(factory=dict)
    revision: int = 100
    requests: list[Request] = field(factory=list)
    _rules: list[Rule] = field(factory=list)
    watchers: set[asyncio.BaseTransport] = field(factory=set)
    _history: list[Revision] = field(factory=list)
    _compacted: int = 0
    _changed: asyncio.Event = field(factory=asyncio.Event)

    # What a test does to the cluster

    def put(self, item: Service | EndpointSlice | ClusterLink | TrafficPolicy) -> Object:
        """Creates or changes an object."""
        return self._store(_PLURALS[type(item)], unstructure(item))

    def put_raw(self, plural: str, content: Object) -> None:
        """Creates or changes an object that is given as JSON."""
        self._store(plural, content)

    def put_secret(self, namespace: str, name: str, data: Object) -> None:
        """Creates or changes a Secret."""
        metadata = {"name": name, "namespace": namespace}
        self._store("secrets", {"kind": "Secret", "metadata": metadata, "data": data})

    def remove(self, item: Service | EndpointSlice | ClusterLink | TrafficPolicy) -> None:
        """Deletes an object."""
        self.remove_key(_PLURALS[type(item)], item.metadata.namespace, item.metadata.name)

    def remove_key(self, plural: str, namespace: str, name: str) -> None:
        """Deletes an object."""
        self._drop(Location(plural, namespace, name))

    def all(self, plural: str) -> list[Object]:
        """All objects of a kind."""
        return [item for (each, _, _), item in self.objects.items() if each == plural]

    # Faults

    def fail(self, fault: Fault, when: Predicate = any_request, times: int | None = None) -> Rule:
        """From now on requests that match get a fault: always, or as often as `times` says."""
        rule = Rule(fault, when, times)
        self._rules.append(rule)
        return rule

    def heal(self) -> None:
        """From now on no request gets a fault."""
        self._rules.clear()
        self.override = None

    def hang_up(self) -> None:
        """Breaks the connection of every watch."""
        for transport in self.watchers:
            transport.close()

    def compact(self) -> None:
        """Forgets all past revisions: a watch from one of them is answered with 410 Expired."""
        self.revision += 1
        self._compacted = self.revision
        self._history.clear()

    def send_bookmark(self) -> None:
        """Sends a bookmark to every watch."""
        self._record(Revision(self._next_revision()))

    # Requests

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        asked = await received(request)
        self.requests.append(asked)
        if self.override is not None and (response := await self.override(request)) is not None:
            return response
        if (rule := next((r for r in self._rules if r.applies_to(asked)), None)) is not None:
            rule.hits += 1
            if (response := await respond(rule.fault, request)) is not None:
                return response
        return await self._serve(request)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/version":
            return answer({"major": "1", "minor": "36", "gitVersion": "v1.36.0"})
        if request.path == "/api/v1/namespaces/kube-system":
            return answer(
                {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": self.uid}}
            )
        if request.path.endswith("accessreviews"):
            return answer({"status": {"allowed": True}}, 201)
        location = _parse(request.path)
        if location.name:
            return await self._serve_object(request, location)
        return await self._serve_collection(request, location)

    async def _serve_collection(
        self, request: web.BaseRequest, where: Location
    ) -> web.StreamResponse:
        if request.method == "POST":
            return await self._create(request, where)
        if request.query.get("watch") == "true":
            return await self._watch(request, where)
        return self._list(request, where)

    async def _create(self, request: web.BaseRequest, where: Location) -> web.StreamResponse:
        content = await request.json()
        if where.namespace:
            content["metadata"].setdefault("namespace", where.namespace)
        if _location_of(where.plural, content) in self.objects:
            return refusal(409, "AlreadyExists")
        return answer(self._store(where.plural, content), 201)

    def _list(self, request: web.BaseRequest, where: Location) -> web.StreamResponse:
        """One page; the token of the next one is the place of its first object."""
        items = [
            item
            for location, item in self.objects.items()
            if _is_requested(request, where, Location(*location)) and _is_selected(request, item)
        ]
        start = int(request.query.get("continue", 0))
        end = start + min(int(request.query.get("limit", 0)) or self.page_size, self.page_size)
        token = str(end) if end < len(items) else None
        return page(*items[start:end], version=str(self.revision), token=token)

    async def _serve_object(
        self, request: web.BaseRequest, location: Location
    ) -> web.StreamResponse:
        if location not in self.objects:
            return refusal(404, "NotFound")
        if request.method == "GET":
            return answer(self.objects[location])
        content = await request.json()
        is_patch, is_deletion = request.method == "PATCH", request.method == "DELETE"
        stored = self.objects[location]["metadata"]
        expected = content["preconditions"] if is_deletion else content.get("metadata", {})
        # A uid in the patch of a custom resource's status has no effect on a real server either.
        checked = expected.keys() & {"resourceVersion"} if is_patch else {"uid", "resourceVersion"}
        if any(stored[each] != expected[each] for each in checked):
            return refusal(409, "Conflict")
        if is_patch:
            return answer(self._store(location.plural, _patched(self.objects[location], content)))
        if is_deletion:
            self._drop(location)
            return answer({"kind": "Status", "status": "Success"})
        return answer(self._store(location.plural, content))

    async def _watch(self, request: web.BaseRequest, where: Location) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        sent = int(request.query["resourceVersion"])
        if sent < self._compacted:
            await response.write(event("ERROR", status_object(410, "Expired")))
            return response
        transport = request.transport  # the request has none after the client has left
        assert transport is not None
        self.watchers.add(transport)
        try:
            while True:
                changed = self._changed
                for each in list(self._history):
                    if each.number > sent:
                        await response.write(_line(request, where, each))
                sent = max(sent, self.revision)
                await changed.wait()
        finally:
            self.watchers.discard(transport)

    # Storage

    def _next_revision(self) -> int:
        self.revision += 1
        return self.revision

    def _store(self, plural: str, content: Object) -> Object:
        location = _location_of(plural, content)
        old, number = self.objects.get(location), self._next_revision()
        metadata = content["metadata"]
        uid = metadata.get("uid") or f"uid-{number}"
        given = {"uid": old["metadata"]["uid"] if old else uid, "resourceVersion": str(number)}
        new = content | {"metadata": metadata | given}
        self.objects[location] = new
        self._record(Revision(number, location, old, new))
        return new

    def _drop(self, location: Location) -> None:
        self._record(Revision(self._next_revision(), location, self.objects.pop(location)))

    def _record(self, revision: Revision) -> None:
        self._history.append(revision)
        self._changed.set()
        self._changed = asyncio.Event()


def _patched(before: Object, change: Object) -> Object:
    """An object after a merge patch of all but its metadata. Another spec is a new generation."""
    after: Object = {**merge(before, change), "metadata": before["metadata"]}  # type: ignore[dict-item]
    if after.get("spec") == before.get("spec"):
        return after
    generation = before["metadata"].get("generation", 0) + 1
    return after | {"metadata": before["metadata"] | {"generation": generation}}


def _location_of(plural: str, content: Object) -> Location:
    metadata = content["metadata"]
    return Location(plural, metadata.get("namespace", ""), metadata["name"])


def _is_requested(request: web.BaseRequest, where: Location, location: Location) -> bool:
    """Whether a list or watch includes an object, by its namespace and its name."""
    path, _, value = request.query.get("fieldSelector", "").partition("=")
    name = value if path == "metadata.name" else location.name
    return location == Location(where.plural, where.namespace or location.namespace, name)


def _line(request: web.BaseRequest, where: Location, revision: Revision) -> bytes:
    """The line of a revision in a watch.

    An object that leaves the selection counts as deleted, one that enters it as added.
    """
    if revision.location is None:
        return bookmark(str(revision.number))
    if not _is_requested(request, where, revision.location):
        return b""
    old, new = (
        item if item is not None and _is_selected(request, item) else None
        for item in (revision.old, revision.new)
    )
    if new is not None:
        return event("ADDED" if old is None else "MODIFIED", new)
    if old is None:
        return b""
    version = {"resourceVersion": str(revision.number)}
    return event("DELETED", old | {"metadata": old["metadata"] | version})


def _is_selected(request: web.BaseRequest, item: Object) -> bool:
    """Whether the selectors select an object. Of an object's fields, only those at the top count.

    The name of an object is a matter of its location.
    """
    path, _, value = request.query.get("fieldSelector", "").partition("=")
    if path and path != "metadata.name" and item.get(path) != value:
        return False
    selector = parse_selector(request.query.get("labelSelector", ""))
    return selector.matches(item["metadata"].get("labels") or {})


def _parse(path: str) -> Location:
    """The location in a path. The `status` of an object counts as the object itself."""
    parts = re.sub(r"^.*?/v1(alpha1)?/|/status$", "", path).split("/")
    namespace = parts[1] if parts[0] == "namespaces" and len(parts) > 2 else ""
    plural, *name = parts[2:] if namespace else parts
    return Location(plural, namespace, "".join(name))
