"""What is done about a cluster that is away, loses everything at once, or is suddenly another one; and what is made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .control_planes import Cluster
from .controller_process import Controller
from .fault_proxy import FaultProxy, ProxyTo, Refusing
from .objects import (
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
    MANAGED_BY_SVCLINK,
    encoded,
    endpoint_slice,
    endpoints,
    service,
)
from .polling import eventually
from .world import World

LABEL_GO_CLUSTER = "cloudpilot.ai/svclink-cluster"
LABEL_IMPORTED = "svclink.cloudpilot.ai/imported"
MANY = 25


@pytest.fixture
def losable(world: World, controller: Controller, proxy_to: ProxyTo) -> tuple[World, FaultProxy]:
    """The Service `web` mirrored from both remotes; the first is reached through the proxy, for two seconds' grace."""
    assert controller.running
    proxy = proxy_to(world.c1)
    kubeconfig = world.c1.kubeconfig({"token": world.c1.token()}, **proxy.access)
    world.links.add("c1", kubeconfig, unreachable={"afterSeconds": 2})
    world.link(world.c2)
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    return world, proxy


def lose(proxy: FaultProxy) -> None:
    proxy.fail(Refusing())
    proxy.cut()


def conditions(world: World, cluster: str) -> list[object]:
    return [
        member["conditions"]
        for item in world.mirrors("web", cluster).values()
        for member in item["endpoints"]
    ]


def test_endpoints_of_a_lost_cluster_become_the_last_resort(
    losable: tuple[World, FaultProxy],
) -> None:
    """NotReady: after the time given they are not ready, serving, terminating; on recovery they are as they were."""
    world, proxy = losable
    world.links.edit("c1", unreachable={"action": "NotReady", "afterSeconds": 2})
    lose(proxy)

    def is_last_resort() -> None:
        assert conditions(world, "c1") == [{"ready": False, "serving": True, "terminating": True}]

    eventually(is_last_resort)
    assert conditions(world, "c2") == [{"ready": True, "serving": True, "terminating": False}]

    def is_ready() -> None:
        assert conditions(world, "c1") == [{"ready": True, "serving": True, "terminating": False}]

    proxy.work()
    eventually(is_ready)


def test_a_lost_cluster_is_removed_but_never_the_last_endpoint(
    losable: tuple[World, FaultProxy],
) -> None:
    """Remove deletes, but not from a Service that nothing else serves; on recovery everything is mirrored again."""
    world, proxy = losable
    world.declare("lonely")
    world.publish(world.c1, "lonely", "10.1.0.9")
    world.await_mirrored("lonely", c1=["10.1.0.9"])
    world.links.edit("c1", unreachable={"action": "Remove", "afterSeconds": 2})
    lose(proxy)
    world.await_mirrored("web", c2=["10.2.0.1"])
    world.shows("lonely", c1=["10.1.0.9"])

    proxy.work()
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])


def test_a_cluster_that_loses_everything_is_not_believed_at_once(
    world: World, idle_controller: Controller
) -> None:
    """Nothing is deleted while the link says DeletionHeld and how many; if that is still so after the hold, it goes."""
    idle_controller.start("--deletion-hold=5s")
    names = [f"web-{number:02}" for number in range(MANY)]
    for number, name in enumerate(names):
        world.declare(name)
        world.publish(world.c1, name, f"10.1.7.{number + 1}")
    world.link(world.c1)

    def all_are_mirrored() -> None:
        assert len(world.mirrors(cluster="c1")) == MANY

    eventually(all_are_mirrored)
    for name in names:
        world.c1.api.delete("services", name, world.namespace)

    shown = world.links.await_condition("c1", "True", "DeletionHeld", kind="Degraded")
    all_are_mirrored()
    assert f"lost {MANY} of {MANY}" in shown["message"]

    def nothing_is_mirrored() -> None:
        assert world.mirrors(cluster="c1") == {}

    eventually(nothing_is_mirrored)
    world.links.await_condition("c1", "False", "AsExpected", kind="Degraded")


