"""The entry point of the `svclink` command, also as `python -m svclink_controller`."""

import gc

gc.disable()  # Imports create no garbage, and collections would take a tenth of the start-up time.

from svclink_controller.cli.main import main, plugin  # noqa: E402 - after the garbage collector is off

gc.freeze()
gc.enable()

__all__ = ["main", "plugin"]

if __name__ == "__main__":
    main()
