"""The load generator: requests at a fixed rate for a fixed number of them, each with a connection of its own.

Run in the network namespace of the node. At its end it prints a JSON line for each request: when it began (POSIX
seconds), how long it took, who answered, and what went wrong. It keeps to its rate also when answers are late. On
SIGTERM it sends no more and waits for the answers to those it sent.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import time
from typing import Any

import aiohttp

TIMEOUT_SECONDS = 2
STARTED = "started\n"


async def load(url: str, rate: float, count: int) -> list[dict[str, Any]]:
    """Send the requests; what became of each."""
    connector = aiohttp.TCPConnector(force_close=True, use_dns_cache=False, limit=0)
    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        sys.stdout.write(STARTED)
        sys.stdout.flush()
        start, told_to_end = time.time(), asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told_to_end.set)
        async with asyncio.TaskGroup() as group:
            sent = []
            for i in range(count):
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(told_to_end.wait(), max(0.0, start + i / rate - time.time()))
                if told_to_end.is_set():
                    break
                sent.append(group.create_task(request(session, url)))
    return [task.result() for task in sent]


async def request(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """One request, and what became of it."""
    began = time.time()
    answer, error = None, None
    try:
        async with session.get(url) as response:
            answer = await response.text()
            if response.status != 200:
                answer, error = None, f"HTTP {response.status}"
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        error = type(problem).__name__
    return {"at": began, "seconds": time.time() - began, "by": answer, "error": error}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--count", type=int, required=True, help="requests in all")
    arguments = parser.parse_args()
    for result in asyncio.run(load(arguments.url, arguments.rate, arguments.count)):
        sys.stdout.write(json.dumps(result) + "\n")
