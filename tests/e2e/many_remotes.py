"""Remote clusters in large numbers: the API servers of `svclink demo`, all in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

from svclink_controller.demo.apiserver.api_server import make_api_server
from svclink_controller.demo.apiserver.secure_serving import serving_api, tls_context
from svclink_controller.demo.processes import Process

from .control_planes import START_SECONDS, Cluster


class InProcessCluster(Cluster):
    """A cluster whose API server runs in this process."""

    def __init__(self, name: str, directory: Path) -> None:
        directory.mkdir()
        super().__init__(name, None, directory)

    @property
    def processes(self) -> list[Process]:
        return []

    async def serve(self, stack: AsyncExitStack) -> None:
        """Serve until the stack is closed."""
        context = tls_context(self._directory / "serving.pem", self._directory / "ca.pem")
        api_server = make_api_server(None, (self._directory / "sa.key").read_bytes())
        await stack.enter_async_context(serving_api(api_server, context, self._port))


@contextmanager
def serving_clusters(directory: Path, names: Sequence[str]) -> Iterator[list[Cluster]]:
    """Run clusters with these names until the context is left."""
    clusters = [InProcessCluster(name, directory / name) for name in names]
    loop, stop, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            for each in clusters:
                await each.serve(stack)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert started.wait(START_SECONDS), "the API servers did not start"
        for each in clusters:
            each.wait_until_ready()
        yield list(clusters)
    finally:
        for each in clusters:
            each.clean_up()
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
