"""What kstatus computes of ClusterLinks and TrafficPolicies in each state, as docs say.

Real: kstatus of sigs.k8s.io/cli-utils, which Flux and kpt use, and the statuses, which the core
makes. No cluster is needed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.unit.deploy.statuses import links, policies

from .shell import ROOT

WAITED_FOR: Final = {
    "new",
    "edited",
    "connecting",
    "away",
    "invalid",
    "unauthorized",
    "disabled",
}
"""The states of a link that kstatus takes for one that may still become ready."""


def kstatus(objects: Mapping[str, Any]) -> dict[str, str]:
    """The status of each object by its state, as kstatus computes it."""
    assets = [sys.executable, str(ROOT / "hack" / "envtest" / "assets.py"), "--kstatus"]
    found = subprocess.run(assets, stdout=subprocess.PIPE, text=True, check=True)
    program = Path(found.stdout.strip()) / "kstatus"
    text = json.dumps([*objects.values()])
    done = subprocess.run([program], input=text, stdout=subprocess.PIPE, text=True, check=True)
    return dict(zip(objects, done.stdout.split(), strict=True))


def test_link_is_current_when_it_is_ready() -> None:
    """A link that is not ready is in progress, also if it is disabled."""
    assert kstatus(links()) == {
        state: "InProgress" if state in WAITED_FOR else "Current" for state in links()
    }


def test_policy_is_current_when_its_edit_was_seen() -> None:
    """A policy has no Ready condition, so that svclink has seen it is enough."""
    assert kstatus(policies()) == {
        state: "InProgress" if state in {"new", "edited"} else "Current" for state in policies()
    }
