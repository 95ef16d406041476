"""Where a command reads from: the files it is given, or the clusters."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

import click

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import POD_VARIABLE, main_client, own_namespace
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.arguments import Source
from svclink_controller.cli.printing import printable
from svclink_controller.cli.snapshots.files import read_files
from svclink_controller.cli.snapshots.live import Scope, read_clusters
from svclink_controller.cli.snapshots.partial import PartialSnapshot
from svclink_controller.monitoring import logs
from svclink_core.errors import SvclinkError
from svclink_core.snapshot import Options

T = TypeVar("T")


class NoKubeconfigError(SvclinkError):
    """A command has no cluster to read; the message says where it looked."""


def read_source(source: Source, options: Options, namespace: str = "") -> PartialSnapshot:
    """Read files or clusters, in one namespace or (empty) in all."""
    if source.main_file is not None:
        found = read_files(source.main_file, source.remote_files, options)
    else:
        found = ask(source, options, read_clusters, namespace)
    print_warnings(found.warnings)
    return found


def print_warnings(warnings: Iterable[str]) -> None:
    """Print what is odd about what was read, or could not be read, to standard error."""
    for each in warnings:
        click.echo(f"Warning: {printable(each)}", err=True)


def ask(
    source: Source,
    options: Options,
    question: Callable[[Client, Scope], Awaitable[T]],
    namespace: str = "",
    *,
    must_answer: bool = True,
) -> T:
    """Call a coroutine function with a client of the main cluster; see `connected`."""
    logs.configure()

    async def put() -> T:
        async with connected(source, must_answer=must_answer) as client:
            kubeconfig = admin_kubeconfig(source)
            in_pod = kubeconfig is None
            own = own_namespace(kubeconfig, source.context)
            known = source.controller_namespace or (own if in_pod else None)
            trust = source.trust.in_pod() if in_pod else source.trust
            return await question(client, Scope(options, known, own, namespace, trust, in_pod))

    return asyncio.run(put())


@asynccontextmanager
async def connected(source: Source, *, must_answer: bool = True) -> AsyncIterator[Client]:
    """A client of the main cluster, closed at the end.

    Args:
        source: Which cluster, and how long it may take to answer the first request.
        must_answer: Whether to send that request.

    Raises:
        TransportError: The API server must answer and does not.
    """
    client = await main_client(admin_kubeconfig(source), source.context)
    try:
        if must_answer:
            with suppress(ApiError):
                await client.get("/version", seconds=source.answer_seconds)
        yield client
    finally:
        await client.close()


def admin_kubeconfig(source: Source) -> Path | None:
    """The given kubeconfig, else the one kubectl would use; None for the Pod's ServiceAccount.

    Raises:
        NoKubeconfigError: There is none, and svclink does not run in a Pod.
    """
    if source.kubeconfig is not None:
        return source.kubeconfig
    if path := os.environ.get("KUBECONFIG"):
        return Path(path)
    missing = "there is no home directory"
    with suppress(RuntimeError):
        default = Path.home() / ".kube" / "config"
        if default.is_file():
            return default
        missing = f"there is no file {default}"
    if POD_VARIABLE in os.environ:
        return None
    raise NoKubeconfigError(
        f"no kubeconfig found: $KUBECONFIG is not set, {missing}, and svclink is not running in a"
        f" Pod ({POD_VARIABLE} is not set): pass --kubeconfig=FILE"
    )
