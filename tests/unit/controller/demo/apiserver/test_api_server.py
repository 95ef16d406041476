"""The API server over HTTP. Real: server, client, sockets, TLS and the reflector of svclink."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.demo.apiserver.resource_types import RBAC_GROUP
from svclink_controller.demo.apiserver.status_errors import JsonObject
from svclink_controller.reflect.reflector import Reflector
from svclink_controller.wire.api_server_callers import CALLERS
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_controller.wire.resources import SERVICES
from svclink_core.api_server_calls import ApiServerCaller
from svclink_core.codec import Json
from svclink_core.core_v1 import Service
from svclink_core.meta_v1 import NamespacedName
from tests.builders.keys import WEB
from tests.builders.manifests import api_service, webhook_configuration
from tests.unit.controller.demo.apiserver.conftest import Running
from tests.unit.controller.demo.apiserver.objects import (
    cluster_link,
    endpoint_slice,
    owned_by,
    service,
)
from tests.unit.controller.waiting import eventually

SERVICES_PATH = "/api/v1/namespaces/default/services"
SLICES_PATH = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
LINKS_PATH = "/apis/svclink.cloudpilot.ai/v1alpha1/clusterlinks"
POLICIES_PATH = "/apis/svclink.cloudpilot.ai/v1alpha1/namespaces/default/trafficpolicies"
RENAMED = b'{"metadata":{"name":"other"}}'
DEFINITIONS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def get(client: Client, path: str, **query: str) -> Any:
    return json.loads(await client.get(path, query))


def names(listed: JsonObject) -> list[str]:
    return [item["metadata"]["name"] for item in listed["items"]]


async def code_of(client: Client, path: str, **query: str) -> int:
    with pytest.raises(ApiError) as caught:
        await client.get(path, query)
    return caught.value.status.code


@asynccontextmanager
async def watching(client: Client, path: str, **query: str) -> AsyncIterator[Callable[[], Any]]:
    """Watch a path; yields a function that waits for the next event."""
    async with aclosing(client.lines(path, {"watch": "true"} | query)) as lines:

        async def next_event() -> tuple[str, JsonObject]:
            async with asyncio.timeout(10):
                event = json.loads(await anext(lines))
            return event["type"], event["object"]

        yield next_event


async def reach_end(next_event: Callable[[], Any]) -> None:
    with contextlib.suppress(StopAsyncIteration):
        while True:
            await next_event()


async def test_objects_are_created_read_changed_and_deleted(running: Running) -> None:
    """POST, GET, PUT, PATCH and DELETE work over HTTP."""
    client = running.administrator
    created = json.loads(await client.post(SERVICES_PATH, service()))
    assert await get(client, f"{SERVICES_PATH}/web") == created

    replaced = json.loads(
        await client.put(f"{SERVICES_PATH}/web", created | service(type="NodePort"))
    )
    patched = json.loads(
        await client.merge_patch(f"{SERVICES_PATH}/web", {"metadata": {"labels": {"a": "b"}}})
    )
    assert (replaced["spec"]["type"], patched["metadata"]["labels"]) == ("NodePort", {"a": "b"})

    gone = json.loads(await client.delete(f"{SERVICES_PATH}/web", {}))
    assert (gone["status"], gone["details"]["name"]) == ("Success", "web")
    assert await code_of(client, f"{SERVICES_PATH}/web") == 404


async def test_list_covers_one_namespace_or_all(running: Running) -> None:
    """The resourceVersion of a list is where a watch can continue."""
    client = running.administrator
    await client.post("/api/v1/namespaces/kube-system/services", service("dns"))

    assert names(await get(client, SERVICES_PATH)) == ["kubernetes"]
    everywhere = await get(client, "/api/v1/services")
    assert names(everywhere) == ["kubernetes", "dns"]
    assert everywhere["metadata"]["resourceVersion"] == str(
        running.api_server.registry.storage.revision
    )


@pytest.mark.parametrize(
    ("labels", "fields", "expected"),
    [
        ("app in (web)", "", ["web"]),
        ("!app", "", ["kubernetes"]),
        ("app=web,tier!=x", "", ["web"]),
        ("", "metadata.name=web", ["web"]),
        ("", "metadata.name!=web,spec.type==ClusterIP", ["kubernetes"]),
        ("", "spec.externalName=", ["kubernetes", "web"]),
        ("app", "metadata.name=kubernetes", []),
    ],
)
async def test_selectors_filter_a_list(
    running: Running, labels: str, fields: str, expected: list[str]
) -> None:
    """An object must match all terms of both selectors; a missing field counts as empty."""
    client = running.administrator
    await client.post(
        SERVICES_PATH, service() | {"metadata": {"name": "web", "labels": {"app": "web"}}}
    )
    assert (
        names(await get(client, SERVICES_PATH, labelSelector=labels, fieldSelector=fields))
        == expected
    )


async def test_watch_sends_later_changes_in_order(running: Running) -> None:
    """A watch sends each change after its resourceVersion, and none before it."""
    client = running.administrator
    await client.post(SERVICES_PATH, service("before"))
    version = (await get(client, SERVICES_PATH))["metadata"]["resourceVersion"]

    async with watching(client, SERVICES_PATH, resourceVersion=version) as next_event:
        await client.post("/api/v1/namespaces/kube-system/services", service("elsewhere"))
        await client.post(SERVICES_PATH, service())
        await client.merge_patch(f"{SERVICES_PATH}/web", {"metadata": {"labels": {"a": "b"}}})
        await client.delete(f"{SERVICES_PATH}/web", {})
        events = [await next_event() for _ in range(3)]

    assert [(kind, item["metadata"]["name"]) for kind, item in events] == [
        ("ADDED", "web"),
        ("MODIFIED", "web"),
        ("DELETED", "web"),
    ]


async def test_watch_with_selector_adds_and_deletes_objects(running: Running) -> None:
    """For the client, an object that no longer matches is deleted in its last matching state."""
    client = running.administrator
    await client.post(SERVICES_PATH, service())
    version = (await get(client, SERVICES_PATH))["metadata"]["resourceVersion"]

    async with watching(
        client, SERVICES_PATH, resourceVersion=version, labelSelector="a"
    ) as next_event:
        await client.merge_patch(f"{SERVICES_PATH}/web", {"metadata": {"labels": {"a": "b"}}})
        await client.merge_patch(f"{SERVICES_PATH}/web", {"metadata": {"labels": {"a": None}}})
        await client.merge_patch(f"{SERVICES_PATH}/web", {"metadata": {"labels": {"c": "d"}}})
        await client.merge_patch(f"{SERVICES_PATH}/web", {"metadata": {"labels": {"a": "e"}}})
        events = [await next_event() for _ in range(3)]

    seen = [(kind, item["metadata"]["labels"]["a"]) for kind, item in events]
    assert seen == [("ADDED", "b"), ("DELETED", "b"), ("ADDED", "e")]


async def test_watch_from_too_old_version_ends(running: Running) -> None:
    """It sends an ERROR event with code 410, because the response has already begun."""
    client = running.administrator
    for i in range(30):
        await client.post(SERVICES_PATH, service(f"web-{i}"))

    async with watching(client, SERVICES_PATH, resourceVersion="1") as next_event:
        kind, status = await next_event()
        with pytest.raises(StopAsyncIteration):
            await next_event()

    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")


async def test_watch_can_begin_with_existing_objects(running: Running) -> None:
    """A watch without a version does so too; `sendInitialEvents` adds a bookmark (KEP-3157)."""
    client = running.administrator

    async with watching(client, SERVICES_PATH) as next_event:
        kind, item = await next_event()
        assert (kind, item["metadata"]["name"]) == ("ADDED", "kubernetes")
    async with watching(client, SERVICES_PATH, sendInitialEvents="true") as next_event:
        assert (await next_event())[0] == "ADDED"
        kind, item = await next_event()

    assert (kind, item["metadata"]["annotations"]) == (
        "BOOKMARK",
        {"k8s.io/initial-events-end": "true"},
    )


async def test_quiet_watch_sends_bookmarks_and_ends(running: Running) -> None:
    """A bookmark carries the current resourceVersion; `timeoutSeconds` ends the watch."""
    running.api_server.bookmark_seconds = 0.01
    client = running.administrator
    version = str(running.api_server.registry.storage.revision)

    query = {"resourceVersion": version, "allowWatchBookmarks": "true", "timeoutSeconds": "1"}
    async with watching(client, SERVICES_PATH, **query) as next_event:
        kind, item = await next_event()
        await reach_end(next_event)

    assert (kind, item["metadata"]["resourceVersion"]) == ("BOOKMARK", version)


class NameSink:
    """A sink that keeps the names of the existing Services."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.listed = 0

    async def replace(self, listing: Listing[Service]) -> None:
        self.names = {item.metadata.name for item in listing.items}
        self.listed += 1

    def apply(self, item: Service) -> None:
        self.names.add(item.metadata.name)

    def remove(self, key: NamespacedName) -> None:
        self.names.discard(key.name)

    def mark_undecodable(self, each: Undecodable) -> None:
        raise AssertionError(each)


