"""To which Pod the node sends each connection, as its kernel reports it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.polling import eventually

from .kubelets import PORT
from .network import NODE, inside

# The first pair of addresses is as the client sent it, the second as the Pod will answer.
NEW_CONNECTION: Final = re.compile(
    rf"\[NEW\].* sport=(\d+) dport=80 .*src=(\S+) dst=\S+ sport={PORT} "
)


class Destinations:
    """The address of the Pod of each connection, by the port of the client."""

    def __init__(self, events: Path) -> None:
        self._events = events

    def by_port(self) -> dict[int, str]:
        """All connections that were opened so far; of a port that was used twice, the last one."""
        text = self._events.read_text(encoding="utf-8")
        return {int(port): address for port, address in NEW_CONNECTION.findall(text)}

    def assert_recorded(self) -> None:
        assert self.by_port(), "the kernel reported no connection yet"


@contextmanager
def recorded_destinations(events: Path) -> Iterator[Destinations]:
    """Record them in a file while the context is open; something must open connections."""
    command = inside(NODE, "conntrack", "-E", "-e", "NEW", "-p", "tcp")
    with (
        events.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL) as listener,
    ):
        found = Destinations(events)
        try:
            eventually(found.assert_recorded)
            yield found
        finally:
            listener.terminate()
