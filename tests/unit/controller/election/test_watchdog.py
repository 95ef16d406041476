"""The process ends at its deadline, even if the event loop or the whole process stood still.

Real: processes and signals. Substituted: nothing.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Final

import pytest

PRELUDE: Final = """
import asyncio, time
from svclink_controller.election.watchdog import Watchdog

async def main():
    watchdog, loop = Watchdog(), asyncio.get_running_loop()
    with watchdog.checking_on_wake_up():
        print("ready", flush=True)
"""


def run(body: str) -> subprocess.Popen[str]:
    """A process that runs these lines in its event loop and has started."""
    lines = "".join(f"        {line}\n" for line in body.strip().splitlines())
    program = f"{PRELUDE}{lines}        print('alive', flush=True)\nasyncio.run(main())\n"
    command = [sys.executable, "-u", "-c", program]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize(
    "body",
    [
        "watchdog.set(loop.time() + 0.2)\nawait asyncio.sleep(60)",
        "watchdog.set(loop.time() + 0.2)\ntime.sleep(60)",
        "watchdog.set(loop.time() + 0.2)\nsum(range(10**11))",
        "watchdog.set(loop.time() - 5)\ntime.sleep(60)",
        "watchdog.set(loop.time() + 60)\nwatchdog.set(loop.time() + 0.2)\ntime.sleep(60)",
    ],
    ids=[
        "waiting",
        "a stuck event loop",
        "the interpreter lock held in C",
        "a deadline in the past",
        "a new deadline",
    ],
)
def test_deadline_ends_the_process(body: str) -> None:
    """Whatever the process does, it ends at its deadline with a traceback."""
    output, error = run(body).communicate(timeout=30)
    assert output == ""
    assert "Timeout" in error
    assert "most recent call first" in error


@pytest.mark.parametrize(
    "body",
    [
        "watchdog.set(loop.time() + 2)\nwatchdog.clear()\nawait asyncio.sleep(2.5)",
        "watchdog.set(loop.time() + 2)\nwatchdog.set(loop.time() + 60)\nawait asyncio.sleep(2.5)",
        "watchdog.clear()\nawait asyncio.sleep(0.5)",
    ],
    ids=["cleared", "moved", "never set"],
)
def test_cleared_deadline_ends_nothing(body: str) -> None:
    """A process without a deadline, or with a later one, continues."""
    process = run(body)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "alive\n")


def test_process_stopped_past_its_deadline_runs_no_callback() -> None:
    """After SIGSTOP and SIGCONT no callback of the event loop runs, although one is due."""
    due = "loop.add_reader(0, print, 'a callback')"
    process = run(f"{due}\nwatchdog.set(loop.time() + 2)\nprint('set')\nawait asyncio.sleep(60)")
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline() == "set\n"
    process.send_signal(signal.SIGSTOP)
    time.sleep(2.5)  # Past the deadline, for which only time helps.
    process.stdin.write("news")
    process.stdin.flush()
    process.send_signal(signal.SIGCONT)
    output, error = process.communicate(timeout=30)
    assert (process.returncode, output) == (1, "")
    assert error


def test_process_stopped_for_a_moment_continues() -> None:
    """If the deadline is still in the future after SIGCONT, nothing happens."""
    process = run("watchdog.set(loop.time() + 60)\nawait asyncio.sleep(0.5)")
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGCONT)
    output, _ = process.communicate(timeout=30)
    assert (process.returncode, output) == (0, "alive\n")
