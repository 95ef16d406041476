"""Only what svclink uses of the official client is imported, and other imports work as usual.

Real: a new Python process for each import, and the official client. Substituted: nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Final

import pytest

UNUSED: Final = ("kubernetes.client", "kubernetes.config", "kubernetes.aio.config", "pydantic")
"""The synchronous half, kubeconfigs with their programs, and what only the models need."""

OURS: Final = "from svclink_controller.api.official_client import Configuration"
ALL: Final = "import kubernetes, kubernetes.aio"


def printed_by(*lines: str) -> object:
    """What a new Python process prints as JSON."""
    command = [sys.executable, "-c", "\n".join(("import json, sys", *lines))]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    value: object = json.loads(done.stdout)
    return value


def test_rest_of_the_client_is_not_imported() -> None:
    """A start imports neither the synchronous half nor the models."""
    unused = f"json.dumps([name for name in {UNUSED} if name in sys.modules])"
    assert printed_by("import svclink_controller.manager", f"print({unused})") == []


@pytest.mark.parametrize("order", [(OURS, ALL), (ALL, OURS)], ids=["before", "after"])
def test_whole_client_can_be_imported_too(order: tuple[str, str]) -> None:
    """Another import is a usual one, and gives the same classes, whichever comes first."""
    values = (
        "kubernetes.client.V1Service.__name__",
        "kubernetes.aio.client.ApiClient.__name__",
        "kubernetes.aio.client.Configuration is Configuration",
    )
    found = printed_by(*order, f"print(json.dumps([{', '.join(values)}]))")
    assert found == ["V1Service", "ApiClient", True]
