"""Whether the clocks of this machine and of an API server agree."""

from __future__ import annotations

from typing import Final

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.cli.preflight.results import Result

MAX_SKEW_SECONDS: Final = 30
"""With a larger difference, fresh tokens may seem not yet valid, and ages in status are wrong."""

_FIX: Final = "timedatectl set-ntp true  # on the machine whose clock is wrong"


async def check_clock(client: Client, cluster: str) -> list[Result]:
    """Compare with the Date header of a response; no line if the API server sends none."""
    before = clock.seconds()
    theirs = await client.server_seconds()
    if theirs is None:
        return []
    skew = theirs - (before + clock.seconds()) / 2
    if abs(skew) <= MAX_SKEW_SECONDS:
        return [Result("ok", cluster, "clock", "agrees with this machine's clock")]
    direction = "ahead of" if skew > 0 else "behind"
    message = (
        f"is {abs(skew):.0f} s {direction} this machine's clock: tokens and certificates may"
        " seem invalid"
    )
    return [Result("warn", cluster, "clock", message, _FIX)]
