"""Where a command reads from: the files it is given, or the clusters."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import click

from svclink_controller.api.client import Client
from svclink_controller.api.connecting import main_client, own_namespace
from svclink_controller.api.errors import ApiError
from svclink_controller.cli.arguments import Source
from svclink_controller.cli.snapshots.files import fleet_view, read_dump
from svclink_controller.cli.snapshots.live import Scope, read_view
from svclink_controller.cli.snapshots.view import FleetView
from svclink_controller.monitoring import logs
from svclink_core.snapshot import Options

ANSWER_TIMEOUT_SECONDS: Final = 10
"""How long a server may take to say its version. A list of a large cluster may take much longer."""

T = TypeVar("T")


def read_source(source: Source, options: Options, namespace: str = "") -> FleetView:
    """What a source amounts to, of one namespace or (empty) of all. Everything is read before anything is printed."""
    if source.main_file is not None:
        dumps = {name: read_dump(path, is_main=False) for name, path in source.remote_files.items()}
        return fleet_view(read_dump(source.main_file), dumps, options)
    if source.remote_files:
        raise click.UsageError(
            "--remote is for files: give the objects of the main cluster too, with --main FILE"
        )
    return ask(source, options, read_view, namespace)


def ask(
    source: Source,
    options: Options,
    question: Callable[[Client, Scope], Awaitable[T]],
    namespace: str = "",
    *,
    must_answer: bool = True,
) -> T:
    """The answer of the main cluster to a question; see `connected`."""
    logs.configure()

    async def put() -> T:
        async with connected(source, must_answer=must_answer) as client:
            home = source.home or own_namespace(admin_kubeconfig(source), source.context)
            trust = source.trust.in_pod() if admin_kubeconfig(source) is None else source.trust
            return await question(client, Scope(options, home, namespace, trust))

    return asyncio.run(put())


@asynccontextmanager
async def connected(source: Source, *, must_answer: bool = True) -> AsyncIterator[Client]:
    """A client of the main cluster, closed afterwards.

    Raises:
        TransportError: It must answer and does not: whoever waits at a terminal is told so soon.
    """
    client = await main_client(admin_kubeconfig(source), source.context)
    try:
        if must_answer:
            with suppress(ApiError):
                await client.get("/version", seconds=ANSWER_TIMEOUT_SECONDS)
        yield client
    finally:
        await client.close()


def admin_kubeconfig(source: Source) -> Path | None:
    """The kubeconfig to use: the one given, or found as kubectl finds it; None: that of the Pod."""
    if source.kubeconfig is not None:
        return source.kubeconfig
    if found := os.environ.get("KUBECONFIG"):
        return Path(found)
    default = Path.home() / ".kube" / "config"
    return default if default.is_file() else None
