"""The controller under the ServiceAccount of deploy/deployment.yaml, and with the remote role of the export script."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import pytest

from .control_planes import Cluster
from .controllers import Controller
from .objects import cluster_link, endpoint_slice, endpoints, service
from .shell import Shell
from .waiting import eventually
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


def test_every_permission_is_needed(world: World, remote: Cluster, shell: Shell) -> None:
    """Each verb of the roles allowed a request of svclink that no other role would have allowed: none can be left out.

    svclink makes no request that it does not need, so without the verb something does not work.
    """
    clusters = {MAIN_USER: world.main, REMOTE_USER: remote}
    marks = {user: cluster.audit_mark() for user, cluster in clusters.items()}
    world.controller.start("--leader-elect=true", "--sync-services-to-local-cluster=true")
    link_by_secret(world, shell("hack/export-kubeconfig.sh remote").strip())
    world.links.await_ready("exported")
    bring_a_namespace(world, remote)
    world.declare("web")
    world.publish(remote, "web", "10.1.0.1")
    world.await_mirrored("web", exported=["10.1.0.1"])
    world.rewrite(remote, "web", "10.1.0.2")
    world.await_mirrored("web", exported=["10.1.0.2"])
    world.withdraw(remote, "web")
    world.await_mirrored("web")

    def all_is_used() -> None:
        world.links.edit("exported", enabled=False)  # Told in an Event, which counts up when it happens again.
        world.links.await_condition("exported", "False", "Disabled")
        world.links.edit("exported", enabled=True)
        world.links.await_ready("exported")
        for user, cluster in clusters.items():
            assert used(cluster, marks[user], user) == granted(cluster, ROLES[user])

    eventually(all_is_used, timeout=60)


def link_by_secret(world: World, kubeconfig: str) -> None:
    """A link whose kubeconfig is in a Secret of the controller's namespace."""
    metadata = {"name": "exported", "namespace": "cloudpilot"}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"kubeconfig": kubeconfig}}
    world.main.api.create(secret)
    link = cluster_link("exported", "")
    world.main.api.create(link | {"spec": {"kubeconfigSecretRef": {"name": "exported"}}})


def bring_a_namespace(world: World, remote: Cluster) -> None:
    """A Service in a namespace that only the remote has: both are created in main."""
    name = f"{world.namespace[:50]}-new"
    remote.create_namespace(name)
    remote.api.create(service(name, "web"))
    remote.api.create(endpoint_slice(name, "web", endpoints("10.1.0.9")))
    eventually(lambda: world.main.api.get("endpointslices", "web-exported", name))
    remote.delete_namespace(name)
    world.main.delete_namespace(name)


def used(cluster: Cluster, since: int, user: str) -> set[tuple[str, str]]:
    """Resource and verb of every request of a user that a role of svclink, and nothing else, allowed."""
    made = cluster.audit_events(since, user)
    assert [each for each in made if each.denied] == []
    return {(each.resource, each.verb) for each in made if 'Role "svclink' in each.allowed_by}


def granted(cluster: Cluster, roles: Sequence[tuple[str, str, str | None]]) -> set[tuple[str, str]]:
    """Resource and verb of every rule of some roles."""
    rules = [rule for role in roles for rule in cluster.api.get(*role)["rules"]]
    return {(resource, verb) for rule in rules for resource in rule["resources"] for verb in rule["verbs"]}


ROLES: Final[Mapping[str, Sequence[tuple[str, str, str | None]]]] = {
    MAIN_USER: (("clusterroles", "svclink", None), ("roles", "svclink", "cloudpilot")),
    REMOTE_USER: (("clusterroles", "svclink-reader", None),),
}
