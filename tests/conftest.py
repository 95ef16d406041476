"""The number of examples of property tests, chosen with the variable HYPOTHESIS_PROFILE.

Signals have their usual effect, whatever process started the tests.

Nothing that is imported to collect the tests is garbage, so the collector leaves it alone.
"""

from __future__ import annotations

import gc
import os
import signal
from typing import Final

from hypothesis import HealthCheck, Phase, settings

# Under `nohup` every process ignores SIGHUP, and svclink then goes on when its terminal is closed.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

BUSY: Final = (HealthCheck.too_slow,)
"""A busy machine draws slowly, which is not a failure of a strategy."""

# CI must not fail by chance on code that a change did not touch; a developer wants new examples.
settings.register_profile(
    "dev",
    max_examples=25,
    deadline=None,
    suppress_health_check=BUSY,
    derandomize=bool(os.environ.get("CI")),
)
settings.register_profile(
    "ci",
    max_examples=200,
    deadline=None,
    suppress_health_check=BUSY,
    derandomize=True,
    print_blob=True,
)
settings.register_profile(
    "nightly", max_examples=5_000, deadline=None, suppress_health_check=BUSY, print_blob=True
)
settings.register_profile(
    "mutants",
    max_examples=15,
    deadline=None,
    suppress_health_check=BUSY,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)


def pytest_collection() -> None:
    """Importing hundreds of modules triggers many collections, which find nothing."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What the modules hold stays until the end, so that no later collection looks at it."""
    gc.freeze()
    gc.enable()
