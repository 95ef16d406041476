"""End-to-end tests: the controller runs as a process and talks to real control planes.

Tests assert the state of the clusters."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.world")
