"""Finds controllers that lead already: two that work on the same links write in turns."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import chain
from typing import Final

import msgspec
import structlog
from attrs import frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.election.access_reviews import is_allowed
from svclink_controller.election.leader import Lease, LeaseSpec, Timing, decode_lease
from svclink_controller.wire.messages import WireError

LEASE_GROUP: Final = "coordination.k8s.io"

STOP_ONE: Final = (
    "stop one of the two, or start both with --leader-elect and the same --controller-namespace"
)

log = structlog.get_logger()


class _LeaseList(msgspec.Struct, frozen=True):
    items: list[Lease] = []


@frozen
class LiveLease:
    """A Lease that a running controller holds."""

    namespace: str
    name: str
    holder: str


async def live_leases(client: Client, name: str, namespaces: Iterable[str]) -> list[LiveLease]:
    """The Leases of this name that are held now, in all namespaces that may be looked at.

    Args:
        client: The main cluster.
        name: The name of the Leases.
        namespaces: Those to look at if listing in all is not permitted: the controller's own.

    Raises:
        ApiError, TransportError, WireError: They could not be read.
    """
    found = await live_leases_anywhere(client, name)
    if found is None:
        own = [await live_lease(client, name, namespace) for namespace in namespaces]
        return list(chain.from_iterable(own))
    return found


async def live_leases_anywhere(client: Client, name: str) -> list[LiveLease] | None:
    """The same for all namespaces; None if listing them is not permitted."""
    if not await is_allowed(client, {"group": LEASE_GROUP, "resource": "leases", "verb": "list"}):
        return None
    query = {"fieldSelector": f"metadata.name={name}"}
    content = await client.get(f"{_LEASES_PATH}/leases", query)
    return await _live(client, _decode_list(content))


async def live_lease(client: Client, name: str, namespace: str) -> list[LiveLease]:
    """The same for one namespace, which needs no permission but to get that Lease."""
    try:
        content = await client.get(f"{_LEASES_PATH}/namespaces/{namespace}/leases/{name}")
    except ApiError as error:
        if error.status.code != 404:
            raise
        return []
    return await _live(client, [decode_lease(content)])


async def warn_about_other_leaders(
    client: Client, name: str, namespace: str, *, is_pod: bool
) -> None:
    """Log which controllers lead, for one that takes no turns with them.

    Args:
        client: The main cluster.
        name: The name of the Lease.
        namespace: The namespace of this controller.
        is_pod: Whether it has the permissions of its ServiceAccount, which may read no other Lease.
    """
    try:
        found = (
            await live_lease(client, name, namespace)
            if is_pod
            else await live_leases(client, name, [namespace])
        )
    except (ApiError, TransportError, WireError) as error:
        log.debug("leases not read", problem=str(error))
        return
    for each in found:
        lease = f"{each.namespace}/{each.name}"
        log.warning("another controller is leading", lease=lease, holder=each.holder, fix=STOP_ONE)


def is_live(spec: LeaseSpec, now: float) -> bool:
    """Whether a Lease is held.

    Args:
        spec: The Lease.
        now: The time of the API server in POSIX seconds.
    """
    if not spec.holder_identity or spec.renew_time is None:
        return False
    try:
        renewed_at = datetime.fromisoformat(spec.renew_time).timestamp()
    except ValueError:
        return False
    return now < renewed_at + (spec.lease_duration_seconds or Timing().lease)


async def _live(client: Client, leases: list[Lease]) -> list[LiveLease]:
    held = [each for each in leases if each.spec.holder_identity]
    now = (await client.server_seconds() if held else None) or clock.seconds()
    return [
        LiveLease(
            str(each.metadata.get("namespace", "")),
            str(each.metadata.get("name", "")),
            each.spec.holder_identity or "",
        )
        for each in held
        if is_live(each.spec, now)
    ]


def _decode_list(content: bytes) -> list[Lease]:
    try:
        return _LEASES.decode(content).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"the server's response is not a list of Leases: {error}") from error


_LEASES_PATH: Final = f"/apis/{LEASE_GROUP}/v1"
_LEASES: Final = msgspec.json.Decoder(_LeaseList)
