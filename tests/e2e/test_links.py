"""ClusterLinks that are created, edited, disabled, given another kubeconfig and deleted."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from svclink_controller.reconcile.status.links import STATUS_INTERVAL_SECONDS
from svclink_core.well_known import LABEL_CLUSTER
from tests.builders.manifests import Manifest, cluster_link, encoded

from .control_planes import CONTROLLER, CONTROLLER_NAMESPACE
from .controller_process import Controller
from .fault_proxy import ProxyTo
from .faults import Silencing
from .loopback_ports import reserve_ports
from .polling import consistently, eventually
from .world import Kubectl, World


@pytest.fixture
def mirroring(linked: World) -> World:
    """Both remotes are linked, and the Service `web` is mirrored from both."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.publish(linked.c2, "web", "10.2.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    return linked


def test_deleted_link_removes_only_its_own_slices(world: World, controller: Controller) -> None:
    """Adding and deleting a link does not write to the slices of another link."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])
    before = world.versions("web", "c1")

    world.link(world.c2)
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    world.links.remove("c2")
    world.await_mirrored("web", c1=["10.1.0.1"])

    assert world.versions("web", "c1") == before
    assert controller.running


def test_deleting_the_last_link_removes_every_slice(world: World, controller: Controller) -> None:
    """A main cluster without links has no mirrored slices."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])

    world.links.remove("c1")

    world.await_mirrored("web")
    assert controller.running


def test_recreated_link_does_not_get_the_status_of_its_predecessor(
    proxy_to: ProxyTo, world: World
) -> None:
    """While the watch of links lags, what concerns the old link is not written to the new one."""
    proxy = proxy_to(world.main, terminates_tls=True, user=CONTROLLER)
    kubeconfig = world.main.kubeconfig({}, namespace=CONTROLLER_NAMESPACE, **proxy.cluster_entry)
    world.controller.set_kubeconfig(kubeconfig)
    world.controller.start()
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.link(world.c1)
    world.await_mirrored("web", c1=["10.1.0.1"])

    proxy.fail(Silencing("clusterlinks"))
    world.links.remove("c1")
    world.links.add("c1", world.c1.remote_kubeconfig())
    world.set_addresses(world.c1, "web", "10.1.0.1", "10.1.0.2")
    world.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])
    created = world.main.api.get("clusterlinks", "c1")
    consistently(
        STATUS_INTERVAL_SECONDS + 2,
        lambda: assert_unchanged(world, created),
    )

    proxy.heal()
    world.links.await_ready("c1")
    world.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])


def assert_unchanged(world: World, expected: Manifest) -> None:
    assert world.main.api.get("clusterlinks", "c1") == expected


@pytest.mark.parametrize("other_link_stays", [True, False])
def test_slices_of_a_link_deleted_while_the_controller_is_down_are_removed(
    mirroring: World, *, other_link_stays: bool
) -> None:
    """The next start removes the slices of a deleted link, whether or not another link exists."""
    mirroring.controller.stop()
    mirroring.links.remove("c1")
    if not other_link_stays:
        mirroring.links.remove("c2")
    mirroring.assert_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])

    mirroring.controller.start()

    left = {"c2": ["10.2.0.1"]} if other_link_stays else {}
    mirroring.await_mirrored("web", **left)


@pytest.mark.parametrize(
    "field",
    ["excludedNamespaces", "includedNamespaces", "excludedServices", "excludedServiceNames"],
)
def test_edited_filter_removes_and_restores_slices(mirroring: World, field: str) -> None:
    """A filter takes effect when it is written, and only for its own link."""
    values = {
        "excludedNamespaces": [mirroring.namespace],
        "includedNamespaces": ["default"],
        "excludedServices": [f"{mirroring.namespace}/web"],
        "excludedServiceNames": ["web"],
    }
    before = mirroring.versions("web", "c2")

    mirroring.links.edit("c1", **{field: values[field]})
    mirroring.await_mirrored("web", c2=["10.2.0.1"])

    mirroring.links.edit("c1", **{field: None})
    mirroring.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    assert mirroring.versions("web", "c2") == before


def test_service_filter_leaves_other_services_mirrored(mirroring: World) -> None:
    """Excluding one Service does not affect Services with another name or in another namespace."""
    mirroring.declare("api")
    mirroring.publish(mirroring.c1, "api", "10.1.1.1")
    mirroring.await_mirrored("api", c1=["10.1.1.1"])

    mirroring.links.edit("c1", excludedServices=[f"{mirroring.namespace}/web", "default/api"])
    mirroring.await_mirrored("web", c2=["10.2.0.1"])
    mirroring.assert_mirrored("api", c1=["10.1.1.1"])


