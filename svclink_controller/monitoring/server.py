"""Serves /metrics, /healthz and /readyz."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from attrs import frozen
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from svclink_controller.monitoring.listen_address import ListenAddress, why_not_listening
from svclink_core.errors import SvclinkError

log = structlog.get_logger()


def _is_own_fault(record: logging.LogRecord) -> bool:
    """Whether it is not about a client that breaks the rules of HTTP, such as a port scanner."""
    error = record.exc_info[1] if record.exc_info else None
    return not isinstance(error, HttpProcessingError)


_HTTP_LOG: Final = logging.getLogger("aiohttp.server.probes")
_HTTP_LOG.addFilter(_is_own_fault)


class ListenError(SvclinkError):
    """svclink cannot listen on the address."""


@frozen
class Answers:
    """Answers the requests for metrics and probes.

    Args:
        registry: The metrics.
        lag: Returns the last measured lag of the event loop, in seconds.
        not_ready_reason: Returns why this replica is not ready, or None.
        role: Returns what a ready replica does.
    """

    registry: CollectorRegistry
    lag: Callable[[], float]
    not_ready_reason: Callable[[], str | None]
    role: Callable[[], str]

    async def metrics(self, request: web.Request) -> web.Response:
        """All metrics, in the format that the Accept header asks for."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encode(self.registry), headers={"Content-Type": content_type})

    async def healthz(self, _: web.Request) -> web.Response:
        """The lag of the event loop; a blocked loop does not answer at all."""
        return web.Response(text=f"ok, event loop lag {self.lag():.3f} s\n")

    async def readyz(self, _: web.Request) -> web.Response:
        """200 if this replica has the state it needs to lead or to take over, else 503."""
        if (reason := self.not_ready_reason()) is not None:
            return web.Response(status=503, text=f"not ready: {reason}\n")
        return web.Response(text=f"ok, {self.role()}\n")


@asynccontextmanager
async def serving_probes(address: ListenAddress, answers: Answers) -> AsyncIterator[None]:
    """Serve at an address until the block ends.

    Raises:
        ListenError: svclink cannot listen on the address; the message says why.
    """
    application = web.Application()
    for name in ("metrics", "healthz", "readyz"):
        application.router.add_get(f"/{name}", getattr(answers, name))
    runner = web.AppRunner(
        application, access_log=None, logger=_HTTP_LOG, handle_signals=False, shutdown_timeout=1
    )
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
        cause = why_not_listening(error)
        raise ListenError(
            f"cannot listen on --listen-address={address}: {cause}: pass a different"
            " --listen-address or off"
        ) from error
