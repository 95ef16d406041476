"""The memory of a running process, from /proc."""

from __future__ import annotations

from pathlib import Path


def resident_megabytes(process_id: int) -> float:
    """The memory that the process has now."""
    return _status(process_id, "VmRSS")


def peak_megabytes(process_id: int) -> float:
    """The most memory that the process ever had."""
    return _status(process_id, "VmHWM")


def _status(process_id: int, field: str) -> float:
    status = Path(f"/proc/{process_id}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith(f"{field}:"))
    return int(line.split()[1]) / 1024
