"""Exceptions of the core, for invalid input and broken programs. Expected failures are values."""

from __future__ import annotations


class SvclinkError(Exception):
    """Base class of all errors that svclink raises."""


class BadInputError(SvclinkError):
    """An object is not valid. Its author or server must fix it.

    Args:
        path: The field, for example `$.spec.ports[0].port`.
        problem: What is wrong with the field, and what would be valid.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class ProgrammerError(SvclinkError):
    """A caller broke a function's contract. The program must be fixed."""
