"""The canary of docs/how-to/traffic-policies.md, with its commands, on nodes."""

from __future__ import annotations

from typing import Final

from tests.e2e.documented_commands import documented_commands
from tests.e2e.polling import eventually
from tests.e2e.shell import Shell

from .shop import APP, NAMESPACE, PODS, Shop
from .workloads import POD_SECONDS

CANARY: Final = documented_commands("docs/how-to/traffic-policies.md")
CLUSTER: Final = "c1"


def run(shell: Shell, step: str) -> str:
    """Run the commands of one step, with the remote of the test and without the waiting."""
    commands = CANARY[step].replace("cluster-b", CLUSTER).replace("--every 2m", "--every 1s")
    return shell(commands)


def test_canary_from_the_first_to_the_last_step(shop: Shop, shell: Shell) -> None:
    """A new version in a remote gets no connections, then some, then all that were local.

    No request fails meanwhile.
    """
    with shop.under_load() as load:
        run(shell, "canary-hold")
        eventually(lambda: shop.assert_responding({"main", "c2"}))
        shop.clusters[CLUSTER].restart_deployment(APP, NAMESPACE)
        shop.assert_responding({"main", "c2"})
        shown = run(shell, "canary-start")
        assert "planned: update EndpointSlice" in shown
        eventually(lambda: assert_responding_pods(shop, 1))
        said = run(shell, "canary-shift")
        assert f"done: {CLUSTER} has a share of 50%" in said
        eventually(lambda: assert_responding_pods(shop, PODS[CLUSTER]))
        run(shell, "canary-finish")
        eventually(lambda: shop.assert_responding({"c1", "c2"}), POD_SECONDS)

    assert not load.failures, load.table()


def assert_responding_pods(shop: Shop, count: int) -> None:
    """Assert that so many Pods of the remote respond."""
    load = shop.requests(200)
    assert not load.failures, load.table()
    pods = {each.pod for each in load.results if each.cluster == CLUSTER}
    assert len(pods) == count, f"{pods} of {CLUSTER} respond"
