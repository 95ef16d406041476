"""What an API server lets somebody do, and what its clock says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

import msgspec

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.cli.permissions import Permission
from svclink_controller.cli.preflight.results import Result
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json

REVIEWS: Final = "/apis/authorization.k8s.io/v1"

MAX_SKEW_SECONDS: Final = 30
"""A clock further off makes fresh tokens look not valid yet, and ages in status look wrong."""


async def check_clock(client: Client, cluster: str) -> list[Result]:
    """Whether the clocks of this machine and of an API server agree."""
    before = clock.seconds()
    theirs = await client.server_seconds()
    if theirs is None:
        return []
    skew = theirs - (before + clock.seconds()) / 2
    if abs(skew) <= MAX_SKEW_SECONDS:
        return [Result("ok", cluster, "clock", "agrees with that of this machine")]
    direction = "ahead of" if skew > 0 else "behind"
    message = f"is {abs(skew):.0f} s {direction} that of this machine: tokens and certificates may seem not valid"
    return [
        Result(
            "warn",
            cluster,
            "clock",
            message,
            "timedatectl set-ntp true  # on the machine that is wrong",
        )
    ]


async def check_permissions(
    client: Client,
    cluster: str,
    wanted: Iterable[tuple[Permission, str]],
    mend: str,
    account: str | None = None,
) -> list[Result]:
    """Whether somebody may do everything svclink needs.

    Args:
        client: The cluster.
        cluster: Its name.
        wanted: Permissions, each with the namespace it is needed in (empty: all).
        mend: What grants them.
        account: A ServiceAccount as `namespace:name`; None: whose credentials the client has.
    """
    asked = [
        (permission, namespace, verb, name)
        for permission, namespace in wanted
        for verb in permission.verbs
        for name in permission.names or ("",)
    ]
    try:
        answers = await asyncio.gather(*(_may(client, *question, account) for question in asked))
    except (ApiError, WireError) as error:
        return [Result("warn", cluster, "permissions", f"cannot be asked for: {error}", mend)]
    missing = [
        _text(*question) for question, allowed in zip(asked, answers, strict=True) if not allowed
    ]
    if not missing:
        return [Result("ok", cluster, "permissions", f"all {len(asked)} are granted")]
    return [Result("fail", cluster, "permissions", f"missing: {', '.join(missing)}", mend)]


async def _may(
    client: Client,
    permission: Permission,
    namespace: str,
    verb: str,
    name: str,
    account: str | None,
) -> bool:
    resource, _, subresource = permission.resource.partition("/")
    attributes: dict[str, Json] = {
        "group": permission.group,
        "resource": resource,
        "subresource": subresource,
        "verb": verb,
        "namespace": namespace,
        "name": name,
    }
    spec: dict[str, Json] = {"resourceAttributes": attributes}
    kind = "SelfSubjectAccessReview"
    if account is not None:
        kind, spec = "SubjectAccessReview", spec | {"user": f"system:serviceaccount:{account}"}
    body: dict[str, Json] = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = await client.post(f"{REVIEWS}/{kind.lower()}s", body)
    try:
        return _REVIEW.decode(answer).status.allowed
    except msgspec.MsgspecError as error:
        raise WireError(f"the server's answer is no {kind}: {error}") from error


def _text(permission: Permission, namespace: str, verb: str, name: str) -> str:
    resource = permission.resource + (f".{permission.group}" if permission.group else "")
    where = f" in namespace {namespace}" if namespace else ""
    return f"{verb} {resource}{f' {name}' if name else ''}{where}"


class _Status(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


_REVIEW: Final = msgspec.json.Decoder(_Review)

UNANSWERED: Final = (ApiError, TransportError, WireError)
"""What can go wrong with a request."""
