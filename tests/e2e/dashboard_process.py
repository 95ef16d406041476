"""`svclink dashboard` as a process, and requests as its page sends them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from attrs import frozen

ANSWER_SECONDS: Final = 30


@frozen
class Dashboard:
    """A running dashboard.

    Args:
        address: Where its page is, with the token.
        process_id: Its process.
    """

    address: str
    process_id: int

    def get(self, path: str) -> Any:
        """The JSON at a path. An error is an AssertionError: it may be too early."""
        try:
            with self._open(path) as response:
                return json.load(response)
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from error

    def snapshot(self) -> Any:
        """What a page is sent first."""
        with self._open("/api/events") as response:
            for line in response:
                if line.startswith(b"data: "):
                    return json.loads(line.removeprefix(b"data: "))
        raise AssertionError("the stream ended before its first event")

    def require_outcome(self, service: str, cluster: str, outcome: str) -> None:
        """Fail unless a Service of a cluster has this outcome."""
        found = self.get(f"/api/services/{service}")["clusters"]
        outcomes = {each["cluster"]: each["outcome"] for each in found}
        assert outcomes.get(cluster) == outcome, outcomes

    def _open(self, path: str) -> HTTPResponse:
        parts = urlsplit(self.address)
        (token,) = parse_qs(parts.query)["token"]
        request = urllib.request.Request(
            f"http://{parts.netloc}{path}", headers={"Authorization": f"Bearer {token}"}
        )
        answer: HTTPResponse = urllib.request.urlopen(request, timeout=ANSWER_SECONDS)  # noqa: S310
        return answer


@contextmanager
def dashboards(*flags: str) -> Iterator[Dashboard]:
    """A dashboard with these flags, stopped at the end as by Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "svclink_controller", "dashboard", "--no-browser", *flags],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "http://" in line, line
        yield Dashboard(line[line.index("http://") :].strip(), process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=ANSWER_SECONDS) == 0
    finally:
        process.kill()
        process.communicate()
