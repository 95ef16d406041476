"""`svclink dashboard`: a page that shows links and Services, live and read-only."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from typing import Final, Literal, TypeAlias

import click
from attrs import frozen

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli.arguments import Source, reads_clusters_or_files
from svclink_controller.cli.parameters import WholeNumber
from svclink_controller.cli.snapshots.files import read_files
from svclink_controller.cli.snapshots.live import Scope
from svclink_controller.cli.snapshots.reading import ask, print_warnings
from svclink_controller.dashboard.access import Gate, new_token
from svclink_controller.dashboard.board import Board
from svclink_controller.dashboard.documents import SourceName
from svclink_controller.dashboard.event_stream import EventStream
from svclink_controller.dashboard.facts import EquivalentCommands, Facts
from svclink_controller.dashboard.live import make_live_fleet
from svclink_controller.dashboard.opening import has_browser, opened
from svclink_controller.dashboard.page_files import PageFile, read_page_files
from svclink_controller.dashboard.recorded import recorded_fleet
from svclink_controller.dashboard.server import LOOPBACK, DashboardServer, serving_dashboard
from svclink_controller.invocation import as_started
from svclink_controller.monitoring import logs
from svclink_controller.stop_signals import on_signal, stop_signals
from svclink_core.budget import Budget
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import Options

FILES: Final = "files"
CLUSTERS: Final = "clusters"

SHOWN_LOGS: Final = "warning"
"""The level of the lines that are printed. Requests of strangers are below it."""

FollowClusters: TypeAlias = Callable[[], Coroutine[None, None, None]]


@click.command("dashboard")
@reads_clusters_or_files
@click.option(
    "--port",
    type=WholeNumber(1, 65535),
    metavar="PORT",
    help="Port on 127.0.0.1. Default: any free port.",
)
@click.option(
    "--no-browser", is_flag=True, help="Print the page's address without opening a browser."
)
@click.pass_context
def dashboard_command(
    context: click.Context, *, source: Source, port: int | None, no_browser: bool
) -> None:
    """Show links and Services on a page in your browser.

    The page shows endpoints, traffic, recent activity, and the state of every link. It also shows
    which Services are mirrored from which clusters, and why. The page is read-only: the command
    reads the clusters as explain does, follows every change, and writes nothing. With --main, the
    page shows the contents of files instead.

    You can open the page only on this machine, at the printed address, which contains a token.
    The command runs until you press Ctrl-C.

    Exit codes: 0 success, 1 invalid input or failed request.
    """
    options: Options = context.obj
    equivalents = _equivalents(source)
    page = _Page(port or 0, read_page_files(), opens_browser=not no_browser and has_browser())
    if source.main_file is not None:
        found = read_files(source.main_file, source.remote_files, options)
        print_warnings(found.warnings)
        logs.configure("console", SHOWN_LOGS)
        shown = recorded_fleet(found.snapshot, found.problems, found.warnings, equivalents)
        asyncio.run(page.show(*shown, SourceName(FILES, source.main_file.name)))
        return
    budget = Budget(memory=context.find_root().params["max_memory_per_remote"])
    name = source.context or "main"

    async def follow(client: Client, scope: Scope) -> None:
        logs.configure("console", SHOWN_LOGS)
        fleet = make_live_fleet(
            client,
            options,
            namespace=scope.controller_namespace,
            context_namespace=scope.context_namespace,
            trust=scope.trust,
            budget=budget,
        )
        shown = SourceName(CLUSTERS, name)
        await page.show(fleet.board, fleet.facts(equivalents), shown, fleet.run)

    ask(source, options, follow)


def _equivalents(source: Source) -> EquivalentCommands:
    """The commands that tell about a Service what the page tells. `traffic` reads no files."""
    names = ("explain", "traffic") if source.main_file is None else ("explain",)
    starts, options = [as_started(f"svclink {name}") for name in names], source.options

    def commands(key: NamespacedName) -> list[str]:
        return [f"{start} {shlex.quote(str(key))} {options}".rstrip() for start in starts]

    return commands


@frozen
class _Page:
    """Serves the page until a signal comes.

    Args:
        port: The port; 0 for any that is free.
        files: The files of the page.
        opens_browser: Whether to open it in the browser.
    """

    port: int
    files: Mapping[str, PageFile]
    opens_browser: bool

    async def show(
        self,
        board: Board,
        facts: Facts,
        source: SourceName,
        work: FollowClusters | None = None,
    ) -> None:
        """Serve until a signal comes, or until the work fails that keeps the board current."""
        stop, token = asyncio.Event(), new_token()
        for number in stop_signals():
            asyncio.get_running_loop().add_signal_handler(number, on_signal(number, stop.set))
        stream = EventStream(board, source, clock.now())
        server = DashboardServer(Gate(token), stream, facts, self.files)
        async with AsyncExitStack() as stack:
            port = await stack.enter_async_context(serving_dashboard(server, self.port))
            address = f"http://{LOOPBACK}:{port}/?token={token}"
            click.echo(f"The dashboard is at {address}")
            click.echo("Press Ctrl-C to stop it.")
            if self.opens_browser:
                stack.enter_context(opened(address))
            await _until(stop, work)


async def _until(stop: asyncio.Event, work: FollowClusters | None) -> None:
    """Do some work until it is to stop. An error of the work is raised."""
    tasks: set[asyncio.Task[Literal[True] | None]] = {asyncio.create_task(stop.wait())}
    if work is not None:
        tasks.add(asyncio.create_task(work()))
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)
    for each in done:
        each.result()
