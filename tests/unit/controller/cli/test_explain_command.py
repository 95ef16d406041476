"""`svclink explain` says for each cluster what the plan decided about one Service.

Real: the command, the files, the core. Substituted: nothing.
"""

from __future__ import annotations

import json

import pytest
import yaml

from svclink_core.service_traffic import TrafficReason
from svclink_core.well_known import (
    ANNOTATION_ENDPOINT_GROUP,
    ANNOTATION_UNREACHABLE,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    MANAGED_BY,
    NOT_READY,
    Reason,
)
from tests.builders import manifests
from tests.unit.controller.cli.dump_files import (
    Files,
    endpoint_slice,
    link,
    mirrored_slice,
    service,
)


def test_each_cluster_is_explained(files: Files) -> None:
    """For each cluster: whether the Service is mirrored, why, and what was left out."""
    files.write(
        "main.yaml",
        service(),
        endpoint_slice(),
        link("c1"),
        link("c2", excludedServices=["default/web"]),
        link("c3"),
    )
    remotes = (
        *files.remote(
            "c1",
            service(),
            endpoint_slice(None, "10.0.0.2"),
            endpoint_slice("web-def", "127.0.0.1") | {"ports": [{"port": 1}]},
        ),
        *files.remote("c2", service(), endpoint_slice()),
    )
    done = files.run("explain", "default/web", *remotes)
    assert done.stdout.splitlines() == [
        "default/web",
        "  main: ClusterIP Service with 1 local endpoint",
        "  c1: mirrored (1 endpoint in 1 EndpointSlice)",
        f"    left out: {Reason.INVALID_ENDPOINTS.sentence}: 127.0.0.1",
        "    left out: a remote port has no matching port in the main Service: (unnamed) 1/TCP",
        "  c2: not mirrored, because the Service is in the link's excludedServices",
        "  c3: kept unchanged, because the cluster has not been fully listed yet",
        (
            "  planned: create EndpointSlice default/web-c1: the remote EndpointSlice is not"
            " mirrored yet"
        ),
    ]


@pytest.mark.parametrize(
    ("steering", "tier", "why"),
    [
        ([link("c1", drained=True)], 0, "the ClusterLink is drained"),
        (
            [link("c1"), manifests.traffic_policy("default/web", {"name": "c1", "tier": 1})],
            1,
            "the earlier tiers have enough ready endpoints",
        ),
    ],
)
def test_cluster_with_standby_endpoints_only(
    files: Files, steering: list[dict[str, object]], tier: int, why: str
) -> None:
    """A drained link and a later tier: explain and plan say that nothing is active, and why."""
    files.write("main.yaml", service(), endpoint_slice("web-local", "10.9.0.1"), *steering)
    remotes = files.remote("c1", service(), endpoint_slice(None, "10.0.0.2", "10.0.0.3"))
    explained = files.run("explain", "default/web", *remotes).stdout.splitlines()
    planned = [" ".join(line.split()) for line in files.plan(*remotes).splitlines()]
    assert f"  traffic: c1: 0 of 2 ready IPv4 endpoints active (0%), because {why}" in explained
    assert f"default/web c1 {tier} 2 0 - 0% {why}" in planned


def test_cluster_whose_endpoints_are_all_active(files: Files) -> None:
    """The numbers say it, so explain gives no reason; plan has a column for it."""
    policy = manifests.traffic_policy("default/web", {"name": "c1"})
    files.write("main.yaml", service(), endpoint_slice("web-local", "10.9.0.1"), link("c1"), policy)
    remotes = files.remote("c1", service(), endpoint_slice(None, "10.0.0.2"))
    explained = files.run("explain", "default/web", *remotes).stdout.splitlines()
    planned = [" ".join(line.split()) for line in files.plan(*remotes).splitlines()]
    assert "  traffic: c1: 1 of 1 ready IPv4 endpoints active (50%)" in explained
    assert f"default/web c1 0 1 1 - 50% {TrafficReason.IN_USE.sentence}" in planned


def test_target_port_of_another_number_is_noted(files: Files) -> None:
    """It is harmless with kube-proxy, so it is neither left out nor a warning."""
    files.write("main.yaml", service(), endpoint_slice(), link("c1"))
    other = endpoint_slice("web-def", "10.0.0.2")
    (port,) = other["ports"]
    remotes = files.remote("c1", service(), other | {"ports": [{**port, "port": 9090}]})
    lines = files.run("explain", "default/web", *remotes).stdout.splitlines()
    detail = f"{port['name']}/TCP: 9090 instead of {port['port']}"
    assert f"    note: {Reason.TARGET_PORTS_DIFFER.sentence}: {detail}" in lines
    (found,) = json.loads(files.run("explain", "default/web", *remotes, "-o", "json").stdout)[
        "clusters"
    ][0]["findings"]
    assert (found["reason"], found["details"]) == ("TargetPortsDiffer", [detail])


def test_network_endpoint_group_is_noted(files: Files) -> None:
    """It concerns GKE's load balancer only, and kube-proxy uses the mirrors."""
    annotated = service(annotations={ANNOTATION_ENDPOINT_GROUP: '{"ingress": true}'})
    files.write("main.yaml", annotated, link("c1"))
    remotes = files.remote("c1", service(), endpoint_slice())
    lines = files.run("explain", "default/web", *remotes).stdout.splitlines()
    assert f'    note: {Reason.HAS_ENDPOINT_GROUP.sentence}: {{"ingress": true}}' in lines


