"""`svclink demo`: three clusters on this machine, the real controller, and verified steps."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Coroutine
from pathlib import Path

import click

from svclink_controller.cli.printing import console
from svclink_controller.demo.control_planes import find_binaries
from svclink_controller.demo.fleet import MAIN_CONTEXT, REMOTES, Fleet, running_fleet
from svclink_controller.demo.narrator import Narrator
from svclink_controller.demo.story import NAMESPACE, Story
from svclink_controller.invocation import program
from svclink_controller.stop_signals import on_signal, stop_signals


@click.command("demo")
@click.option(
    "--keep",
    is_flag=True,
    help="After the demo, keep everything running until you press Ctrl-C, so that you can use"
    " kubectl.",
)
@click.option("--real", is_flag=True, help="Use etcd and kube-apiserver, which must be installed.")
def demo_command(*, keep: bool, real: bool) -> None:
    """Show what svclink does, with three small clusters that run on this machine.

    The clusters need only Python.

    The demo verifies each step and exits with code 1 if a result is wrong. It removes all
    its files at the end.
    """
    binaries = find_binaries() if real else None
    with tempfile.TemporaryDirectory(
        prefix="svclink-demo-", ignore_cleanup_errors=True
    ) as directory:
        is_finished = asyncio.run(_run(Path(directory), binaries, keep=keep))
    if keep or not is_finished:
        _say_stopped(Path(directory))
    if not is_finished:
        raise click.Abort


def _say_stopped(directory: Path) -> None:
    """Standard error is open even if Ctrl-C also ended a program that reads the output."""
    files = f"files remain in {directory}" if directory.exists() else "the files have been removed"
    click.echo(f"\nEverything has been stopped, and {files}.", err=True)


async def _run(directory: Path, binaries: Path | None, *, keep: bool) -> bool:
    """Run the story; False if SIGINT, SIGTERM or SIGHUP came before its end."""
    stop = asyncio.Event()
    for number in stop_signals():
        asyncio.get_running_loop().add_signal_handler(number, on_signal(number, stop.set))
    narrator = Narrator(console())
    kind = "real" if binaries else "embedded"
    narrator.title(
        f"Starting three {kind} Kubernetes API servers: {MAIN_CONTEXT}, {' and '.join(REMOTES)}."
    )
    started = asyncio.get_running_loop().time()
    async with running_fleet(directory, binaries) as fleet:
        narrator.verified(
            "all three serve HTTPS on the loopback interface",
            asyncio.get_running_loop().time() - started,
        )
        if not await _unless_stopped(stop, _play(Story(fleet, narrator), keep=keep)):
            return False
        if keep:
            _print_access(fleet, narrator)
            await stop.wait()
    return True


async def _play(story: Story, *, keep: bool) -> None:
    await story.play()
    if keep:
        await story.restore()
    else:
        await story.narrator.chapter(
            f"The demo ends here. Run `{program()} demo --keep` to explore the clusters"
            " with kubectl."
        )


async def _unless_stopped(stop: asyncio.Event, work: Coroutine[object, object, None]) -> bool:
    """Run a coroutine until it is done or `stop` is set; returns whether it is done."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait({task})
    return False


def _print_access(fleet: Fleet, narrator: Narrator) -> None:
    """Print the commands for exploring the clusters."""
    remote = fleet.planes[REMOTES[0]]
    narrator.paragraph(
        f"""
Everything keeps running. In another terminal:

    export KUBECONFIG={fleet.kubeconfig}
    {program()} dashboard
    kubectl get clusterlinks
    kubectl describe clusterlink {REMOTES[0]}
    kubectl get endpointslices -n {NAMESPACE} -w
    kubectl patch clusterlink {REMOTES[0]} --type merge -p '{{"spec":{{"enabled":false}}}}'
    kubectl --context {remote.site.name} get services -n {NAMESPACE}
    kill -STOP {remote.api_server.process_id}     # {remote.site.name} hangs; -CONT resumes it

svclink's log is in {fleet.svclink.log}. Press Ctrl-C to stop everything and remove the files."""
    )
    sys.stdout.flush()
