"""Long-lived values are exempted from garbage collection, and garbage is not."""

from __future__ import annotations

import gc

from svclink_controller.gc_tuning import freeze_survivors
from tests.builders.values import remote_slice


def test_survivors_of_two_collections_are_frozen() -> None:
    """A collection examines new objects only, whatever the controller holds already."""
    gc.collect()  # Garbage of other tests would count.
    gc.callbacks.append(freeze_survivors)
    try:
        held = [remote_slice()]
        gc.collect(0)
        assert any(each is held for each in gc.get_objects())
        gc.collect(1)
        assert not any(each is held for each in gc.get_objects())
    finally:
        gc.callbacks.remove(freeze_survivors)
        gc.unfreeze()


def test_survivors_are_not_frozen_where_much_was_garbage() -> None:
    """While connections come and go, a live object may be garbage soon."""
    held = [remote_slice()]
    freeze_survivors("stop", {"generation": 1, "collected": 2_000})
    assert any(each is held for each in gc.get_objects())
