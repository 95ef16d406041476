"""`python -m svclink_controller` is the `svclink` command."""

from svclink_controller.cli import main

if __name__ == "__main__":
    main()
