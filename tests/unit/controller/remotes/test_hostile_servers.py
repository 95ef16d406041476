"""One hostile API server costs the controller less than 100 MB, and takes no turn from others.

Real: a process that follows the server as the controller does, sockets and TLS. Substituted: the
API server. The tests count memory of the process, and turns of its event loop.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from tests.unit.controller.http_server import kubeconfig
from tests.unit.controller.remotes import hostile_servers
from tests.unit.controller.remotes.hostile_servers import (
    Respond,
    digits,
    endless_pages,
    flood,
    hostile,
    huge_slice,
    new_slices,
    nothing,
    silence,
    unfinished_lines,
)

ONE_FOR_ALL = ""
MANY = ",".join(f"namespace-{number}" for number in range(24))


async def cost_of(
    list_slices: Respond, watch_slices: Respond, namespaces: str, turns: int
) -> dict[str, Any]:
    """What a process says about itself that follows such a server for so many turns."""
    program = [sys.executable, "-m", hostile_servers.__name__]
    async with hostile(list_slices, watch_slices) as server:
        arguments = [kubeconfig(server.url), namespaces, str(turns)]
        process = await asyncio.create_subprocess_exec(
            *program, *arguments, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    found: dict[str, Any] = json.loads(output.splitlines()[-1])  # Log lines come first.
    return found


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("list_slices", "watch_slices", "namespaces", "reason"),
    [
        (digits, silence, ONE_FOR_ALL, "BudgetExceeded"),
        (huge_slice, silence, ONE_FOR_ALL, None),
        (endless_pages(), silence, ONE_FOR_ALL, "BudgetExceeded"),
        (nothing, new_slices(), MANY, "BudgetExceeded"),
        (nothing, unfinished_lines, MANY, "BudgetExceeded"),
        (nothing, flood, MANY, None),
    ],
    ids=["digits", "huge slice", "endless pages", "new slices", "unfinished lines", "flood"],
)
async def test_hostile_server_costs_less_than_100_mb(
    list_slices: Respond, watch_slices: Respond, namespaces: str, reason: str | None
) -> None:
    """Whatever it sends, memory and turns are bounded, and only too large a cluster is given up."""
    # A cluster that is given up in the end is followed until then, however slow this machine is.
    turns = 300 if reason is None else sys.maxsize
    found = await cost_of(list_slices, watch_slices, namespaces, turns)
    assert found["reason"] == reason
    assert found["mebibytes"] < 100
    assert reason is not None or found["turns"] >= turns
