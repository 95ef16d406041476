"""`svclink plan`: what svclink would change, according to the clusters or to files."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import click
from attrs import evolve

from svclink_controller import clock
from svclink_controller.cli.arguments import Source, output_option, reads_clusters_or_files
from svclink_controller.cli.describing import NO_LINK, TRAFFIC_COLUMNS, finding_text, traffic_rows
from svclink_controller.cli.parameters import ExistingFile
from svclink_controller.cli.printing import console, print_data, print_line, print_table, yaml_text
from svclink_controller.cli.snapshots.files import read_policies
from svclink_controller.cli.snapshots.partial import PartialSnapshot
from svclink_controller.cli.snapshots.reading import print_warnings, read_source
from svclink_core import codec
from svclink_core.core_v1 import Namespace, Service
from svclink_core.diffing import Delete
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.endpoint_groups import endpoint_group_findings
from svclink_core.full_planning import plan
from svclink_core.guard_preview import with_guards
from svclink_core.meta_v1 import NamespacedName
from svclink_core.plan_documents import name_of, object_of, plan_data
from svclink_core.plans import Change, Plan
from svclink_core.snapshot import Options
from svclink_core.stateful_services import stateful_findings
from svclink_core.traffic_edits import with_policy
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy

CHANGES: Final = 2
"""Exit code with `--detailed-exitcode` if the plan has changes."""


@click.command("plan")
@reads_clusters_or_files
@output_option("table", "yaml", "json", "diff")
@click.option(
    "--detailed-exitcode",
    is_flag=True,
    help="Exit with code 2 if the plan has changes, 0 if it has none.",
)
@click.option(
    "--policy",
    "policy_file",
    type=ExistingFile(),
    metavar="FILE",
    help="Plan as if the TrafficPolicies in this file were applied.",
)
@click.pass_context
def plan_command(
    context: click.Context,
    *,
    source: Source,
    output: str,
    detailed_exitcode: bool,
    policy_file: Path | None,
) -> None:
    """Show what svclink would change. Nothing is written.

    Reads every cluster, or files with the output of
    `kubectl get services,endpointslices,namespaces -A -o yaml`; for the main cluster, add
    clusterlinks and trafficpolicies. Deletions that the controller would hold (see
    --deletion-hold) are not listed as changes; the affected Services are shown as Kept. The output
    also names Services that are about to be mirrored but look like databases (LooksStateful), and
    mirrored Services with a GKE network endpoint group (HasEndpointGroup).
    With -o yaml, prints manifests for kubectl apply; each deletion is printed as a comment that
    contains the kubectl command.

    Exit codes: 0 success, 1 invalid input or failed request, 2 the plan has changes (with
    --detailed-exitcode).
    """
    options: Options = context.obj
    partial = read_source(source, options)
    if policy_file is not None:
        partial = _with_policies(partial, read_policies(policy_file))
    now = clock.seconds()
    result = plan(with_guards(partial.snapshot, now), now)
    hints = (
        *stateful_findings(partial.snapshot, result),
        *endpoint_group_findings(partial.snapshot, result),
    )
    result = evolve(result, findings=(*result.findings, *hints))
    match output:
        case "yaml":
            click.echo(_manifests(result.changes), nl=False)
        case "json":
            print_data("json", plan_data(result, partial.problems))
        case "diff":
            _print_diff(result, partial.snapshot.main.names)
        case _:
            _print_tables(result, partial)
    context.exit(CHANGES if detailed_exitcode and result.changes else 0)


def _with_policies(partial: PartialSnapshot, policies: Iterable[TrafficPolicy]) -> PartialSnapshot:
    """What was read, as it would be with these policies; a policy without effect is named."""
    proposed, warnings = partial.snapshot, []
    for policy in policies:
        proposed = with_policy(proposed, policy)
        counting = proposed.main.traffic_policies[policy.service]
        if counting.metadata.key != policy.metadata.key:
            warnings.append(
                f"TrafficPolicy {policy.metadata.key} would have no effect, because"
                f" the older TrafficPolicy {counting.metadata.name} also targets {policy.service}"
            )
    print_warnings(warnings)
    return evolve(partial, snapshot=proposed)


def _manifests(changes: Iterable[Change]) -> str:
    """Documents for `kubectl apply`, in the order of the plan, then a comment for each deletion."""
    documents = [
        yaml_text(codec.unstructure(object_of(each)))
        for each in changes
        if not isinstance(each, Delete)
    ]
    comments = [
        f"# kubectl delete endpointslice -n {each.key.namespace} {each.key.name}"
        f"  # {each.reason.sentence}\n"
        for each in changes
        if isinstance(each, Delete)
    ]
    return "---\n".join(documents) + "".join(comments)


def _print_diff(result: Plan, observed: Mapping[NamespacedName, EndpointSlice]) -> None:
    """Print the changes as a unified diff of manifests, in color on a terminal."""
    for change in result.changes:
        is_slice = change.kind == "EndpointSlice"
        for line in _diff_lines(change, observed.get(change.key) if is_slice else None):
            color = {"+": "green", "-": "red", "@": "cyan"}.get(line[:1], "")
            print_line(line, color)


def _diff_lines(change: Change, before: EndpointSlice | None) -> Iterator[str]:
    after = None if isinstance(change, Delete) else object_of(change)
    what = f"{change.verb} {change.kind.lower()} {name_of(change)}"
    yield f"# {what}: {change.reason.sentence}"
    yield from difflib.unified_diff(
        _lines(before),
        _lines(after),
        "/dev/null" if before is None else f"main/{name_of(change)}",
        "/dev/null" if after is None else f"plan/{name_of(change)}",
        lineterm="",
    )


def _lines(endpoint_slice: EndpointSlice | Service | Namespace | None) -> list[str]:
    """A manifest without the fields that the API server sets: a plan does not have them."""
    if endpoint_slice is None:
        return []
    manifest = codec.unstructure(endpoint_slice)
    metadata = manifest["metadata"]
    if isinstance(metadata, dict):
        for added in ("uid", "resourceVersion", "creationTimestamp", "generation"):
            metadata.pop(added, None)
    return yaml_text(manifest).splitlines()


def _print_tables(result: Plan, partial: PartialSnapshot) -> None:
    decisions = [
        (
            str(each.service),
            each.cluster,
            each.outcome.value,
            str(each.endpoints),
            each.sentence,
        )
        for each in result.decisions
    ]
    findings = [
        (str(each.service), each.cluster, each.reason.code, "-", finding_text(each))
        for each in result.findings
    ]
    if partial.snapshot.remotes:
        print_table(("SERVICE", "CLUSTER", "OUTCOME", "ENDPOINTS", "WHY"), [*decisions, *findings])
    else:
        print_line(NO_LINK)
    console().print()
    if result.traffic:
        rows = [(str(each.service), *row) for each in result.traffic for row in traffic_rows(each)]
        print_table(("SERVICE", *TRAFFIC_COLUMNS), rows)
        console().print()
    if partial.problems:
        problems = [
            (name, each.reason.code, each.message)
            for name, each in sorted(partial.problems.items())
        ]
        print_table(("CLUSTER", "NOT READ", "WHY"), problems)
        console().print()
    if result.changes:
        print_table(
            ("CHANGE", "ENDPOINTSLICE", "CLUSTER", "ENDPOINTS", "WHY"),
            map(_change_row, result.changes),
        )
    else:
        console().print("Nothing to change.")


def _change_row(change: Change) -> tuple[str, ...]:
    changed = object_of(change)
    name, endpoints = f"{change.kind} {name_of(change)}", "-"
    if isinstance(changed, EndpointSlice):
        name = name_of(change)
        endpoints = "-" if isinstance(change, Delete) else str(len(changed.endpoints))
    return change.verb, name, change.cluster or "-", endpoints, change.reason.sentence
