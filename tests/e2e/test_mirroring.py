"""What is mirrored, as what, and what is not."""

from __future__ import annotations

import time

import pytest

from .api_client import Object
from .control_planes import SYSTEM_NAMESPACE
from .controller_process import Controller
from .objects import (
    ANNOTATION_SOURCE,
    LABEL_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_SERVICE,
    MANAGED_BY_SVCLINK,
    endpoint,
    endpoint_slice,
    endpoints,
    port,
    service,
    slice_name,
)
from .polling import eventually, throughout
from .world import RecordMeasure, World, content

# So long that whatever happens within a test was set off by a watch.
NO_RESYNC = "10m"

READY = {"ready": True, "serving": True, "terminating": False}
NOT_READY = {"ready": False, "serving": False, "terminating": False}
TERMINATING = {"ready": False, "serving": True, "terminating": True}


@pytest.fixture
def watching(world: World, idle_controller: Controller) -> World:
    """Both remotes linked, and a controller that has nothing but its watches to go by."""
    idle_controller.start(sync_interval=NO_RESYNC)
    world.link(world.c1, world.c2)
    return world


def test_a_service_in_both_remotes_has_one_slice_for_each(linked: World) -> None:
    """Each remote slice has exactly one mirror, called after the Service and the cluster."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1", "10.1.0.2")
    linked.publish(linked.c2, "web", "10.2.0.1")

    linked.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"], c2=["10.2.0.1"])

    assert sorted(linked.mirrors("web")) == ["web-c1", "web-c2"]


def test_a_mirrored_slice_has_every_field_as_the_rules_say(linked: World) -> None:
    """Labels, annotation, owner, ports and endpoints are all there, and nothing else of the remote is."""
    owner = linked.declare("web", ports=[port("web", 80), port("metrics", 9090)])
    linked.create(
        linked.c1,
        service(
            linked.namespace, "web", [port("http", 80, targetPort=8080), port("metrics", 9090)]
        ),
    )
    source = linked.create(linked.c1, elaborate_slice(linked.namespace))

    mirror = eventually(lambda: linked.mirror("web-c1"))

    assert content(mirror) == {
        "labels": {LABEL_MANAGED_BY: MANAGED_BY_SVCLINK, LABEL_CLUSTER: "c1", LABEL_SERVICE: "web"},
        "annotations": {ANNOTATION_SOURCE: source["metadata"]["name"]},
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


def elaborate_slice(namespace: str) -> Object:
    """A remote slice that uses every field there is."""
    on_a_node: Object = {
        "nodeName": "worker-0",
        "hostname": "web-0",
        "zone": "zone-a",
        "hints": {"forZones": [{"name": "zone-a"}]},
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": "web-0"},
    }
    members = [
        endpoint("10.1.0.4", conditions=TERMINATING),
        endpoint("10.1.0.2", **on_a_node),
        endpoint("10.1.0.3", ready=None),
        endpoint("10.1.0.1", ready=False),
    ]
    ports = [port("http", 8080, appProtocol="http"), port("metrics", 9091)]
    source = endpoint_slice(namespace, "web", members, ports=ports, labels={"team": "shop"})
    source["metadata"]["annotations"] = {
        "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-01T00:00:00Z"
    }
    return source


def owner_reference(owner: Object) -> Object:
    meta = owner["metadata"]
    named = {"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}
    return named | {"controller": True, "blockOwnerDeletion": False}


def test_services_that_are_none_of_ours_are_not_mirrored(linked: World) -> None:
    """Nothing comes of kube-system, kubernetes, headless, ExternalName or imported Services, or those main lacks."""
    create_unwanted(linked)
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])

    def only_web() -> None:
        found = linked.main.api.find("endpointslices", None, {LABEL_MANAGED_BY: MANAGED_BY_SVCLINK})
        assert [item["metadata"]["name"] for item in found] == ["web-c1"]

    throughout(2, only_web)


def create_unwanted(world: World) -> None:
    """In both clusters, one Service for each rule that says no; in the remote, each has endpoints."""
    headless: Object = {"clusterIP": "None"}
    external: Object = {"type": "ExternalName", "externalName": "example.org"}
    main, remote, namespace = world.main, world.c1, world.namespace
    imported = service(namespace, "imported")
    imported["metadata"]["labels"] = {"svclink.cloudpilot.ai/imported": "true"}
    in_main = [
        service(SYSTEM_NAMESPACE, "system"),
        service(namespace, "headless-there"),
        service(namespace, "headless-here", **headless),
        service(namespace, "external-there"),
        service(namespace, "external-here", **external),
        service(namespace, "imported"),
        service(namespace, "slice-without-service"),
    ]
    in_remote = [
        service(SYSTEM_NAMESPACE, "system"),
        service(namespace, "headless-there", **headless),
        service(namespace, "headless-here"),
        service(namespace, "external-there", **external),
        service(namespace, "external-here"),
        imported,
        service(namespace, "main-lacks-it"),
    ]
    for cluster, wanted in ((main, in_main), (remote, in_remote)):
        for obj in wanted:
            world.create(cluster, obj)
    names = {(obj["metadata"]["namespace"], obj["metadata"]["name"]) for obj in in_remote}
    for where, name in sorted(
        names | {("default", "kubernetes"), (namespace, "slice-without-service")}
    ):
        world.create(remote, endpoint_slice(where, name, endpoints("10.1.9.9")))


def test_slices_that_a_mirror_wrote_are_not_mirrored_again(linked: World) -> None:
    """Two clusters that mirror each other do not echo: slices that carry a mirror's label are left out."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    echoes = {
        "by-managed-by": {LABEL_MANAGED_BY: MANAGED_BY_SVCLINK},
        "by-cluster": {LABEL_CLUSTER: "c9"},
        "by-go-release": {"cloudpilot.ai/svclink-cluster": "c9"},
        "by-mcs": {"multicluster.kubernetes.io/source-cluster": "c9"},
    }
    for name, labels in echoes.items():
        members = endpoints("10.9.0.1")
        linked.create(
            linked.c1, endpoint_slice(linked.namespace, "web", members, name=name, labels=labels)
        )

    linked.await_mirrored("web", c1=["10.1.0.1"])
    throughout(2, lambda: linked.shows("web", c1=["10.1.0.1"]))


