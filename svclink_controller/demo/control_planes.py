"""Control planes on loopback, run as child processes: embedded or real API servers."""

from __future__ import annotations

import os
import random
import secrets
import shutil
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Final

from attrs import field, frozen

from svclink_controller.demo.apiserver.access.certificates import (
    CertificateAuthority,
    make_authority,
)
from svclink_controller.demo.processes import Process
from svclink_core.errors import SvclinkError

# Below the ephemeral ports of Linux and macOS. While an API server is down, an outgoing
# connection could take a port from that range: even a client of the same port, because a loopback
# socket may connect to itself.
PORTS: Final = range(20000, 32768)
BINARIES: Final = ("etcd", "kube-apiserver", "kube-controller-manager")
CONTROLLERS: Final = (
    "garbage-collector-controller",
    "namespace-controller",
    "serviceaccount-controller",
)


class MissingBinariesError(SvclinkError):
    """The binaries of a real control plane are missing; the message says how to provide them."""


@frozen
class Site:
    """The directory and the port of an API server.

    The directory holds `ca.pem`, the CA of client certificates; `serving.pem`, the key and
    certificate of the server; and `sa.key`, which signs tokens.
    """

    name: str
    directory: Path
    port: int

    @property
    def url(self) -> str:
        """The URL of the API server."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def audit_log(self) -> Path:
        """The audit log: one line of JSON per request (audit.k8s.io/v1)."""
        return self.directory / "audit.log"


@frozen
class ControlPlane:
    """The processes of one cluster.

    Args:
        api_server: Kill or pause this process to make the cluster unreachable.
    """

    site: Site
    authority: CertificateAuthority
    api_server: Process
    others: Sequence[Process] = field(factory=tuple)

    @property
    def processes(self) -> list[Process]:
        """All processes, in the order in which they should be started."""
        return [*self.others, self.api_server]


def make_control_plane(
    name: str, directory: Path, port: int, binaries: Path | None
) -> ControlPlane:
    """Prepare a cluster, a real one if `binaries` is given, without starting it."""
    directory.mkdir(mode=0o700)
    site, authority = Site(name, directory, port), make_authority(name)
    serving = authority.issue_server()
    write_private(directory / "ca.pem", authority.pem)
    write_private(directory / "serving.pem", serving.key + serving.certificate)
    if binaries is None:
        write_private(directory / "sa.key", secrets.token_bytes(32))
        return ControlPlane(site, authority, embedded_api_server(site))
    write_private(directory / "sa.key", authority.issue_client("sa", "sa").key)
    client, peer = free_ports(2)
    return ControlPlane(
        site,
        authority,
        real_api_server(site, binaries, client),
        [etcd(site, binaries, client, peer)],
    )


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only the current user can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def embedded_api_server(site: Site) -> Process:
    """Return the API server of this package. Its objects survive a restart."""
    directory = site.directory
    command: list[str | Path] = [
        sys.executable,
        *("-m", "svclink_controller.demo.apiserver"),
        *("--secure-port", str(site.port)),
        *("--tls-cert-file", directory / "serving.pem"),
        *("--client-ca-file", directory / "ca.pem"),
        *("--service-account-signing-key-file", directory / "sa.key"),
        *("--journal", directory / "journal"),
        *("--audit-log-path", site.audit_log),
    ]
    return Process(f"API server of {site.name}", command, directory / "apiserver.log")


def etcd(site: Site, binaries: Path, client_port: int, peer_port: int) -> Process:
    """Return the etcd of a real API server. To be fast, it does not sync its files to disk."""
    client, peer = (f"http://127.0.0.1:{port}" for port in (client_port, peer_port))
    command: list[str | Path] = [
        binaries / "etcd",
        f"--data-dir={site.directory / 'etcd'}",
        "--unsafe-no-fsync",
        "--log-level=warn",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
    ]
    return Process(f"etcd of {site.name}", command, site.directory / "etcd.log")


def real_api_server(site: Site, binaries: Path, etcd_port: int, *extra_flags: str) -> Process:
    """Return a kube-apiserver with RBAC and ServiceAccount tokens. It waits until etcd answers."""
    directory = site.directory
    command: list[str | Path] = [
        binaries / "kube-apiserver",
        f"--etcd-servers=http://127.0.0.1:{etcd_port}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={site.port}",
        "--service-cluster-ip-range=10.0.0.0/16,fd00:10:96::/112",
        "--endpoint-reconciler-type=none",
        "--authorization-mode=RBAC",
        f"--client-ca-file={directory / 'ca.pem'}",
        f"--tls-cert-file={directory / 'serving.pem'}",
        f"--tls-private-key-file={directory / 'serving.pem'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={directory / 'sa.key'}",
        f"--service-account-signing-key-file={directory / 'sa.key'}",
        *extra_flags,
    ]
    return Process(f"kube-apiserver of {site.name}", command, directory / "apiserver.log")


def controller_manager(
    site: Site, binaries: Path, kubeconfig: Path, controllers: Sequence[str] = CONTROLLERS
) -> Process:
    """Return a kube-controller-manager. Start it last: without an API server it exits."""
    command: list[str | Path] = [
        binaries / "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(controllers)}",
        f"--service-account-private-key-file={site.directory / 'sa.key'}",
        f"--root-ca-file={site.directory / 'ca.pem'}",
        "--use-service-account-credentials=false",
        "--leader-elect=false",
        "--secure-port=0",
    ]
    return Process(
        f"kube-controller-manager of {site.name}",
        command,
        site.directory / "controller-manager.log",
    )


# Finding binaries and ports


def find_binaries() -> Path:
    """Find the directory of etcd, kube-apiserver and kube-controller-manager.

    The search goes through `$KUBEBUILDER_ASSETS`, the cache that `hack/envtest/assets.py` fills
    (newest version first), and the PATH.

    Raises:
        MissingBinariesError: None of these directories has all three.
    """
    for directory in _candidate_directories():
        if all(os.access(directory / name, os.X_OK) for name in BINARIES):
            return directory
    raise MissingBinariesError(
        f"--real needs {', '.join(BINARIES)}: set KUBEBUILDER_ASSETS to their directory, "
        "build them with hack/envtest/assets.py, or omit --real"
    )


def _candidate_directories() -> Iterator[Path]:
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        yield Path(assets)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "svclink", "envtest")
    cache = Path(os.environ.get("SVCLINK_ENVTEST_CACHE") or base)
    yield from sorted(cache.glob("v*"), key=_version_of, reverse=True)
    if on_path := shutil.which("kube-apiserver"):
        yield Path(on_path).parent


def _version_of(directory: Path) -> list[int]:
    """Return the numbers of a version such as `v1.36.3-linux-amd64`."""
    return [
        int(number)
        for number in directory.name.partition("-")[0].removeprefix("v").split(".")
        if number.isdigit()
    ]


def free_ports(count: int, among: Iterable[int] = PORTS) -> list[int]:
    """Return different loopback ports that are not in use."""
    candidates = list(among)
    random.shuffle(candidates)
    return list(islice(filter(_is_free, candidates), count))


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