@pytest.fixture
def elsewhere(world: World) -> Iterator[str]:
    """A namespace that only the first remote has; what is made of it in the main cluster goes at the end."""
    name = f"{world.namespace[:30].rstrip('-')}-remote"
    world.c1.create_namespace(name)
    yield name
    world.c1.delete_namespace(name)
    world.main.delete_namespace(name)


def test_a_service_that_only_a_remote_has_is_made(
    world: World, idle_controller: Controller, elsewhere: str
) -> None:
    """First its namespace, then the Service, without what is the main cluster's to give, then its slices."""
    idle_controller.start("--sync-services-to-local-cluster")
    remote = service(elsewhere, "web", type="NodePort", sessionAffinity="ClientIP")
    world.c1.api.create(remote)
    world.c1.api.create(endpoint_slice(elsewhere, "web", endpoints("10.1.0.1")))
    world.links.add("c1", world.c1.remote_kubeconfig(), includedNamespaces=[elsewhere])

    made = eventually(lambda: world.main.api.get("services", "web", elsewhere))
    assert made["metadata"]["labels"] == {LABEL_IMPORTED: "true"}
    assert made["spec"]["type"] == "ClusterIP"
    assert made["spec"]["sessionAffinity"] == "ClientIP"
    assert "selector" not in made["spec"]
    assert "nodePort" not in made["spec"]["ports"][0]
    assert (
        world.main.api.get("namespaces", elsewhere)["metadata"]["labels"][LABEL_IMPORTED] == "true"
    )
    piece = eventually(lambda: world.main.api.get("endpointslices", "web-c1", elsewhere))
    assert piece["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]

    world.links.remove("c1")

    def nothing_is_mirrored() -> None:
        assert world.main.api.find("endpointslices", elsewhere) == []

    eventually(nothing_is_mirrored)
    assert (
        world.main.api.get("services", "web", elsewhere)["metadata"]["uid"]
        == made["metadata"]["uid"]
    )


def test_a_slice_of_the_go_release_is_replaced(linked: World) -> None:
    """Ours is made under another name, and then the old one goes; one of a cluster that has no such Service stays."""
    labels = {LABEL_MANAGED_BY: "svclink", LABEL_GO_CLUSTER: "c1"}
    linked.declare("web")
    for cluster in ("c1", "c2"):
        labels = {LABEL_MANAGED_BY: "svclink", LABEL_GO_CLUSTER: cluster}
        name = f"web-{cluster}"
        left = endpoint_slice(
            linked.namespace, "web", endpoints("10.1.0.1"), name=name, labels=labels
        )
        linked.create(linked.main, left)
    linked.publish(linked.c1, "web", "10.1.0.1")

    def is_replaced() -> None:
        found = linked.main.api.find("endpointslices", linked.namespace, {LABEL_SERVICE: "web"})
        assert sorted(item["metadata"]["labels"][LABEL_MANAGED_BY] for item in found) == [
            "svclink",
            MANAGED_BY_SVCLINK,
        ]

    eventually(is_replaced)
    linked.shows("web", c1=["10.1.0.1"])
    assert linked.main.api.get("endpointslices", "web-c2", linked.namespace)


def uid_of(cluster: Cluster) -> str:
    return str(cluster.api.get("namespaces", "kube-system")["metadata"]["uid"])


def test_a_kubeconfig_that_leads_to_another_cluster_is_held(linked: World) -> None:
    """Nothing is changed until the link is edited; spec.clusterID pins a cluster for good."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    kept = linked.versions("web")
    linked.controller.stop()
    # As if the address had led to another cluster until the controller was stopped.
    linked.main.api.patch(
        "clusterlinks", "c1", None, {"status": {"clusterID": "another"}}, subresource="status"
    )
    linked.rewrite(linked.c1, "web", "10.1.0.2")

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