async def test_reflector_follows_the_server(running: Running) -> None:
    """The reflector of svclink lists again when its resourceVersion is too old."""
    client, sink = running.administrator, NameSink()
    for i in range(30):
        await client.post(SERVICES_PATH, service(f"web-{i}"))
    following = asyncio.create_task(Reflector(client, SERVICES, "default").watch("1", sink))
    try:
        await eventually(lambda: sink.listed == 1)
        await client.delete(f"{SERVICES_PATH}/web-7", {})
        await eventually(
            lambda: sink.names == {"kubernetes", *(f"web-{i}" for i in range(30) if i != 7)}
        )
    finally:
        following.cancel()
        await asyncio.wait({following})


@pytest.mark.parametrize(
    "caller",
    [
        webhook_configuration("a"),
        webhook_configuration("a", kind="MutatingWebhookConfiguration"),
        api_service("a"),
    ],
    ids=lambda caller: caller["kind"],
)
async def test_objects_that_make_an_api_server_call_services_are_served(
    running: Running, caller: JsonObject
) -> None:
    """Webhook configurations and APIServices are stored, listed and watched as svclink does it."""
    client, sink = running.administrator, CallerNames()
    resource = CALLERS[caller["kind"]]
    await client.post(resource.path(), caller)
    reflector = Reflector(client, resource)
    listing = await reflector.list_all()
    assert [each.services for each in listing.items] == [(WEB,)]
    following = asyncio.create_task(reflector.watch(listing.resource_version, sink))
    try:
        await client.post(resource.path(), caller | {"metadata": {"name": "b"}})
        await client.delete(resource.path(name="a"), {})
        await eventually(lambda: sink.changes == ["added b", "removed a"])
    finally:
        following.cancel()
        await asyncio.wait({following})


