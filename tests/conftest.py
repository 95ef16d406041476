"""How many examples the property tests try: one knob, the environment variable HYPOTHESIS_PROFILE."""

from __future__ import annotations

import os

from hypothesis import Phase, settings

# CI must not fail by chance on what a change did not touch; whoever works on the tests wants new examples each time.
settings.register_profile(
    "dev", max_examples=25, deadline=None, derandomize=bool(os.environ.get("CI"))
)
settings.register_profile("ci", max_examples=200, deadline=None, derandomize=True, print_blob=True)
settings.register_profile("nightly", max_examples=5_000, deadline=None, print_blob=True)
settings.register_profile(
    "mutants",
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)
settings.load_profile(
    os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev")
)
