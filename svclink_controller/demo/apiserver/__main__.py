"""`python -m svclink_controller.demo.apiserver` runs one API server."""

from svclink_controller.demo.apiserver.secure_serving import command

if __name__ == "__main__":
    command()
