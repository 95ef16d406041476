"""Reasons and limits, one fact in each test."""

from __future__ import annotations

import re
from enum import Enum

import pytest

from svclink_core import LinkReason, Reason
from svclink_core.well_known import NODE_OF_NO_CLUSTER, ZONE_OF_NO_NODE


@pytest.mark.parametrize("reason", [*Reason, *LinkReason])
def test_a_reason_is_a_code_and_a_sentence(reason: Reason | LinkReason) -> None:
    """A reason prints as its CamelCase code and has a sentence for people."""
    assert str(reason) == reason.code
    assert re.fullmatch(r"[A-Z][A-Za-z]*", reason.code)
    assert len(reason.sentence.split()) > 2
    assert not reason.sentence.endswith(".")


@pytest.mark.parametrize("kind", [Reason, LinkReason])
def test_no_two_reasons_have_one_code(kind: type[Enum]) -> None:
    """Every code belongs to one reason."""
    codes = [str(reason) for reason in kind]
    assert len(set(codes)) == len(codes)


def test_hints_that_match_nothing_are_valid() -> None:
    """The zone is a label value and the node a DNS subdomain, as the API server requires."""
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", ZONE_OF_NO_NODE)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", NODE_OF_NO_CLUSTER)
