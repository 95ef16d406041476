"""A main cluster and remotes as servers on loopback, and commands that read them.

Real: commands, kubeconfig files, sockets, TLS. Substituted: what the API servers answer.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define
from click.testing import CliRunner, Result

from svclink_controller.cli.main import svclink
from svclink_core import ClusterLink, ClusterLinkSpec, ClusterLinkStatus, ObjectMeta
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.http_server import Server, kubeconfig, serving


@define
class Fleet:
    """Running clusters. `file` is a kubeconfig of the main one."""

    main: FakeApiServer
    remotes: Mapping[str, FakeApiServer]
    servers: Mapping[str, Server]
    file: Path

    def link(
        self,
        name: str,
        *,
        to: str = "",
        status: ClusterLinkStatus | None = None,
        namespace: str = "",
        created: str = "2026-01-01T00:00:00Z",
        **spec: Any,
    ) -> None:
        """Add a ClusterLink to the remote of its name, or to another cluster."""
        fields = {"kubeconfig": kubeconfig(self.servers[to or name].url), **spec}
        metadata = ObjectMeta(
            name, namespace, uid=f"uid-of-{namespace}{name}", creation_timestamp=created
        )
        self.main.put(
            ClusterLink(metadata, ClusterLinkSpec(**fields), status or ClusterLinkStatus())
        )

    async def run(self, *arguments: str) -> Result:
        """Run a command in a thread, while the servers run."""
        return await asyncio.to_thread(self.run_here, *arguments)

    def run_here(self, *arguments: str) -> Result:
        """Run a command in the thread of the caller."""
        return CliRunner().invoke(svclink, [*arguments, "--kubeconfig", str(self.file)])

    async def ask(self, *arguments: str) -> str:
        """The output of a command that succeeds."""
        done = await self.run(*arguments)
        assert done.exception is None, f"{done.output}{done.exception!r}"
        return done.stdout


@asynccontextmanager
async def fleet(directory: Path, *names: str) -> AsyncIterator[Fleet]:
    """A main cluster and remotes with different identities, not linked yet."""
    async with AsyncExitStack() as stack:
        clusters = {name: FakeApiServer(f"uid-of-cluster-{name}") for name in ("main", *names)}
        servers = {
            name: await stack.enter_async_context(serving(each)) for name, each in clusters.items()
        }
        file = directory / "main.kubeconfig"
        file.write_bytes(base64.b64decode(kubeconfig(servers["main"].url)))
        yield Fleet(clusters["main"], {name: clusters[name] for name in names}, servers, file)