def test_included_namespaces_flag_overrides_the_links(world: World) -> None:
    """With --included-namespaces, the namespace lists of links are ignored."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.controller.start(f"--included-namespaces={world.namespace}")
    kubeconfig = world.c1.remote_kubeconfig()
    world.links.add(
        "c1", kubeconfig, excludedNamespaces=[world.namespace], includedNamespaces=["default"]
    )

    world.await_mirrored("web", c1=["10.1.0.1"])

    world.controller.stop()
    world.controller.start("--included-namespaces=default")
    world.await_mirrored("web")


def test_disabled_link_freezes_its_slices(mirroring: World) -> None:
    """Slices of a disabled link stay as they are, even after a restart; enabled, it catches up."""
    frozen = mirroring.versions("web", "c1")
    mirroring.links.edit("c1", enabled=False)
    eventually(lambda: assert_phase(mirroring, "c1", "Disabled"))

    mirroring.withdraw(mirroring.c1, "web")
    await_change_in_c2(mirroring, "10.2.0.2")
    assert mirroring.versions("web", "c1") == frozen

    mirroring.controller.stop()
    mirroring.controller.start()
    await_change_in_c2(mirroring, "10.2.0.3")
    assert mirroring.versions("web", "c1") == frozen

    mirroring.links.edit("c1", enabled=True)
    mirroring.await_mirrored("web", c2=["10.2.0.3"])
    mirroring.publish(mirroring.c1, "later", "10.1.0.9")
    mirroring.declare("later")
    mirroring.await_mirrored("later", c1=["10.1.0.9"])
    mirroring.links.await_ready("c1")


def assert_phase(world: World, link: str, phase: str) -> None:
    status = world.links.status(link)
    assert status.get("phase") == phase, f"{link} has the status {status}"


def await_change_in_c2(world: World, address: str) -> None:
    """Change `web` in the second remote, and wait until the change is mirrored."""
    world.set_addresses(world.c2, "web", address)
    eventually(lambda: assert_addresses(world, "c2", address))


def assert_addresses(world: World, cluster: str, *addresses: str) -> None:
    assert world.addresses("web").get(cluster) == sorted(addresses)


def test_link_created_disabled_mirrors_nothing(world: World, controller: Controller) -> None:
    """A link that is created disabled mirrors nothing until it is enabled."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.links.add("c1", world.c1.remote_kubeconfig(), enabled=False)
    world.link(world.c2)
    world.await_mirrored("web", c2=["10.2.0.1"])
    eventually(lambda: assert_phase(world, "c1", "Disabled"))

    world.links.edit("c1", enabled=True)

    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    assert controller.running


def test_kubeconfig_of_another_cluster_replaces_the_slices(
    world: World, controller: Controller
) -> None:
    """With a kubeconfig of another cluster, the link mirrors that cluster."""
    world.declare("web")
    world.declare("api")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c1, "api", "10.1.1.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.links.add("east", world.c1.remote_kubeconfig())
    world.await_mirrored("web", east=["10.1.0.1"])
    world.await_mirrored("api", east=["10.1.1.1"])

    world.links.replace_kubeconfig("east", world.c2.remote_kubeconfig())

    world.await_mirrored("web", east=["10.2.0.1"])
    world.await_mirrored("api")
    world.links.await_ready("east")
    assert controller.running


def test_renewed_token_writes_no_slice(mirroring: World) -> None:
    """New credentials for the same cluster take effect without a write to any slice."""
    before = mirroring.versions("web")
    renewed = mirroring.c1.kubeconfig({"token": mirroring.c1.token()})

    mirroring.links.replace_kubeconfig("c1", renewed)
    mirroring.links.await_ready("c1")

    assert mirroring.versions("web") == before
    mirroring.withdraw(mirroring.c1, "web")
    mirroring.await_mirrored("web", c2=["10.2.0.1"])


@pytest.mark.parametrize("reason", ["InvalidKubeconfig", "Unreachable", "Unauthorized"])
def test_broken_new_kubeconfig_keeps_the_old_connection(mirroring: World, reason: str) -> None:
    """The status reports the fault, and the old connection still mirrors changes."""
    user = {"token": mirroring.c1.token()}
    broken = {
        "InvalidKubeconfig": "this is not a kubeconfig",
        "Unreachable": mirroring.c1.kubeconfig(
            user, server=f"https://127.0.0.1:{reserve_ports(1)[0]}"
        ),
        "Unauthorized": mirroring.c1.kubeconfig({"token": "of.another.cluster"}),
    }
    before = mirroring.versions("web")

    mirroring.links.replace_kubeconfig("c1", broken[reason])
    mirroring.links.await_condition("c1", "False", reason)
    assert mirroring.versions("web") == before

    mirroring.set_addresses(mirroring.c1, "web", "10.1.0.2")
    mirroring.await_mirrored("web", c1=["10.1.0.2"], c2=["10.2.0.1"])

    mirroring.links.replace_kubeconfig("c1", mirroring.c1.remote_kubeconfig())
    mirroring.links.await_ready("c1")


def test_status_counts_mirrored_objects(mirroring: World) -> None:
    """The status has version, ID, and the numbers of Services, slices and endpoints."""
    system = mirroring.c1.api.get("namespaces", "kube-system")

    def check() -> None:
        status = mirroring.links.status("c1")
        assert (status["services"], status["slices"], status["endpoints"]) == (1, 1, 1)
        assert status["version"] == mirroring.c1.version()
        assert status["clusterID"] == system["metadata"]["uid"]
        assert status["connected"] is True

    eventually(check)
    assert {item["metadata"]["labels"][LABEL_CLUSTER] for item in mirroring.mirrors().values()} == {
        "c1",
        "c2",
    }


def test_link_replaced_by_force_keeps_its_cluster(
    mirroring: World, kubectl: Kubectl, tmp_path: Path
) -> None:
    """After `kubectl replace --force` a second link to the cluster is refused, as before."""
    manifest = tmp_path / "c1.json"
    kubeconfig = encoded(mirroring.c1.remote_kubeconfig())
    manifest.write_text(json.dumps(cluster_link("c1", kubeconfig=kubeconfig)), encoding="utf-8")

    for round_ in range(5):
        kubectl("replace", "--force", "--filename", str(manifest))
        mirroring.links.await_ready("c1")
        second = f"second-{round_}"
        mirroring.links.add(second, mirroring.c1.remote_kubeconfig())
        mirroring.links.await_condition(second, "False", "DuplicateCluster")
        mirroring.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
        mirroring.links.remove(second)
