"""Who asks, and what they may: client certificates, tokens of ServiceAccounts, and RBAC."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterator
from typing import Final

import msgspec
from attrs import define, frozen

from svclink_controller import clock
from svclink_controller.demo.apiserver.resource_types import RBAC_GROUP
from svclink_controller.demo.apiserver.status_errors import JsonObject, StatusError
from svclink_controller.demo.apiserver.storage import Storage

ISSUER: Final = "https://kubernetes.default.svc"


@frozen
class User:
    """Who asks."""

    name: str
    groups: tuple[str, ...] = ("system:authenticated",)


ANONYMOUS: Final = User("system:anonymous", ("system:unauthenticated",))
UNAUTHORIZED: Final = StatusError(401, "Unauthorized", "Unauthorized")


@frozen
class Attributes:
    """What is asked for: an action on objects, or (without a resource) on a path."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""


@define
class Authority:
    """Tells users apart, and says what each may do.

    Args:
        key: What tokens are signed with.
    """

    storage: Storage
    key: bytes

    def issue_token(self, account: JsonObject, seconds: int) -> str:
        """A token of a ServiceAccount (a JWT, as those of Kubernetes), valid for so long."""
        meta, now = account["metadata"], int(clock.seconds())
        named = {
            "namespace": meta["namespace"],
            "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
        }
        subject = f"system:serviceaccount:{meta['namespace']}:{meta['name']}"
        claims = {
            "iss": ISSUER,
            "sub": subject,
            "iat": now,
            "exp": now + seconds,
            "kubernetes.io": named,
        }
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def authenticate(self, certificate: JsonObject | None, authorization: str | None) -> User:
        """Who asks, by the client certificate of the connection or by the Authorization header.

        Raises:
            StatusError: 401, the token is not one of ours, has expired, or its ServiceAccount is gone.
        """
        if certificate:
            subject = [pair for part in certificate["subject"] for pair in part]
            groups = tuple(value for name, value in subject if name == "organizationName")
            return User(dict(subject)["commonName"], (*groups, "system:authenticated"))
        if not authorization:
            return ANONYMOUS
        signed, _, signature = authorization.removeprefix("Bearer ").rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise UNAUTHORIZED
        claims = msgspec.json.decode(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        named = claims["kubernetes.io"]
        account = named["namespace"], named["serviceaccount"]["name"]
        found = self.storage.objects.get(("serviceaccounts", *account))
        if (
            found is None
            or found["metadata"]["uid"] != named["serviceaccount"]["uid"]
            or claims["exp"] < clock.seconds()
        ):
            raise UNAUTHORIZED
        groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{account[0]}",
            "system:authenticated",
        )
        return User(claims["sub"], groups)

    def allows(self, user: User, asked: Attributes) -> bool:
        """Whether RBAC lets a user do something."""
        if "system:masters" in user.groups or not asked.resource:
            return True
        return any(_covers(rule, asked) for rule in self._rules(user, asked.namespace))

    def _rules(self, user: User, namespace: str) -> Iterator[JsonObject]:
        for (resource, place, _), binding in self.storage.objects.items():
            is_local = resource == f"rolebindings.{RBAC_GROUP}" and place == namespace
            if not (is_local or resource == f"clusterrolebindings.{RBAC_GROUP}"):
                continue
            if any(_is_meant(user, subject, place) for subject in binding.get("subjects") or ()):
                role = binding["roleRef"]
                kind, where = ("roles", place) if role["kind"] == "Role" else ("clusterroles", "")
                yield from (
                    self.storage.objects.get((f"{kind}.{RBAC_GROUP}", where, role["name"]), {}).get(
                        "rules"
                    )
                    or ()
                )

    def _signature(self, signed: str) -> str:
        return _encode_bytes(hmac.digest(self.key, signed.encode(), hashlib.sha256))


def _is_meant(user: User, subject: JsonObject, namespace: str) -> bool:
    match subject["kind"]:
        case "Group":
            return subject["name"] in user.groups
        case "ServiceAccount":
            return (
                user.name
                == f"system:serviceaccount:{subject.get('namespace', namespace)}:{subject['name']}"
            )
        case _:
            return bool(user.name == subject["name"])


def _covers(rule: JsonObject, asked: Attributes) -> bool:
    """Whether an RBAC rule is about what is asked for."""
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    names = rule.get("resourceNames") or ()
    return (
        any(each in (asked.verb, "*") for each in rule.get("verbs") or ())
        and any(each in (asked.group, "*") for each in rule.get("apiGroups") or ())
        and any(each in (resource, "*") for each in rule.get("resources") or ())
        and (not names or asked.name in names)
    )


def _encode(content: JsonObject) -> str:
    return _encode_bytes(msgspec.json.encode(content))


def _encode_bytes(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
