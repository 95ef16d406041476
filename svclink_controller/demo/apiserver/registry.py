"""What writes mean: creation, update, deletion, and what follows from them in the cluster.

The rules are those of k8s.io/apiserver (pkg/registry) and of three loops of the controller manager: the garbage
collector, the end of namespaces, and the tokens of ServiceAccounts.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Final

from attrs import define

from svclink_controller import clock
from svclink_controller.demo.apiserver import admission
from svclink_controller.demo.apiserver.resource_types import (
    BUILT_IN,
    CUSTOM_RESOURCE_DEFINITIONS,
    NAMESPACE_TYPE,
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

OWNED_BY_SERVER: Final = (
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "namespace",
    "name",
)
WITH_GENERATION: Final = (
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
        """Create what every cluster has from its first moment."""
        for name in ("default", "kube-system", "kube-public", "kube-node-lease"):
            if (NAMESPACE_TYPE.resource, "", name) not in self.storage.objects:
                self.create(NAMESPACE_TYPE, "", {"metadata": {"name": name}})
        roles = next(kind for kind in BUILT_IN if kind.name == "ClusterRole")
        if (roles.resource, "", "cluster-admin") not in self.storage.objects:
            everything = {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}
            self.create(roles, "", {"metadata": {"name": "cluster-admin"}, "rules": [everything]})
        services = next(kind for kind in BUILT_IN if kind.name == "Service")
        if (services.resource, "default", "kubernetes") not in self.storage.objects:
            ports = [{"name": "https", "port": 443, "targetPort": 6443}]
            spec = {"ports": ports, "clusterIP": "10.0.0.1", "clusterIPs": ["10.0.0.1"]}
            self.create(services, "default", {"metadata": {"name": "kubernetes"}, "spec": spec})

    def kinds(self) -> Iterator[ResourceType]:
        """The kinds that are served: built in, and defined by CustomResourceDefinitions."""
        yield from BUILT_IN
        for (resource, _, _), item in list(self.storage.objects.items()):
            if resource == CUSTOM_RESOURCE_DEFINITIONS.resource:
                yield from defined_by(item)

    def get(self, kind: ResourceType, namespace: str, name: str) -> JsonObject:
        """An object."""
        try:
            return self.storage.objects[kind.resource, namespace, name]
        except KeyError:
            raise not_found(kind.resource, name) from None

    def create(
        self, kind: ResourceType, namespace: str, body: JsonObject, *, dry_run: bool = False
    ) -> JsonObject:
        """Store a new object."""
        item = deepcopy(body)
        meta = item["metadata"] = item.get("metadata") or {}
        if "resourceVersion" in meta:
            raise StatusError(500, "", "resourceVersion should not be set on objects to be created")
        name = self._name(kind, namespace, meta)
        if kind.namespaced:
            self._check_namespace(namespace)
        if (kind.resource, namespace, name) in self.storage.objects:
            raise already_exists(kind.resource, name)
        for field in OWNED_BY_SERVER:
            meta.pop(field, None)
        meta |= {"name": name, "uid": str(uuid.uuid4()), "creationTimestamp": clock.now()}
        meta |= {"namespace": namespace} if kind.namespaced else {}
        meta |= {"generation": 1} if _has_generation(kind) else {}
        item |= {"apiVersion": kind.api_version, "kind": kind.name}
        if kind.has_status:
            item.pop("status", None)
        self._admit(kind, item, None)
        item |= _first_status(kind, item)
        return item if dry_run else self.storage.put((kind.resource, namespace, name), item)

    def update(
        self,
        kind: ResourceType,
        namespace: str,
        name: str,
        body: JsonObject,
        subresource: str = "",
        *,
        dry_run: bool = False,
    ) -> JsonObject:
        """Replace an object, or its status."""
        old = self.get(kind, namespace, name)
        sent = body.get("metadata") or {}
        self._name(kind, namespace, {"name": name} | sent)
        if sent.get("name", name) != name:
            raise bad_request(
                f"the name of the object ({sent['name']}) does not match the name on the URL ({name})"
            )
        self._check_preconditions(kind, old, sent)
        if kind.conditional_update and not sent.get("resourceVersion"):
            cause = Cause(
                "metadata.resourceVersion", "FieldValueInvalid", "must be specified for an update"
            )
            raise invalid(kind.name, name, [cause])
        new = self._changed(kind, old, body, subresource)
        if new == old:
            return old
        if dry_run:
            return new
        key = kind.resource, namespace, name
        stored = self.storage.put(key, new)
        if "deletionTimestamp" in stored["metadata"] and not stored["metadata"].get("finalizers"):
            return stored if kind is NAMESPACE_TYPE else self.storage.remove(key)
        return stored

    def patch(
        self,
        kind: ResourceType,
        namespace: str,
        name: str,
        change: Callable[[JsonObject], JsonObject],
        subresource: str = "",
        *,
        dry_run: bool = False,
    ) -> JsonObject:
        """Replace an object by what a function makes of it."""
        old = self.get(kind, namespace, name)
        new = change(old)
        if (uid := new["metadata"].get("uid")) != old["metadata"]["uid"]:
            cause = Cause(
                "metadata.uid", "FieldValueInvalid", f'Invalid value: "{uid}": field is immutable'
            )
            raise invalid(kind.name, name, [cause])
        return self.update(kind, namespace, name, new, subresource, dry_run=dry_run)

    def delete(
        self, kind: ResourceType, namespace: str, name: str, options: JsonObject
    ) -> JsonObject:
        """Delete an object; what has a finalizer, and a namespace, is only marked."""
        old = self.get(kind, namespace, name)
        self._check_preconditions(kind, old, options.get("preconditions") or {})
        if options.get("dryRun"):
            return old
        key = kind.resource, namespace, name
        if kind is not NAMESPACE_TYPE and not old["metadata"].get("finalizers"):
            return self.storage.remove(key)
        if "deletionTimestamp" in old["metadata"]:
            return old
        ending = old | {"metadata": old["metadata"] | {"deletionTimestamp": clock.now()}}
        return self.storage.put(
            key, ending | ({"status": {"phase": "Terminating"}} if kind is NAMESPACE_TYPE else {})
        )

    def collect_garbage(self) -> bool:
        """One round of what a controller manager does; True where there may be more to do.

        Deleted are objects whose owners are all gone, those of a namespace that is being deleted, and those whose kind
        is no longer defined.
        """
        known = {kind.resource: kind for kind in self.kinds()}
        uids = {item["metadata"]["uid"] for item in self.storage.objects.values()}
        ending = {
            name
            for (resource, _, name), item in self.storage.objects.items()
            if resource == NAMESPACE_TYPE.resource and "deletionTimestamp" in item["metadata"]
        }
        before = self.storage.revision
        for key, item in list(self.storage.objects.items()):
            resource, namespace, name = key
            owners = item["metadata"].get("ownerReferences") or ()
            if resource not in known:
                self.storage.remove(key)
            elif namespace in ending or (
                owners and not any(owner["uid"] in uids for owner in owners)
            ):
                self.delete(known[resource], namespace, name, {})
        for name in ending - {namespace for _, namespace, _ in self.storage.objects}:
            self.storage.remove((NAMESPACE_TYPE.resource, "", name))
        return self.storage.revision != before

    def _name(self, kind: ResourceType, namespace: str, meta: JsonObject) -> str:
        """The name in some metadata, which must not be of another namespace than the request."""
        if not meta.get("name"):
            cause = Cause("metadata.name", "FieldValueRequired", "Required value: name is required")
            raise invalid(kind.name, "", [cause])
        if kind.namespaced and meta.get("namespace", namespace) != namespace:
            raise bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        return str(meta["name"])

    def _check_namespace(self, namespace: str) -> None:
        if "deletionTimestamp" in self.get(NAMESPACE_TYPE, "", namespace)["metadata"]:
            message = f"unable to create new content in namespace {namespace} because it is being terminated"
            cause = {
                "reason": "NamespaceTerminating",
                "message": message,
                "field": "metadata.namespace",
            }
            raise StatusError(403, "Forbidden", message, causes=[cause])

    def _check_preconditions(self, kind: ResourceType, old: JsonObject, wanted: JsonObject) -> None:
        meta = old["metadata"]
        if wanted.get("uid") not in (None, "", meta["uid"]):
            why = f"Precondition failed: UID in precondition: {wanted['uid']}, UID in object meta: {meta['uid']}"
            raise conflict(kind.resource, meta["name"], why)
        if wanted.get("resourceVersion") not in (None, "", meta["resourceVersion"]):
            why = "the object has been modified; please apply your changes to the latest version and try again"
            raise conflict(kind.resource, meta["name"], why)

    def _changed(
        self, kind: ResourceType, old: JsonObject, body: JsonObject, subresource: str
    ) -> JsonObject:
        """What an update makes of an object."""
        if subresource == "status":
            return old | {"status": body.get("status", {})}
        new = deepcopy(body) | {"apiVersion": kind.api_version, "kind": kind.name}
        if kind.has_status:
            new.pop("status", None)
            new |= {"status": old["status"]} if "status" in old else {}
        kept = {name: old["metadata"][name] for name in OWNED_BY_SERVER if name in old["metadata"]}
        kept["resourceVersion"] = old["metadata"]["resourceVersion"]
        sent = {
            name: value
            for name, value in (new.get("metadata") or {}).items()
            if value not in ({}, [], None)
        }
        new["metadata"] = {
            name: value for name, value in sent.items() if name not in OWNED_BY_SERVER
        } | kept
        if kind.name == "EndpointSlice" and new.get("addressType") != old["addressType"]:
            raise invalid(
                kind.name,
                kept["name"],
                [Cause("addressType", "FieldValueInvalid", "field is immutable")],
            )
        self._admit(kind, new, old)
        if _has_generation(kind) and _specified(kind, new) != _specified(kind, old):
            new["metadata"]["generation"] += 1
        return new

    def _admit(self, kind: ResourceType, item: JsonObject, old: JsonObject | None) -> None:
        admission.fill_in(kind, item, old)
        if (
            kind.name == "Service"
            and item["spec"].get("type") != "ExternalName"
            and "clusterIP" not in item["spec"]
        ):
            address = f"10.0.{secrets.randbelow(250) + 1}.{secrets.randbelow(250) + 1}"
            item["spec"] |= {"clusterIP": address, "clusterIPs": [address]}
        if found := admission.problems(kind, item):
            raise invalid(kind.name, item["metadata"]["name"], found)


def _has_generation(kind: ResourceType) -> bool:
    return kind.definition is not None or kind.name in WITH_GENERATION


def _specified(kind: ResourceType, item: JsonObject) -> JsonObject:
    """What counts for `metadata.generation`: all but metadata and status, and of an EndpointSlice the labels, too."""
    specified: JsonObject = {
        name: value for name, value in item.items() if name not in ("metadata", "status")
    }
    return specified | (
        {"labels": item["metadata"].get("labels")} if kind.name == "EndpointSlice" else {}
    )


def _first_status(kind: ResourceType, item: JsonObject) -> JsonObject:
    """The status that a new object has from those who look after its kind."""
    if kind is NAMESPACE_TYPE:
        return {"status": {"phase": "Active"}}
    if kind.name == "Service":
        return {"status": {"loadBalancer": {}}}
    if kind is not CUSTOM_RESOURCE_DEFINITIONS:
        return {}
    states = [("NamesAccepted", "NoConflicts"), ("Established", "InitialNamesAccepted")]
    conditions = [
        {
            "type": name,
            "status": "True",
            "reason": reason,
            "message": "",
            "lastTransitionTime": clock.now(),
        }
        for name, reason in states
    ]
    versions = [version["name"] for version in item["spec"]["versions"] if version.get("storage")]
    return {
        "status": {
            "conditions": conditions,
            "acceptedNames": item["spec"]["names"],
            "storedVersions": versions,
        }
    }
