"""The controller under the ServiceAccount of deploy/deployment.yaml, and with the remote role of the export script."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from .control_planes import Cluster
from .controllers import Controller
from .shell import Shell
from .world import World

MAIN_USER: Final = "system:serviceaccount:cloudpilot:svclink"
REMOTE_USER: Final = "system:serviceaccount:kube-system:svclink"

pytestmark = pytest.mark.real_servers("`kubectl create token` speaks protobuf, which the embedded server does not read")


@pytest.fixture
def idle_controller(deployed: Shell, main: Cluster, tmp_path: Path) -> Iterator[Controller]:
    """The controller with a token of its ServiceAccount, in the place of its Pod."""
    token = deployed("kubectl create token svclink --namespace cloudpilot").strip()
    kubeconfig = tmp_path / "main.kubeconfig"
    kubeconfig.write_text(main.kubeconfig({"token": token}, namespace="cloudpilot"), encoding="utf-8")
    controller = Controller(kubeconfig, tmp_path / "svclink.log")
    yield controller
    controller.is_as_told()
    if controller.running:
        assert controller.stop() == 0


def test_svclink_mirrors_with_the_permissions_it_is_given(world: World, remote: Cluster, shell: Shell) -> None:
    """Under its ServiceAccount and with the remote role, it writes all it has to and is refused nothing."""
    clusters = {MAIN_USER: world.main, REMOTE_USER: remote}
    marks = {user: cluster.audit_mark() for user, cluster in clusters.items()}
    world.controller.start()
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")

    exported = shell("hack/export-kubeconfig.sh remote")
    world.links.add("exported", base64.b64decode(exported).decode())
    world.links.await_ready("exported")
    world.await_mirrored("web", exported=["10.1.0.1"])
    world.rewrite(remote, "web", "10.1.0.2")
    world.await_mirrored("web", exported=["10.1.0.2"])
    world.withdraw(remote, "web")
    world.await_mirrored("web")

    for user, cluster in clusters.items():
        made = cluster.audit_events(marks[user], user)
        assert made, f"{user} asked nothing"
        assert [each for each in made if each.denied] == []