class CallerNames:
    """A sink that notes which objects changed."""

    def __init__(self) -> None:
        self.changes = list[str]()

    async def replace(self, listing: Listing[ApiServerCaller]) -> None:
        raise AssertionError(listing)

    def apply(self, item: ApiServerCaller) -> None:
        self.changes.append(f"added {item.metadata.name}")

    def remove(self, key: NamespacedName) -> None:
        self.changes.append(f"removed {key.name}")

    def mark_undecodable(self, each: Undecodable) -> None:
        raise AssertionError(each)


async def test_garbage_collector_runs(running: Running) -> None:
    """An object that a deleted Service owns is deleted soon after."""
    client = running.administrator
    owner = json.loads(await client.post(SERVICES_PATH, service()))
    await client.post(SLICES_PATH, owned_by(owner, endpoint_slice("10.1.0.1")))

    await client.delete(f"{SERVICES_PATH}/web", {})

    objects = running.api_server.registry.storage.objects
    await eventually(
        lambda: not any(resource.startswith("endpointslices") for resource, _, _ in objects)
    )


@pytest.mark.parametrize(
    ("method", "path", "content", "content_type", "code"),
    [
        ("POST", SERVICES_PATH, b"{", "application/json", 400),
        ("POST", SERVICES_PATH, b"3", "application/json", 400),
        ("POST", SERVICES_PATH, b"k8s\x00", "application/vnd.kubernetes.protobuf", 415),
        ("POST", SERVICES_PATH, b"x" * (3 * 2**20 + 1), "application/json", 413),
        ("PATCH", f"{SERVICES_PATH}/kubernetes", b"[]", "application/json-patch+json", 415),
        ("PATCH", f"{SERVICES_PATH}/missing", b"{}", "application/merge-patch+json", 404),
        ("PUT", SERVICES_PATH, b"{}", "application/json", 405),
        ("PUT", f"{SERVICES_PATH}/kubernetes", RENAMED, "application/json", 400),
        ("PUT", f"{SERVICES_PATH}/kubernetes/scale", b"{}", "application/json", 404),
        ("POST", "/api/v1/namespaces/default/lamps", b"{}", "application/json", 404),
        ("POST", "/api/v1/namespaces/default/namespaces", b"{}", "application/json", 404),
        ("GET", "/nowhere", b"", "application/json", 404),
        ("DELETE", SERVICES_PATH, b"{}", "application/json", 405),
        ("GET", f"{SERVICES_PATH}?watch=true&resourceVersion=new", b"", "application/json", 400),
        ("GET", f"{SERVICES_PATH}?labelSelector=,", b"", "application/json", 400),
        ("GET", f"{SERVICES_PATH}?fieldSelector=metadata.name", b"", "application/json", 400),
    ],
)  # fmt: skip
async def test_invalid_requests_are_refused(
    running: Running, method: str, path: str, content: bytes, content_type: str, code: int
) -> None:
    """Each request gets the status code that Kubernetes gives it."""
    async with running.session.request(
        method, path, data=io.BytesIO(content), headers={"Content-Type": content_type}
    ) as response:
        assert response.status == code
        assert (await response.json())["code"] == code


