"""Writes mean what they mean in Kubernetes. Real: the rules and the storage. There is no server."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from svclink_controller.demo.apiserver.registry import Registry
from svclink_controller.demo.apiserver.resource_types import ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError
from tests.unit.controller.demo.apiserver.objects import (
    cluster_link,
    endpoint_slice,
    kind_of,
    owned_by,
    service,
)

SERVICES, SLICES, NAMESPACES = kind_of("Service"), kind_of("EndpointSlice"), kind_of("Namespace")
DEFINITIONS, LEASES = kind_of("CustomResourceDefinition"), kind_of("Lease")


def error_of(action: Callable[[], object]) -> StatusError:
    with pytest.raises(StatusError) as caught:
        action()
    return caught.value


def reason_of(action: Callable[[], object]) -> tuple[int, str]:
    error = error_of(action)
    return error.code, error.reason


def links_of(registry: Registry, definition: JsonObject) -> ResourceType:
    registry.create(DEFINITIONS, "", definition)
    return next(kind for kind in registry.kinds() if kind.name == "ClusterLink")


def edited(item: JsonObject, **fields: Any) -> JsonObject:
    return item | fields


def relabelled(item: JsonObject, **labels: str) -> JsonObject:
    return item | {"metadata": item["metadata"] | {"labels": labels}}


def test_the_server_names_what_it_creates(registry: Registry) -> None:
    """A new object has a uid, a time, its kind and a resourceVersion, whatever the user says of them."""
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


def test_creations_that_are_refused(registry: Registry) -> None:
    """A name that is taken, a namespace that is not there, no name, another namespace, and a resourceVersion."""
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


def test_an_update_of_an_older_state_is_a_conflict(registry: Registry) -> None:
    """Who read before somebody else wrote must read again; so must who means an object that was replaced."""
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


def test_an_update_without_resource_version_is_taken_of_some_kinds(registry: Registry) -> None:
    """EndpointSlices may be overwritten blindly, Leases may not."""
    registry.create(SLICES, "default", endpoint_slice("10.1.0.1"))
    registry.create(LEASES, "default", {"metadata": {"name": "leader"}, "spec": {}})

    registry.update(SLICES, "default", "web-abc", endpoint_slice("10.1.0.2"))

    assert registry.get(SLICES, "default", "web-abc")["endpoints"][0]["addresses"] == ["10.1.0.2"]
    blind = {"metadata": {"name": "leader"}, "spec": {"holderIdentity": "me"}}
    assert reason_of(lambda: registry.update(LEASES, "default", "leader", blind)) == (
        422,
        "Invalid",
    )


def test_an_update_that_changes_nothing_is_no_write(registry: Registry) -> None:
    """The resourceVersion stays, and nobody is told."""
    created = registry.create(SLICES, "default", endpoint_slice("10.1.0.1"))
    before = registry.storage.revision

    assert registry.update(SLICES, "default", "web-abc", created) == created
    assert registry.storage.revision == before


def test_the_generation_counts_what_is_asked_for(registry: Registry) -> None:
    """Of an EndpointSlice its content and labels, not its annotations."""
    created = registry.create(SLICES, "default", endpoint_slice("10.1.0.1"))
    annotated = created | {"metadata": created["metadata"] | {"annotations": {"a": "b"}}}

    second = registry.update(SLICES, "default", "web-abc", annotated)
    third = registry.update(SLICES, "default", "web-abc", relabelled(second, a="b"))

    assert [item["metadata"]["generation"] for item in (created, second, third)] == [1, 1, 2]


def test_the_address_type_of_a_slice_cannot_be_changed(registry: Registry) -> None:
    """It is immutable."""
    created = registry.create(SLICES, "default", endpoint_slice())

    assert reason_of(
        lambda: registry.update(SLICES, "default", "web-abc", edited(created, addressType="IPv6"))
    ) == (
        422,
        "Invalid",
    )


def test_empty_lists_of_a_slice_come_back_as_null(registry: Registry) -> None:
    """A real server stores protobuf, which knows no empty list; ports have a name and a protocol."""
    created = registry.create(SLICES, "default", endpoint_slice(ports=[]))
    other = registry.create(
        SLICES, "default", endpoint_slice("10.1.0.1", name="other", ports=[{"port": 1}])
    )

    assert (created["endpoints"], created["ports"]) == (None, None)
    assert other["ports"] == [{"port": 1, "name": "", "protocol": "TCP"}]
    assert other["endpoints"] == [{"addresses": ["10.1.0.1"], "conditions": {}}]


def test_a_service_has_an_address_and_families(registry: Registry) -> None:
    """ClusterIP, protocol and families are filled in and kept; a headless Service has no address."""
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


def test_a_deletion_holds_its_preconditions(registry: Registry) -> None:
    """Of another uid or resourceVersion it is a conflict, and the object stays."""
    created = registry.create(SERVICES, "default", service())
    meta = created["metadata"]
    for wrong in ({"uid": "another"}, {"uid": meta["uid"], "resourceVersion": "1"}):
        delete = partial(registry.delete, SERVICES, "default", "web", {"preconditions": wrong})
        assert reason_of(delete) == (409, "Conflict")

    right = {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}
    registry.delete(SERVICES, "default", "web", {"preconditions": right})

    assert reason_of(lambda: registry.get(SERVICES, "default", "web")) == (404, "NotFound")


def test_what_has_a_finalizer_goes_when_it_has_none(registry: Registry) -> None:
    """A deletion only marks it, and the update that takes the last finalizer away removes it."""
    item = service()
    item["metadata"]["finalizers"] = ["example.org/wait"]
    registry.create(SERVICES, "default", item)

    registry.delete(SERVICES, "default", "web", {})
    marked = registry.get(SERVICES, "default", "web")
    assert "deletionTimestamp" in marked["metadata"]

    registry.update(SERVICES, "default", "web", service())
    assert reason_of(lambda: registry.get(SERVICES, "default", "web")) == (404, "NotFound")


def test_what_is_owned_goes_with_its_last_owner(registry: Registry) -> None:
    """The garbage collector removes what only absent objects own, and nothing else."""
    owner = registry.create(SERVICES, "default", service())
    registry.create(SLICES, "default", owned_by(owner, endpoint_slice(name="owned")))
    registry.create(SLICES, "default", endpoint_slice(name="free"))
    assert not registry.collect_garbage()

    registry.delete(SERVICES, "default", "web", {})
    anew = registry.create(SERVICES, "default", service())
    registry.create(SLICES, "default", owned_by(anew, endpoint_slice(name="of-the-new-one")))

    assert registry.collect_garbage()
    left = [name for resource, _, name in registry.storage.objects if resource == SLICES.resource]
    assert left == ["free", "of-the-new-one"]


def test_a_namespace_ends_with_its_content(registry: Registry) -> None:
    """Deleted, it is Terminating: nothing new comes in, its objects go, and it goes last."""
    registry.create(NAMESPACES, "", {"metadata": {"name": "shop"}})
    registry.create(SERVICES, "shop", service())

    registry.delete(NAMESPACES, "", "shop", {})

    assert registry.get(NAMESPACES, "", "shop")["status"] == {"phase": "Terminating"}
    error = error_of(lambda: registry.create(SERVICES, "shop", service("later")))
    assert (error.code, error.status["details"]["causes"][0]["reason"]) == (
        403,
        "NamespaceTerminating",
    )
    registry.collect_garbage()
    assert reason_of(lambda: registry.get(SERVICES, "shop", "web")) == (404, "NotFound")
    assert reason_of(lambda: registry.get(NAMESPACES, "", "shop")) == (404, "NotFound")


def test_a_namespace_waits_for_what_has_a_finalizer(registry: Registry) -> None:
    """While something in it is still ending, it stays Terminating."""
    registry.create(NAMESPACES, "", {"metadata": {"name": "shop"}})
    registry.create(
        SERVICES,
        "shop",
        service() | {"metadata": {"name": "web", "finalizers": ["example.org/wait"]}},
    )
    registry.delete(NAMESPACES, "", "shop", {})

    registry.collect_garbage()
    assert registry.get(NAMESPACES, "", "shop")["status"] == {"phase": "Terminating"}

    registry.update(SERVICES, "shop", "web", service())
    registry.collect_garbage()
    assert reason_of(lambda: registry.get(NAMESPACES, "", "shop")) == (404, "NotFound")


def test_a_definition_brings_its_kind_and_takes_it_along(
    registry: Registry, definition: JsonObject
) -> None:
    """Custom resources are served from the moment of the definition, and end with it."""
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
    registry.collect_garbage()

    assert not [kind for kind in registry.kinds() if kind.name == "ClusterLink"]
    assert not [key for key in registry.storage.objects if key[0] == links.resource]


def test_a_custom_resource_is_held_to_its_schema(
    registry: Registry, definition: JsonObject
) -> None:
    """Defaults are filled in, unknown fields dropped, and what does not fit is refused with its path."""
    links = links_of(registry, definition)

    made = registry.create(links, "", cluster_link(unknown=1, unreachable={"action": "Remove"}))
    bad = cluster_link(
        "bad", enabled="no", kubeconfig="", excludedNamespaces=[1], unreachable={"afterSeconds": -1}
    )
    error = error_of(lambda: registry.create(links, "", bad | {"metadata": {"name": "bad"}}))

    assert made["spec"] == {
        "kubeconfig": "YQ==",
        "enabled": True,
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


def test_status_and_spec_are_written_apart(registry: Registry, definition: JsonObject) -> None:
    """Each way leaves the other's part alone, and only the spec counts for the generation."""
    links = links_of(registry, definition)
    created = registry.create(links, "", cluster_link() | {"status": {"phase": "Ready"}})
    assert created["status"]["phase"] == "Pending"

    said = registry.update(
        links, "", "cluster-a", edited(created, status={"phase": "Ready"}, spec={}), "status"
    )
    asked = registry.update(
        links,
        "",
        "cluster-a",
        edited(said, status={}, spec={"kubeconfig": "YQ==", "enabled": False}),
    )

    assert (said["status"]["phase"], said["spec"], said["metadata"]["generation"]) == (
        "Ready",
        created["spec"],
        1,
    )
    assert (
        asked["status"]["phase"],
        asked["spec"]["enabled"],
        asked["metadata"]["generation"],
    ) == ("Ready", False, 2)


def test_a_dry_run_changes_nothing(registry: Registry) -> None:
    """The answer is what would be, and nothing is."""
    before = registry.storage.revision
    would_be = registry.create(SERVICES, "default", service(), dry_run=True)
    assert would_be["spec"]["type"] == "ClusterIP"
    kept = registry.get(SERVICES, "default", "kubernetes")
    registry.update(SERVICES, "default", "kubernetes", relabelled(kept, a="b"), dry_run=True)
    registry.delete(SERVICES, "default", "kubernetes", {"dryRun": ["All"]})

    assert registry.storage.revision == before


def test_a_patch_cannot_change_who_an_object_is(registry: Registry) -> None:
    """A uid in a patch is a mistake in the patch, not a conflict."""
    registry.create(SERVICES, "default", service())

    def patched() -> JsonObject:
        return registry.patch(
            SERVICES,
            "default",
            "web",
            lambda old: old | {"metadata": old["metadata"] | {"uid": "another"}},
        )

    assert reason_of(patched) == (422, "Invalid")
