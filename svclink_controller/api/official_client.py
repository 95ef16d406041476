"""The two classes of the official client that svclink uses: its settings and its transport.

Its packages import all of it first, with the synchronous half, which takes half of the time that
svclink takes to start. The two modules here need none of that.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec, module_from_spec
from typing import Final

__all__ = ["Configuration", "RESTClientObject"]

PACKAGES: Final = ("kubernetes", "kubernetes.aio", "kubernetes.aio.client")
"""The packages that hold the two modules."""


@contextmanager
def _without_package_code() -> Iterator[None]:
    """Import modules of the official client, but nothing that its packages would import first.

    Afterwards the packages count as not imported, so that another import of them is a usual one.
    The client has no other way: its packages do not import lazily (PEP 810, Python 3.15).
    """
    added = [name for name in PACKAGES if name not in sys.modules]
    for name in added:
        if (spec := find_spec(name)) is not None:
            sys.modules[name] = module_from_spec(spec)
    try:
        yield
    finally:
        for name in added:
            sys.modules.pop(name, None)


with _without_package_code():
    from kubernetes.aio.client.configuration import Configuration
    from kubernetes.aio.client.rest import RESTClientObject
