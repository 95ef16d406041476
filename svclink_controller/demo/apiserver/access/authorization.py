"""Decide with RBAC what a user may do."""

from __future__ import annotations

from collections.abc import Iterator

from attrs import frozen

from svclink_controller.demo.apiserver.access.authentication import User
from svclink_controller.demo.apiserver.resource_types import RBAC_GROUP
from svclink_controller.demo.apiserver.status_errors import JsonObject
from svclink_controller.demo.apiserver.storage import Storage


@frozen
class Attributes:
    """The action that a request asks for; without a resource, it is about a path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


@frozen
class Authorizer:
    """Evaluate the Roles and bindings in the storage."""

    storage: Storage

    def allows(self, user: User, attributes: Attributes) -> bool:
        """Report whether a user may do something. Paths without a resource are open to all."""
        if "system:masters" in user.groups or not attributes.resource:
            return True
        rules = self._rules(user, attributes.namespace)
        return any(_rule_allows(rule, attributes) for rule in rules)

    def _rules(self, user: User, namespace: str) -> Iterator[JsonObject]:
        """Return the rules that are bound to a user, in this namespace or in all."""
        for (resource, place, _), binding in self.storage.objects.items():
            is_local = resource == f"rolebindings.{RBAC_GROUP}" and place == namespace
            if not (is_local or resource == f"clusterrolebindings.{RBAC_GROUP}"):
                continue
            if any(_is_subject(user, each, place) for each in binding.get("subjects") or ()):
                yield from self._role(binding["roleRef"], place).get("rules") or ()

    def _role(self, reference: JsonObject, namespace: str) -> JsonObject:
        if reference["kind"] == "Role":
            key = f"roles.{RBAC_GROUP}", namespace, reference["name"]
        else:
            key = f"clusterroles.{RBAC_GROUP}", "", reference["name"]
        return self.storage.objects.get(key, {})


def _is_subject(user: User, subject: JsonObject, namespace: str) -> bool:
    """Report whether a subject of a binding in this namespace is this user."""
    name = subject["name"]
    match subject["kind"]:
        case "Group":
            return name in user.groups
        case "ServiceAccount":
            account_namespace = subject.get("namespace", namespace)
            return user.name == f"system:serviceaccount:{account_namespace}:{name}"
        case _:
            return bool(user.name == name)


def _rule_allows(rule: JsonObject, attributes: Attributes) -> bool:
    resource = "/".join(filter(None, (attributes.resource, attributes.subresource)))
    names = rule.get("resourceNames") or ()
    return (
        any(each in (attributes.verb, "*") for each in rule.get("verbs") or ())
        and any(each in (attributes.group, "*") for each in rule.get("apiGroups") or ())
        and any(each in (resource, "*") for each in rule.get("resources") or ())
        and (not names or attributes.name in names)
    )
