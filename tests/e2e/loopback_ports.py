"""Loopback ports for servers that tests start, and the number of the test process."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final, TextIO

from svclink_controller.demo.control_planes import PORTS, free_ports

# A server listens on its port long after the port was found free, so each test process has its own
# share.
SHARES: Final = 32
# Not below TMPDIR, which differs between the runs of one machine.
LOCKS: Final = Path("/tmp", f"svclink-test-processes-{os.getuid()}")  # noqa: S108


def _claim_number() -> tuple[int, TextIO]:
    """The lowest number that no other test process of this machine has, and the lock that keeps it.

    The kernel releases the lock when the process ends, however it ends.
    """
    LOCKS.mkdir(mode=0o700, exist_ok=True)
    for number in range(SHARES):
        lock = (LOCKS / str(number)).open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return number, lock
    raise RuntimeError(f"{SHARES} test processes are running: wait until one of them has ended")


TEST_PROCESS, _LOCK = _claim_number()
"""The number of this process among those of all test runs at this time."""

_reserved: set[int] = set()


def reserve_ports(count: int) -> list[int]:
    """Free ports that neither this nor another test process has reserved before."""
    ports = free_ports(
        count, (port for port in PORTS if port % SHARES == TEST_PROCESS and port not in _reserved)
    )
    _reserved.update(ports)
    return ports
