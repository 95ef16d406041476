"""Whether the credentials in use, or a ServiceAccount, have the permissions that svclink needs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.permissions import Permission
from svclink_controller.cli.preflight.results import Result
from svclink_controller.election.access_reviews import is_allowed
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json


async def check_permissions(
    client: Client,
    cluster: str,
    needed: Iterable[tuple[Permission, str]],
    fix: str,
    account: str | None = None,
) -> list[Result]:
    """Ask the API server for each permission.

    Args:
        client: The cluster.
        cluster: Its name in the output.
        needed: Permissions, each with the namespace it is needed in (empty: all).
        fix: The command that grants them.
        account: A ServiceAccount, as `namespace:name`; None for the credentials of the client.
    """
    asked = [
        (permission, namespace, verb, name)
        for permission, namespace in needed
        for verb in permission.verbs
        for name in permission.names or ("",)
    ]
    try:
        answers = await asyncio.gather(*(_may(client, *question, account) for question in asked))
    except (ApiError, WireError) as error:
        return [Result("warn", cluster, "permissions", f"cannot be checked: {error}", fix)]
    missing: dict[str, list[str]] = {}
    for question, allowed in zip(asked, answers, strict=True):
        if not allowed:
            missing.setdefault(question[0].effect, []).append(_text(*question))
    if not missing:
        return [Result("ok", cluster, "permissions", f"all {len(asked)} are granted")]
    return [
        Result(
            "warn" if effect else "fail",
            cluster,
            "permissions",
            f"missing: {', '.join(texts)}" + (f": {effect}" if effect else ""),
            fix,
        )
        for effect, texts in sorted(missing.items())
    ]


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
    user = None if account is None else f"system:serviceaccount:{account}"
    return await is_allowed(client, attributes, user)


def _text(permission: Permission, namespace: str, verb: str, name: str) -> str:
    resource = permission.resource + (f".{permission.group}" if permission.group else "")
    scope = f" in namespace {namespace}" if namespace else ""
    return f"{verb} {resource}{f' {name}' if name else ''}{scope}"
