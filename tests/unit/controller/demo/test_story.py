"""The story fails if svclink does not do its work. Real: three API servers."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest
from attrs import evolve
from rich.console import Console

from svclink_controller.demo.fleet import DemoError, running_fleet
from svclink_controller.demo.narrator import Narrator
from svclink_controller.demo.processes import Process
from svclink_controller.demo.story import Story

TIMEOUT_SECONDS = 300


async def test_step_with_a_wrong_result_is_an_error(tmp_path: Path) -> None:
    """The error names the expected and the actual endpoints; a svclink that exits ends the wait."""
    async with running_fleet(tmp_path, None) as fleet:
        narrator = Narrator(Console(file=StringIO()))
        idle = Process("svclink", ["sleep", "3600"], tmp_path / "idle.log")
        try:
            with pytest.raises(
                DemoError,
                match=r"timed out after .*the Pods of all three.*'cluster-a'.*, got \{'main'",
            ):
                await Story(evolve(fleet, svclink=idle), narrator, step_seconds=0.5).play()
        finally:
            idle.stop()
        dead = Process(
            "svclink", [sys.executable, "-c", "print('I give up')"], tmp_path / "dead.log"
        )
        dead.start()
        dead.wait(TIMEOUT_SECONDS)
        with pytest.raises(DemoError, match="svclink exited:\nI give up"):
            await Story(evolve(fleet, svclink=dead), narrator)._await_phase("cluster-a", "Ready")
