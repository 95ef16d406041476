"""A remote that is killed or hangs. It is a cluster of its own, so that only these tests are disturbed."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from .control_planes import Cluster
from .polling import eventually, throughout
from .world import World

# How long it may take until the status says that a remote that answers nothing is not there.
STATUS_SECONDS = 90

Loss = Callable[[Cluster], None]


@pytest.mark.timeout(300, func_only=True)
@pytest.mark.parametrize(
    ("lose", "seconds"),
    [pytest.param(Cluster.kill, 0, id="killed"), pytest.param(Cluster.pause, 60, id="stopped")],
)
def test_a_lost_remote_keeps_its_slices_and_catches_up(
    linked: World, c3: Cluster, lose: Loss, seconds: float
) -> None:
    """Its slices are not touched, its status says so, the others go on, and it catches up when it is back.

    It is away for at least these seconds, and until its status says so.
    """
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    kept = linked.versions("web", "c3")

    lose(c3)
    lost = time.monotonic()
    linked.rewrite(linked.c1, "web", "10.1.0.2")
    linked.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.1"])
    linked.links.await_condition("c3", "False", "Unreachable", timeout=STATUS_SECONDS)

    status = linked.links.status("c3")
    assert (status["phase"], status["connected"]) == ("NotReady", False)
    linked.rewrite(linked.c1, "web", "10.1.0.3")
    linked.await_mirrored("web", c1=["10.1.0.3"], c3=["10.3.0.1"])
    linked.links.await_ready("c1", "c2")
    throughout(lost + seconds - time.monotonic(), lambda: assert_unchanged(linked, kept))

    c3.recover()
    linked.rewrite(c3, "web", "10.3.0.2")
    linked.await_mirrored("web", c1=["10.1.0.3"], c3=["10.3.0.2"])
    linked.links.await_ready("c3")


def assert_unchanged(world: World, versions: dict[str, tuple[str, str]]) -> None:
    """The mirrors of the lost remote are those of before."""
    assert world.versions("web", "c3") == versions


@pytest.mark.parametrize("lose", [Cluster.kill, Cluster.pause], ids=["killed", "stopped"])
def test_a_remote_that_is_away_when_the_controller_starts_keeps_its_slices(
    linked: World, c3: Cluster, lose: Loss
) -> None:
    """What was mirrored before stays although nothing is known of its source, and the other remotes do not wait."""
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    kept = linked.versions("web", "c3")
    linked.controller.stop()
    lose(c3)
    linked.rewrite(linked.c1, "web", "10.1.0.2")

    linked.controller.start()

    linked.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.1"])
    assert linked.versions("web", "c3") == kept
    c3.recover()
    linked.rewrite(c3, "web", "10.3.0.2")
    linked.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.2"])


def test_a_link_to_a_lost_remote_can_be_removed(linked: World, c3: Cluster) -> None:
    """Deleting the link removes its slices, although its cluster cannot be asked."""
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    c3.pause()

    linked.links.remove("c3")

    linked.await_mirrored("web", c1=["10.1.0.1"])
    eventually(lambda: linked.links.await_ready("c1", "c2"))
