"""Sentences for people: reasons, whose codes scripts match, and numbers with their nouns."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import TypeVar


class Explained(Enum):
    """A reason. Each of its members is a CamelCase code and a sentence; subclasses define them."""

    def __init__(self, code: str, sentence: str) -> None:
        self.code = code
        self.sentence = sentence

    def __str__(self) -> str:
        return self.code


R = TypeVar("R", bound=Explained)


def joined(remarks: Sequence[tuple[R, str]]) -> tuple[R, str]:
    """Several reasons with their messages as one: the reason of the first, and all messages.

    Args:
        remarks: At least one, the most important first.
    """
    first, text = remarks[0]
    others = [f"{reason.code}: {message}" for reason, message in remarks[1:]]
    return first, "; ".join((text, *others))


def counted(number: int, one: str, several: str | None = None) -> str:
    """A number of things, with the noun in the singular or plural.

    >>> counted(1, "endpoint"), counted(2, "endpoint"), counted(0, "address", "addresses")
    ('1 endpoint', '2 endpoints', '0 addresses')
    """
    return f"{number} {one if number == 1 else several or f'{one}s'}"
