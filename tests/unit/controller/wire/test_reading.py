"""Each answer of a server becomes values of the core, or an error that describes it.

An undecodable object does not affect the others.

Real: the decoders. Substituted: the server, by the bytes it could send.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.wire.messages import (
    Bookmark,
    Changed,
    Deleted,
    Listing,
    Status,
    Undecodable,
    WireError,
)
from svclink_controller.wire.reading import (
    decode_event,
    decode_object,
    decode_page,
    decode_uid,
    decode_version,
)
from svclink_controller.wire.resources import (
    CLUSTER_LINKS,
    ENDPOINT_SLICES,
    REMOTE_ENDPOINT_SLICES,
    SERVICES,
    TRAFFIC_POLICIES,
    Resource,
)
from svclink_core import ClusterLink, EndpointSlice, NamespacedName, Service
from tests.builders.keys import WEB

DEEP: Final = b"[" * 100_000 + b"]" * 100_000


def service(name: str = "web", **changes: Any) -> dict[str, Any]:
    metadata = {
        "name": name,
        "namespace": "default",
        "resourceVersion": "7",
        "uid": f"uid-of-{name}",
    }
    return {"metadata": metadata, "spec": {"ports": [{"port": 80}]}, **changes}


def endpoint_slice(name: str = "web-1", **changes: Any) -> dict[str, Any]:
    labels = {"kubernetes.io/service-name": "web"}
    metadata = {"name": name, "namespace": "default", "resourceVersion": "7", "labels": labels}
    return {"metadata": metadata, "addressType": "IPv4", "endpoints": [], "ports": [], **changes}


def listed(*items: Any, **metadata: Any) -> bytes:
    return json.dumps({"kind": "List", "metadata": metadata, "items": list(items)}).encode()


def event(kind: str, content: Any) -> bytes:
    return json.dumps({"type": kind, "object": content}).encode()


def whole(content: bytes, resource: Resource[Any]) -> Listing[Any]:
    """A page with all objects decoded."""
    page = decode_page(content, resource)
    listing: Listing[Any] = Listing([], [], page.resource_version)
    for each in page.objects:
        listing.add(each)
    return listing


def names(content: bytes) -> list[str]:
    return [item.metadata.name for item in whole(content, SERVICES).items]


# Pages


def test_page_has_objects_version_and_token() -> None:
    """A page has its objects in order, its resourceVersion and the token of the next page."""
    content = listed(service("b"), service("a"), **{"resourceVersion": "9", "continue": "more"})
    page = decode_page(content, SERVICES)
    assert (page.resource_version, page.continue_token) == ("9", "more")
    assert names(content) == ["b", "a"]


@pytest.mark.parametrize("metadata", [{}, {"continue": ""}, {"continue": None}])
def test_last_page_has_no_token(metadata: dict[str, str | None]) -> None:
    """A page without `continue`, or with an empty or null one, is the last."""
    assert decode_page(listed(**metadata), SERVICES).continue_token == ""


def test_items_may_be_null() -> None:
    """The items of an empty list may be null (kubernetes issue #135968)."""
    assert names(b'{"metadata":{"resourceVersion":"1"},"items":null}') == []


@pytest.mark.parametrize(
    "bad",
    [
        endpoint_slice("bad", endpoints=[{"addresses": "10.0.0.1"}]),
        endpoint_slice("bad", endpoints=[None]),
        endpoint_slice("bad", ports=[{"port": "80"}]),
        endpoint_slice("bad", addressType=4),
        {**endpoint_slice("bad"), "addressType": None},
        endpoint_slice("bad", metadata={**endpoint_slice("bad")["metadata"], "ownerReferences": 5}),
        endpoint_slice("bad", metadata={**endpoint_slice("bad")["metadata"], "generation": "one"}),
    ],
)
def test_undecodable_object_does_not_affect_the_others(bad: dict[str, Any]) -> None:
    """The other objects are decoded. The undecodable one is reported with its Service."""
    page = whole(listed(endpoint_slice("good"), bad, endpoint_slice("fine")), ENDPOINT_SLICES)
    assert [item.metadata.name for item in page.items] == ["good", "fine"]
    assert [(each.key.name, each.service) for each in page.undecodable] == [("bad", WEB)]


def test_invalid_utf8_affects_only_its_object() -> None:
    """Invalid UTF-8 in a field that is read makes one object undecodable."""
    content = listed(service("good"), service("bad", spec={"type": "X"})).replace(
        b'"X"', b'"\xff\xfe"'
    )
    page = whole(content, SERVICES)
    assert [item.metadata.name for item in page.items] == ["good"]
    assert [each.key.name for each in page.undecodable] == ["bad"]


def test_undecodable_service_belongs_to_itself() -> None:
    """A Service belongs to itself, whatever its labels are."""
    bad = service("web", spec=5)
    bad["metadata"]["labels"] = {"kubernetes.io/service-name": "other"}
    assert [each.service for each in whole(listed(bad), SERVICES).undecodable] == [WEB]


def test_undecodable_slice_without_service_label_has_its_own_name() -> None:
    """A slice without a Service label marks no real Service, and is still identified."""
    bad = {"metadata": {"name": "web", "namespace": "default"}, "addressType": 5}
    assert [each.service for each in whole(listed(bad), ENDPOINT_SLICES).undecodable] == [WEB]


def test_undecodable_link_names_the_field() -> None:
    """An undecodable ClusterLink is reported with the path of the invalid field."""
    bad = {"metadata": {"name": "c1"}, "spec": {"enabled": "yes"}}
    page = whole(listed(bad), CLUSTER_LINKS)
    assert [(each.key, each.problem) for each in page.undecodable] == [
        (NamespacedName("", "c1"), "$.spec.enabled: must be true or false but is a string")
    ]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html><body>Sign in</body></html>",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"metadata":{}}',
        b'{"items":[]}',
        b'{"metadata":5,"items":[]}',
        b'{"metadata":{},"items":{}}',
        b'{"metadata":{},"items":[]} trailing',
        b'{"metadata":{},"items":[',
        b'{"metadata":{"resourceVersion":"\xff"},"items":[]}',
        b'{"metadata":{},"items":[{}]}',
        b'{"metadata":{},"items":[null]}',
        b'{"metadata":{},"items":[5]}',
        b'{"metadata":{},"items":[{"metadata":{"name":5}}]}',
        b'{"metadata":{},"items":[{"metadata":{"name":"\xff"},"spec":{}}]}',
        b'{"metadata":{},"more":' + DEEP + b',"items":[]}',
        b'{"metadata":{},"items":[{"metadata":{"name":"a"},"more":' + DEEP + b"}]}",
    ],
    ids=lambda content: repr(content[:48]),
)
def test_answer_that_is_not_a_list_is_an_error(content: bytes) -> None:
    """If the answer does not show which objects exist, it is an error."""
    with pytest.raises(WireError, match="list of services"):
        whole(content, SERVICES)