def test_service_missing_in_main_is_explained(files: Files) -> None:
    """A Service that exists only in a remote cluster is not mirrored, and the output says so."""
    files.write("main.yaml", link("c1"))
    done = files.run("explain", "default/web", *files.remote("c1", service()))
    assert done.stdout.splitlines()[1:] == [
        "  main: no Service with this namespace and name",
        "  c1: not mirrored, because the main cluster has no Service with this namespace and name",
    ]


def test_missing_links_are_explained(files: Files) -> None:
    """Without links the output says only that."""
    files.write("main.yaml", service(clusterIP="None"))
    assert files.run("explain", "default/web").stdout.splitlines()[1:] == [
        "  main: headless Service with 0 local endpoints",
        "  There are no ClusterLinks, so nothing is mirrored.",
    ]


def test_slices_of_a_deleted_link_are_explained(files: Files) -> None:
    """Slices of a deleted link are listed with the reason for their deletion."""
    files.write("main.yaml", service(), mirrored_slice(cluster="gone"))
    assert (
        "  planned: delete EndpointSlice default/web-gone: there is no ClusterLink"
        in files.run("explain", "default/web").stdout
    )


def test_refused_link_is_explained(files: Files) -> None:
    """For a link to the main cluster the output says that it is not used."""
    kube_system = manifests.namespace("kube-system", uid="u")
    files.write("main.yaml", service(), kube_system)
    remote = files.remote("c1", service(), kube_system)
    assert (
        "    could not be read: SelfLink: the kubeconfig points"
        in files.run("explain", "default/web", *remote).stdout
    )
    done = files.run("explain", "default/web", *remote, "-o", "json")
    assert json.loads(done.stdout)["clusters"][0]["problem"]["reason"] == "SelfLink"


def test_json_and_yaml_have_the_same_data(files: Files) -> None:
    """`-o json` and `-o yaml` have the same data: decisions, findings and changes."""
    files.write("main.yaml", service(), link("c1"))
    remote = files.remote("c1", service(), endpoint_slice(None, "127.0.0.1"))
    as_json = json.loads(files.run("explain", "default/web", *remote, "-o", "json").stdout)
    assert as_json == yaml.safe_load(
        files.run("explain", "default/web", *remote, "-o", "yaml").stdout
    )
    (cluster,) = as_json["clusters"]
    assert (cluster["cluster"], cluster["outcome"], cluster["reason"]) == (
        "c1",
        "Skipped",
        "NoEndpoints",
    )
    assert [each["reason"] for each in cluster["findings"]] == ["InvalidEndpoints"]
    assert (as_json["service"], as_json["inMain"], as_json["localEndpoints"]) == (
        "default/web",
        True,
        0,
    )


def test_mirror_marked_as_not_ready_is_not_called_unchanged(files: Files) -> None:
    """The unreachable policy of its link changed it."""
    policy = {"action": "NotReady"}
    marked = mirrored_slice(cluster="c1")
    marked["metadata"]["annotations"][ANNOTATION_UNREACHABLE] = NOT_READY
    files.write("main.yaml", link("c1", unreachable=policy), service(), endpoint_slice(), marked)
    explained = files.run("explain", "default/web").stdout
    assert (
        "  c1: kept as a last resort, because the link's spec.unreachable marks the endpoints as"
        " not ready while the cluster is unreachable (1 endpoint in 1 EndpointSlice)"
    ) in explained


def test_held_deletion_is_not_planned(files: Files) -> None:
    """What the controller would hold is kept, although one Service alone would not be held."""
    names = [f"default/s{number:02}" for number in range(24)]
    mirrors = [mirrored_slice(key=name, cluster="c1") for name in names]
    files.write("main.yaml", link("c1"), *map(service, names), *mirrors)
    remote = files.remote("c1", service("default/other"))
    done = files.run("explain", "default/s00", *remote)
    assert "  c1: kept unchanged, because most of the EndpointSlices that" in done.stdout
    assert "planned:" not in done.stdout
    lifted = files.run("explain", "default/s00", *remote, before=("--deletion-hold=0s",))
    assert "  planned: delete EndpointSlice default/s00-c1" in lifted.stdout


@pytest.mark.parametrize(
    "labels",
    [{LABEL_GO_CLUSTER: "c1"}, {LABEL_GO_CLUSTER: "c1", LABEL_MANAGED_BY: MANAGED_BY}],
    ids=["older", "newer"],
)
def test_leftovers_are_not_local_endpoints(files: Files, labels: dict[str, str]) -> None:
    """Endpoints that the Go release mirrored are not those of the main cluster."""
    leftover = endpoint_slice("web-svclink-c1", "10.7.7.7", labels=labels)
    files.write("main.yaml", service(), endpoint_slice(), leftover)
    assert (
        "  main: ClusterIP Service with 1 local endpoint\n"
        in files.run("explain", "default/web").stdout
    )


def test_cluster_without_mirrors_has_no_last_endpoints(files: Files) -> None:
    """Of a cluster that was not read nothing is called the last endpoints of a Service."""
    policy = {"action": "NotReady", "afterSeconds": 0}
    files.write("main.yaml", service(), link("c1", unreachable=policy))
    data = json.loads(files.run("explain", "default/web", "-o", "json").stdout)
    assert [each["reason"] for each in data["clusters"]] == ["Pending"]
