"""Which Services are mirrored, and what their mirrored EndpointSlices contain."""

from __future__ import annotations

import time

import pytest

from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_IMPORTED,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    MANAGED_BY,
)
from tests.builders.manifests import Manifest, endpoint, endpoint_slice, port, service

from .control_planes import SYSTEM_NAMESPACE
from .controller_process import Controller
from .polling import consistently, eventually
from .world import RecordMeasure, World, content, endpoints, slice_name

# Longer than any test, so that only watches can cause a write.
NO_RESYNC = "10m"

READY = {"ready": True, "serving": True, "terminating": False}
NOT_READY = {"ready": False, "serving": False, "terminating": False}
TERMINATING = {"ready": False, "serving": True, "terminating": True}


@pytest.fixture
def watching(world: World, idle_controller: Controller) -> World:
    """Both remotes are linked, and only watches cause writes: there is no resync."""
    idle_controller.start(sync_interval=NO_RESYNC)
    world.link(world.c1, world.c2)
    return world


def test_service_in_both_remotes_has_one_mirror_of_each(linked: World) -> None:
    """Each source slice has exactly one mirror, named after the Service and the cluster."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1", "10.1.0.2")
    linked.publish(linked.c2, "web", "10.2.0.1")

    linked.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"], c2=["10.2.0.1"])

    assert sorted(linked.mirrors("web")) == ["web-c1", "web-c2"]


def test_mirror_of_a_recreated_service_is_updated_in_place(watching: World) -> None:
    """With other names of its port and its slice, a remote Service keeps its mirror."""
    key = f"{watching.namespace}/web"
    watching.declare("web", ports=[port("main", 80)])
    watching.create(watching.c1, service(key, ports=[port("old", 80)]))
    watching.create(watching.c1, endpoint_slice("web-old", key=key, ports=[port("old", 8080)]))
    watching.await_mirrored("web", c1=["10.0.0.1"])
    before = watching.mirror("web-c1")["metadata"]["uid"]

    watching.c1.api.delete("services", "web", watching.namespace)
    watching.create(watching.c1, service(key, ports=[port("new", 80)]))
    watching.create(
        watching.c1, endpoint_slice("web-new", "10.0.0.2", key=key, ports=[port("new", 8080)])
    )
    watching.c1.api.delete("endpointslices", "web-old", watching.namespace)

    watching.await_mirrored("web", c1=["10.0.0.2"])
    assert list(watching.mirrors("web")) == ["web-c1"]
    assert watching.mirror("web-c1")["metadata"]["uid"] == before


def test_mirror_has_exactly_the_documented_fields(linked: World) -> None:
    """A mirror has its documented fields, and nothing else from the remote."""
    owner = linked.declare("web", ports=[port("web", 80), port("metrics", 9090)])
    linked.create(
        linked.c1,
        service(
            f"{linked.namespace}/web",
            ports=[port("http", 80, targetPort=8080), port("metrics", 9090)],
        ),
    )
    source = linked.create(linked.c1, slice_with_every_field(linked.namespace))

    mirror = eventually(lambda: linked.mirror("web-c1"))

    assert content(mirror) == {
        # Spelled out: other controllers and users depend on these keys.
        "labels": {
            "endpointslice.kubernetes.io/managed-by": "svclink.cloudpilot.ai",
            "kubernetes.io/service-name": "web",
            "svclink.cloudpilot.ai/cluster": "c1",
        },
        "annotations": {"svclink.cloudpilot.ai/source-slice": source["metadata"]["name"]},
        "ownerReferences": [owner_reference(owner)],
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": ["10.1.0.1"], "conditions": NOT_READY},
            {"addresses": ["10.1.0.2"], "conditions": READY, "zone": "zone-a"},
            {"addresses": ["10.1.0.3"], "conditions": READY},
            {"addresses": ["10.1.0.4"], "conditions": TERMINATING},
        ],
        "ports": [port("metrics", 9091), port("web", 8080, appProtocol="http")],
    }


def slice_with_every_field(namespace: str) -> Manifest:
    """A source slice that uses every field of the API."""
    scheduled: Manifest = {
        "nodeName": "worker-0",
        "hostname": "web-0",
        "zone": "zone-a",
        "hints": {"forZones": [{"name": "zone-a"}]},
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": "web-0"},
    }
    members = [
        endpoint("10.1.0.4", conditions=TERMINATING),
        endpoint("10.1.0.2", **scheduled),
        endpoint("10.1.0.3", ready=None),
        endpoint("10.1.0.1", ready=False),
    ]
    ports = [port("http", 8080, appProtocol="http"), port("metrics", 9091)]
    source = endpoint_slice(
        key=f"{namespace}/web", endpoints=members, ports=ports, labels={"team": "shop"}
    )
    source["metadata"]["annotations"] = {
        "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"
    }
    return source


def owner_reference(owner: Manifest) -> Manifest:
    meta = owner["metadata"]
    named = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}
    return named | {"controller": True, "blockOwnerDeletion": False}


def test_excluded_kinds_of_services_are_not_mirrored(linked: World) -> None:
    """Services that the rules exclude are not mirrored, in whichever cluster they are excluded."""
    create_excluded_services(linked)
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])

    def assert_only_web() -> None:
        mirrors = linked.main.api.find("endpointslices", None, {LABEL_MANAGED_BY: MANAGED_BY})
        assert [item["metadata"]["name"] for item in mirrors] == ["web-c1"]

    consistently(2, assert_only_web)


def create_excluded_services(world: World) -> None:
    """Create a Service for each rule that excludes one; remote ones have endpoints."""
    headless: Manifest = {"clusterIP": "None"}
    external: Manifest = {"type": "ExternalName", "externalName": "example.org"}
    main, remote, namespace = world.main, world.c1, world.namespace
    in_main = [
        service(f"{SYSTEM_NAMESPACE}/system"),
        service(f"{namespace}/headless-there"),
        service(f"{namespace}/headless-here", **headless),
        service(f"{namespace}/external-there"),
        service(f"{namespace}/external-here", **external),
        service(f"{namespace}/imported"),
        service(f"{namespace}/slice-without-service"),
    ]
    in_remote = [
        service(f"{SYSTEM_NAMESPACE}/system"),
        service(f"{namespace}/headless-there", **headless),
        service(f"{namespace}/headless-here"),
        service(f"{namespace}/external-there", **external),
        service(f"{namespace}/external-here"),
        service(f"{namespace}/imported", labels={LABEL_IMPORTED: "true"}),
        service(f"{namespace}/main-lacks-it"),
    ]
    for cluster, services in ((main, in_main), (remote, in_remote)):
        for obj in services:
            world.create(cluster, obj)
    names = {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in in_remote}
    for where, name in sorted(
        names | {("default", "kubernetes"), (namespace, "slice-without-service")}
    ):
        world.create(remote, endpoint_slice(None, "10.1.9.9", key=f"{where}/{name}"))


def test_mirrors_in_the_remote_are_not_mirrored_again(linked: World) -> None:
    """Slices that are mirrors themselves are skipped, so that linked clusters form no loop."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    echoes = {
        "by-managed-by": {LABEL_MANAGED_BY: MANAGED_BY},
        "by-cluster": {LABEL_CLUSTER: "c9"},
        "by-go-release": {LABEL_GO_CLUSTER: "c9"},
        "by-mcs": {LABEL_MCS_SOURCE_CLUSTER: "c9"},
    }
    for name, labels in echoes.items():
        members = endpoints("10.9.0.1")
        linked.create(
            linked.c1,
            endpoint_slice(name, key=f"{linked.namespace}/web", endpoints=members, labels=labels),
        )

    linked.await_mirrored("web", c1=["10.1.0.1"])
    consistently(2, lambda: linked.assert_mirrored("web", c1=["10.1.0.1"]))


