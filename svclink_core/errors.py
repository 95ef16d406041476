"""Exceptions of the core, for invalid input and broken programs. Expected failures are values."""

from __future__ import annotations


class SvclinkError(Exception):
    """Base class of all errors that svclink raises."""


class BadInputError(SvclinkError):
    """An object is not valid; its author or its server has to fix it.

    Args:
        path: The field, for example `$.spec.ports[0].port`.
        problem: What is wrong with it, and what would be right.
    """

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class ProgrammerError(SvclinkError):
    """A caller broke the contract of a function; the program has to be fixed."""
