"""Unreachable policy, deletion hold, created Services, leftovers and changed clusters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from svclink_core.well_known import (
    LABEL_GO_CLUSTER,
    LABEL_IMPORTED,
    LABEL_MANAGED_BY,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)
from tests.builders.manifests import encoded, endpoint_slice, service

from .control_planes import Cluster
from .controller_process import Controller
from .fault_proxy import FaultProxy, ProxyTo
from .faults import Refusing
from .polling import eventually
from .world import World

MANY = 25
# Long enough to see the mirrors and the condition meanwhile on a busy machine.
HOLD_SECONDS = 10


@pytest.fixture
def web_through_proxy(
    world: World, controller: Controller, proxy_to: ProxyTo
) -> tuple[World, FaultProxy]:
    """The Service `web` is mirrored from both remotes, from the first through a proxy."""
    assert controller.running
    proxy = proxy_to(world.c1)
    kubeconfig = world.c1.kubeconfig({"token": world.c1.token()}, **proxy.cluster_entry)
    world.links.add("c1", kubeconfig, unreachable={"afterSeconds": 2})
    world.link(world.c2)
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    return world, proxy


def make_unreachable(proxy: FaultProxy) -> None:
    proxy.fail(Refusing())
    proxy.reset_connections()


def conditions(world: World, cluster: str) -> list[object]:
    return [
        member["conditions"]
        for item in world.mirrors("web", cluster).values()
        for member in item["endpoints"]
    ]


def test_not_ready_policy_makes_endpoints_the_last_resort(
    web_through_proxy: tuple[World, FaultProxy],
) -> None:
    """With NotReady, endpoints become terminating, and are restored on recovery."""
    world, proxy = web_through_proxy
    world.links.edit("c1", unreachable={"action": "NotReady", "afterSeconds": 2})
    make_unreachable(proxy)

    def assert_last_resort() -> None:
        assert conditions(world, "c1") == [{"ready": False, "serving": True, "terminating": True}]

    eventually(assert_last_resort)
    assert conditions(world, "c2") == [{"ready": True, "serving": True, "terminating": False}]

    def assert_ready() -> None:
        assert conditions(world, "c1") == [{"ready": True, "serving": True, "terminating": False}]

    proxy.heal()
    eventually(assert_ready)


def test_remove_policy_keeps_the_last_endpoints_of_a_service(
    web_through_proxy: tuple[World, FaultProxy],
) -> None:
    """With Remove, mirrors are deleted unless a Service has no other endpoint."""
    world, proxy = web_through_proxy
    world.declare("lonely")
    world.publish(world.c1, "lonely", "10.1.0.9")
    world.await_mirrored("lonely", c1=["10.1.0.9"])
    world.links.edit("c1", unreachable={"action": "Remove", "afterSeconds": 2})
    make_unreachable(proxy)
    world.await_mirrored("web", c2=["10.2.0.1"])
    world.set_addresses(world.c2, "web", "10.2.0.2")
    world.await_mirrored("web", c2=["10.2.0.2"])
    world.assert_mirrored("lonely", c1=["10.1.0.9"])

    proxy.heal()
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.2"])


def test_mass_deletion_is_held(world: World, idle_controller: Controller) -> None:
    """If a remote loses everything, mirrors are deleted only after the hold."""
    idle_controller.start(f"--deletion-hold={HOLD_SECONDS}s")
    names = [f"web-{number:02}" for number in range(MANY)]
    for number, name in enumerate(names):
        world.declare(name)
        world.publish(world.c1, name, f"10.1.7.{number + 1}")
    world.link(world.c1)

    def assert_all_mirrored() -> None:
        assert len(world.mirrors(cluster="c1")) == MANY

    eventually(assert_all_mirrored)
    for name in names:
        world.c1.api.delete("services", name, world.namespace)

    condition = world.links.await_condition("c1", "True", "DeletionHeld", kind="Degraded")
    assert_all_mirrored()
    assert f"{MANY} of {MANY} EndpointSlices" in condition["message"]

    def assert_no_mirrors() -> None:
        assert world.mirrors(cluster="c1") == {}

    eventually(assert_no_mirrors)
    world.links.await_condition("c1", "False", "AsExpected", kind="Degraded")


@pytest.fixture
def remote_namespace(world: World) -> Iterator[str]:
    """A namespace that only the first remote has; it is deleted in both clusters at the end."""
    name = f"{world.namespace[:30].rstrip('-')}-remote"
    world.c1.create_namespace(name)
    yield name
    world.c1.delete_namespace(name)
    world.main.delete_namespace(name)


def test_missing_service_is_created_if_enabled(
    world: World, idle_controller: Controller, remote_namespace: str
) -> None:
    """svclink creates the namespace, then a Service of its own, then the mirrors."""
    idle_controller.start("--sync-services-to-local-cluster")
    remote = service(f"{remote_namespace}/web", type="NodePort", sessionAffinity="ClientIP")
    world.c1.api.create(remote)
    world.c1.api.create(endpoint_slice(None, "10.1.0.1", key=f"{remote_namespace}/web"))
    world.links.add("c1", world.c1.remote_kubeconfig(), includedNamespaces=[remote_namespace])

    created = eventually(lambda: world.main.api.get("services", "web", remote_namespace))
    assert created["metadata"]["labels"] == {LABEL_IMPORTED: "true"}
    assert created["spec"]["type"] == "ClusterIP"
    assert created["spec"]["sessionAffinity"] == "ClientIP"
    assert "selector" not in created["spec"]
    assert "nodePort" not in created["spec"]["ports"][0]
    assert (
        world.main.api.get("namespaces", remote_namespace)["metadata"]["labels"][LABEL_IMPORTED]
        == "true"
    )
    mirror = eventually(lambda: world.main.api.get("endpointslices", "web-c1", remote_namespace))
    assert mirror["metadata"]["ownerReferences"][0]["uid"] == created["metadata"]["uid"]

    world.links.remove("c1")

    def assert_no_slices() -> None:
        assert world.main.api.find("endpointslices", remote_namespace) == []

    eventually(assert_no_slices)
    assert (
        world.main.api.get("services", "web", remote_namespace)["metadata"]["uid"]
        == created["metadata"]["uid"]
    )


def test_leftover_is_replaced_if_the_remote_has_the_service(linked: World) -> None:
    """A leftover is deleted after its mirror was written, or if there is nothing to mirror."""
    linked.declare("web")
    for cluster in ("c1", "c2"):
        labels = {LABEL_MANAGED_BY: MANAGED_BY, LABEL_GO_CLUSTER: cluster}
        name = f"web-svclink-{cluster}"
        leftover = endpoint_slice(name, "10.1.0.1", key=f"{linked.namespace}/web", labels=labels)
        linked.create(linked.main, leftover)
    linked.publish(linked.c1, "web", "10.1.0.1")

    def assert_replaced() -> None:
        slices = linked.main.api.find(
            "endpointslices", linked.namespace, {LABEL_SERVICE_NAME: "web"}
        )
        assert [item["metadata"]["name"] for item in slices] == ["web-c1"]

    eventually(assert_replaced)
    linked.assert_mirrored("web", c1=["10.1.0.1"])


def uid_of(cluster: Cluster) -> str:
    return str(cluster.api.get("namespaces", "kube-system")["metadata"]["uid"])


def test_link_that_reaches_another_cluster_is_held_until_edited(linked: World) -> None:
    """Such a link is ClusterChanged until it is edited, and spec.clusterID pins a cluster."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    kept = linked.versions("web")
    linked.controller.stop()
    # As if the link had reached another cluster before the controller was stopped.
    linked.main.api.patch(
        "clusterlinks", "c1", None, {"status": {"clusterID": "another"}}, subresource="status"
    )
    linked.set_addresses(linked.c1, "web", "10.1.0.2")

    linked.controller.start()

    held = linked.links.await_condition("c1", "False", "ClusterChanged")
    assert uid_of(linked.c1) in held["message"]
    assert linked.versions("web") == kept
    linked.links.edit("c1", excludedServiceNames=["nothing"])
    linked.await_mirrored("web", c1=["10.1.0.2"])
    linked.links.edit("c1", clusterID="another")
    linked.links.await_condition("c1", "False", "ClusterChanged")
    linked.links.edit(
        "c1", clusterID=uid_of(linked.c1), kubeconfig=encoded(linked.c1.remote_kubeconfig())
    )
    linked.links.await_ready("c1")
