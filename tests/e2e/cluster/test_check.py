"""`svclink check` in a Pod of main, with the commands of docs/tutorials/two-clusters.md."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.documented_commands import documented_commands
from tests.e2e.polling import eventually
from tests.e2e.shell import Shell

from .shop import Shop
from .whole_cluster import WholeCluster
from .workloads import POD_SECONDS

COMMANDS: Final = documented_commands("docs/tutorials/two-clusters.md")["check"]
LINE: Final = re.compile(r"^(\w+) +(\S+) +pod network ", re.MULTILINE)


def test_check_in_a_pod_finds_the_cluster_whose_pods_cannot_be_reached(
    shop: Shop, tmp_path: Path
) -> None:
    """The Pods of both remotes are reached; not those of c1 when its node forwards nothing.

    Its API server can still be reached then, so that no object shows the difference.
    """
    terminal = Shell(tmp_path, main=shop.main.admin_kubeconfig())
    assert levels(terminal(COMMANDS)) == {"c1": "ok", "c2": "ok"}
    with pods_cut_off(shop.clusters["c1"]):
        assert levels(terminal(COMMANDS)) == {"c1": "fail", "c2": "ok"}
    eventually(shop.assert_responders, POD_SECONDS)


def levels(printed: str) -> dict[str, str]:
    """The level of each line `pod network` by cluster."""
    return {cluster: level for level, cluster in LINE.findall(printed)}


@contextmanager
def pods_cut_off(cluster: WholeCluster) -> Iterator[None]:
    """Drop what the first node of a cluster forwards: everything from and to its Pods."""
    machine = cluster.nodes[0].machine
    drop = "table inet cut { chain forward { type filter hook forward priority 0; policy drop; }; }"
    machine.run("nft", drop)
    try:
        yield
    finally:
        machine.run("nft", "delete table inet cut")
