"""Arrays of JSON that are decoded up to a number of items, so that their length costs no memory.

A list of `msgspec.Raw` takes 56 bytes for each item, also for one of a single digit, and its length
is known too late. A struct that is decoded from an array has no more items than fields, and the
rest of the array is skipped.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import msgspec


def bounded_array(item: type, most: int) -> type[msgspec.Struct]:
    """The type of an array of which at most so many items are decoded."""
    fields = [(f"item_{number}", item, None) for number in range(most)]
    return msgspec.defstruct("BoundedArray", fields, array_like=True, gc=False)


def items_of(array: msgspec.Struct | None) -> list[Any]:
    """The decoded items of a bounded array; null has none."""
    if array is None:
        return []
    return list(takewhile(lambda item: item is not None, msgspec.structs.astuple(array)))
