"""The faults that a chaos run injects on the way to the API servers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from .fault_proxy import FaultProxy
from .faults import (
    PASSING,
    Answering,
    Corrupting,
    CuttingIdle,
    Delaying,
    Fault,
    Flooding,
    Hanging,
    Refusing,
    Silencing,
    Throttling,
    Truncating,
)

HTML: Final = b"<html><body>Bad gateway</body></html>"
STATUSES: Final = (200, 401, 403, 404, 409, 429, 500, 502, 503, 504)
# Every request, or those whose request line contains this text.
REQUESTS: Final = (
    "",
    "services",
    "endpointslices",
    "limit=",
    "watch=true",
    "PUT ",
    "POST ",
    "DELETE ",
    "/version",
)


@dataclass
class FaultyNetwork:
    """The proxies in front of all API servers.

    Args:
        proxies: The proxies, by a name for the log.
    """

    proxies: dict[str, FaultProxy]
    _lagging: str | None = None

    def inject_fault(self, pick: random.Random) -> str:
        """Give one proxy another fault, or none."""
        name = pick.choice(sorted(self.proxies))
        fault = _random_fault(pick, needs_bytes_only=not self.proxies[name].terminates_tls)
        # Error responses take effect on new requests only, so existing watches are reset.
        is_reset = isinstance(fault, Answering) or pick.random() < 0.5
        if name == self._lagging:
            return f"{name}: still lagging"
        self.proxies[name].fail(fault)
        if is_reset:
            self.proxies[name].reset_connections()
        return f"{name}: {fault}{', connections reset' if is_reset else ''}"

    def lag_links(self, name: str) -> None:
        """Hold the watch of ClusterLinks back, and nothing else, until `end_lag`."""
        self.proxies[name].fail(Silencing("clusterlinks"))
        self._lagging = name

    def end_lag(self) -> None:
        """End what `lag_links` started; without it, do nothing."""
        if self._lagging is not None:
            self.proxies[self._lagging].heal()
            self._lagging = None

    def heal(self) -> None:
        """Remove all faults."""
        self._lagging = None
        for proxy in self.proxies.values():
            proxy.heal()


def _random_fault(pick: random.Random, *, needs_bytes_only: bool) -> Fault:
    of_bytes: list[Fault] = [
        Refusing(),
        Hanging(),
        Delaying(pick.uniform(0.1, 2)),
        Throttling(pick.randrange(5_000, 100_000)),
        Truncating(pick.randrange(20_000)),
        Corrupting(pick.randrange(20_000)),
        CuttingIdle(pick.uniform(0.2, 2)),
    ]
    of_http: list[Fault] = [
        *(_random_answer(pick) for _ in range(6)),
        *(Silencing(text) for text in ("", "services", "endpointslices")),
        Flooding(pick.randrange(100, 1_000)),
    ]
    faults = of_bytes if needs_bytes_only else of_bytes + of_http
    return pick.choice([*faults, *[PASSING] * len(of_bytes)])


def _random_answer(pick: random.Random) -> Answering:
    status = pick.choice(STATUSES)
    headers = (
        "Content-Type: text/html",
        *(("Retry-After: 1",) if status in {429, 503} else ()),
    )
    return Answering(status, pick.choice(REQUESTS), HTML, headers)
