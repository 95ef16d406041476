"""The Pods of one cluster: small HTTP servers that answer with their cluster and Pod name.

Run in the network namespace of the cluster. Takes orders as JSON lines on its standard input, answers each with a line:
`{"start": "web-1", "addresses": [...], "port": 8080}` and `{"stop": "web-1"}`. A Pod that is stopped takes no new
connection and answers those it has, as a well-behaved server does after SIGTERM.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiohttp import web

GRACE_SECONDS = 5


async def serve(cluster: str) -> None:
    """Follow orders until the standard input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    running: dict[str, web.AppRunner] = {}
    while line := await reader.readline():
        order: dict[str, Any] = json.loads(line)
        if "start" in order:
            running[order["start"]] = await start(cluster, order["start"], order["addresses"], order["port"])
        else:
            await running.pop(order["stop"]).cleanup()
        sys.stdout.write("done\n")
        sys.stdout.flush()


async def start(cluster: str, pod: str, addresses: list[str], port: int) -> web.AppRunner:
    """One Pod, listening."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=f"{cluster} {pod}")

    application = web.Application()
    application.router.add_get("/", answer)
    runner = web.AppRunner(application, shutdown_timeout=GRACE_SECONDS, access_log=None)
    await runner.setup()
    for address in addresses:
        await web.TCPSite(runner, address, port, reuse_address=True).start()
    return runner


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
