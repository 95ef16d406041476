"""Loopback ports for servers that tests start, and the number of the test process."""

from __future__ import annotations

import os
from typing import Final

from svclink_controller.demo.control_planes import PORTS, free_ports

TEST_PROCESS: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""The number of this process among the parallel processes of a run."""

# A server listens on its port long after the port was found free, so each parallel test process has
# its own share.
SHARES: Final = 16
SHARE: Final = TEST_PROCESS % SHARES
_reserved: set[int] = set()


def reserve_ports(count: int) -> list[int]:
    """Free ports that neither this nor a parallel test process has reserved before."""
    ports = free_ports(
        count, (port for port in PORTS if port % SHARES == SHARE and port not in _reserved)
    )
    _reserved.update(ports)
    return ports
