"""The settings of pip on this machine reach the build of an image."""

from __future__ import annotations

from pathlib import Path

from .pip_settings import pip_mounts, pip_settings


def test_later_files_and_variables_override(tmp_path: Path) -> None:
    """Variables override files, later files earlier ones, and `install` overrides `global`."""
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("[global]\nindex-url = https://a\ncert = /a\n[install]\nretries = 1\n")
    second.write_text("[global]\nindex-url = https://b\nretries = 2\n[list]\nformat = columns\n")
    found = pip_settings([first, second], {"PIP_CERT": "/b", "PIP_TARGET": "/c", "CERT": "/d"})
    assert found == {"index-url": "https://b", "cert": "/b", "retries": "1"}


def test_machine_without_settings_has_none(tmp_path: Path) -> None:
    """Neither files nor variables are needed."""
    assert pip_settings([tmp_path / "missing"], {}) == {}


def test_several_places_of_packages_fit_on_one_line(tmp_path: Path) -> None:
    """A setting on several lines becomes one line."""
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nfind-links =\n    /a\n    /b\n")
    assert pip_settings([file], {}) == {"find-links": "/a /b"}


def test_settings_are_mounted_read_only(tmp_path: Path) -> None:
    """The settings are in a file that replaces /etc/pip.conf; every mount is read-only."""
    mounts = list(pip_mounts(tmp_path))
    assert mounts[0] == f"{tmp_path}/pip.conf:/etc/pip.conf:ro"
    assert (tmp_path / "pip.conf").read_text().startswith("[global]\n")
    assert all(mount.endswith(":ro") for mount in mounts)
