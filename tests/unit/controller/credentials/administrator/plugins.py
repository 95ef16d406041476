"""Credential plugins: shell scripts that do what a test asks, and entries that name them.

Real: programs. Substituted: the plugins of clouds.
"""

from __future__ import annotations

import json
from pathlib import Path

API_VERSION = "client.authentication.k8s.io/v1"


def credential(token: object = None, **status: object) -> str:
    """The ExecCredential that a plugin prints."""
    content = {"token": token} | status
    return json.dumps({"apiVersion": API_VERSION, "kind": "ExecCredential", "status": content})


def script(path: Path, *lines: str) -> Path:
    """An executable shell script."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o700)
    return path


def counting(path: Path, **status: object) -> Path:
    """A plugin whose token is `token-1` at its first run, `token-2` at its second, and so on."""
    count = path.with_suffix(".count")
    return script(
        path,
        f"echo x >> '{count}'",
        f"n=$(wc -l < '{count}' | tr -d ' ')",
        f"""sed "s/NUMBER/$n/" <<'END'\n{credential("token-NUMBER", **status)}\nEND""",
    )


def runs(path: Path) -> int:
    """How often a plugin of `counting` ran."""
    count = path.with_suffix(".count")
    return len(count.read_text().splitlines()) if count.exists() else 0


def exec_entry(command: str | Path, **more: object) -> dict[str, object]:
    """The field `exec` of a user."""
    return {
        "apiVersion": API_VERSION,
        "interactiveMode": "IfAvailable",
        "command": str(command),
    } | more
