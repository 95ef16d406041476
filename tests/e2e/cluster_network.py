"""What an API server connects to: a CONNECT proxy on a Unix socket in place of the Pod network.

Real: which address the API server asks for. Substituted: the network between it and Pods, and
kube-proxy, by a random choice among the ready endpoints of all EndpointSlices of a Service.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingUnixStreamServer
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final

import yaml
from attrs import define, field

CHUNK: Final = 2**16


@define
class ClusterNetwork:
    """Where the addresses that an API server connects to lead.

    Args:
        socket: The Unix socket of the proxy.
        pods: The loopback ports of Pods, by their addresses.
        endpoints_of: Returns the addresses behind a ClusterIP; none if it is not one.
    """

    socket: Path
    pods: dict[str, int] = field(factory=dict)
    endpoints_of: Callable[[str], list[str]] = lambda _: []

    def configuration(self) -> str:
        """The content of the file for `--egress-selector-config-file`."""
        transport = {"uds": {"udsName": str(self.socket)}}
        connection = {"proxyProtocol": "HTTPConnect", "transport": transport}
        return yaml.safe_dump(
            {
                "apiVersion": "apiserver.k8s.io/v1beta1",
                "kind": "EgressSelectorConfiguration",
                "egressSelections": [{"name": "cluster", "connection": connection}],
            }
        )

    def port_of(self, address: str) -> int | None:
        """The loopback port that a connection to an address or a ClusterIP ends at."""
        behind = [address] if address in self.pods else self.endpoints_of(address)
        chosen = random.choice(behind) if behind else ""  # noqa: S311 - it guards nothing
        return self.pods.get(chosen)


@contextmanager
def cluster_network() -> Iterator[ClusterNetwork]:
    """A network without Pods. The path of a Unix socket must be short."""
    with TemporaryDirectory(prefix="svclink-") as directory:
        network = ClusterNetwork(Path(directory) / "egress")

        class Handler(StreamRequestHandler):
            def handle(self) -> None:
                _connect(self, network)

        with ThreadingUnixStreamServer(str(network.socket), Handler) as server:
            server.daemon_threads = True
            thread = Thread(target=server.serve_forever, daemon=True)
            thread.start()
            try:
                yield network
            finally:
                server.shutdown()
                thread.join()


def _connect(handler: StreamRequestHandler, network: ClusterNetwork) -> None:
    """Answer one CONNECT, then pass on data in both directions."""
    _, target, _ = handler.rfile.readline().decode().split()
    while handler.rfile.readline().strip():
        pass
    port = network.port_of(target.rpartition(":")[0].strip("[]"))
    if port is None:
        handler.wfile.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")
        return
    with socket.create_connection(("127.0.0.1", port)) as pod:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        back = Thread(target=_pass_on, args=(pod, handler.connection), daemon=True)
        back.start()
        _pass_on(handler.connection, pod)
        back.join()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(CHUNK):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
