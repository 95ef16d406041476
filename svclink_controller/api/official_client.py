"""The parts of the official client that svclink uses: settings, authentication and transport.

Importing the official client looks up the home directory, for a default that svclink does not use,
and fails for a user without one, such as the arbitrary user id of a container on OpenShift.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["ApiClient", "Configuration", "RESTClientObject"]


@contextmanager
def _some_home() -> Iterator[None]:
    try:
        Path.home()
    except RuntimeError:
        os.environ["HOME"] = os.sep
        yield
        del os.environ["HOME"]
    else:
        yield


with _some_home():
    from kubernetes.aio.client import ApiClient, Configuration
    from kubernetes.aio.client.rest import RESTClientObject
