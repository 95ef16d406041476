"""The settings that pip needs in a container to download packages as it does on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from configparser import RawConfigParser
from pathlib import Path
from typing import Final

FILES: Final = (
    "/etc/xdg/pip/pip.conf",
    "/etc/pip.conf",
    "~/.pip/pip.conf",
    "~/.config/pip/pip.conf",
)
CERTIFICATES: Final = Path("/etc/ssl/certs/ca-certificates.crt")
USED: Final = (
    "cert",
    "client-cert",
    "default-timeout",
    "extra-index-url",
    "find-links",
    "index-url",
    "no-index",
    "proxy",
    "retries",
    "timeout",
    "trusted-host",
)
"""The settings that say where packages come from, and how they are reached."""


def pip_mounts(directory: Path) -> Iterator[str]:
    """What to mount read-only into a container; a file with the settings is written there."""
    settings = pip_settings([Path(each).expanduser() for each in FILES], os.environ)
    file = directory / "pip.conf"
    lines = [f"{name} = {value}\n" for name, value in settings.items()]
    file.write_text("[global]\n" + "".join(lines), encoding="utf-8")
    yield f"{file}:/etc/pip.conf:ro"
    named = {Path(word) for value in settings.values() for word in value.split()}
    for path in sorted({CERTIFICATES, *named}):
        if path.is_absolute() and path.exists():
            yield f"{path}:{path}:ro"


def pip_settings(files: Sequence[Path], environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of pip for `install`: as pip does, later files and variables override."""
    parser = RawConfigParser()
    parser.read([*files, *filter(None, [environment.get("PIP_CONFIG_FILE")])], encoding="utf-8")
    found: dict[str, str] = {}
    for section in ("global", "install"):
        found |= dict(parser[section]) if parser.has_section(section) else {}
    for name, value in environment.items():
        if name.startswith("PIP_"):
            found[name.removeprefix("PIP_").lower().replace("_", "-")] = value
    return {name: " ".join(found[name].split()) for name in USED if name in found}
