"""The node of the main cluster, with kube-proxy and CoreDNS."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import yaml

from svclink_controller.demo.processes import Process, stop_all
from tests.e2e.control_planes import Cluster
from tests.e2e.polling import eventually

from .network import NODE, POD_NETWORKS, do_inside, inside
from .node_configuration import corefile, kube_proxy_configuration
from .relay import relayed

NODE_NAME: Final = "node-1"
ZONE: Final = "zone-a"
FAMILIES: Final = {"IPv4", "IPv6"}
PROXY_HEALTH: Final = "127.0.0.1:10256"
DNS_HEALTH: Final = "127.0.0.1:8181"


@contextmanager
def node_programs(main: Cluster, binaries: Path, mode: str, directory: Path) -> Iterator[None]:
    """Run kube-proxy in this mode and CoreDNS; both are ready when the context is entered."""
    kubeconfig = directory / "node.kubeconfig"
    kubeconfig.write_text(main.admin_kubeconfig(), encoding="utf-8")
    port = urlsplit(main.server).port
    assert port is not None
    processes = [
        Process(
            "kube-proxy",
            _kube_proxy(binaries, kubeconfig, mode, directory),
            directory / "kube-proxy.log",
        ),
        Process("coredns", _coredns(binaries, kubeconfig, directory), directory / "coredns.log"),
    ]
    with relayed(do_inside(NODE, lambda: socket.create_server(("127.0.0.1", port))), port):
        try:
            for process in processes:
                process.start()
            eventually(lambda: _assert_rules_written(processes))
            eventually(lambda: _get(DNS_HEALTH, "/ready", processes))
            yield
        finally:
            stop_all(processes)


def _kube_proxy(binaries: Path, kubeconfig: Path, mode: str, directory: Path) -> list[str | Path]:
    pods = ",".join(POD_NETWORKS["main"].ranges)
    configuration = kube_proxy_configuration(kubeconfig, NODE_NAME, pods, mode, PROXY_HEALTH)
    file = directory / "kube-proxy.yaml"
    file.write_text(yaml.safe_dump(configuration), encoding="utf-8")
    return inside(NODE, binaries / "kube-proxy", f"--config={file}")


def _coredns(binaries: Path, kubeconfig: Path, directory: Path) -> list[str | Path]:
    file = directory / "Corefile"
    file.write_text(corefile(DNS_HEALTH, f"kubeconfig {kubeconfig}"), encoding="utf-8")
    return inside(NODE, binaries / "coredns", "-conf", file)


def _assert_rules_written(processes: list[Process]) -> None:
    families = json.loads(_get(PROXY_HEALTH, "/healthz", processes)).get("status", {})
    assert set(families) == FAMILIES, f"kube-proxy wrote rules for {sorted(families)} only"


def _get(server: str, path: str, processes: list[Process]) -> bytes:
    for process in processes:
        if not process.running:
            raise RuntimeError(f"{process.name} exited:\n{process.tail()}")

    def get() -> bytes:
        connection = http.client.HTTPConnection(server, timeout=2)
        with closing(connection):
            connection.request("GET", path)
            response = connection.getresponse()
            assert response.status == 200, f"{server}{path}: {response.status} {response.reason}"
            return response.read()

    return do_inside(NODE, get)
