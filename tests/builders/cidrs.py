"""Texts that are ranges of IP addresses for the CRD and for svclink, and texts that are not."""

from __future__ import annotations

from typing import Final

VALID_CIDRS: Final = (
    "10.0.0.0/8", "10.1.2.3/32", "0.0.0.0/0", "fd00::/8", "FD00:0::/64", "::/0", "fd00::1/128",
)  # fmt: skip

INVALID_CIDRS: Final = (
    "", "/", "10.0.0.0", "10.0.0.0/", "10.0.0/8", "10.0.0.0/33", "10.0.0.0/08", "10.0.0.0/-1",
    "10.0.0.0/255.0.0.0", "10.0.0.1/8", "010.0.0.0/8", "10.0.0.0/8 ", " 10.0.0.0/8",
    "10.0.0.0/8/8", "fd00::/129", "fd00::1/64", "fd00::%eth0/64", "::ffff:10.0.0.0/104",
    "::ffff:0:0/96", "10.0.0.0/8\n", "all", "1/8", "10.0.0.0/٨",
)  # fmt: skip
