"""Deletions that kube-controller-manager makes: of dependents, and of the content of namespaces."""

from __future__ import annotations

from svclink_controller.demo.apiserver.registry.registry import Registry
from svclink_controller.demo.apiserver.resource_types import NAMESPACE_TYPE
from svclink_controller.demo.apiserver.status_errors import JsonObject


def collect_garbage(registry: Registry) -> bool:
    """Delete what should no longer exist; returns whether another round may find more.

    This deletes objects whose owners are all gone, the content of namespaces that are being
    deleted, and custom resources without a definition.
    """
    storage = registry.storage
    served = {each.resource: each for each in registry.resource_types()}
    uids = {item["metadata"]["uid"] for item in storage.objects.values()}
    terminating = {
        name
        for (resource, _, name), item in storage.objects.items()
        if resource == NAMESPACE_TYPE.resource and "deletionTimestamp" in item["metadata"]
    }
    before = storage.revision
    for key, item in list(storage.objects.items()):
        resource, namespace, name = key
        if resource not in served:
            storage.remove(key)
        elif namespace in terminating or _is_orphan(item, uids):
            registry.delete(served[resource], namespace, name, {})
    for name in terminating - {namespace for _, namespace, _ in storage.objects}:
        storage.remove((NAMESPACE_TYPE.resource, "", name))
    return storage.revision != before


def _is_orphan(item: JsonObject, uids: set[str]) -> bool:
    owners = item["metadata"].get("ownerReferences") or ()
    return bool(owners) and not any(owner["uid"] in uids for owner in owners)
