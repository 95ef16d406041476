"""`svclink explain`: why a Service of each cluster is mirrored or not, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from svclink_controller import clock
from svclink_controller.cli.arguments import Source, output_option, reads_clusters_or_files
from svclink_controller.cli.describing import NO_LINK, finding_text, traffic_lines
from svclink_controller.cli.parameters import ServiceName
from svclink_controller.cli.printing import COLOURS, print_data, print_line
from svclink_controller.cli.snapshots.partial import PartialSnapshot
from svclink_controller.cli.snapshots.reading import read_source
from svclink_core.codec import Json
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.explained import counted
from svclink_core.guard_preview import with_guards
from svclink_core.meta_v1 import NamespacedName
from svclink_core.ownership import Foreign, owner_of
from svclink_core.plan_documents import (
    change_data,
    decision_data,
    finding_data,
    name_of,
    traffic_data,
)
from svclink_core.planning import plan_service
from svclink_core.plans import Decision, Outcome, Plan
from svclink_core.service_notes import with_notes
from svclink_core.snapshot import Options
from svclink_core.well_known import Reason

WORDS: Final = {
    Outcome.MIRRORED: "mirrored",
    Outcome.CREATED: "about to be mirrored",
    Outcome.KEPT: "kept unchanged",
    Outcome.SKIPPED: "not mirrored",
}

_LAST_RESORT: Final = "kept as a last resort"
"""What an unreachable policy makes of mirrors that it marks as not ready: they did change."""

_LABELS: Final = {
    **dict.fromkeys(
        (Reason.PORT_MISMATCH, Reason.INVALID_ENDPOINTS, Reason.LOOP, Reason.ADDRESS_TYPE),
        "left out",
    ),
    **dict.fromkeys((Reason.TARGET_PORTS_DIFFER, Reason.HAS_ENDPOINT_GROUP), "note"),
}
"""What findings begin with; the others are warnings."""


@click.command("explain")
@click.argument("service", type=ServiceName(), metavar="NAMESPACE/SERVICE")
@reads_clusters_or_files
@output_option("table", "yaml", "json")
@click.pass_obj
def explain_command(options: Options, service: NamespacedName, source: Source, output: str) -> None:
    """Explain, for each cluster, why a Service is or is not mirrored.

    Reads every cluster, or files with the output of
    `kubectl get services,endpointslices,namespaces -A -o yaml`; for the main cluster, add
    clusterlinks and trafficpolicies. Deletions that the controller would hold (see
    --deletion-hold) are not shown.

    Exit codes: 0 success, 1 invalid input or failed request.
    """
    now = clock.seconds()
    partial = read_source(source, options, service.namespace)
    result = plan_service(partial.snapshot, service, now)
    if any(each.deletions for each in result.decisions):
        # Whether the controller holds them depends on what else their clusters would lose.
        if source.main_file is None:
            partial = read_source(source, options)
        result = plan_service(with_guards(partial.snapshot, now), service, now)
    result = with_notes(partial.snapshot, result)
    if output == "table":
        for line, style in _words(service, result, partial):
            print_line(line, style)
    else:
        print_data(output, _data(service, result, partial))


def _words(
    service: NamespacedName, result: Plan, partial: PartialSnapshot
) -> Iterator[tuple[str, str]]:
    """The lines of the explanation, each with its style."""
    yield str(service), "bold"
    main_service = partial.snapshot.main.services.get(service)
    yield f"  main: {_main_words(main_service, _local(service, partial))}", ""
    for decision in result.decisions:
        yield (
            f"  {decision.cluster}: {_decision_words(decision)}",
            COLOURS.get(decision.outcome.value, ""),
        )
        if (problem := partial.problems.get(decision.cluster)) is not None:
            yield f"    could not be read: {problem.reason.code}: {problem.message}", ""
        for finding in result.findings:
            if finding.cluster == decision.cluster:
                label = _LABELS.get(finding.reason, "warning")
                yield f"    {label}: {finding_text(finding)}", ""
    if not partial.snapshot.remotes:
        yield f"  {NO_LINK}", ""
    for traffic in result.traffic:
        yield from ((f"  traffic: {line}", "") for line in traffic_lines(traffic))
    for change in result.changes:
        what = f"{change.verb} {change.kind} {name_of(change)}"
        yield f"  planned: {what}: {change.reason.sentence}", ""


def _decision_words(decision: Decision) -> str:
    is_last_resort = decision.reason is Reason.UNREACHABLE_NOT_READY
    what = _LAST_RESORT if is_last_resort else WORDS[decision.outcome]
    why = "" if decision.outcome is Outcome.MIRRORED else f", because {decision.sentence}"
    if not decision.slices:
        return what + why
    endpoints = counted(decision.endpoints, "endpoint")
    return f"{what}{why} ({endpoints} in {counted(decision.slices, 'EndpointSlice')})"


def _main_words(service: Service | None, local: list[EndpointSlice]) -> str:
    if service is None:
        return "no Service with this namespace and name"
    endpoints = sum(len(endpoint_slice.endpoints) for endpoint_slice in local)
    kind = "headless" if service.is_headless else service.spec.type
    return f"{kind} Service with {counted(endpoints, 'local endpoint')}"


def _local(service: NamespacedName, partial: PartialSnapshot) -> list[EndpointSlice]:
    return [
        endpoint_slice
        for endpoint_slice in partial.snapshot.main.endpoint_slices.get(service, ())
        if isinstance(owner_of(endpoint_slice), Foreign)
    ]


def _data(service: NamespacedName, result: Plan, partial: PartialSnapshot) -> dict[str, Json]:
    return {
        "service": str(service),
        "inMain": service in partial.snapshot.main.services,
        "localEndpoints": sum(
            len(endpoint_slice.endpoints) for endpoint_slice in _local(service, partial)
        ),
        "clusters": [
            decision_data(decision)
            | {
                "findings": [
                    finding_data(each)
                    for each in result.findings
                    if each.cluster == decision.cluster
                ],
                "problem": _problem(decision.cluster, partial),
            }
            for decision in result.decisions
        ],
        "changes": [change_data(change) for change in result.changes],
        "traffic": [traffic_data(traffic) for traffic in result.traffic],
    }


def _problem(cluster: str, partial: PartialSnapshot) -> Json:
    problem = partial.problems.get(cluster)
    return None if problem is None else {"reason": problem.reason.code, "message": problem.message}
