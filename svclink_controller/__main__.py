"""The entry point of the `svclink` command, also as `python -m svclink_controller`."""

import gc

from svclink_controller.early_interrupts import EarlyInterrupts

gc.disable()  # Imports create no garbage, and collections would take a tenth of the start-up time.

with EarlyInterrupts():
    import svclink_controller.slim_imports  # noqa: F401 - before others import these libraries
    from svclink_controller.cli.main import main, plugin

gc.freeze()
gc.enable()

__all__ = ["main", "plugin"]

if __name__ == "__main__":
    main()
