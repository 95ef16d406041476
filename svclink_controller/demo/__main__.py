"""`python -m svclink_controller.demo` is an API server of its own."""

from svclink_controller.demo.serving import command

if __name__ == "__main__":
    command()
