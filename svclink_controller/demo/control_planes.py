"""Clusters on this machine: each an API server of its own, embedded or real, as child processes on loopback."""

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

from svclink_controller.demo.apiserver.certificates import CertificateAuthority, make_authority
from svclink_controller.demo.processes import Process
from svclink_core.errors import SvclinkError

# Below the range that Linux and macOS give to outgoing connections. A port from that range could be taken by one while
# an API server is down; even by a client of that very port, since a loopback socket may connect to itself.
PORTS: Final = range(20000, 32768)
BINARIES: Final = ("etcd", "kube-apiserver", "kube-controller-manager")
LOOPS: Final = ("garbage-collector-controller", "namespace-controller", "serviceaccount-controller")


class MissingBinariesError(SvclinkError):
    """There is no real control plane on this machine; the message says where it is looked for."""


@frozen
class Site:
    """What an API server is started with: a directory with its files, and a port.

    The directory holds `ca.pem` (signs clients), `serving.pem` (key and certificate of the server) and `sa.key` (signs
    tokens).
    """

    name: str
    directory: Path
    port: int

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def audit_log(self) -> Path:
        """One line of JSON a request (audit.k8s.io/v1)."""
        return self.directory / "audit.log"


@frozen
class ControlPlane:
    """One cluster. `api_server` is what to kill or stop to cut it off."""

    site: Site
    authority: CertificateAuthority
    api_server: Process
    others: Sequence[Process] = field(factory=tuple)

    @property
    def processes(self) -> list[Process]:
        """In the order in which they are best started."""
        return [*self.others, self.api_server]


def make_control_plane(
    name: str, directory: Path, port: int, binaries: Path | None
) -> ControlPlane:
    """A cluster that is ready to be started: real where binaries are given, embedded otherwise."""
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
    """A file that only this user can read."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)


def embedded_api_server(site: Site) -> Process:
    """The API server of this package. It keeps its content over a restart."""
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
    """The etcd of a real API server."""
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


def real_api_server(site: Site, binaries: Path, etcd_port: int, *more: str) -> Process:
    """kube-apiserver, with RBAC and tokens, which waits for etcd by itself."""
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
        *more,
    ]
    return Process(f"kube-apiserver of {site.name}", command, directory / "apiserver.log")


def controller_manager(
    site: Site, binaries: Path, kubeconfig: Path, loops: Sequence[str] = LOOPS
) -> Process:
    """Some loops of kube-controller-manager. It gives up when the API server does not answer: start it last."""
    command: list[str | Path] = [
        binaries / "kube-controller-manager",
        f"--kubeconfig={kubeconfig}",
        f"--controllers={','.join(loops)}",
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


# Looking around


def find_binaries() -> Path:
    """The directory of etcd, kube-apiserver and kube-controller-manager.

    Looked for in `$KUBEBUILDER_ASSETS`, then in the cache that `hack/envtest/assets.py` fills (the newest version),
    then on the PATH.

    Raises:
        MissingBinariesError: They are nowhere.
    """
    for directory in _places():
        if all(os.access(directory / name, os.X_OK) for name in BINARIES):
            return directory
    raise MissingBinariesError(
        f"--real needs {', '.join(BINARIES)}: put their directory into KUBEBUILDER_ASSETS, build them with "
        "hack/envtest/assets.py, or leave --real out"
    )


def _places() -> Iterator[Path]:
    if assets := os.environ.get("KUBEBUILDER_ASSETS"):
        yield Path(assets)
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "svclink", "envtest")
    cache = Path(os.environ.get("SVCLINK_ENVTEST_CACHE") or base)
    yield from sorted(cache.glob("v*"), key=_version_of, reverse=True)
    if found := shutil.which("kube-apiserver"):
        yield Path(found).parent


def _version_of(directory: Path) -> list[int]:
    """`v1.36.3-linux-amd64` as numbers."""
    return [
        int(number)
        for number in directory.name.partition("-")[0].removeprefix("v").split(".")
        if number.isdigit()
    ]


def free_ports(count: int, among: Iterable[int] = PORTS) -> list[int]:
    """Ports of loopback on which nobody listens, all different."""
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