def test_a_service_of_every_type_with_pods_is_mirrored(linked: World) -> None:
    """NodePort and LoadBalancer Services have Pods behind them, too."""
    for kind in ("NodePort", "LoadBalancer"):
        name = kind.lower()
        linked.declare(name)
        linked.create(linked.c1, service(linked.namespace, name, type=kind))
        linked.create(linked.c1, endpoint_slice(linked.namespace, name, endpoints("10.1.0.1")))

    for name in ("nodeport", "loadbalancer"):
        linked.await_mirrored(name, c1=["10.1.0.1"])


def test_a_service_added_to_the_main_cluster_later_is_mirrored_at_once(watching: World) -> None:
    """What the remotes held all along appears when the main cluster gets the Service, without any resync."""
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.publish(watching.c2, "web", "10.2.0.1")
    watching.declare("other")
    watching.publish(watching.c1, "other", "10.1.0.9")
    watching.await_mirrored("other", c1=["10.1.0.9"])
    watching.shows("web")

    watching.declare("web")

    watching.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])


def test_a_changed_endpoint_is_in_the_main_cluster_at_once(
    watching: World, record_measure: RecordMeasure
) -> None:
    """Endpoints that are added, changed and removed are so in the main cluster, without any resync."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.await_mirrored("web", c1=["10.1.0.1"])

    for what, addresses in {
        "added": ["10.1.0.1", "10.1.0.2"],
        "changed": ["10.1.0.1", "10.1.0.3"],
        "removed": ["10.1.0.3"],
    }.items():
        started = time.monotonic()
        watching.rewrite(watching.c1, "web", *addresses)
        watching.await_mirrored("web", c1=addresses)
        record_measure(f"seconds until an endpoint is {what}", time.monotonic() - started)


def test_an_endpoint_that_stops_being_ready_is_mirrored_as_not_ready(watching: World) -> None:
    """A Pod that fails its probe stays in the mirrored slice, not ready, and comes back."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1", "10.1.0.2")
    watching.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])

    watching.set_endpoints(
        watching.c1, slice_name("web"), [endpoint("10.1.0.1", ready=False), endpoint("10.1.0.2")]
    )
    await_conditions(watching, {"10.1.0.1": NOT_READY, "10.1.0.2": READY})

    watching.set_endpoints(watching.c1, slice_name("web"), endpoints("10.1.0.1", "10.1.0.2"))
    await_conditions(watching, {"10.1.0.1": READY, "10.1.0.2": READY})


def await_conditions(world: World, expected: dict[str, Object]) -> None:
    def check() -> None:
        members = world.mirror("web-c1")["endpoints"]
        assert {member["addresses"][0]: member["conditions"] for member in members} == expected

    eventually(check)