def is_printable_or_right(read: Callable[[], object]) -> bool:
    """Whether a call succeeds. It may only raise a WireError with one printable line."""
    try:
        read()
    except WireError as error:
        return str(error).isprintable()
    return True


@given(st.binary(max_size=40) | st.text(max_size=40).map(str.encode))
def test_any_bytes_are_read_or_raise_a_wire_error(content: bytes) -> None:
    """No bytes raise any other error than WireError."""
    for decode in (whole, decode_event, decode_object):
        assert is_printable_or_right(lambda: decode(content, SERVICES))  # noqa: B023


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ("metadata", "name", "labels", "spec", "endpoints", "items", "type", "object", "x")
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    JSON,
    st.sampled_from((SERVICES, ENDPOINT_SLICES, REMOTE_ENDPOINT_SLICES, CLUSTER_LINKS)),
    st.sampled_from(("ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR")),
)
def test_any_json_is_an_object_or_a_wire_error(
    content: Any, resource: Resource[Any], kind: str
) -> None:
    """No JSON raises any other error than WireError."""
    for read in (
        lambda: whole(listed(content), resource),
        lambda: decode_event(event(kind, content), resource),
        lambda: decode_object(json.dumps(content).encode(), resource),
    ):
        assert is_printable_or_right(read)


# Events


def test_added_and_modified_have_the_object() -> None:
    """The event of an added or modified object has its resourceVersion."""
    for kind in ("ADDED", "MODIFIED"):
        found, version = decode_event(event(kind, service()), SERVICES)
        assert isinstance(found, Changed)
        assert (found.item.metadata.key, version) == (WEB, "7")


def test_deleted_needs_only_the_name() -> None:
    """A deleted object need not be decodable."""
    assert decode_event(event("DELETED", service(spec=5)), SERVICES) == (Deleted(WEB), "7")


def test_bookmark_only_moves_the_version() -> None:
    """A bookmark has no object, only a resourceVersion."""
    found = decode_event(
        event("BOOKMARK", {"kind": "Service", "metadata": {"resourceVersion": "42"}}), SERVICES
    )
    assert found == (Bookmark("42"), "42")


def test_event_of_a_held_object_is_a_bookmark() -> None:
    """An object that is held in the version of the event is not decoded. A deletion counts."""

    def is_held(key: NamespacedName, uid: str, version: str) -> bool:
        return (key, uid, version) == (WEB, "uid-of-web", "7")

    for kind in ("ADDED", "MODIFIED"):
        assert decode_event(event(kind, service(spec=5)), SERVICES, is_held) == (
            Bookmark("7"),
            "7",
        )
        assert isinstance(
            decode_event(event(kind, service("other")), SERVICES, is_held)[0], Changed
        )
    assert decode_event(event("DELETED", service()), SERVICES, is_held) == (Deleted(WEB), "7")


def test_error_event_is_a_status_without_version() -> None:
    """An ERROR event becomes its Status and does not move the version."""
    found = decode_event(
        event("ERROR", {"code": 410, "reason": "Expired", "message": "too old"}), SERVICES
    )
    assert found == (Status(410, "Expired", "too old"), "")


