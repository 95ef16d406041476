"""The parts of a plan as plain data, for the commands that print it. Reasons come from the plan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from svclink_controller.cli.printing import percent_text
from svclink_core.mirroring import Finding
from svclink_core.service_traffic import ServiceTraffic, TrafficReason
from svclink_core.traffic_shares import percent_of

NO_LINK: Final = "There are no ClusterLinks, so nothing is mirrored."

MAIN_COLUMN: Final = "MAIN"
"""What local endpoints are called in tables. No link has this name: those are lowercase."""

TRAFFIC_COLUMNS: Final = (
    "CLUSTER",
    "TIER",
    "ENDPOINTS",
    "ACTIVE",
    "WANTED",
    "REACHABLE",
    "WHY",
)


def finding_text(finding: Finding) -> str:
    """What could not be mirrored, with the first few examples."""
    details = f": {_some(finding.details)}" if finding.details else ""
    return finding.reason.sentence + details


SHOWN_DETAILS: Final = 10


def _some(details: Sequence[str]) -> str:
    more = len(details) - SHOWN_DETAILS
    return ", ".join(details[:SHOWN_DETAILS]) + (f" and {more} more" if more > 0 else "")


# Traffic


def traffic_rows(traffic: ServiceTraffic) -> Iterator[tuple[str, ...]]:
    """A row for each cluster and IP family, for `TRAFFIC_COLUMNS`."""
    for family in traffic.families:
        for use in family.uses:
            name = use.cluster or MAIN_COLUMN
            yield (
                f"{name} {family.ip_family}" if len(traffic.families) > 1 else name,
                str(use.tier),
                str(use.ready),
                str(use.active),
                percent_text(use.wanted_share),
                percent_text(percent_of(use.active, family.active)),
                use.reason.sentence,
            )


def traffic_lines(traffic: ServiceTraffic) -> Iterator[str]:
    """A sentence for each cluster and IP family."""
    for family in traffic.families:
        for use in family.uses:
            share = percent_text(percent_of(use.active, family.active))
            numbers = f"{use.active} of {use.ready} ready {family.ip_family} endpoints active"
            name = use.cluster or "main"
            # Where all are active, the numbers say so.
            why = "" if use.reason is TrafficReason.IN_USE else f", because {use.reason.sentence}"
            yield f"{name}: {numbers} ({share}){why}"
