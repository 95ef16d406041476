"""What the plan cannot mirror, or the network of the main cluster cannot use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, shortened
from svclink_core.explained import counted
from svclink_core.mirroring import Finding
from svclink_core.well_known import Reason


def check_services(findings: Iterable[Finding]) -> Iterator[Result]:
    """One line for each reason and cluster, or one that says that everything can be mirrored."""
    services: dict[tuple[str, Reason], list[str]] = {}
    for finding in findings:
        services.setdefault((finding.cluster, finding.reason), []).append(str(finding.service))
    for cluster, reason in sorted(services, key=lambda key: (key[0], key[1].code)):
        names = services[cluster, reason]
        count = counted(len(names), "Service")
        message = f"{reason.code}: {reason.sentence}: {count} ({shortened(names)})"
        yield Result("warn", cluster, "services", message, f"svclink explain {names[0]}")
    if not services:
        yield Result("ok", MAIN_SUBJECT, "services", "every endpoint and port can be mirrored")


OVN_GROUP: Final = "k8s.ovn.org"
"""The API group of OVN-Kubernetes, the network plugin of OpenShift."""


async def uses_ovn_kubernetes(client: Client) -> bool:
    """Whether the main cluster does, by its discovery, which every user may read."""
    try:
        found = _GROUPS.decode(await client.get("/apis"))
    except (ApiError, msgspec.MsgspecError):
        return False
    return any(each.name == OVN_GROUP for each in found.groups)


class _Group(msgspec.Struct):
    name: str


class _Groups(msgspec.Struct):
    groups: list[_Group]


_GROUPS: Final = msgspec.json.Decoder(_Groups)
