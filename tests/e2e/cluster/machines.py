"""Machines: trees of processes with their own network, mounts, host name and process ids."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from svclink_controller.demo.processes import DIE_WITH_PARENT, Process
from tests.e2e.loopback_ports import TEST_PROCESS
from tests.e2e.polling import eventually
from tests.e2e.traffic.network import run

INIT: Final = Path(__file__).with_name("machine_init.py")
NAMESPACES: Final = ("--net", "--mount", "--uts", "--pid")
SWITCH: Final = "switch"
BRIDGE: Final = "bridge"
HOST_DEVICE: Final = f"svclink-e2e-{TEST_PROCESS}"
NETWORK: Final = f"172.30.{TEST_PROCESS}"
"""The first three bytes of all addresses on the switch: each test process has its own network."""

HOST_ADDRESS: Final = f"{NETWORK}.1"


class Machine:
    """A machine of the tests, with a network interface on the switch."""

    def __init__(self, name: str, directory: Path, address: str) -> None:
        directory.mkdir()
        self.name = name
        self.directory = directory
        self.address = address
        self.routes: dict[str, str] = {}
        """Ranges of addresses that are reached through another machine."""
        self._switch: Machine | None = None
        self._init = Process(
            f"machine {name}",
            ["unshare", *NAMESPACES, "--fork", "--kill-child", *_python(INIT), directory, name],
            directory / "init.log",
        )

    def start(self) -> None:
        """Start the machine, without its network interface."""
        (self.directory / "init.pid").unlink(missing_ok=True)
        self._init.start()
        eventually(lambda: self.process_id)
        self.run("ip", "link", "set", "lo", "up")

    def connect(self, switch: Machine) -> None:
        """Plug the machine into the switch."""
        self._switch = switch
        plug(switch, f"to-{self.name}", "eth0", str(self.process_id))
        self.run("ip", "address", "add", f"{self.address}/24", "dev", "eth0")
        self.run("ip", "link", "set", "eth0", "up")
        self.run("ip", "route", "add", "default", "via", HOST_ADDRESS)
        for range_, gateway in self.routes.items():
            self.run("ip", "route", "add", range_, "via", gateway)
        self.run("sysctl", "-qw", "net.ipv4.ip_forward=1")

    def kill(self) -> None:
        """Kill all processes of the machine at once, as if its power were cut."""
        if self._init.running:
            self._init.kill()

    def restart(self) -> None:
        """Start the machine again after `kill`; its files are as before."""
        assert self._switch is not None, f"{self.name} was never connected"
        self.start()
        self.connect(self._switch)

    @property
    def process_id(self) -> int:
        """The id of its first process, as the test host sees it."""
        assert self._init.running, f"{self._init.name} exited: {self._init.tail()}"
        return int((self.directory / "init.pid").read_text(encoding="utf-8"))

    @property
    def containerd_root(self) -> Path:
        """The folder of containerd, which the machine sees as /var/lib/containerd."""
        return self.directory / "lib" / "containerd"

    def inside(self, *command: str | Path) -> list[str | Path]:
        """A command line that runs a command on the machine."""
        return ["nsenter", "--target", str(self.process_id), *NAMESPACES, "--", *command]

    def run(self, *command: str | Path) -> str:
        """Run a command on the machine, and return its output."""
        return run(*map(str, self.inside(*command)))

    def process(
        self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None
    ) -> Process:
        """A program on the machine. It is killed rather than asked to stop.

        A signal reaches nsenter only, and the program is killed when nsenter ends.
        """
        launcher = [sys.executable, "-I", "-S", "-c", DIE_WITH_PARENT, "0"]
        return Process(
            f"{name} of {self.name}",
            self.inside(*launcher, *command),
            self.directory / f"{name}.log",
            environment,
        )


@contextmanager
def running_machines(machines: Sequence[Machine], switch: Machine) -> Iterator[None]:
    """Run these machines, which reach each other and the test host through the switch."""
    try:
        switch.start()
        switch.run("ip", "link", "add", BRIDGE, "type", "bridge")
        switch.run("ip", "link", "set", BRIDGE, "up")
        plug(switch, "to-host", HOST_DEVICE, str(os.getpid()))
        run("ip", "address", "add", f"{HOST_ADDRESS}/24", "dev", HOST_DEVICE)
        run("ip", "link", "set", HOST_DEVICE, "up")
        for machine in machines:
            machine.start()
            machine.connect(switch)
        yield
    finally:
        for machine in (*machines, switch):
            machine.kill()


def plug(switch: Machine, port: str, device: str, process_id: str) -> None:
    """Connect a port of the switch with a new device in the network of a process."""
    # The kernel removes the port of a dead machine later.
    switch.run("sh", "-c", f"ip link delete {port} 2>/dev/null || true")
    peer = ("peer", "name", device, "netns", process_id)
    run("ip", "link", "add", port, "netns", str(switch.process_id), "type", "veth", *peer)
    switch.run("ip", "link", "set", port, "master", BRIDGE)
    switch.run("ip", "link", "set", port, "up")


def _python(script: Path) -> list[str | Path]:
    return [sys.executable, "-I", "-S", script]
