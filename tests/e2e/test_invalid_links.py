"""Links that cannot work: each says why in its own status, and none of them disturbs a good one."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from .api_client import Object
from .control_planes import STRANGER, Cluster, reserve_ports
from .controller_process import Controller
from .objects import cluster_link
from .polling import throughout
from .world import World

CANARY = "a-token-that-nobody-may-see"


@pytest.fixture
def healthy(linked: World) -> World:
    """Two good links, and `web` mirrored from the first."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    return linked


def bad_kubeconfigs(
    cluster: Cluster, tmp_path: Path, silent_server: str
) -> dict[str, tuple[str, str]]:
    """Kubeconfigs that differ from a good one in one thing, each with the reason that its link must show."""
    user = {"token": CANARY}
    without_context = yaml.safe_load(cluster.kubeconfig(user))
    del without_context["current-context"]
    stranger = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
    token_file = tmp_path / "token"
    token_file.write_text(CANARY, encoding="utf-8")
    return {
        "not-yaml": ("{clusters: [", "InvalidKubeconfig"),
        "not-a-kubeconfig": ("just some words", "InvalidKubeconfig"),
        "no-context": (yaml.safe_dump(without_context), "InvalidKubeconfig"),
        "refused": (
            cluster.kubeconfig(user, server=f"https://127.0.0.1:{reserve_ports(1)[0]}"),
            "Unreachable",
        ),
        "silent": (cluster.kubeconfig(user, server=silent_server), "Unreachable"),
        "wrong-ca": (
            cluster.kubeconfig(user, **{"certificate-authority-data": stranger}),
            "CertificateInvalid",
        ),
        "wrong-token": (cluster.kubeconfig(user), "Unauthorized"),
        "no-permission": (cluster.kubeconfig({"token": cluster.token(STRANGER)}), "Forbidden"),
        "exec-plugin": (cluster.kubeconfig(exec_plugin(tmp_path / "marker")), "InsecureKubeconfig"),
        "token-file": (cluster.kubeconfig({"tokenFile": str(token_file)}), "InsecureKubeconfig"),
        "skip-verify": (unverified(cluster), "InsecureKubeconfig"),
        "http": (
            cluster.kubeconfig(user, server=cluster.server.replace("https", "http")),
            "InsecureKubeconfig",
        ),
    }


def exec_plugin(marker: Path) -> dict[str, Any]:
    """A user that is found by running a program, which leaves a file behind."""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    return {"exec": plugin | {"command": "/bin/sh", "args": ["-c", f"touch '{marker}'"]}}


def unverified(cluster: Cluster) -> str:
    config = yaml.safe_load(cluster.kubeconfig({"token": CANARY}))
    (entry,) = config["clusters"]
    del entry["cluster"]["certificate-authority-data"]
    entry["cluster"]["insecure-skip-tls-verify"] = True
    return str(yaml.safe_dump(config))


def test_bad_links_say_why_and_disturb_nothing(
    healthy: World, tmp_path: Path, silent_server: str, subtests: pytest.Subtests
) -> None:
    """Each is Ready=False with a reason and a message, no secret is shown, and good links go on as before."""
    before = healthy.versions("web")
    bad = bad_kubeconfigs(healthy.c2, tmp_path, silent_server)
    for name, (kubeconfig, _) in bad.items():
        healthy.links.add(name, kubeconfig)
    not_base64 = cluster_link("not-base64", "")
    not_base64["spec"]["kubeconfig"] = "%% this is not base64 %%"
    healthy.main.api.create(not_base64)

    reasons = {name: reason for name, (_, reason) in bad.items()} | {
        "not-base64": "InvalidKubeconfig"
    }
    for name, reason in reasons.items():
        with subtests.test(name):
            assert_bad(healthy, name, reason)
    assert healthy.versions("web") == before
    healthy.rewrite(healthy.c1, "web", "10.1.0.2")
    healthy.await_mirrored("web", c1=["10.1.0.2"])
    healthy.links.await_ready("c1", "c2")


def assert_bad(world: World, name: str, reason: str) -> None:
    condition = world.links.await_condition(name, "False", reason, timeout=60)
    assert condition["message"]
    status: Object = world.links.status(name)
    assert status["phase"] == "NotReady"
    assert CANARY not in str(status)


@pytest.mark.parametrize("key", ["exec", "tokenFile"])
def test_what_is_refused_is_named(
    world: World, controller: Controller, tmp_path: Path, key: str
) -> None:
    """The message says which key of the kubeconfig is not allowed."""
    users = {"exec": exec_plugin(tmp_path / "marker"), "tokenFile": {"tokenFile": "/dev/null"}}
    world.links.add("bad", world.c1.kubeconfig(users[key]))

    assert key in world.links.await_condition("bad", "False", "InsecureKubeconfig")["message"]
    assert controller.running


def test_an_exec_plugin_never_runs(healthy: World, tmp_path: Path) -> None:
    """Not when the link is new, not on any retry, and not when a good link is given such a kubeconfig."""
    marker = tmp_path / "marker"
    kubeconfig = healthy.c2.kubeconfig(exec_plugin(marker))

    healthy.links.add("bad", kubeconfig)
    healthy.links.replace_kubeconfig("c1", kubeconfig)

    healthy.links.await_condition("bad", "False", "InsecureKubeconfig")
    healthy.links.await_condition("c1", "False", "InsecureKubeconfig")
    healthy.rewrite(healthy.c1, "web", "10.1.0.2")
    healthy.await_mirrored("web", c1=["10.1.0.2"])

    def has_not_run() -> None:
        assert not marker.exists()

    throughout(6, has_not_run)


def test_a_link_to_the_main_cluster_is_refused(healthy: World) -> None:
    """Mirroring a cluster into itself would double its endpoints."""
    healthy.links.add("self", healthy.main.remote_kubeconfig())

    healthy.links.await_condition("self", "False", "SelfLink")

    healthy.shows("web", c1=["10.1.0.1"])


def test_of_two_links_to_one_cluster_the_older_is_used(healthy: World) -> None:
    """Two links to one cluster would double its endpoints; when the older goes, the other takes over."""
    healthy.links.add("c1-again", healthy.c1.remote_kubeconfig())

    healthy.links.await_condition("c1-again", "False", "DuplicateCluster")
    healthy.shows("web", c1=["10.1.0.1"])
    healthy.links.await_ready("c1")

    healthy.links.remove("c1")
    healthy.await_mirrored("web", **{"c1-again": ["10.1.0.1"]})


def test_a_bad_link_that_is_mended_works(healthy: World) -> None:
    """Nothing has to be restarted after a mistake."""
    healthy.publish(healthy.c2, "web", "10.2.0.1")
    healthy.links.remove("c2")
    healthy.links.add("west", "not a kubeconfig")
    healthy.links.await_condition("west", "False", "InvalidKubeconfig")
    healthy.await_mirrored("web", c1=["10.1.0.1"])

    healthy.links.replace_kubeconfig("west", healthy.c2.remote_kubeconfig())

    healthy.links.await_ready("west")
    healthy.await_mirrored("web", c1=["10.1.0.1"], west=["10.2.0.1"])
