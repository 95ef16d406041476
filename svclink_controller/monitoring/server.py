"""The port for those who watch svclink: /metrics, /healthz and /readyz."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web
from attrs import frozen
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from svclink_core.errors import SvclinkError

log = structlog.get_logger()


class ListenError(SvclinkError):
    """The address cannot be listened on."""


@frozen
class ListenAddress:
    """Where to listen: a host (empty: on every interface) and a port (0: any that is free)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@frozen
class Answers:
    """What the port tells.

    Args:
        registry: The metrics.
        lag: Seconds that the event loop was late when it was last measured.
        obstacle: Why this replica is not ready, or None.
        role: What it does when it is.
    """

    registry: CollectorRegistry
    lag: Callable[[], float]
    obstacle: Callable[[], str | None]
    role: Callable[[], str]

    async def metrics(self, request: web.Request) -> web.Response:
        """All metrics, in the format that is asked for."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self.registry), headers={"Content-Type": content_type})

    async def healthz(self, _: web.Request) -> web.Response:
        """That the event loop is serviced, which the answer itself proves; one that is not gives none."""
        return web.Response(text=f"ok, the event loop is {self.lag():.3f} s late\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """Whether this replica knows all it needs, to work or to take over at once."""
        if (obstacle := self.obstacle()) is not None:
            return web.Response(status=503, text=f"not ready: {obstacle}\n")
        return web.Response(text=f"ok, {self.role()}\n")


@asynccontextmanager
async def serving_probes(address: ListenAddress, answers: Answers) -> AsyncIterator[None]:
    """Answer at an address until the block ends.

    Raises:
        ListenError: It cannot be listened on; the message says why.
    """
    application = web.Application()
    for name in ("metrics", "healthz", "readyz"):
        application.router.add_get(f"/{name}", getattr(answers, name))
    runner = web.AppRunner(application, access_log=None, handle_signals=False, shutdown_timeout=1)
    await runner.setup()
    try:
        await _listen(runner, address)
        log.info(
            "serving metrics and probes",
            address=[f"{host}:{port}" for host, port, *_ in runner.addresses],
        )
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, address: ListenAddress) -> None:
    try:
        await web.TCPSite(runner, address.host or None, address.port).start()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ListenError(f"--listen-address={address} cannot be listened on: {reason}") from error
