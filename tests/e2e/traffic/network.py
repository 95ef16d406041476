"""Network namespaces joined by veth: the node of the main cluster, and the Pods of each cluster."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

CLUSTERS: Final = ("main", "c1", "c2")
# As in the flags of the API servers; the node needs routes to addresses that kube-proxy translates.
SERVICE_RANGES: Final = ("10.0.0.0/16", "fd00:10:96::/112")
NODE: Final = f"svclink-node-{os.getpid()}"
NODE_ADDRESS: Final = "192.168.1.1"
PROGRAMS: Final = ("ip", "nft", "iptables", "conntrack")
SYN_SENT_TIMEOUT: Final = Path("/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_syn_sent")
CLONE_NEWNET: Final = 0x40000000


@dataclass(frozen=True)
class PodNetwork:
    """The namespace of the Pods of one cluster, and their address ranges."""

    cluster: str
    number: int

    @property
    def namespace(self) -> str:
        return f"svclink-{self.cluster}-{os.getpid()}"

    @property
    def ranges(self) -> tuple[str, str]:
        return f"10.{self.number}.0.0/16", f"fd00:{self.number}::/64"

    def addresses(self, pod: int) -> tuple[str, str]:
        """The IPv4 and IPv6 address of the Pod with this number."""
        return f"10.{self.number}.{pod // 250}.{pod % 250 + 1}", f"fd00:{self.number}::{pod + 1:x}"

    @contextmanager
    def cut(self) -> Iterator[None]:
        """Drop every packet to the Pods, as if the network between the clusters were down."""
        drop = "table inet cut { chain input { type filter hook input priority 0; policy drop; }; }"
        run("ip", "netns", "exec", self.namespace, "nft", drop)
        try:
            yield
        finally:
            run("ip", "netns", "exec", self.namespace, "nft", "delete table inet cut")


POD_NETWORKS: Final = {name: PodNetwork(name, 101 + i) for i, name in enumerate(CLUSTERS)}


def missing_requirement() -> str | None:
    """Why network namespaces cannot be created, and how to fix it; None if they can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "Network namespaces need Linux and root: run the traffic tests there, as root."
    if missing := [program for program in PROGRAMS if shutil.which(program) is None]:
        names = ", ".join(missing)
        return f"{names} not found: install iproute2, nftables, iptables and conntrack."
    probe = f"svclink-probe-{os.getpid()}"
    try:
        run("ip", "netns", "add", probe)
        run("ip", "netns", "delete", probe)
    except subprocess.CalledProcessError as error:
        return f"Network namespaces cannot be created: {error.stderr.strip()}"
    return None


@contextmanager
def joined_namespaces() -> Iterator[None]:
    """The node and the Pod networks, each reachable from the node."""
    try:
        _make_node()
        for i, network in enumerate(POD_NETWORKS.values(), start=1):
            _join(network, i)
        yield
    finally:
        for namespace in (NODE, *(network.namespace for network in POD_NETWORKS.values())):
            with suppress(subprocess.CalledProcessError):
                run("ip", "netns", "delete", namespace)
        shutil.rmtree(_resolver_directory(), ignore_errors=True)


def inside(namespace: str, *command: str | Path) -> list[str | Path]:
    """A command line that runs a command in a network namespace, with its `/etc/resolv.conf`."""
    return ["ip", "netns", "exec", namespace, *command]


def do_inside(namespace: str, act: Callable[[], T]) -> T:
    """Call a function in a network namespace, in a thread.

    A thread can change its own namespace, and a socket belongs to the namespace of its creation.
    """

    def enter_and_act() -> T:
        _enter(namespace)
        return act()

    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(enter_and_act).result()


def _enter(namespace: str) -> None:
    """Move the calling thread into a network namespace."""
    with Path("/run/netns", namespace).open("rb") as entry:
        if ctypes.CDLL(None, use_errno=True).setns(entry.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {namespace}")


def unanswered_ports() -> set[int]:
    """The ports of the node with tracked connections that were not answered."""
    entries = run(
        "ip", "netns", "exec", NODE, "conntrack", "-L", "-p", "tcp", "--state", "SYN_SENT"
    )
    return {int(port) for port in re.findall(r"^.*? sport=(\d+)", entries, re.MULTILINE)}


def assert_untracked(ports: set[int]) -> None:
    """Assert that the kernel tracks no unanswered connection from these ports of the node."""
    tracked = ports & unanswered_ports()
    assert not tracked, f"unanswered connections are tracked from {sorted(tracked)}"


@contextmanager
def tracking_timeout(seconds: int) -> Iterator[None]:
    """Limit how long the kernel tracks an unanswered connection from the node."""
    before = do_inside(NODE, SYN_SENT_TIMEOUT.read_text)
    do_inside(NODE, lambda: SYN_SENT_TIMEOUT.write_text(str(seconds)))
    try:
        yield
    finally:
        do_inside(NODE, lambda: SYN_SENT_TIMEOUT.write_text(before))


def run(*command: str) -> str:
    """Run a system command and return its output; a failure carries its standard error."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _make_node() -> None:
    run("ip", "netns", "add", NODE)
    run("ip", "-n", NODE, "link", "set", "lo", "up")
    directory = _resolver_directory()
    directory.mkdir(parents=True, exist_ok=True)
    search = "search default.svc.cluster.local svc.cluster.local cluster.local"
    (directory / "resolv.conf").write_text(
        f"{search}\nnameserver 127.0.0.1\noptions ndots:5\n", encoding="utf-8"
    )
    for range_ in SERVICE_RANGES:
        # kube-proxy translates these addresses first, but the kernel requires a route.
        run("ip", "-n", NODE, *_family(range_), "route", "add", range_, "dev", "lo")


def _join(network: PodNetwork, i: int) -> None:
    namespace, device = network.namespace, f"to-{network.cluster}"
    run("ip", "netns", "add", namespace)
    run("ip", "-n", namespace, "link", "set", "lo", "up")
    peer = ("peer", "name", "eth0", "netns", namespace)
    run("ip", "link", "add", device, "netns", NODE, "type", "veth", *peer)
    for where, interface, host in ((NODE, device, 1), (namespace, "eth0", 2)):
        run("ip", "-n", where, "address", "add", f"192.168.{i}.{host}/24", "dev", interface)
        run("ip", "-n", where, "address", "add", f"fd01:{i}::{host}/64", "dev", interface, "nodad")
        run("ip", "-n", where, "link", "set", interface, "up")
    for range_, gateways in zip(network.ranges, (f"192.168.{i}.", f"fd01:{i}::"), strict=True):
        family = _family(range_)
        run("ip", "-n", NODE, *family, "route", "add", range_, "via", f"{gateways}2")
        run("ip", "-n", namespace, *family, "route", "add", "default", "via", f"{gateways}1")
        # Every address of the range is local, so that a Pod needs no setup.
        run("ip", "-n", namespace, *family, "route", "add", "local", range_, "dev", "lo")
    # A local route suffices to bind to an IPv4 address, but not to an IPv6 address.
    bind_to_any = "echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind"
    run("ip", "netns", "exec", namespace, "sh", "-c", bind_to_any)


def _family(range_: str) -> Sequence[str]:
    return ("-6",) if ":" in range_ else ()


def _resolver_directory() -> Path:
    return Path("/etc/netns", NODE)
