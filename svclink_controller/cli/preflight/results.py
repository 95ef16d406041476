"""The result of a check: one line, with the command that fixes the problem."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from attrs import evolve, frozen

from svclink_controller.api.errors import ApiError, TransportError
from svclink_controller.invocation import as_started
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json

Severity: TypeAlias = Literal["ok", "warn", "fail", "skip"]

MAIN_SUBJECT: Final = "MAIN"
"""The cluster of lines about the main cluster. No link has this name: they are lowercase."""

REQUEST_ERRORS: Final = (ApiError, TransportError, WireError)
"""The API server rejected a request, sent no response, or sent one that is not valid."""


@frozen
class Result:
    """One line.

    Args:
        level: `fail` if something does not work, `warn` if it works only in part or will stop
            working soon, `skip` if it was not checked.
        cluster: The name of a link, or `MAIN`.
        subject: What was checked, in a word or two.
        message: The result in one sentence.
        fix: The command that fixes it, or that checks it; empty if nothing is wrong.
    """

    level: Severity
    cluster: str
    subject: str
    message: str
    fix: str = ""

    @property
    def row(self) -> dict[str, Json]:
        """The line as JSON."""
        return {
            "level": self.level,
            "cluster": self.cluster,
            "subject": self.subject,
            "message": self.message,
            "fix": self.fix or None,
        }


def in_same_cluster(result: Result, options: str) -> Result:
    """The result with a command that reaches the same main cluster, with the same svclink.

    Commands that name a context are about other clusters. What follows two spaces is a comment.

    Args:
        result: The result, whose command is for the current context.
        options: `--kubeconfig` and `--context`, as the user gave them; empty: none.
    """
    command, gap, comment = result.fix.partition("  #")
    program = command.rpartition("| ")[2]
    is_general = program.startswith(("kubectl ", "svclink ")) and "context" not in program.lower()
    if options and is_general:
        command = f"{command} {options}"
    return evolve(result, fix=f"{as_started(command)}{gap}{comment}")


def shortened(names: Sequence[str], shown: int = 3) -> str:
    """The first few names, and how many more there are."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")
