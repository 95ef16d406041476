"""`svclink shift`: move the traffic of a Service to a cluster, step by step."""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, assert_never

import click
import durationpy
from attrs import frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli import parameters
from svclink_controller.cli.arguments import Source, output_option, reads_clusters
from svclink_controller.cli.parameters import DurationType, ServiceName, WholeNumber
from svclink_controller.cli.printing import percent_text
from svclink_controller.cli.snapshots.live import Scope, read_clusters
from svclink_controller.cli.snapshots.reading import ask, print_warnings
from svclink_controller.cli.traffic.interrupts import catching_interrupts
from svclink_controller.cli.traffic.progress import Report, Reporter, reporter
from svclink_controller.cli.traffic.proposing import current_traffic, preview_policy, propose_policy
from svclink_controller.cli.traffic.shifting import Shifting
from svclink_controller.cli.traffic.writing import TrafficError
from svclink_controller.early_interrupts import INTERRUPTED
from svclink_controller.invocation import as_started
from svclink_core.codec import Json
from svclink_core.explained import counted
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import Options, Snapshot
from svclink_core.traffic_edits import share_of
from svclink_core.traffic_preview import TrafficPreview
from svclink_core.traffic_shift import Shift, ShiftEnd

WENT_BACK: Final = 2
"""Exit code if the share was set back because too few endpoints of the cluster were ready."""


@click.command("shift")
@click.argument("service", type=ServiceName(), metavar="NAMESPACE/SERVICE")
@reads_clusters
@click.option(
    "--to",
    "cluster",
    required=True,
    callback=parameters.link_name,
    metavar="CLUSTER",
    help="The cluster whose share changes.",
)
@click.option(
    "--steps",
    required=True,
    callback=parameters.steps,
    metavar="PERCENTS",
    help="Shares to step through, in percent (comma-separated), for example 5,10,25,50.",
)
@click.option(
    "--every",
    type=DurationType(),
    default="2m",
    show_default=True,
    help="How long to watch each step, including the last, after it is applied.",
)
@click.option(
    "--min-ready",
    type=WholeNumber(min=0),
    default=1,
    show_default=True,
    metavar="N",
    help="Restore the previous share if the cluster has fewer ready endpoints than this.",
)
@click.option(
    "--revert-on-interrupt",
    is_flag=True,
    help="Also restore the share on an interrupt. By default, it stays at the current step.",
)
@output_option("table", "json")
@click.pass_context
def shift_command(
    context: click.Context,
    *,
    source: Source,
    service: NamespacedName,
    cluster: str,
    steps: tuple[int, ...],
    every: timedelta,
    min_ready: int,
    revert_on_interrupt: bool,
    output: str,
) -> None:
    """Raise a cluster's share step by step, and restore it if too few of its Pods are ready.

    Writes the Service's TrafficPolicy. Once svclink has applied a step, the command watches it
    for the time given in --every. If another client changes the share, the command exits and
    leaves that change in place. On an interrupt (Ctrl-C, SIGTERM, SIGHUP), the share stays at the
    current step or, with --revert-on-interrupt, is restored. Before the first step, the command
    prints which of the two will happen. A second interrupt ends the command immediately.

    Exit codes: 0 success, 1 invalid input or failed request, 2 the share was restored because
    too few endpoints were ready, 130 interrupted.
    """
    options: Options = context.obj
    wish = _Wish(service, cluster, steps, every, min_ready, revert_on_interrupt, source.options)

    async def run(client: Client, scope: Scope) -> int:
        with reporter(output) as shown:
            return await _run(client, scope, wish, shown)

    context.exit(ask(source, options, run, service.namespace))


@frozen
class _Wish:
    """What the user asks for."""

    service: NamespacedName
    cluster: str
    steps: tuple[int, ...]
    every: timedelta
    min_ready: int
    reverts: bool
    flags: str

    @property
    def shortage(self) -> str:
        """How few ready endpoints set the share back."""
        least = self.min_ready
        return "no ready endpoint" if least == 1 else f"fewer than {least} ready endpoints"

    def undoing(self, before: int | None, ending: Literal["s", "d"]) -> str:
        """What becomes of the share when the shift is undone; verbs end in `s` or `d`."""
        if before is None:
            return f"remove{ending} {self.cluster}'s share"
        return f"restore{ending} {self.cluster}'s share to {before}%"

    def shift(self, before: int | None) -> Shift:
        """The shift, for the share that the cluster has now."""
        seconds = self.every.total_seconds()
        return Shift(self.cluster, self.steps, before, seconds, self.min_ready)

    def going_on(self, step: int) -> str:
        """The command that goes on with a step."""
        steps = ",".join(map(str, self.steps[step:]))
        every = durationpy.to_str(self.every)
        more = f"--min-ready {self.min_ready} {self.flags}".rstrip()
        what = as_started(f"svclink shift {self.service} --to {self.cluster}")
        return f"{what} --steps {steps} --every {every} {more}"

    def going_back(self, before: int | None) -> str:
        """The command that sets the share back."""
        share = "none" if before is None else str(before)
        command = f"svclink traffic {self.service} --set {self.cluster}={share} {self.flags}"
        return as_started(command.rstrip())


