"""Imports two libraries without what svclink does not use of them: a fifth of all imports.

structlog imports rich, for tracebacks that print local variables, and those may be secrets. aiohttp
loads the certificate authorities of the system, for requests without a TLS context of their own.
svclink sends none; one would trust no server.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_RICH: Final = "rich"


@contextmanager
def _without_rich() -> Iterator[None]:
    if _RICH in sys.modules:
        yield
        return
    sys.modules[_RICH] = None  # type: ignore[assignment] # so that an import raises ImportError
    try:
        yield
    finally:
        del sys.modules[_RICH]


@contextmanager
def _without_authorities() -> Iterator[None]:
    load = ssl.SSLContext.load_default_certs
    ssl.SSLContext.load_default_certs = lambda *_: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        ssl.SSLContext.load_default_certs = load  # type: ignore[method-assign]


with _without_rich():
    import structlog  # noqa: F401

with _without_authorities():
    import aiohttp  # noqa: F401