async def test_discovery_lists_all_types(running: Running, definition: JsonObject) -> None:
    """Groups, resources and OpenAPI documents are listed, with custom resources."""
    client = running.administrator
    await client.post(DEFINITIONS_PATH, definition)

    groups = [group["name"] for group in (await get(client, "/apis"))["groups"]]
    assert "svclink.cloudpilot.ai" in groups
    roots = ["/api/v1", *(f"/apis/{group}/v1" for group in groups if "svclink" not in group)]
    for root in [*roots, "/apis/svclink.cloudpilot.ai/v1alpha1"]:
        document = await get(client, root)
        assert document["groupVersion"] == root.removeprefix("/apis/").removeprefix("/api/")
        assert (await get(client, f"/openapi/v3{root}"))["paths"]
    resources = (await get(client, "/apis/svclink.cloudpilot.ai/v1alpha1"))["resources"]
    assert [resource["name"] for resource in resources] == ["clusterlinks", "clusterlinks/status"]
    assert (await get(client, "/apis/svclink.cloudpilot.ai"))["preferredVersion"][
        "version"
    ] == "v1alpha1"
    assert (await get(client, "/api"))["versions"] == ["v1"]
    assert f"/openapi/v3{roots[0]}" in str(await get(client, "/openapi/v3"))


# Users

READERS: Sequence[JsonObject] = (
    {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]},
)


