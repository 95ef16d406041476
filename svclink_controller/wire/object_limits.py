"""Limits of one object, checked before it is decoded: a decoded object is larger than its JSON.

`{"addresses":[]}` has 16 characters, and the endpoint that it becomes takes 100 bytes.
"""

from __future__ import annotations

from typing import Final

import msgspec

from svclink_core.errors import SvclinkError

MAX_OBJECT_BYTES: Final = 4 * 2**20
"""etcd holds objects of at most 1.5 MiB, some of which are longer as JSON."""

COUNTED_BYTES: Final = 2**18
"""A shorter object is not counted: decoding it takes at most 45 ms.

A slice of 1,000 endpoints, the most that the API server accepts, has about 300 kB.
"""

MAX_NESTED: Final = 20_000
"""Objects in an object: 20 for each of 1,000 endpoints, which usually have four."""

MAX_VALUES: Final = 150_000
"""Values in an object: 150 for each of 1,000 endpoints, which usually have fifteen."""


class OversizeError(SvclinkError):
    """An object is larger than any that the API server accepts."""


def require_usual_size(raw: msgspec.Raw) -> None:
    """Raise `OversizeError` for an object that would take long to decode, or a lot of memory.

    Every nested object has a brace and every other value but the first a comma, so counting these
    bounds both, whatever the object looks like.
    """
    size = memoryview(raw).nbytes
    if size <= COUNTED_BYTES:
        return
    if size > MAX_OBJECT_BYTES:
        raise OversizeError(f"it has {size} bytes, but svclink reads at most {MAX_OBJECT_BYTES}")
    content = bytes(raw)
    nested, values = content.count(b"{"), content.count(b",")
    if nested > MAX_NESTED or values > MAX_VALUES:
        raise OversizeError(
            f"it has up to {nested} nested objects and {values} values, but svclink reads at most"
            f" {MAX_NESTED} and {MAX_VALUES}: the API server accepts 1,000 endpoints"
        )
