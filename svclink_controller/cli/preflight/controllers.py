"""Where the controller is, and which ones lead: two would write the same objects in turns."""

from __future__ import annotations

from typing import Final, assert_never

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result
from svclink_controller.election.leader import DEFAULT_LEASE_NAME
from svclink_controller.election.live_leases import live_leases
from svclink_core.controller_namespace import (
    CONTROLLER_NAMESPACE_FLAG,
    AmbiguousNamespace,
    AssumedNamespace,
    ControllerNamespace,
    KnownNamespace,
)

_FIX: Final = f"kubectl get leases -A --field-selector metadata.name={DEFAULT_LEASE_NAME}"


def check_namespace(home: ControllerNamespace) -> Result:
    """One line: no controller is no fault, but one that could not be searched for is a warning."""
    match home:
        case AssumedNamespace(is_everything_seen=False):
            fix = f"svclink check {CONTROLLER_NAMESPACE_FLAG} NAMESPACE"
            return Result("warn", MAIN_SUBJECT, "namespace", home.sentence, fix)
        case KnownNamespace() | AssumedNamespace():
            return Result("ok", MAIN_SUBJECT, "namespace", home.sentence)
        case AmbiguousNamespace():
            return Result("warn", MAIN_SUBJECT, "namespace", home.sentence, fix_unclear(home))
        case unexpected:
            assert_never(unexpected)


def fix_unclear(home: AmbiguousNamespace) -> str:
    """The command that checks one of several namespaces."""
    return f"svclink check {CONTROLLER_NAMESPACE_FLAG} {home.names[0]}"


async def check_leaders(client: Client, home: ControllerNamespace) -> list[Result]:
    """One line, or none if the credentials in use may not read Leases.

    Controllers with `--link-selector` have Leases of other names, and other links.

    Args:
        client: The main cluster.
        home: The namespace of the controller.
    """
    try:
        found = await live_leases(client, DEFAULT_LEASE_NAME, home.names)
    except ApiError:
        return []
    leases = [f"{each.holder} (Lease {each.namespace}/{each.name})" for each in found]
    if len(leases) > 1:
        message = (
            f"{len(leases)} controllers are handling the same links: {', '.join(sorted(leases))}"
        )
        return [Result("warn", MAIN_SUBJECT, "leaders", message, _FIX)]
    message = f"one controller is leading: {leases[0]}" if leases else "no controller is leading"
    return [Result("ok", MAIN_SUBJECT, "leaders", message)]
