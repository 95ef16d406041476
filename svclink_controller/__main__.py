"""The entry point of the `svclink` command, also as `python -m svclink_controller`."""

import gc

gc.disable()  # Imports create no garbage, and collections would take a tenth of the start-up time.

import svclink_controller.slim_imports  # noqa: E402, F401 - before others import these libraries
from svclink_controller.cli.main import main, plugin  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["main", "plugin"]

if __name__ == "__main__":
    main()