async def make_account(
    client: Client, rules: Sequence[JsonObject], *, in_namespace: bool = False
) -> str:
    """Create a ServiceAccount with these rules, and return its token."""
    accounts = "/api/v1/namespaces/default/serviceaccounts"
    await client.post(accounts, {"metadata": {"name": "reader"}})
    place = "namespaces/default/" if in_namespace else ""
    kind = "Role" if in_namespace else "ClusterRole"
    meta: JsonObject = {"metadata": {"name": "reader"}}
    subject = {"kind": "ServiceAccount", "name": "reader", "namespace": "default"}
    root = f"/apis/{RBAC_GROUP}/v1/{place}{kind.lower()}"
    await client.post(f"{root}s", meta | {"rules": list(rules)})
    await client.post(
        f"{root}bindings",
        meta | {"roleRef": {"kind": kind, "name": "reader"}, "subjects": [subject]},
    )
    response = json.loads(
        await client.post(f"{accounts}/reader/token", {"spec": {"expirationSeconds": 600}})
    )
    return str(response["status"]["token"])


async def test_account_may_only_do_what_it_is_granted(running: Running) -> None:
    """Other requests are Forbidden, and the message names the missing permission."""
    token = await make_account(running.administrator, READERS)

    async with running.connect(token) as client:
        assert names(await get(client, SERVICES_PATH)) == ["kubernetes"]
        with pytest.raises(ApiError) as caught:
            await client.get(SLICES_PATH)
        assert await code_of(client, SERVICES_PATH, watch="true") == 403

    assert caught.value.status.code == 403
    assert (
        'cannot list resource "endpointslices" in API group "discovery.k8s.io"'
        in caught.value.status.message
    )
    assert 'User "system:serviceaccount:default:reader"' in caught.value.status.message


async def test_role_applies_only_in_its_namespace(running: Running) -> None:
    """It grants nothing in other namespaces, or in all namespaces at once."""
    token = await make_account(running.administrator, READERS, in_namespace=True)

    async with running.connect(token) as client:
        assert names(await get(client, SERVICES_PATH)) == ["kubernetes"]
        assert await code_of(client, "/api/v1/services") == 403
        assert await code_of(client, "/api/v1/namespaces/kube-system/services") == 403


async def test_account_can_review_its_own_access(running: Running) -> None:
    """A SelfSubjectAccessReview needs no permission."""
    token = await make_account(running.administrator, READERS)
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"

    async with running.connect(token) as client:
        for verb, is_allowed in {"list": True, "delete": False}.items():
            wanted: JsonObject = {
                "spec": {"resourceAttributes": {"verb": verb, "resource": "services"}}
            }
            assert json.loads(await client.post(path, wanted))["status"]["allowed"] is is_allowed


async def test_invalid_token_is_unauthorized(running: Running) -> None:
    """The token is made up, changed, expired, or of a deleted ServiceAccount."""
    token = await make_account(running.administrator, READERS)
    account = running.api_server.registry.storage.objects["serviceaccounts", "default", "reader"]
    expired = running.api_server.authenticator.issue_token(account, -1)
    header, _, signature = token.split(".")
    for wrong in ("hush", f"{header}.e30.{signature}", expired):
        async with running.connect(wrong) as client:
            assert await code_of(client, SERVICES_PATH) == 401

    await running.administrator.delete("/api/v1/namespaces/default/serviceaccounts/reader", {})
    async with running.connect(token) as client:
        assert await code_of(client, SERVICES_PATH) == 401


async def test_token_secret_gets_a_token(running: Running) -> None:
    """A Secret of type service-account-token gets a long-lived token."""
    await make_account(running.administrator, READERS)
    meta = {"name": "reader-token", "annotations": {"kubernetes.io/service-account.name": "reader"}}
    secret: JsonObject = {"metadata": meta, "type": "kubernetes.io/service-account-token"}
    made = json.loads(
        await running.administrator.post("/api/v1/namespaces/default/secrets", secret)
    )

    async with running.connect(base64.b64decode(made["data"]["token"]).decode()) as client:
        assert names(await get(client, SERVICES_PATH)) == ["kubernetes"]


