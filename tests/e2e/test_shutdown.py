"""Termination of the controller, and starts with invalid arguments."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .controller_process import Controller
from .polling import eventually
from .world import World


def test_sigterm_ends_an_idle_controller(linked: World) -> None:
    """An idle controller exits after SIGTERM with code 0, and changes nothing."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    before = linked.versions()

    assert linked.controller.stop() == 0

    assert linked.versions() == before
    linked.links.await_ready("c1")


def test_sigterm_during_writes_leaves_complete_mirrors(linked: World) -> None:
    """Every mirror is complete after SIGTERM, and the next start writes the rest."""
    linked.declare("web")
    sources = linked.publish_many(linked.c1, "web", slices=15, endpoints_each=100)
    eventually(lambda: assert_any_mirror(linked))

    assert linked.controller.stop() == 0

    for source, addresses in linked.by_source("web").items():
        assert addresses == sorted(sources[source])
    linked.controller.start()
    eventually(lambda: linked.assert_mirrored_by_source("web", sources))


def assert_any_mirror(world: World) -> None:
    assert world.mirrors("web")


def test_restart_after_sigkill_completes_the_mirrors(linked: World) -> None:
    """After SIGKILL during writes, the next start writes the rest."""
    linked.declare("web")
    sources = linked.publish_many(linked.c1, "web", slices=15, endpoints_each=100)
    eventually(lambda: assert_any_mirror(linked))

    linked.controller.kill()
    linked.controller.start()

    eventually(lambda: linked.assert_mirrored_by_source("web", sources))


def test_sigterm_ends_a_controller_whose_remote_hangs(
    world: World, controller: Controller, silent_server: str
) -> None:
    """A remote that accepts connections and never responds does not delay the exit."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.links.add("silent", world.c2.kubeconfig({"token": "any"}, server=silent_server))
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])

    assert controller.stop() == 0


def test_sigterm_ends_a_controller_while_the_main_cluster_hangs(linked: World) -> None:
    """A suspended main API server does not delay the exit."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    linked.main.pause()
    try:
        assert linked.controller.stop() == 0
    finally:
        linked.main.recover()


@pytest.mark.parametrize(
    "flag",
    [
        "--included-namespaces=kube-system",
        "--included-namespaces=default,kube-system",
        "--sync-interval=soon",
    ],
)
def test_invalid_flag_is_rejected_with_one_sentence(world: World, flag: str) -> None:
    """An invalid flag exits with code 1 and a sentence that names it, and nothing is started."""
    name, _ = flag.split("=")

    done = svclink("--kubeconfig=/dev/null", flag)

    assert done.returncode == 1
    assert done.stdout == ""
    (sentence,) = done.stderr.splitlines()
    assert name in sentence
    assert not world.mirrors()


def test_missing_kubeconfig_is_named() -> None:
    """A missing kubeconfig exits with code 1 and a sentence that names the file."""
    done = svclink("--kubeconfig=/nowhere/kubeconfig")

    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert "/nowhere/kubeconfig" in sentence


def svclink(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "svclink_controller", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
