"""The Pods of one cluster: small HTTP servers that answer with their cluster and Pod name.

Run in the network namespace of the cluster. Its orders: `{"start": "web-1", "addresses": [...], "port": 8080}` and
`{"stop": "web-1"}`. A Pod that is stopped takes no new connection and answers those it has, as a well-behaved server
does after SIGTERM.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from aiohttp import web

from .orders import follow

GRACE_SECONDS = 5
# As servers in Go have it. Python's 128 are full when a busy machine lets this process wait for half a second.
BACKLOG = 4096


class Pods:
    """Those that run, by name."""

    def __init__(self, cluster: str) -> None:
        self._cluster = cluster
        self._running: dict[str, web.AppRunner] = {}

    async def follow(self, order: dict[str, Any]) -> None:
        """Start or stop one."""
        if "start" in order:
            self._running[order["start"]] = await self._start(
                order["start"], order["addresses"], order["port"]
            )
        else:
            await self._running.pop(order["stop"]).cleanup()

    async def _start(self, pod: str, addresses: list[str], port: int) -> web.AppRunner:
        async def answer(_: web.Request) -> web.Response:
            return web.Response(text=f"{self._cluster} {pod}")

        application = web.Application()
        application.router.add_get("/", answer)
        runner = web.AppRunner(application, shutdown_timeout=GRACE_SECONDS, access_log=None)
        await runner.setup()
        for address in addresses:
            await web.TCPSite(runner, address, port, reuse_address=True, backlog=BACKLOG).start()
        return runner


if __name__ == "__main__":
    asyncio.run(follow(Pods(sys.argv[1]).follow))
