"""What ends a process in order. Real: signals, terminals. Substituted: nothing."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys

from svclink_controller.stop_signals import stop_signals


def test_hangup_is_a_reason_to_stop_unless_it_is_ignored() -> None:
    """Under `nohup` a process outlives its terminal."""
    assert signal.SIGHUP in stop_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert stop_signals() == (signal.SIGTERM, signal.SIGINT)
    finally:
        signal.signal(signal.SIGHUP, before)


PROGRAM = """
import asyncio, os, signal
from svclink_controller.stop_signals import on_signal

async def run():
    stop = asyncio.Event()
    stops = on_signal(signal.SIGHUP, stop.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, stops)
    print("ready", flush=True)
    await stop.wait()
    print("last words", flush=True)
    os.write(3, b"done")

asyncio.run(run())
"""


def test_terminal_that_is_gone_does_not_keep_a_process_from_its_last_work() -> None:
    """After the terminal hung up, what is printed is discarded instead of an error."""
    controller, terminal = pty.openpty()
    reader, writer = os.pipe()
    command = (sys.executable, "-c", f"import os; os.dup2({writer}, 3)\n{PROGRAM}")
    with subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
        pass_fds=(writer,),
        text=True,
    ) as process:
        os.close(terminal)
        os.close(writer)
        said = b""
        while not said.endswith(b"\n"):
            said += os.read(controller, 100)
        os.close(controller)
        process.send_signal(signal.SIGHUP)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")
    assert os.read(reader, 100) == b"done"
    os.close(reader)
