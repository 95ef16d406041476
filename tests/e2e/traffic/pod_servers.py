"""The Pods of one cluster: small HTTP servers that respond with the names of their cluster and Pod.

This program runs in the network namespace of the cluster. Its orders are `{"start": "web-1",
"addresses": [...], "port": 8080}` and `{"stop": "web-1"}`. A Pod that is stopped accepts no new
connections and finishes the existing ones, as a graceful server does after SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiohttp import web

from .orders import follow

GRACE_SECONDS = 5
# The value of Go servers: Python's 128 fill up when a busy machine suspends this process.
BACKLOG = 4096


def application(cluster: str, pod: str) -> web.Application:
    """The server of one Pod."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=f"{cluster} {pod}")

    served = web.Application()
    served.router.add_get("/", answer)
    return served


class Pods:
    """The running servers, by Pod name."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._running: dict[str, web.AppRunner] = {}

    async def follow(self, order: dict[str, Any]) -> None:
        """Start or stop a Pod."""
        if "start" in order:
            self._running[order["start"]] = await self._start(
                order["start"], order["addresses"], order["port"]
            )
        else:
            await self._running.pop(order["stop"]).cleanup()

    async def _start(self, pod: str, addresses: list[str], port: int) -> web.AppRunner:
        runner = web.AppRunner(
            application(self._cluster, pod), shutdown_timeout=GRACE_SECONDS, access_log=None
        )
        await runner.setup()
        for address in addresses:
            await web.TCPSite(runner, address, port, reuse_address=True, backlog=BACKLOG).start()
        return runner


if __name__ == "__main__":
    asyncio.run(follow(Pods(sys.argv[1]).follow))
