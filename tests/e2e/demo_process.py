"""`svclink demo --keep` as a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from .polling import eventually

# Stops a story that hangs. It has a dozen steps, and the demo ends by itself if one of them fails.
DEMO_SECONDS: Final = 600
END_SECONDS: Final = 60


@contextmanager
def kept_demo(directory: Path) -> Iterator[Path]:
    """The kubeconfig of a demo that keeps running until the block ends.

    Ctrl-C must end it with exit code 0, and it must remove its files.
    """
    output, files = directory / "output", directory / "files"
    files.mkdir()
    environment = os.environ | {"TMPDIR": str(files)}
    command = (sys.executable, "-m", "svclink_controller", "demo", "--keep")

    def kubeconfig(demo: subprocess.Popen[bytes]) -> Path:
        ended = demo.poll() is not None
        printed = output.read_text(encoding="utf-8")
        if ended:
            raise RuntimeError(f"the demo ended: {printed}")
        assert "KUBECONFIG=" in printed, printed
        return Path(printed.partition("KUBECONFIG=")[2].partition("\n")[0])

    with (
        output.open("wb") as log,
        subprocess.Popen(command, env=environment, stdout=log, stderr=log) as process,
    ):
        try:
            yield eventually(lambda: kubeconfig(process), DEMO_SECONDS)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=END_SECONDS) == 0
        finally:
            process.kill()
    assert list(files.iterdir()) == []
