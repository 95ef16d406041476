"""Exceptions of the core: broken input and broken programs. Trouble that is expected is a value (`Finding`)."""

from __future__ import annotations


class SvclinkError(Exception):
    """Base of all errors svclink raises on purpose."""


class BadInputError(SvclinkError):
    """An object is not what the Kubernetes API serves; the user, or the server, has to mend it.

    Args:
        path: Where the fault is, as `$.spec.ports[0].port`.
        problem: What is wrong there, and what would be right.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class ProgrammerError(SvclinkError):
    """The caller broke the contract of a function; the program has to be mended."""
