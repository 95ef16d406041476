"""Writes follow the rules of Kubernetes. Real: registry and storage; there is no HTTP server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from svclink_controller.demo.apiserver.registry.garbage_collection import collect_garbage
from svclink_controller.demo.apiserver.registry.registry import Registry
from svclink_controller.demo.apiserver.resource_types import (
    DEFINITION_TYPE,
    NAMESPACE_TYPE,
    SERVICE_TYPE,
    ResourceType,
)
from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError
from tests.unit.controller.demo.apiserver.objects import (
    cluster_link,
    endpoint_slice,
    owned_by,
    service,
    type_of,
)

SERVICES, SLICES, NAMESPACES = SERVICE_TYPE, type_of("EndpointSlice"), NAMESPACE_TYPE
DEFINITIONS, LEASES = DEFINITION_TYPE, type_of("Lease")


def error_of(action: Callable[[], object]) -> StatusError:
    with pytest.raises(StatusError) as caught:
        action()
    return caught.value


def reason_of(action: Callable[[], object]) -> tuple[int, str]:
    error = error_of(action)
    return error.code, error.reason


def links_of(registry: Registry, definition: JsonObject) -> ResourceType:
    registry.create(DEFINITIONS, "", definition)
    return next(each for each in registry.resource_types() if each.kind == "ClusterLink")


def edited(item: JsonObject, **fields: Any) -> JsonObject:
    return item | fields


def relabelled(item: JsonObject, **labels: str) -> JsonObject:
    return item | {"metadata": item["metadata"] | {"labels": labels}}


def test_server_sets_identity_of_new_object(registry: Registry) -> None:
    """A new object gets a uid, a time, a kind and a resourceVersion, whatever the user sends."""
    forged = service() | {
        "metadata": {"name": "web", "uid": "mine", "creationTimestamp": "2000-01-01T00:00:00Z"}
    }

    created = registry.create(SERVICES, "default", forged)

    meta = created["metadata"]
    assert (created["apiVersion"], created["kind"], meta["namespace"]) == (
        "v1",
        "Service",
        "default",
    )
    assert meta["uid"] != "mine"
    assert meta["creationTimestamp"] > "2000-01-01T00:00:00Z"
    assert meta["resourceVersion"] == str(registry.storage.revision)


def test_invalid_creations_are_refused(registry: Registry) -> None:
    """Refused for its name, its namespace, or a resourceVersion that the user sets."""
    registry.create(SERVICES, "default", service())
    versioned = {"metadata": {"name": "x", "resourceVersion": "1"}}
    elsewhere = service() | {"metadata": {"name": "x", "namespace": "other"}}

    assert reason_of(lambda: registry.create(SERVICES, "default", service())) == (
        409,
        "AlreadyExists",
    )
    missing = error_of(lambda: registry.create(SERVICES, "nowhere", service()))
    assert (missing.code, missing.details["kind"]) == (404, "namespaces")
    assert reason_of(lambda: registry.create(SERVICES, "default", {})) == (422, "Invalid")
    assert reason_of(lambda: registry.create(SERVICES, "default", elsewhere)) == (400, "BadRequest")
    assert reason_of(lambda: registry.create(SERVICES, "default", versioned))[0] == 500


def test_update_of_older_state_is_a_conflict(registry: Registry) -> None:
    """An update with an old resourceVersion, or with the uid of a replaced object, is refused."""
    first = registry.create(SERVICES, "default", service())
    second = registry.update(SERVICES, "default", "web", relabelled(first, a="b"))
    replaced = second | {"metadata": second["metadata"] | {"uid": "another"}}

    assert reason_of(lambda: registry.update(SERVICES, "default", "web", first)) == (
        409,
        "Conflict",
    )
    assert reason_of(lambda: registry.update(SERVICES, "default", "web", replaced)) == (
        409,
        "Conflict",
    )
    assert registry.get(SERVICES, "default", "web") == second


def test_some_types_accept_update_without_resource_version(registry: Registry) -> None:
    """An EndpointSlice accepts an unconditional update; a Lease does not."""
    registry.create(SLICES, "default", endpoint_slice("10.1.0.1"))
    registry.create(LEASES, "default", {"metadata": {"name": "leader"}, "spec": {}})

    registry.update(SLICES, "default", "web-abc", endpoint_slice("10.1.0.2"))

    assert registry.get(SLICES, "default", "web-abc")["endpoints"][0]["addresses"] == ["10.1.0.2"]
    blind = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "me"}}
    assert reason_of(lambda: registry.update(LEASES, "default", "leader", blind)) == (
        422,
        "Invalid",
    )


def test_update_without_change_is_not_a_write(registry: Registry) -> None:
    """The resourceVersion stays, so watches send no event."""
    created = registry.create(SLICES, "default", endpoint_slice("10.1.0.1"))
    before = registry.storage.revision

    assert registry.update(SLICES, "default", "web-abc", created) == created
    assert registry.storage.revision == before


def test_generation_counts_changes_of_desired_state(registry: Registry) -> None:
    """For an EndpointSlice these are its content and labels, but not its annotations."""
    created = registry.create(SLICES, "default", endpoint_slice("10.1.0.1"))
    annotated = created | {"metadata": created["metadata"] | {"annotations": {"a": "b"}}}

    second = registry.update(SLICES, "default", "web-abc", annotated)
    third = registry.update(SLICES, "default", "web-abc", relabelled(second, a="b"))

    assert [item["metadata"]["generation"] for item in (created, second, third)] == [1, 1, 2]


def test_address_type_of_slice_is_immutable(registry: Registry) -> None:
    """An update with another addressType is invalid."""
    created = registry.create(SLICES, "default", endpoint_slice())

    assert reason_of(
        lambda: registry.update(SLICES, "default", "web-abc", edited(created, addressType="IPv6"))
    ) == (
        422,
        "Invalid",
    )


def test_empty_lists_of_slice_become_null(registry: Registry) -> None:
    """A real server stores protobuf, which has no empty list; ports get a name and a protocol."""
    created = registry.create(SLICES, "default", endpoint_slice(ports=[]))
    other = registry.create(
        SLICES, "default", endpoint_slice("10.1.0.1", name="other", ports=[{"port": 1}])
    )

    assert (created["endpoints"], created["ports"]) == (None, None)
    assert other["ports"] == [{"port": 1, "name": "", "protocol": "TCP"}]
    assert other["endpoints"] == [{"addresses": ["10.1.0.1"], "conditions": {}}]


def test_service_gets_address_and_ip_families(registry: Registry) -> None:
    """clusterIP, protocol and ipFamilies are set and kept; a headless Service has no address."""
    made = registry.create(SERVICES, "default", service(ipFamilyPolicy="PreferDualStack"))
    headless = registry.create(SERVICES, "default", service("headless", clusterIP="None"))
    updated = registry.update(
        SERVICES, "default", "web", service(ipFamilyPolicy="PreferDualStack", type="NodePort")
    )

    assert made["spec"]["ipFamilies"] == ["IPv4", "IPv6"]
    assert made["spec"]["clusterIP"].startswith("10.0.")
    assert made["spec"]["ports"] == [
        {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80}
    ]
    assert headless["spec"]["clusterIP"] == "None"
    assert updated["spec"]["clusterIP"] == made["spec"]["clusterIP"]


def test_deletion_checks_preconditions(registry: Registry) -> None:
    """A deletion for another uid or resourceVersion is a conflict, and the object stays."""
    created = registry.create(SERVICES, "default", service())
    meta = created["metadata"]
    for wrong in ({"uid": "another"}, {"uid": meta["uid"], "resourceVersion": "1"}):
        delete = partial(registry.delete, SERVICES, "default", "web", {"preconditions": wrong})
        assert reason_of(delete) == (409, "Conflict")

    right = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    registry.delete(SERVICES, "default", "web", {"preconditions": right})

    assert reason_of(lambda: registry.get(SERVICES, "default", "web")) == (404, "NotFound")


def test_object_is_removed_with_its_last_finalizer(registry: Registry) -> None:
    """A deletion only marks the object; the update that drops the last finalizer removes it."""
    item = service()
    item["metadata"]["finalizers"] = ["example.org/wait"]
    registry.create(SERVICES, "default", item)

    registry.delete(SERVICES, "default", "web", {})
    marked = registry.get(SERVICES, "default", "web")
    assert "deletionTimestamp" in marked["metadata"]

    registry.update(SERVICES, "default", "web", service())
    assert reason_of(lambda: registry.get(SERVICES, "default", "web")) == (404, "NotFound")


def test_dependent_is_deleted_with_its_last_owner(registry: Registry) -> None:
    """The garbage collector deletes objects whose owners are all gone, and no others."""
    owner = registry.create(SERVICES, "default", service())
    registry.create(SLICES, "default", owned_by(owner, endpoint_slice(name="owned")))
    registry.create(SLICES, "default", endpoint_slice(name="free"))
    assert not collect_garbage(registry)

    registry.delete(SERVICES, "default", "web", {})
    anew = registry.create(SERVICES, "default", service())
    registry.create(SLICES, "default", owned_by(anew, endpoint_slice(name="of-the-new-one")))

    assert collect_garbage(registry)
    left = [name for resource, _, name in registry.storage.objects if resource == SLICES.resource]
    assert left == ["free", "of-the-new-one"]


def test_deleted_namespace_loses_its_content(registry: Registry) -> None:
    """A Terminating namespace accepts no new object; its content is deleted first."""
    registry.create(NAMESPACES, "", {"metadata": {"name": "shop"}})
    registry.create(SERVICES, "shop", service())

    registry.delete(NAMESPACES, "", "shop", {})

    assert registry.get(NAMESPACES, "", "shop")["status"] == {"phase": "Terminating"}
    error = error_of(lambda: registry.create(SERVICES, "shop", service("later")))
    assert (error.code, error.status["details"]["causes"][0]["reason"]) == (
        403,
        "NamespaceTerminating",
    )
    collect_garbage(registry)
    assert reason_of(lambda: registry.get(SERVICES, "shop", "web")) == (404, "NotFound")
    assert reason_of(lambda: registry.get(NAMESPACES, "", "shop")) == (404, "NotFound")


def test_namespace_waits_for_finalizers(registry: Registry) -> None:
    """A namespace stays Terminating while an object in it has a finalizer."""
    registry.create(NAMESPACES, "", {"metadata": {"name": "shop"}})
    registry.create(
        SERVICES,
        "shop",
        service() | {"metadata": {"name": "web", "finalizers": ["example.org/wait"]}},
    )
    registry.delete(NAMESPACES, "", "shop", {})

    collect_garbage(registry)
    assert registry.get(NAMESPACES, "", "shop")["status"] == {"phase": "Terminating"}

    registry.update(SERVICES, "shop", "web", service())
    collect_garbage(registry)
    assert reason_of(lambda: registry.get(NAMESPACES, "", "shop")) == (404, "NotFound")


def test_definition_adds_and_removes_its_type(registry: Registry, definition: JsonObject) -> None:
    """Custom resources are served while their definition exists, and are deleted with it."""
    links = links_of(registry, definition)
    registry.create(links, "", cluster_link())
    conditions = registry.get(DEFINITIONS, "", definition["metadata"]["name"])["status"][
        "conditions"
    ]
    assert {each["type"]: each["status"] for each in conditions} == {
        "NamesAccepted": "True",
        "Established": "True",
    }

    registry.delete(DEFINITIONS, "", definition["metadata"]["name"], {})
    collect_garbage(registry)

    assert "ClusterLink" not in [each.kind for each in registry.resource_types()]
    assert not [key for key in registry.storage.objects if key[0] == links.resource]


def test_schema_of_custom_resource_is_enforced(registry: Registry, definition: JsonObject) -> None:
    """Defaults are set, unknown fields dropped, and invalid fields refused with their path."""
    links = links_of(registry, definition)

    made = registry.create(links, "", cluster_link(unknown=1, unreachable={"action": "Remove"}))
    bad = cluster_link(
        "bad", enabled="no", kubeconfig="", excludedNamespaces=[1], unreachable={"afterSeconds": -1}
    )
    error = error_of(lambda: registry.create(links, "", bad | {"metadata": {"name": "bad"}}))

    assert made["spec"] == {
        "kubeconfig": "YQ==",
        "enabled": True,
        "drained": False,
        "optIn": False,
        "unreachable": {"action": "Remove", "afterSeconds": 300, "force": False},
    }
    assert {cause["field"] for cause in error.status["details"]["causes"]} == {
        "spec.enabled",
        "spec.kubeconfig",
        "spec.excludedNamespaces[0]",
        "spec.unreachable.afterSeconds",
    }
    missing = error_of(lambda: registry.create(links, "", {"metadata": {"name": "bare"}}))
    assert missing.status["details"]["causes"][0]["field"] == "spec"


def test_nulls_of_custom_resource_are_dropped(
    registry: Registry, policy_definition: JsonObject
) -> None:
    """In items of lists, too; a field with a default gets that."""
    registry.create(DEFINITIONS, "", policy_definition)
    policies = next(each for each in registry.resource_types() if each.kind == "TrafficPolicy")
    cluster = {"name": "cluster-a", "share": None, "tier": None}
    spec = {"targetRef": {"name": "web"}, "minReady": None, "clusters": [cluster]}

    made = registry.create(policies, "default", {"metadata": {"name": "web"}, "spec": spec})

    assert made["spec"] == {
        "targetRef": {"kind": "Service", "name": "web"},
        "minReady": 1,
        "recoverySeconds": 30,
        "clusters": [{"name": "cluster-a", "tier": 0, "fallback": True}],
    }


def test_status_and_spec_are_written_separately(registry: Registry, definition: JsonObject) -> None:
    """Each kind of update keeps the other part, and only the spec counts in the generation."""
    links = links_of(registry, definition)
    created = registry.create(links, "", cluster_link() | {"status": {"phase": "Ready"}})
    assert created["status"]["phase"] == "Pending"

    with_status = registry.update(
        links, "", "cluster-a", edited(created, status={"phase": "Ready"}, spec={}), "status"
    )
    with_spec = registry.update(
        links,
        "",
        "cluster-a",
        edited(with_status, status={}, spec={"kubeconfig": "YQ==", "enabled": False}),
    )

    assert (
        with_status["status"]["phase"],
        with_status["spec"],
        with_status["metadata"]["generation"],
    ) == (
        "Ready",
        created["spec"],
        1,
    )
    assert (
        with_spec["status"]["phase"],
        with_spec["spec"]["enabled"],
        with_spec["metadata"]["generation"],
    ) == ("Ready", False, 2)


def test_dry_run_changes_nothing(registry: Registry) -> None:
    """The response shows the result, and nothing is stored."""
    before = registry.storage.revision
    would_be = registry.create(SERVICES, "default", service(), dry_run=True)
    assert would_be["spec"]["type"] == "ClusterIP"
    kept = registry.get(SERVICES, "default", "kubernetes")
    registry.update(SERVICES, "default", "kubernetes", relabelled(kept, a="b"), dry_run=True)
    registry.delete(SERVICES, "default", "kubernetes", {"dryRun": ["All"]})

    assert registry.storage.revision == before


def test_patch_cannot_change_uid(registry: Registry) -> None:
    """A patch with another uid is invalid, not a conflict."""
    registry.create(SERVICES, "default", service())

    def patched() -> JsonObject:
        return registry.patch(
            SERVICES,
            "default",
            "web",
            lambda old: old | {"metadata": old["metadata"] | {"uid": "another"}},
        )

    assert reason_of(patched) == (422, "Invalid")
