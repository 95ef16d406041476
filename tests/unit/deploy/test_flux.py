"""The health checks for Flux, evaluated by CEL on statuses that svclink writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from celpy import Environment
from celpy.adapter import json_to_cel

from .statuses import links, policies

FLUX: Final = Path(__file__).parents[3] / "deploy" / "flux"
LINK_STATES: Final = {
    "connected": "current",
    "conflicting": "current",
    "expiring": "current",
    "failing writes": "current",
    "disabled": "current",
    "new": "in progress",
    "edited": "in progress",
    "connecting": "in progress",
    "away": "in progress",
    "unauthorized": "in progress",
    "invalid": "failed",
}
POLICY_STATES: Final = {
    "applied": "current",
    "failed over": "current",
    "nothing ready": "current",
    "new": "in progress",
    "edited": "in progress",
    "without Service": "in progress",
    "conflicted": "failed",
}


def checks() -> dict[str, dict[str, str]]:
    """The expressions by kind."""
    manifest = yaml.safe_load((FLUX / "links.yaml").read_text(encoding="utf-8"))
    return {each["kind"]: each for each in manifest["spec"]["healthCheckExprs"]}


def holds(expression: str, found: dict[str, Any]) -> bool:
    """Whether an expression holds; as for Flux, a missing field means that it does not yet."""
    environment = Environment()
    program = environment.program(environment.compile(expression))
    return bool(program.evaluate({name: json_to_cel(value) for name, value in found.items()}))


def state_of(found: dict[str, Any]) -> str:
    """What Flux calls the state of an object: it looks at `failed` before `current`."""
    check = checks()[found["kind"]]
    if holds(check["failed"], found):
        return "failed"
    return "current" if holds(check["current"], found) else "in progress"


@pytest.mark.parametrize(("state", "expected"), LINK_STATES.items())
def test_state_of_a_link(state: str, expected: str) -> None:
    """A disabled link is current; one that only an edit helps has failed."""
    assert state_of(links()[state]) == expected


@pytest.mark.parametrize(("state", "expected"), POLICY_STATES.items())
def test_state_of_a_policy(state: str, expected: str) -> None:
    """A policy is current when it is accepted; a Service may still come."""
    assert state_of(policies()[state]) == expected


def test_every_state_is_checked() -> None:
    """No state is left out."""
    assert links().keys() == LINK_STATES.keys()
    assert policies().keys() == POLICY_STATES.keys()