def test_nodeport_and_loadbalancer_services_are_mirrored(linked: World) -> None:
    """NodePort and LoadBalancer Services have Pod endpoints, which are mirrored."""
    for kind in ("NodePort", "LoadBalancer"):
        name = kind.lower()
        linked.declare(name)
        linked.create(linked.c1, service(f"{linked.namespace}/{name}", type=kind))
        linked.create(linked.c1, endpoint_slice(None, "10.1.0.1", key=f"{linked.namespace}/{name}"))

    for name in ("nodeport", "loadbalancer"):
        linked.await_mirrored(name, c1=["10.1.0.1"])


def test_service_created_later_in_main_is_mirrored_without_resync(watching: World) -> None:
    """Creating a Service in main mirrors the slices that the remotes already have."""
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.publish(watching.c2, "web", "10.2.0.1")
    watching.declare("other")
    watching.publish(watching.c1, "other", "10.1.0.9")
    watching.await_mirrored("other", c1=["10.1.0.9"])
    watching.assert_mirrored("web")

    watching.declare("web")

    watching.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])


def test_endpoint_changes_are_mirrored_without_resync(
    watching: World, record_measure: RecordMeasure
) -> None:
    """Added, changed and removed endpoints reach the mirror through the watch."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.await_mirrored("web", c1=["10.1.0.1"])

    for what, addresses in {
        "added": ["10.1.0.1", "10.1.0.2"],
        "changed": ["10.1.0.1", "10.1.0.3"],
        "removed": ["10.1.0.3"],
    }.items():
        started = time.monotonic()
        watching.set_addresses(watching.c1, "web", *addresses)
        watching.await_mirrored("web", c1=addresses)
        record_measure(f"seconds until an endpoint is {what}", time.monotonic() - started)


def test_readiness_of_endpoints_is_mirrored(watching: World) -> None:
    """An endpoint that fails its probe becomes not ready in the mirror, and ready again."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1", "10.1.0.2")
    watching.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])

    watching.set_endpoints(
        watching.c1,
        slice_name("web"),
        [endpoint("10.1.0.1", ready=False), endpoint("10.1.0.2")],
    )
    await_conditions(watching, {"10.1.0.1": NOT_READY, "10.1.0.2": READY})

    watching.set_endpoints(watching.c1, slice_name("web"), endpoints("10.1.0.1", "10.1.0.2"))
    await_conditions(watching, {"10.1.0.1": READY, "10.1.0.2": READY})


