"""Where a command reads from: the files it is given, or the clusters."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from svclink_controller.dumps import View, read_dump, view_of
from svclink_core.snapshot import Options


def view_of_files(main: Path | None, remotes: Mapping[str, Path], options: Options) -> View:
    """What files amount to. Everything is read before anything is printed."""
    if main is None:
        raise click.UsageError("give the objects of the main cluster: --main FILE")
    dumps = {name: read_dump(path, is_main=False) for name, path in remotes.items()}
    return view_of(read_dump(main), dumps, options)
