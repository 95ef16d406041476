"""The end of the controller, and starts that must not happen."""

from __future__ import annotations

import subprocess
import sys

import pytest

from .controller_process import Controller
from .polling import eventually
from .world import World


def test_sigterm_ends_an_idle_controller(linked: World) -> None:
    """It is gone within five seconds, with exit code 0, and leaves everything as it is."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    before = linked.versions()

    assert linked.controller.stop() == 0

    assert linked.versions() == before
    linked.links.await_ready("c1")


def test_sigterm_during_work_leaves_nothing_half_written(linked: World) -> None:
    """Every slice that is there is complete, and the next start writes the rest."""
    linked.declare("web")
    sources = linked.publish_many(linked.c1, "web", slices=15, endpoints_each=100)
    eventually(lambda: assert_some(linked))

    assert linked.controller.stop() == 0

    for source, addresses in linked.by_source("web").items():
        assert addresses == sorted(sources[source])
    linked.controller.start()
    eventually(lambda: linked.shows_by_source("web", sources))


def assert_some(world: World) -> None:
    assert world.mirrors("web")


def test_sigkill_at_any_time_does_no_harm(linked: World) -> None:
    """A controller that dies in the middle of its work is replaced by one that finishes it."""
    linked.declare("web")
    sources = linked.publish_many(linked.c1, "web", slices=15, endpoints_each=100)
    eventually(lambda: assert_some(linked))

    linked.controller.kill()
    linked.controller.start()

    eventually(lambda: linked.shows_by_source("web", sources))


def test_sigterm_ends_a_controller_whose_remote_hangs(
    world: World, controller: Controller, silent_server: str
) -> None:
    """A server that takes connections and says nothing does not hold up the end."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.links.add("silent", world.c2.kubeconfig({"token": "any"}, server=silent_server))
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])

    assert controller.stop() == 0


def test_sigterm_ends_a_controller_while_the_main_cluster_hangs(linked: World) -> None:
    """Nor does a main API server that stopped in mid-flight."""
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
def test_a_flag_that_cannot_be_meant_is_refused_in_one_sentence(world: World, flag: str) -> None:
    """The exit code is 1, and standard error names the flag; nothing is started."""
    name, _ = flag.split("=")

    refused = svclink("--kubeconfig=/dev/null", flag)

    assert refused.returncode == 1
    assert refused.stdout == ""
    (sentence,) = refused.stderr.splitlines()
    assert name in sentence
    assert not world.mirrors()


def test_a_kubeconfig_that_is_not_there_is_named() -> None:
    """The exit code is 1, and standard error says in one sentence which file is missing."""
    refused = svclink("--kubeconfig=/nowhere/kubeconfig")

    assert refused.returncode == 1
    (sentence,) = refused.stderr.splitlines()
    assert "/nowhere/kubeconfig" in sentence


def svclink(*flags: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "svclink_controller", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
