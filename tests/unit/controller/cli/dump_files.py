"""Files in the format of kubectl, in a directory of the test, and commands that read them.

Real: the files, the commands. Substituted: nothing.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import yaml
from attrs import define
from click.testing import CliRunner, Result

from svclink_controller.cli.main import svclink
from tests.builders import manifests

service = partial(manifests.service, version="1")
endpoint_slice = partial(manifests.endpoint_slice, version="1")
mirrored_slice = manifests.mirrored_slice
link = manifests.cluster_link
object_list = manifests.object_list


@define
class Files:
    """Dumps in a directory, and commands that read them."""

    directory: Path

    def write(self, name: str, *documents: Any) -> Path:
        return self.write_text(name, yaml.safe_dump_all(documents))

    def write_text(self, name: str, content: str | bytes) -> Path:
        path = self.directory / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def remote(self, name: str, *documents: Any) -> tuple[str, str]:
        """Flags for a remote cluster with these objects."""
        return "--remote", f"{name}={self.write(f'{name}.yaml', *documents)}"

    def run(self, *arguments: str, before: tuple[str, ...] = ()) -> Result:
        """Run a command with `main.yaml`; `before` are flags of the controller."""
        return CliRunner().invoke(
            svclink, [*before, *arguments, "--main", str(self.directory / "main.yaml")]
        )

    def plan(self, *flags: str, before: tuple[str, ...] = ()) -> str:
        """The output of `svclink plan`."""
        done = self.run("plan", *flags, before=before)
        assert done.exception is None, done.output
        return done.stdout


def rows(output: str) -> list[list[str]]:
    """The first three words of each row of a table."""
    return [line.split()[:3] for line in output.splitlines() if line.strip()]
