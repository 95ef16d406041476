"""Create, update, patch and delete objects by the rules of k8s.io/apiserver (pkg/registry)."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Final

from attrs import define

from svclink_controller import clock
from svclink_controller.demo.apiserver.registry import admission
from svclink_controller.demo.apiserver.resource_types import (
    BUILT_IN,
    CLUSTER_ROLE_TYPE,
    DEFINITION_TYPE,
    NAMESPACE_TYPE,
    SERVICE_TYPE,
    ResourceType,
    defined_by,
)
from svclink_controller.demo.apiserver.status_errors import (
    Cause,
    JsonObject,
    StatusError,
    already_exists,
    bad_request,
    conflict,
    invalid,
    not_found,
)
from svclink_controller.demo.apiserver.storage import Storage

SYSTEM_NAMESPACES: Final = ("default", "kube-system", "kube-public", "kube-node-lease")
SERVER_FIELDS: Final = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "namespace",
    "name",
)
"""Metadata that an update cannot change."""
KINDS_WITH_GENERATION: Final = (
    "EndpointSlice",
    "Deployment",
    "CustomResourceDefinition",
    "PodDisruptionBudget",
)


@define
class Registry:
    """The objects of a cluster, and the rules for changing them. Raises `StatusError`."""

    storage: Storage

    def start(self) -> None:
        """Create the objects that every new cluster has."""
        for name in SYSTEM_NAMESPACES:
            self._ensure(NAMESPACE_TYPE, "", {"metadata": {"name": name}})
        everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
        role = {"metadata": {"name": "cluster-admin"}, "rules": [everything]}
        self._ensure(CLUSTER_ROLE_TYPE, "", role)
        spec = {
            "ports": [{"name": "https", "port": 443, "targetPort": 6443}],
            "clusterIP": "10.0.0.1",
            "clusterIPs": ["10.0.0.1"],
        }
        service = {"metadata": {"name": "kubernetes"}, "spec": spec}
        self._ensure(SERVICE_TYPE, "default", service)

    def resource_types(self) -> Iterator[ResourceType]:
        """Return the served types: built-in ones, and those of CustomResourceDefinitions."""
        yield from BUILT_IN
        for (resource, _, _), item in list(self.storage.objects.items()):
            if resource == DEFINITION_TYPE.resource:
                yield from defined_by(item)

    def get(self, resource_type: ResourceType, namespace: str, name: str) -> JsonObject:
        """Return an object."""
        try:
            return self.storage.objects[resource_type.resource, namespace, name]
        except KeyError:
            raise not_found(resource_type.resource, name) from None

    def create(
        self,
        resource_type: ResourceType,
        namespace: str,
        body: JsonObject,
        *,
        dry_run: bool = False,
    ) -> JsonObject:
        """Create an object and return it."""
        item = deepcopy(body)
        meta = item["metadata"] = item.get("metadata") or {}
        if "resourceVersion" in meta:
            message = "resourceVersion should not be set on objects to be created"
            raise StatusError(500, "", message)
        name = _checked_name(resource_type, namespace, meta)
        if resource_type.namespaced:
            self._check_namespace(namespace)
        key = resource_type.resource, namespace, name
        if key in self.storage.objects:
            raise already_exists(resource_type.resource, name)
        for field in SERVER_FIELDS:
            meta.pop(field, None)
        meta |= {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": clock.now()}
        meta |= {"namespace": namespace} if resource_type.namespaced else {}
        meta |= {"generation": 1} if _has_generation(resource_type) else {}
        item |= {"apiVersion": resource_type.api_version, "kind": resource_type.kind}
        if resource_type.has_status:
            item.pop("status", None)
        _admit(resource_type, item, None)
        item |= _first_status(resource_type, item)
        return item if dry_run else self.storage.put(key, item)

    def update(
        self,
        resource_type: ResourceType,
        namespace: str,
        name: str,
        body: JsonObject,
        subresource: str = "",
        *,
        dry_run: bool = False,
    ) -> JsonObject:
        """Replace an object, or its status, and return it. An equal object is not written."""
        old = self.get(resource_type, namespace, name)
        _check_update(resource_type, namespace, old, body.get("metadata") or {})
        new = _updated(resource_type, old, body, subresource)
        if new == old:
            return old
        if dry_run:
            return new
        key = resource_type.resource, namespace, name
        stored = self.storage.put(key, new)
        meta = stored["metadata"]
        is_finalized = "deletionTimestamp" in meta and not meta.get("finalizers")
        if is_finalized and resource_type != NAMESPACE_TYPE:
            return self.storage.remove(key)
        return stored

    def patch(
        self,
        resource_type: ResourceType,
        namespace: str,
        name: str,
        apply: Callable[[JsonObject], JsonObject],
        subresource: str = "",
        *,
        dry_run: bool = False,
    ) -> JsonObject:
        """Replace an object by the result of a function, and return it."""
        old = self.get(resource_type, namespace, name)
        new = apply(old)
        if (uid := new["metadata"].get("uid")) != old["metadata"]["uid"]:
            message = f'Invalid value: "{uid}": field is immutable'
            cause = Cause("metadata.uid", "FieldValueInvalid", message)
            raise invalid(resource_type.kind, name, [cause])
        return self.update(resource_type, namespace, name, new, subresource, dry_run=dry_run)

    def delete(
        self, resource_type: ResourceType, namespace: str, name: str, options: JsonObject
    ) -> JsonObject:
        """Delete an object and return its last state.

        A namespace, and an object with a finalizer, only gets a deletionTimestamp.
        """
        old = self.get(resource_type, namespace, name)
        _check_preconditions(resource_type, old, options.get("preconditions") or {})
        if options.get("dryRun"):
            return old
        key = resource_type.resource, namespace, name
        is_namespace = resource_type == NAMESPACE_TYPE
        if not is_namespace and not old["metadata"].get("finalizers"):
            return self.storage.remove(key)
        if "deletionTimestamp" in old["metadata"]:
            return old
        marked = old | {"metadata": old["metadata"] | {"deletionTimestamp": clock.now()}}
        if is_namespace:
            marked |= {"status": {"phase": "Terminating"}}
        return self.storage.put(key, marked)

    def _ensure(self, resource_type: ResourceType, namespace: str, item: JsonObject) -> None:
        key = resource_type.resource, namespace, item["metadata"]["name"]
        if key not in self.storage.objects:
            self.create(resource_type, namespace, item)

    def _check_namespace(self, namespace: str) -> None:
        if "deletionTimestamp" not in self.get(NAMESPACE_TYPE, "", namespace)["metadata"]:
            return
        message = (
            f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        cause = {
            "reason": "NamespaceTerminating",
            "message": message,
            "field": "metadata.namespace",
        }
        raise StatusError(403, "Forbidden", message, causes=[cause])


def _checked_name(resource_type: ResourceType, namespace: str, meta: JsonObject) -> str:
    """Return the name in the metadata of a request, whose namespace must match the path."""
    if not meta.get("name"):
        cause = Cause("metadata.name", "FieldValueRequired", "Required value: name is required")
        raise invalid(resource_type.kind, "", [cause])
    if resource_type.namespaced and meta.get("namespace", namespace) != namespace:
        raise bad_request(
            "the namespace of the provided object does not match the namespace sent on the request"
        )
    return str(meta["name"])


def _check_update(
    resource_type: ResourceType, namespace: str, old: JsonObject, sent: JsonObject
) -> None:
    """Refuse an update for another object, or for another state of the object."""
    name = old["metadata"]["name"]
    _checked_name(resource_type, namespace, {"name": name} | sent)
    if sent.get("name", name) != name:
        raise bad_request(
            f"the name of the object ({sent['name']}) does not match the name on the URL ({name})"
        )
    _check_preconditions(resource_type, old, sent)
    if resource_type.conditional_update and not sent.get("resourceVersion"):
        message = "must be specified for an update"
        cause = Cause("metadata.resourceVersion", "FieldValueInvalid", message)
        raise invalid(resource_type.kind, name, [cause])


def _check_preconditions(
    resource_type: ResourceType, old: JsonObject, expected: JsonObject
) -> None:
    meta = old["metadata"]
    if (uid := expected.get("uid")) not in (None, "", meta["uid"]):
        why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {meta['uid']}"
        raise conflict(resource_type.resource, meta["name"], why)
    if expected.get("resourceVersion") not in (None, "", meta["resourceVersion"]):
        why = (
            "the object has been modified; "
            "please apply your changes to the latest version and try again"
        )
        raise conflict(resource_type.resource, meta["name"], why)


def _updated(
    resource_type: ResourceType, old: JsonObject, body: JsonObject, subresource: str
) -> JsonObject:
    """Return the object that an update stores: the new body with the fields it cannot change."""
    if subresource == "status":
        return old | {"status": body.get("status", {})}
    new = deepcopy(body) | {"apiVersion": resource_type.api_version, "kind": resource_type.kind}
    if resource_type.has_status:
        new.pop("status", None)
        new |= {"status": old["status"]} if "status" in old else {}
    new["metadata"] = _updated_metadata(old["metadata"], new.get("metadata") or {})
    is_slice = resource_type.kind == "EndpointSlice"
    if is_slice and new.get("addressType") != old["addressType"]:
        cause = Cause("addressType", "FieldValueInvalid", "field is immutable")
        raise invalid(resource_type.kind, old["metadata"]["name"], [cause])
    _admit(resource_type, new, old)
    has_changed = _desired(resource_type, new) != _desired(resource_type, old)
    if has_changed and _has_generation(resource_type):
        new["metadata"]["generation"] += 1
    return new


def _updated_metadata(old: JsonObject, sent: JsonObject) -> JsonObject:
    kept = {name: old[name] for name in (*SERVER_FIELDS, "resourceVersion") if name in old}
    changed = {
        name: value
        for name, value in sent.items()
        if name not in SERVER_FIELDS and value not in ({}, [], None)
    }
    return changed | kept


def _admit(resource_type: ResourceType, item: JsonObject, old: JsonObject | None) -> None:
    """Set the defaults of an object, and refuse an invalid one."""
    admission.set_defaults(resource_type, item, old)
    if resource_type == SERVICE_TYPE:
        _allocate_cluster_ip(item["spec"])
    if causes := admission.problems(resource_type, item):
        raise invalid(resource_type.kind, item["metadata"]["name"], causes)


def _allocate_cluster_ip(spec: JsonObject) -> None:
    if spec.get("type") != "ExternalName" and "clusterIP" not in spec:
        address = f"10.0.{secrets.randbelow(250) + 1}.{secrets.randbelow(250) + 1}"
        spec |= {"clusterIP": address, "clusterIPs": [address]}


def _has_generation(resource_type: ResourceType) -> bool:
    is_custom = resource_type.definition is not None
    return is_custom or resource_type.kind in KINDS_WITH_GENERATION


def _desired(resource_type: ResourceType, item: JsonObject) -> JsonObject:
    """Return the fields whose changes count in `metadata.generation`.

    These are all but metadata and status. The labels of an EndpointSlice count as well.
    """
    desired = {name: value for name, value in item.items() if name not in ("metadata", "status")}
    if resource_type.kind == "EndpointSlice":
        desired["labels"] = item["metadata"].get("labels")
    return desired


def _first_status(resource_type: ResourceType, item: JsonObject) -> JsonObject:
    """Return the status that controllers would give a new object."""
    if resource_type == NAMESPACE_TYPE:
        return {"status": {"phase": "Active"}}
    if resource_type == SERVICE_TYPE:
        return {"status": {"loadBalancer": {}}}
    if resource_type != DEFINITION_TYPE:
        return {}
    conditions = [
        {
            "type": condition_type,
            "status": "True",
            "reason": reason,
            "message": "",
            "lastTransitionTime": clock.now(),
        }
        for condition_type, reason in (
            ("NamesAccepted", "NoConflicts"),
            ("Established", "InitialNamesAccepted"),
        )
    ]
    versions = [version["name"] for version in item["spec"]["versions"] if version.get("storage")]
    status = {
        "conditions": conditions,
        "acceptedNames": item["spec"]["names"],
        "storedVersions": versions,
    }
    return {"status": status}
