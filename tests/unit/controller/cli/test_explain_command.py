"""`svclink explain` says in plain words, per cluster, what the plan decided about one Service.

Real: the command, the files, the core. Substituted: nothing.
"""

from __future__ import annotations

import json

import yaml

from tests.unit.controller.cli.dump_files import Files, link, mirrored, piece, service


def test_each_cluster_is_explained(files: Files) -> None:
    """Where the Service is mirrored, where not and why, and what was left out, is said cluster by cluster."""
    files.write(
        "main.yaml",
        service(),
        piece("web"),
        link("c1"),
        link("c2", excludedServices=["default/web"]),
        link("c3"),
    )
    remotes = (
        *files.remote(
            "c1",
            service(),
            piece(address="10.0.0.2"),
            piece(address="127.0.0.1") | {"ports": [{"port": 1}]},
        ),
        *files.remote("c2", service(), piece()),
    )
    done = files.run("explain", "default/web", *remotes)
    assert done.stdout.splitlines() == [
        "default/web",
        "  main: ClusterIP Service with 1 local endpoint",
        "  c1: mirrored (1 endpoint in 1 EndpointSlice)",
        "    left out: the API server would refuse the address of an endpoint: 127.0.0.1",
        "    left out: a remote port has no partner in the main Service: (unnamed) 1/TCP",
        "  c2: not mirrored, because it is in the link's excludedServices",
        "  c3: kept as it is, because the cluster has not been listed completely yet, so its EndpointSlices are kept",
        "  planned: create EndpointSlice default/web-c1: the remote EndpointSlice is not mirrored yet",
    ]


def test_service_that_main_does_not_have(files: Files) -> None:
    """A Service that only a remote has is not mirrored, and that is said."""
    files.write("main.yaml", link("c1"))
    done = files.run("explain", "default/web", *files.remote("c1", service()))
    assert done.stdout.splitlines()[1:] == [
        "  main: no Service of this namespace and name",
        "  c1: not mirrored, because the main cluster has no Service of this namespace and name",
    ]


def test_without_links_that_is_said(files: Files) -> None:
    """Where nothing is linked, there is nothing to explain but that."""
    files.write("main.yaml", service(clusterIP="None"))
    assert files.run("explain", "default/web").stdout.splitlines()[1:] == [
        "  main: headless Service with 0 local endpoints",
        "  There is no ClusterLink, so nothing is mirrored.",
    ]


def test_leftover_is_explained(files: Files) -> None:
    """Slices of a link that is gone have no cluster to be explained with, but they go, and why is said."""
    files.write("main.yaml", service(), mirrored("gone"))
    assert (
        "  planned: delete EndpointSlice default/web-abc: no ClusterLink"
        in files.run("explain", "default/web").stdout
    )


def test_cluster_that_is_not_read_says_why(files: Files) -> None:
    """A link to the main cluster itself is not used, and its Services are not explained without that."""
    kube_system = {"kind": "Namespace", "metadata": {"name": "kube-system", "uid": "u"}}
    files.write("main.yaml", service(), kube_system)
    remote = files.remote("c1", service(), kube_system)
    assert (
        "    could not be read: SelfLink: the kubeconfig leads"
        in files.run("explain", "default/web", *remote).stdout
    )
    done = files.run("explain", "default/web", *remote, "-o", "json")
    assert json.loads(done.stdout)["clusters"][0]["problem"]["reason"] == "SelfLink"


def test_program_gets_the_same(files: Files) -> None:
    """`-o json` and `-o yaml` hold the same: decisions with their findings, and the changes."""
    files.write("main.yaml", service(), link("c1"))
    remote = files.remote("c1", service(), piece(address="127.0.0.1"))
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