async def test_anonymous_user_sees_only_version_and_health(running: Running) -> None:
    """A request without credentials may read /version and /readyz."""
    async with running.connect() as client:
        assert (await get(client, "/version"))["gitVersion"].startswith("v1.")
        assert await client.get("/readyz") == b"ok"
        assert await code_of(client, "/api") == 403
        assert await code_of(client, SERVICES_PATH) == 403


async def test_requests_are_audited(running: Running) -> None:
    """The audit log has the user, the verb, the object and the response (audit.k8s.io/v1)."""
    client = running.administrator
    await client.post(SERVICES_PATH, service())
    await code_of(client, f"{SERVICES_PATH}/missing")

    made, missed = running.audited[-2:]

    assert (made["user"]["username"], made["verb"], made["responseStatus"]["code"]) == (
        "admin",
        "create",
        201,
    )
    assert made["objectRef"] == {"resource": "services", "namespace": "default"}
    assert (missed["objectRef"]["name"], missed["responseStatus"]["code"]) == ("missing", 404)


# Tables


async def rows(running: Running, path: str) -> dict[str, list[object]]:
    headers = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
    async with running.session.get(path, headers=headers) as response:
        table = await response.json()
    shown = [i for i, column in enumerate(table["columnDefinitions"]) if column["priority"] == 0]
    header = {"": [table["columnDefinitions"][i]["name"] for i in shown]}
    return header | {
        row["cells"][0]: [row["cells"][i] for i in shown[1:-1]] for row in table["rows"]
    }


async def test_tables_have_the_columns_of_kubectl(running: Running, definition: JsonObject) -> None:
    """Custom resources have the columns of their definition, other types the usual ones."""
    client = running.administrator
    await client.post(DEFINITIONS_PATH, definition)
    await client.post(LINKS_PATH, cluster_link())
    await client.post(SLICES_PATH, endpoint_slice(*(f"10.1.0.{i}" for i in range(1, 6))))

    assert await rows(running, LINKS_PATH) == {
        "": ["Name", "Enabled", "Version", "Status", "Age"],
        "cluster-a": [True, None, "Pending"],
    }
    assert (await rows(running, SLICES_PATH))["web-abc"] == [
        "IPv4",
        "8080",
        "10.1.0.1,10.1.0.2,10.1.0.3 + 2 more...",
    ]
    assert (await rows(running, SERVICES_PATH))["kubernetes"] == [
        "ClusterIP",
        "10.0.0.1",
        "<none>",
        "443/TCP",
    ]
    assert (await rows(running, f"{SERVICES_PATH}/kubernetes"))["kubernetes"][0] == "ClusterIP"
    assert (await rows(running, "/api/v1/namespaces"))["default"] == ["Active"]


async def test_column_shows_the_element_that_a_filter_selects(
    running: Running, policy_definition: JsonObject
) -> None:
    """The column APPLIED of a TrafficPolicy has the status of one of its conditions."""
    client = running.administrator
    await client.post(DEFINITIONS_PATH, policy_definition)
    target: JsonObject = {"kind": "Service", "name": "web"}
    await client.post(POLICIES_PATH, {"metadata": {"name": "web"}, "spec": {"targetRef": target}})
    header = ["Name", "Service", "Active Tier", "Applied", "Age"]
    assert await rows(running, POLICIES_PATH) == {"": header, "web": ["web", None, None]}

    conditions: list[Json] = [
        {
            "type": kind,
            "status": status,
            "reason": kind,
            "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z",
        }
        for kind, status in (("Accepted", "True"), ("Applied", "False"))
    ]
    await client.merge_patch(f"{POLICIES_PATH}/web/status", {"status": {"conditions": conditions}})
    assert (await rows(running, POLICIES_PATH))["web"] == ["web", None, "False"]
