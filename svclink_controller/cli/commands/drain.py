"""`svclink drain` and `svclink undrain`: take a cluster out of use for maintenance, and back."""

from __future__ import annotations

from collections.abc import Sequence

import click
from attrs import frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli import parameters
from svclink_controller.cli.arguments import Source, output_option, reads_clusters
from svclink_controller.cli.snapshots.live import Scope, read_main_traffic
from svclink_controller.cli.snapshots.reading import ask
from svclink_controller.cli.traffic.draining import DrainWait
from svclink_controller.cli.traffic.interrupts import catching_interrupts
from svclink_controller.cli.traffic.progress import Report, Reporter, reporter
from svclink_controller.cli.traffic.writing import TrafficError, find_link, set_drained
from svclink_controller.invocation import as_started
from svclink_core.codec import Json
from svclink_core.full_planning import plan
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import Options
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_edits import with_drained

cluster_argument = click.argument("cluster", metavar="CLUSTER", callback=parameters.link_name)


@click.command("drain")
@cluster_argument
@reads_clusters
@click.option(
    "--wait",
    is_flag=True,
    help="Wait until only Services without other ready endpoints use the cluster.",
)
@output_option("table", "json")
@click.pass_obj
def drain_command(
    options: Options, *, source: Source, cluster: str, wait: bool, output: str
) -> None:
    """Stop new connections to a linked cluster: its endpoints go on standby everywhere.

    Sets spec.drained in the ClusterLink. Services with no other ready endpoint keep using the
    cluster, and the command names them. After an interrupt, the cluster stays drained.

    Exit codes: 0 success, 1 invalid input or failed request, 130 interrupted.
    """

    async def drain(client: Client, scope: Scope) -> bool:
        with reporter(output) as shown:
            return await _Drain(client, scope, cluster, shown).run(source.options, wait=wait)

    if not ask(source, options, drain):
        raise click.Abort


@click.command("undrain")
@cluster_argument
@reads_clusters
@output_option("table", "json")
@click.pass_obj
def undrain_command(options: Options, *, source: Source, cluster: str, output: str) -> None:
    """Use a drained cluster again, as the TrafficPolicies specify.

    Exit codes: 0 success, 1 invalid input or failed request.
    """

    async def undrain(client: Client, scope: Scope) -> None:
        link = await find_link(client, scope, cluster)
        was_drained = link.spec.drained
        await set_drained(client, link, drained=False)
        text = "is no longer drained" if was_drained else "is not drained: nothing to do"
        with reporter(output) as shown:
            data: dict[str, Json] = {"cluster": cluster, "drained": False}
            shown.show(Report(f"{cluster} {text}", data=data, is_lasting=True))

    ask(source, options, undrain)


@frozen
class _Drain:
    """Drains one cluster."""

    client: Client
    scope: Scope
    cluster: str
    shown: Reporter

    async def run(self, flags: str, *, wait: bool) -> bool:
        """Drain; False if the waiting was interrupted."""
        link = await find_link(self.client, self.scope, self.cluster)
        if not link.spec.enabled:
            raise TrafficError(
                f"ClusterLink {self.cluster} is disabled, so its EndpointSlices stay unchanged:"
                " set spec.enabled to true first"
            )
        await self._predict()
        undrain = as_started(f"svclink undrain {self.cluster} {flags}".rstrip())
        link = await set_drained(self.client, link, drained=True)
        self._say(f"{self.cluster} is being drained; to use it again: {undrain}", drained=True)
        return not wait or await self._wait(link)

    async def _predict(self) -> None:
        """Name the Services that will have nothing else, as far as the main cluster knows."""
        found = await read_main_traffic(self.client, self.scope)
        planned = plan(with_drained(found.snapshot, self.cluster), clock.seconds())
        self._name([each.service for each in planned.traffic if each.needs(self.cluster)])

    async def _wait(self, link: ClusterLink) -> bool:
        self._say("waiting; if you interrupt the command (Ctrl-C), the cluster stays drained")
        with catching_interrupts() as interrupt:
            waiting = DrainWait(self.client, link, interrupt, self.shown)
            left = await waiting.until_drained()
        if left is None:
            self._say(f"interrupted: {self.cluster} is still being drained", interrupted=True)
            return False
        self._say(f"{self.cluster} is drained", isDrained=True)
        self._name(left)
        return True

    def _name(self, services: Sequence[NamespacedName]) -> None:
        """Name the Services that have nothing else."""
        names: list[Json] = [str(each) for each in services]
        if names:
            verbs = ("has", "it keeps") if len(names) == 1 else ("have", "they keep")
            text = f"{', '.join(map(str, names))} {verbs[0]} no other ready endpoint"
            self._say(f"{text}, so {verbs[1]} using {self.cluster}", neededBy=names)

    def _say(self, text: str, **data: Json) -> None:
        facts: dict[str, Json] = {"cluster": self.cluster, **data}
        self.shown.show(Report(text, data=facts, is_lasting=True))
