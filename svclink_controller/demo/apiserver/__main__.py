"""`python -m svclink_controller.demo.apiserver` is an API server of its own."""

from svclink_controller.demo.apiserver.secure_serving import command

if __name__ == "__main__":
    command()
