"""What a check found: one line each, with the command that mends it."""

from __future__ import annotations

from typing import Literal, TypeAlias

from attrs import frozen

from svclink_core.codec import Json

Severity: TypeAlias = Literal["ok", "warn", "fail"]

MAIN_SUBJECT = "MAIN"
"""What lines about the main cluster are headed with: no link can have a name with capitals."""


@frozen
class Result:
    """One line.

    Args:
        level: `fail` where something does not work, `warn` where it will not for long, or not for all.
        cluster: The name of a link, or `MAIN`.
        subject: What was looked at, in one word.
        message: What was found.
        mend: The command that mends it; empty where there is nothing to mend.
    """

    level: Severity
    cluster: str
    subject: str
    message: str
    mend: str = ""

    @property
    def row(self) -> dict[str, Json]:
        """The line for a program."""
        return {
            "level": self.level,
            "cluster": self.cluster,
            "subject": self.subject,
            "message": self.message,
            "mend": self.mend or None,
        }


def some(names: list[str], shown: int = 3) -> str:
    """The first few of some names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
