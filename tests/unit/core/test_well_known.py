"""Reasons and limits, one fact in each test."""

from __future__ import annotations

import re
from enum import Enum

import pytest

from svclink_core import LinkReason, Reason
from svclink_core.service_traffic import TrafficReason
from svclink_core.well_known import NODE_OF_NO_CLUSTER, ZONE_OF_NO_NODE

ONLY_OF_FINDINGS_AND_CHANGES = {
    Reason.RESTORED,
    Reason.TARGET_PORTS_DIFFER,
    Reason.LOOKS_STATEFUL,
    Reason.INVALID_MIRROR_ANNOTATION,
}
"""Reasons that no decision gives."""


@pytest.mark.parametrize("reason", [*Reason, *LinkReason])
def test_a_reason_is_a_code_and_a_sentence(reason: Reason | LinkReason) -> None:
    """A reason prints as its CamelCase code and has a sentence for people."""
    assert str(reason) == reason.code
    assert re.fullmatch(r"[A-Z][A-Za-z]*", reason.code)
    assert len(reason.sentence.split()) > 2
    assert not reason.sentence.endswith(".")


@pytest.mark.parametrize(
    "reason", [*sorted({*Reason} - ONLY_OF_FINDINGS_AND_CHANGES, key=str), *TrafficReason]
)
def test_a_reason_can_follow_because(reason: Reason | TrafficReason) -> None:
    """It is one clause that names the Service and the cluster: commands print it after a verb."""
    assert not re.search(r"\bbecause\b|\bso\b|;", reason.sentence)
    assert not re.match(r"(it|its|they|their) ", reason.sentence)


@pytest.mark.parametrize("kind", [Reason, LinkReason])
def test_no_two_reasons_have_one_code(kind: type[Enum]) -> None:
    """Every code belongs to one reason."""
    codes = [str(reason) for reason in kind]
    assert len(set(codes)) == len(codes)


def test_hints_that_match_nothing_are_valid() -> None:
    """The zone is a label value and the node a DNS subdomain, as the API server requires."""
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", ZONE_OF_NO_NODE)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?", NODE_OF_NO_CLUSTER)
