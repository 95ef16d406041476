"""Identify the user of a request: client certificates and ServiceAccount tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any, Final

import msgspec
from attrs import frozen

from svclink_controller import clock
from svclink_controller.demo.apiserver.status_errors import JsonObject, unauthorized
from svclink_controller.demo.apiserver.storage import Storage

ISSUER: Final = "https://kubernetes.default.svc"


@frozen
class User:
    """A user and the groups it belongs to."""

    name: str
    groups: tuple[str, ...] = ("system:authenticated",)


ANONYMOUS: Final = User("system:anonymous", ("system:unauthenticated",))


@frozen
class Authenticator:
    """Issue ServiceAccount tokens, and identify users.

    Args:
        key: Signs the tokens.
    """

    storage: Storage
    key: bytes

    def issue_token(self, account: JsonObject, seconds: int) -> str:
        """Return a token of a ServiceAccount: a JWT that is valid for this many seconds."""
        meta, now = account["metadata"], int(clock.seconds())
        claims = {
            "iss": ISSUER,
            "sub": f"system:serviceaccount:{meta['namespace']}:{meta['name']}",
            "iat": now,
            "exp": now + seconds,
            "kubernetes.io": {
                "namespace": meta["namespace"],
                "serviceaccount": {"name": meta["name"], "uid": meta["uid"]},
            },
        }
        signed = f"{_encode({'alg': 'HS256', 'typ': 'JWT'})}.{_encode(claims)}"
        return f"{signed}.{self._signature(signed)}"

    def authenticate(self, certificate: JsonObject | None, authorization: str | None) -> User:
        """Return the user of a request.

        Args:
            certificate: The client certificate of the connection, if it has one.
            authorization: The Authorization header, if the request has one.

        Raises:
            StatusError: 401, this server did not issue the token, the token has expired, or its
                ServiceAccount was deleted.
        """
        if certificate:
            subject = [pair for part in certificate["subject"] for pair in part]
            groups = tuple(value for name, value in subject if name == "organizationName")
            return User(dict(subject)["commonName"], (*groups, "system:authenticated"))
        if not authorization:
            return ANONYMOUS
        return self._token_user(authorization.removeprefix("Bearer "))

    def _token_user(self, token: str) -> User:
        signed, _, signature = token.rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signature(signed).encode()):
            raise unauthorized()
        claims = msgspec.json.decode(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
        if claims["exp"] < clock.seconds() or not self._account_exists(claims["kubernetes.io"]):
            raise unauthorized()
        namespace = claims["kubernetes.io"]["namespace"]
        service_account_groups = (
            "system:serviceaccounts",
            f"system:serviceaccounts:{namespace}",
            "system:authenticated",
        )
        return User(claims["sub"], service_account_groups)

    def _account_exists(self, claim: dict[str, Any]) -> bool:
        """Report whether the ServiceAccount still exists, with the same uid."""
        name, uid = claim["serviceaccount"]["name"], claim["serviceaccount"]["uid"]
        account = self.storage.objects.get(("serviceaccounts", claim["namespace"], name))
        return account is not None and account["metadata"]["uid"] == uid

    def _signature(self, signed: str) -> str:
        return _encode_bytes(hmac.digest(self.key, signed.encode(), hashlib.sha256))


def _encode(content: JsonObject) -> str:
    return _encode_bytes(msgspec.json.encode(content))


def _encode_bytes(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")
