"""The scripts that make and check the files of a release.

Real: the scripts, and the files of the plugin. Substituted: the reports of pip-audit.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from pathlib import Path

import pytest
import yaml

from .scripts import release_script

AUDIT = release_script("audit")
BUILDS = release_script("builds")
KREW = release_script("krew")
URL = "https://host/OWNER/svclink/releases/download/v0.2.0"


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_report_without_findings() -> None:
    """A report without vulnerabilities is not the same as no report."""
    assert AUDIT.findings(report({"name": "a", "version": "1", "vulns": []})) == []
    for text in ("", "Traceback", "[]", "{}"):
        assert AUDIT.findings(text) is None


def test_vulnerability_is_named_with_its_fix() -> None:
    """Each vulnerability is one line with the version that fixes it."""
    found = {"id": "PYSEC-1", "fix_versions": ["1.2"]}
    unfixed = {"id": "PYSEC-2", "fix_versions": []}
    text = report({"name": "a", "version": "1.1", "vulns": [found, unfixed]})
    assert AUDIT.findings(text) == [
        "a 1.1: PYSEC-1, fixed in 1.2",
        "a 1.1: PYSEC-2, fixed in no version yet",
    ]


def test_package_that_was_skipped_is_a_finding() -> None:
    """A package that the database could not be asked about is not called safe."""
    known = {"name": "a", "version": "1", "vulns": []}
    skipped = {"name": "b", "skip_reason": "not found"}
    assert AUDIT.findings(report(known, skipped)) == ["b: not audited, not found"]


def test_database_that_answers_nothing_is_not_read() -> None:
    """If no package at all could be looked up, the database is away."""
    skipped = {"name": "b", "skip_reason": "not found"}
    assert AUDIT.findings(report(skipped, skipped)) is None


def test_differing_files_are_named(tmp_path: Path) -> None:
    """A file that has other bytes, or that only one build has, is not reproducible."""
    for name, text in (("one", "a"), ("same", "a"), ("other", "b")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    first = {"wheel": tmp_path / "one"}
    assert BUILDS.differing(first, {"wheel": tmp_path / "same"}) == []
    assert BUILDS.differing(first, {"wheel": tmp_path / "other"}) == ["wheel"]
    assert BUILDS.differing(first, {"sdist": tmp_path / "one"}) == ["sdist"]


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    executable, path = tmp_path / "plugin", tmp_path / "kubectl-svclink-0.2.0-linux-amd64.tar.gz"
    executable.write_text("#!/bin/sh\n", encoding="utf-8")
    KREW.pack(executable, path)
    return path


def test_archive_holds_the_plugin_and_its_license(archive: Path) -> None:
    """krew needs the license, and the plugin must be executable."""
    with tarfile.open(archive) as tar:
        assert [(each.name, each.mode) for each in tar] == [
            ("LICENSE", 0o644),
            ("kubectl-svclink", 0o755),
        ]


def test_archive_is_reproducible(archive: Path, tmp_path: Path) -> None:
    """Equal contents give an equal archive."""
    again = tmp_path / "again.tar.gz"
    KREW.pack(tmp_path / "plugin", again)
    assert again.read_bytes() == archive.read_bytes()


def test_manifest_names_address_and_checksum(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """krew downloads the archive from the address, and checks its hash."""
    assert KREW.main(["manifest", URL, str(archive)]) == 0
    found = yaml.safe_load(capsys.readouterr().out)
    (platform,) = found["spec"]["platforms"]
    assert platform == {
        "selector": {"matchLabels": {"os": "linux", "arch": "amd64"}},
        "uri": f"{URL}/{archive.name}",
        "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "bin": "kubectl-svclink",
    }
    assert found["spec"]["version"] == "v0.2.0"
    assert found["spec"]["homepage"] == "https://host/OWNER/svclink"


def test_archive_with_another_name_is_refused(tmp_path: Path) -> None:
    """The platform comes from the name, so a wrong one is an error."""
    with pytest.raises(SystemExit, match="must be named"):
        KREW.main(["manifest", URL, str(tmp_path / "plugin.tar.gz")])
