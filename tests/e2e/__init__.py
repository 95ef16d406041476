"""End-to-end tests: the controller as a process, between real control planes. They assert the state of the clusters."""

import pytest

pytest.register_assert_rewrite(f"{__name__}.world")
