"""What the plan cannot mirror: ports, addresses and endpoints that are left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from svclink_controller.cli.preflight.results import MAIN_SUBJECT, Result, shortened
from svclink_core.mirroring import Finding
from svclink_core.well_known import Reason


def check_services(findings: Iterable[Finding]) -> Iterator[Result]:
    """One line for each reason and cluster, or one that says that everything can be mirrored."""
    services: dict[tuple[str, Reason], list[str]] = {}
    for finding in findings:
        services.setdefault((finding.cluster, finding.reason), []).append(str(finding.service))
    for cluster, reason in sorted(services, key=lambda key: (key[0], key[1].code)):
        names = services[cluster, reason]
        message = f"{reason.code}: {reason.sentence}: {len(names)} Service(s): {shortened(names)}"
        yield Result("warn", cluster, "services", message, f"svclink explain {names[0]}")
    if not services:
        yield Result("ok", MAIN_SUBJECT, "services", "every endpoint and port can be mirrored")