def test_what_the_remote_removes_is_removed(watching: World) -> None:
    """A remote slice that goes takes its mirror along, and a remote Service that goes takes all of them."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    more = endpoint_slice(watching.namespace, "web", endpoints("10.1.0.2"), name="web-more")
    watching.create(watching.c1, more)
    watching.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])

    watching.c1.api.delete("endpointslices", "web-more", watching.namespace)
    watching.await_mirrored("web", c1=["10.1.0.1"])

    watching.c1.api.delete("services", "web", watching.namespace)
    watching.await_mirrored("web")


def test_ipv6_endpoints_are_mirrored_as_ipv6(linked: World) -> None:
    """Each address family has its own slice, and a Service of one family gets no other."""
    linked.declare("dual", ipFamilyPolicy="PreferDualStack")
    linked.declare("single")
    for name in ("dual", "single"):
        linked.publish(linked.c1, name, "10.1.0.1")
        members = endpoints("fd00:1::1", "fd00:1::2")
        six = endpoint_slice(
            linked.namespace, name, members, name=f"{name}-six", address_type="IPv6"
        )
        linked.create(linked.c1, six)

    linked.await_mirrored("dual", c1=["10.1.0.1", "fd00:1::1", "fd00:1::2"])
    linked.await_mirrored("single", c1=["10.1.0.1"])

    families = {item["addressType"]: item["endpoints"] for item in linked.mirrors("dual").values()}
    assert {family: len(members) for family, members in families.items()} == {"IPv4": 1, "IPv6": 2}


def test_1500_endpoints_in_15_slices_are_complete(linked: World) -> None:
    """A Service of many slices is mirrored slice by slice, and one changed Pod rewrites one of them."""
    linked.declare("web")
    every = linked.publish_many(linked.c1, "web", slices=15, endpoints_each=100)

    eventually(lambda: linked.shows_by_source("web", every))

    before = linked.versions("web")
    assert len(before) == 15
    every["web-07"].pop()
    linked.set_endpoints(linked.c1, "web-07", endpoints(*every["web-07"]))
    eventually(lambda: linked.shows_by_source("web", every))
    after = linked.versions("web")
    assert [before[name] == after[name] for name in before].count(False) == 1


def test_a_port_without_partner_is_left_out_and_the_link_says_so(linked: World) -> None:
    """Ports meet by name, else by number; one that meets none is missing from the mirror and named in the status."""
    linked.declare("web", ports=[port("web", 80)])
    linked.create(
        linked.c1, service(linked.namespace, "web", [port("http", 80), port("debug", 6060)])
    )
    ports = [port("http", 8080), port("debug", 6060)]
    linked.create(
        linked.c1, endpoint_slice(linked.namespace, "web", endpoints("10.1.0.1"), ports=ports)
    )

    linked.await_mirrored("web", c1=["10.1.0.1"])

    assert linked.mirror("web-c1")["ports"] == [port("web", 8080)]
    linked.links.await_condition("c1", "True", "PortMismatch", kind="Degraded")
    linked.links.await_condition("c2", "False", "AsExpected", kind="Degraded")


def test_zones_become_hints_where_the_main_service_asks_for_topology(linked: World) -> None:
    """Every ready endpoint has a hint then, since one without would switch the hints of the whole Service off."""
    linked.declare("web", trafficDistribution="PreferSameZone")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.set_endpoints(
        linked.c1, slice_name("web"), [endpoint("10.1.0.1", zone="zone-a"), endpoint("10.1.0.2")]
    )
    linked.await_mirrored("web", c1=["10.1.0.1", "10.1.0.2"])

    first, second = linked.mirror("web-c1")["endpoints"]

    assert first["hints"] == {"forZones": [{"name": "zone-a"}]}
    assert second["hints"]["forZones"]


def test_a_service_that_is_created_anew_owns_the_mirrored_slices(watching: World) -> None:
    """The owner of a mirrored slice is the Service of now, by uid, or the garbage collector would remove it."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.await_mirrored("web", c1=["10.1.0.1"])

    watching.main.api.delete("services", "web", watching.namespace)
    anew = watching.declare("web")

    def owned() -> None:
        watching.shows("web", c1=["10.1.0.1"])
        assert watching.mirror("web-c1")["metadata"]["ownerReferences"] == [owner_reference(anew)]

    eventually(owned)
    throughout(3, owned)


def test_a_service_that_goes_takes_its_mirrored_slices_along(watching: World) -> None:
    """The garbage collector removes them, nobody brings them back, and they return with the Service."""
    watching.declare("web")
    watching.publish(watching.c1, "web", "10.1.0.1")
    watching.await_mirrored("web", c1=["10.1.0.1"])

    watching.main.api.delete("services", "web", watching.namespace)
    watching.await_mirrored("web")
    throughout(2, lambda: watching.shows("web"))

    watching.declare("web")
    watching.await_mirrored("web", c1=["10.1.0.1"])
