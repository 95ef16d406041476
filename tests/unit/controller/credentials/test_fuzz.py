"""A short run of `nox -s fuzz`, in a process of its own: an audit hook cannot be removed.

Real: everything that takes a kubeconfig. Substituted: nothing; no connection is opened.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.canaries import Canaries
from tests.fuzz.samples import SAMPLES

ROOT = Path(__file__).parents[4]
SECRETS = Canaries.of(7, is_rsa=False)


def test_kubeconfigs_of_the_wild_have_no_effects_and_show_no_secret() -> None:
    """Whatever is in it, a kubeconfig is used or refused in one sentence."""
    command = [sys.executable, "-m", "tests.fuzz", "--minutes=0", "--seed=1", "--round=40"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "failed rounds: 0" in done.stdout


@pytest.mark.parametrize("secret", [SECRETS.token, SECRETS.password, SECRETS.jwt])
def test_part_of_a_secret_is_a_leak(secret: str) -> None:
    """A message that quotes a part of a secret, over several lines too, is noticed."""
    assert SECRETS.leaked_in(f"server {secret[-30:-10]}\n{secret[-10:]} is not a URL")
    assert SECRETS.leaked_in("users[0].user.token is not a string; put it in quotes") == []


def test_key_is_a_secret_in_both_forms() -> None:
    """A key leaks as PEM and as base64 of it; its header says nothing."""
    lines = SECRETS.key.decode().splitlines()
    assert SECRETS.leaked_in(lines[0]) == []
    assert SECRETS.leaked_in("\n".join(lines[2:])) == ["key"]


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_have_every_part(name: str) -> None:
    """Each sample is a whole kubeconfig or Secret, so that mutations break one thing at a time."""
    kubeconfig = {"clusters", "users", "contexts", "current-context"}
    whole = {"argoCDCluster"} if name == "argo_cd" else kubeconfig
    assert whole <= SAMPLES[name](SECRETS).keys()