async def _run(client: Client, scope: Scope, wish: _Wish, shown: Reporter) -> int:
    """Shift, and the exit code."""
    found = await read_clusters(client, scope)
    print_warnings(found.warnings)
    current = current_traffic(found.snapshot, wish.service, clock.seconds())
    before = share_of(current.policy, wish.cluster)
    _preview(found.snapshot, current, wish, shown)
    _announce(wish, before, shown)
    with catching_interrupts() as interrupt:
        shifting = Shifting(
            client,
            wish.service,
            wish.shift(before),
            current.policy,
            interrupt,
            shown,
            returns_on_interrupt=wish.reverts,
        )
        end = await shifting.run()
    return _end(end, shifting, wish, shown)


def _preview(found: Snapshot, current: TrafficPreview, wish: _Wish, shown: Reporter) -> None:
    """Show what each step will do.

    Raises:
        TrafficError: A step is not possible, or too few endpoints are ready already.
    """
    policies = [propose_policy(found, current, {wish.cluster: step}) for step in wish.steps]
    if (ready := current.ready(wish.cluster)) < wish.min_ready:
        raise TrafficError(
            f"{wish.cluster} has {counted(ready, 'ready endpoint')} for {wish.service}, fewer than"
            f" --min-ready {wish.min_ready}: wait until more are ready"
        )
    for number, (step, policy) in enumerate(zip(wish.steps, policies, strict=True), 1):
        preview = preview_policy(found, policy, clock.seconds())
        active, got = preview.active(wish.cluster), preview.reachable_share(wish.cluster)
        text = (
            f"step {number} of {len(policies)} will be {step}%: {active} of {ready} endpoints"
            f" active, for an actual share of {percent_text(got)}"
        )
        data: dict[str, Json] = {"share": step, "active": active, "reachableShare": got}
        shown.show(Report(text, data=data | {"state": "Planned"}, is_lasting=True))


def _announce(wish: _Wish, before: int | None, shown: Reporter) -> None:
    """Say what an interrupt does before one can come."""
    stays = "an interrupt (Ctrl-C) ends the shift, and the share stays at the current step"
    returns = f"an interrupt (Ctrl-C) ends the shift and {wish.undoing(before, 's')}"
    _say(returns if wish.reverts else stays, shown)


def _end(end: ShiftEnd | None, shifting: Shifting, wish: _Wish, shown: Reporter) -> int:
    """Say how the shift ended; returns the exit code."""
    before = shifting.shift.before
    match end:
        case None:
            _say("interrupted: the share stays at the current step", shown)
            _say(f"to continue: {wish.going_on(shifting.state.step)}", shown)
            _say(f"to go back: {wish.going_back(before)}", shown)
            return INTERRUPTED
        case ShiftEnd.DONE:
            got = percent_text(shifting.facts.reachable_share)
            _say(f"done: {wish.cluster} has a share of {wish.steps[-1]}% (actual: {got})", shown)
            return 0
        case ShiftEnd.RETURNED:
            why = f"{wish.cluster} had {wish.shortage}"
            why = "the shift was interrupted" if shifting.was_interrupted else why
            _say(f"{wish.undoing(before, 'd')}, because {why}", shown)
            return INTERRUPTED if shifting.was_interrupted else WENT_BACK
        case ShiftEnd.EDITED:
            raise TrafficError(
                f"another client changed the share: {wish.cluster} now has"
                f" {_share_text(shifting.facts.share)}, and the shift ended without changing"
                " the share again"
            )
        case ShiftEnd.REFUSED:
            raise TrafficError(f"the TrafficPolicy is not in effect: {shifting.facts.problem}")
        case unexpected:
            assert_never(unexpected)


def _share_text(share: int | None) -> str:
    return "no share" if share is None else f"a share of {share}%"


def _say(text: str, shown: Reporter) -> None:
    shown.show(Report(text, is_lasting=True))
