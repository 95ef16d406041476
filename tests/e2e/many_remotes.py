"""Remote clusters in large numbers: the API servers of `svclink demo`, all in one thread."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from svclink_controller.demo.apiserver.api_server import make_api_server
from svclink_controller.demo.apiserver.secure_serving import serving_api, tls_context
from svclink_controller.demo.processes import Process

from .background_loop import in_background
from .control_planes import Cluster


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
    with in_background(_served(clusters)):
        try:
            for each in clusters:
                each.wait_until_ready()
            yield list(clusters)
        finally:  # While the servers run, which then close their side of each connection.
            for each in clusters:
                each.clean_up()


@asynccontextmanager
async def _served(clusters: Sequence[InProcessCluster]) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for each in clusters:
            await each.serve(stack)
        yield