def await_conditions(world: World, expected: dict[str, Manifest]) -> None:
    def check() -> None:
        members = world.mirror("web-c1")["endpoints"]
        assert {member["addresses"][0]: member["conditions"] for member in members} == expected

    eventually(check)


def test_deleted_source_slices_and_services_remove_their_mirrors(watching: World) -> None:
    """A deleted source slice takes its mirror with it, and a deleted Service all of them."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    more = endpoint_slice("web-more", "10.1.0.2", key=f"{watching.namespace}/web")
    watching.create(watching.c1, more)
    watching.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])

    watching.c1.api.delete("endpointslices", "web-more", watching.namespace)
    watching.await_mirrored("web", c1=["10.1.0.1"])

    watching.c1.api.delete("services", "web", watching.namespace)
    watching.await_mirrored("web")


def test_slices_are_mirrored_for_the_ip_families_of_the_main_service(linked: World) -> None:
    """Each address family has its own mirror, and a single-stack Service gets one family only."""
    linked.declare("dual", ipFamilyPolicy="PreferDualStack")
    linked.declare("single")
    for name in ("dual", "single"):
        linked.publish(linked.c1, name, "10.1.0.1")
        members = endpoints("fd00:1::1", "fd00:1::2")
        ipv6 = endpoint_slice(
            f"{name}-ipv6", key=f"{linked.namespace}/{name}", endpoints=members, address_type="IPv6"
        )
        linked.create(linked.c1, ipv6)

    linked.await_mirrored("dual", c1=["10.1.0.1", "fd00:1::1", "fd00:1::2"])
    linked.await_mirrored("single", c1=["10.1.0.1"])

    families = {item["addressType"]: item["endpoints"] for item in linked.mirrors("dual").values()}
    assert {family: len(members) for family, members in families.items()} == {"IPv4": 1, "IPv6": 2}


def test_changed_endpoint_of_a_large_service_rewrites_one_mirror(linked: World) -> None:
    """Of 15 mirrors with 100 endpoints each, one changed endpoint rewrites one."""
    linked.declare("web")
    addresses = linked.publish_many(linked.c1, "web", slices=15, endpoints_each=100)

    eventually(lambda: linked.assert_mirrored_by_source("web", addresses))

    before = linked.versions("web")
    assert len(before) == 15
    addresses["web-07"].pop()
    linked.set_endpoints(linked.c1, "web-07", endpoints(*addresses["web-07"]))
    eventually(lambda: linked.assert_mirrored_by_source("web", addresses))
    after = linked.versions("web")
    assert [before[name] == after[name] for name in before].count(False) == 1


def test_unmatched_port_is_dropped_and_reported(linked: World) -> None:
    """Ports match by name or else by number; others are dropped and reported."""
    linked.declare("web", ports=[port("web", 80)])
    linked.create(
        linked.c1, service(f"{linked.namespace}/web", ports=[port("http", 80), port("debug", 6060)])
    )
    ports = [port("http", 8080), port("debug", 6060)]
    linked.create(
        linked.c1, endpoint_slice(None, "10.1.0.1", key=f"{linked.namespace}/web", ports=ports)
    )

    linked.await_mirrored("web", c1=["10.1.0.1"])

    assert linked.mirror("web-c1")["ports"] == [port("web", 8080)]
    linked.links.await_condition("c1", "True", "PortMismatch", kind="Degraded")
    linked.links.await_condition("c2", "False", "AsExpected", kind="Degraded")


def test_zones_become_hints_if_the_main_service_asks_for_topology(linked: World) -> None:
    """Every ready endpoint gets a hint, because kube-proxy ignores all hints if one is missing."""
    linked.declare("web", trafficDistribution="PreferClose")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.set_endpoints(
        linked.c1,
        slice_name("web"),
        [endpoint("10.1.0.1", zone="zone-a"), endpoint("10.1.0.2")],
    )
    linked.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])

    first, second = linked.mirror("web-c1")["endpoints"]

    assert first["hints"] == {"forZones": [{"name": "zone-a"}]}
    assert second["hints"]["forZones"]


def test_recreated_service_owns_its_mirrors_without_resync(watching: World) -> None:
    """A mirror is owned by the current Service, so that the garbage collector keeps it."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.await_mirrored("web", c1=["10.1.0.1"])

    watching.main.api.delete("services", "web", watching.namespace)
    recreated = watching.declare("web")

    def assert_owned() -> None:
        watching.assert_mirrored("web", c1=["10.1.0.1"])
        assert watching.mirror("web-c1")["metadata"]["ownerReferences"] == [
            owner_reference(recreated)
        ]

    eventually(assert_owned)
    consistently(3, assert_owned)


def test_deleted_service_loses_its_mirrors_until_it_is_recreated(watching: World) -> None:
    """Mirrors are garbage collected with their Service, and return only with a new one."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.await_mirrored("web", c1=["10.1.0.1"])

    watching.main.api.delete("services", "web", watching.namespace)
    watching.await_mirrored("web")
    consistently(2, lambda: watching.assert_mirrored("web"))

    watching.declare("web")
    watching.await_mirrored("web", c1=["10.1.0.1"])