def test_undecodable_change_moves_the_version() -> None:
    """The watch continues after an undecodable object, which exists."""
    found, version = decode_event(
        event("MODIFIED", endpoint_slice("bad", addressType=4)), ENDPOINT_SLICES
    )
    assert isinstance(found, Undecodable)
    assert (found.key, found.service, version) == (NamespacedName("default", "bad"), WEB, "7")


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"type":"ADDED"}',
        b'{"type":"SOMETHING","object":{"metadata":{}}}',
        b'{"type":"ADDED","object":5}',
        b'{"type":"ADDED","object":{}}',
        b'{"type":"DELETED","object":{"metadata":{"name":5}}}',
        b'{"type":"BOOKMARK","object":null}',
        b'{"type":"ADDED","object":{"metadata":{"name":"\xff"}}}',
        b'{"type":"ADDED","object":{"metadata":{"name":"a"},"x":' + DEEP + b"}}",
    ],
    ids=lambda line: repr(line[:48]),
)
def test_line_that_is_not_an_event_is_an_error(line: bytes) -> None:
    """A line that is not a watch event ends the watch."""
    with pytest.raises(WireError, match="watch of services"):
        decode_event(line, SERVICES)


def test_error_about_an_event_is_printable() -> None:
    """The error quotes an unknown event type without its escape sequences."""
    with pytest.raises(WireError) as caught:
        decode_event(event("\x1b[31mRED\n", service()), SERVICES)
    assert str(caught.value).isprintable()


# Answers to writes, and other objects


@pytest.mark.parametrize(
    ("resource", "content", "kind"),
    [
        (SERVICES, service(), Service),
        (ENDPOINT_SLICES, endpoint_slice(), EndpointSlice),
        (CLUSTER_LINKS, {"metadata": {"name": "c1"}}, ClusterLink),
    ],
)
def test_answer_to_a_write_is_the_object(resource: Resource[Any], content: Any, kind: type) -> None:
    """The response to a write has the object as the server stored it."""
    assert isinstance(decode_object(json.dumps(content).encode(), resource), kind)


@pytest.mark.parametrize(
    "content", [b"<html>", b"{}", b"", DEEP, b'{"metadata":{"name":"a"},"spec":{"enabled":5}}']
)
def test_answer_to_a_write_that_is_not_an_object_is_an_error(content: bytes) -> None:
    """A 200 with another body, for example from a proxy, proves no write."""
    with pytest.raises(WireError, match="endpointslices"):
        decode_object(content, ENDPOINT_SLICES)
    with pytest.raises(WireError, match="clusterlinks"):
        decode_object(content, CLUSTER_LINKS)


def test_version_is_the_git_version() -> None:
    """The version is that of `kubectl version`, on one line."""
    assert (
        decode_version(b'{"major":"1","minor":"36","gitVersion":"v1.36.0-eks\\u001b[0m"}')
        == "v1.36.0-eks [0m"
    )


def test_uid_of_any_object_is_read() -> None:
    """The uid of any kind of object can be read."""
    assert (
        decode_uid(
            b'{"kind":"Namespace","metadata":{"uid":"abc"},"spec":{"finalizers":["kubernetes"]}}'
        )
        == "abc"
    )


@pytest.mark.parametrize(
    "content", [b"", b"<html>", b"{}", b"[]", b'{"gitVersion":5,"metadata":{"uid":5}}', DEEP]
)
def test_version_and_uid_of_another_api_are_errors(content: bytes) -> None:
    """The response of another API is an error."""
    with pytest.raises(WireError):
        decode_version(content)
    with pytest.raises(WireError):
        decode_uid(content)


# Paths


def test_paths_are_those_of_the_api() -> None:
    """A resource has paths of its collections and objects, namespaced or not."""
    assert SERVICES.path() == "/api/v1/services"
    assert SERVICES.path("default") == "/api/v1/namespaces/default/services"
    assert (
        ENDPOINT_SLICES.path("a", "b") == "/apis/discovery.k8s.io/v1/namespaces/a/endpointslices/b"
    )
    assert CLUSTER_LINKS.path("", "c1") == "/apis/svclink.cloudpilot.ai/v1alpha1/clusterlinks/c1"


@pytest.mark.parametrize(
    ("spec", "service"),
    [
        ({"targetRef": {"name": "web"}, "minReady": "two"}, "web"),
        ({"targetRef": {"name": 3}}, "policy"),
        ({"targetRef": "web"}, "policy"),
        ({}, "policy"),
    ],
)
def test_undecodable_policy_names_its_service_as_far_as_it_can(
    spec: dict[str, Any], service: str
) -> None:
    """The Service of a policy is left as it is while the policy cannot be decoded."""
    policy = {"metadata": {"name": "policy", "namespace": "default"}, "spec": spec}
    content = json.dumps({"metadata": {"resourceVersion": "1"}, "items": [policy]}).encode()
    (found,) = decode_page(content, TRAFFIC_POLICIES).objects
    assert isinstance(found, Undecodable)
    assert found.key == NamespacedName("default", "policy")
    assert found.service == NamespacedName("default", service)
