"""`python -m svclink_controller` is the `svclink` command, and this is where both start."""

import gc

gc.disable()  # What imports make stays: looking for garbage in it takes a tenth of the time of the start.

from svclink_controller.cli.main import main, plugin  # noqa: E402 - after the garbage collector is off

gc.freeze()
gc.enable()

__all__ = ["main", "plugin"]

if __name__ == "__main__":
    main()
