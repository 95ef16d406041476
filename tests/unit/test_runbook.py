"""The runbook has a section for each alert and for each reason of a condition.

Real: the alerts, the reasons and the page. Substituted: nothing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

from svclink_core.link_reasons import LinkReason
from svclink_core.traffic_status import PolicyReason

ROOT: Final = Path(__file__).parents[2]
RUNBOOK: Final = ROOT / "docs" / "how-to" / "runbook.md"
TEXT: Final = RUNBOOK.read_text(encoding="utf-8")
ALERTS: Final = ROOT / "deploy" / "monitoring" / "prometheusrule.yaml"
SECTIONS: Final = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))
HARMLESS: Final = set(re.findall(r"^\| `(\w+)` \|", TEXT, re.MULTILINE))
"""The reasons in the table of those that need no action."""


def runbook_urls() -> dict[str, str]:
    """Where each alert links to."""
    rule = yaml.safe_load(ALERTS.read_text(encoding="utf-8"))
    rules = [each for group in rule["spec"]["groups"] for each in group["rules"]]
    return {each["alert"]: each["annotations"]["runbook_url"] for each in rules}


REASONS: Final = sorted({each.code for kind in (LinkReason, PolicyReason) for each in kind})


@pytest.mark.parametrize("alert", runbook_urls())
def test_each_alert_links_to_its_section(alert: str) -> None:
    """The link of an alert leads to the section of that alert, which says what to do."""
    page, _, anchor = runbook_urls()[alert].partition("#")
    assert page.endswith(f"/{RUNBOOK.relative_to(ROOT)}")
    assert anchor == alert.lower()
    for part in ("**Traffic:**", "**Look:**", "**Fix:**"):
        assert part in SECTIONS[alert]


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_has_a_section(reason: str) -> None:
    """A reason has a section with a fix, or is among those that need no action."""
    assert (reason in HARMLESS) != (reason in SECTIONS)
    assert reason in HARMLESS or "**Fix:**" in SECTIONS[reason]


def test_each_section_is_about_an_alert_or_a_reason() -> None:
    """No section and no row of the table is left of what no longer exists."""
    assert (SECTIONS.keys() | HARMLESS) == {*runbook_urls(), *REASONS}


def test_sections_have_distinct_names() -> None:
    """A reason that links and policies share has one section, so that its anchor is unique."""
    names = re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)
    assert len(names) == len(SECTIONS)
