"""ClusterLinks that cannot work: each reports why in its status, and valid links still work."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import trustme
import yaml

from tests.builders.cidrs import INVALID_CIDRS, VALID_CIDRS
from tests.builders.manifests import Manifest, cluster_link, encoded

from .api_client import ApiError
from .control_planes import UNPRIVILEGED, Cluster
from .controller_process import Controller
from .loopback_ports import reserve_ports
from .polling import consistently
from .world import World

CANARY = "a-token-that-must-not-be-shown"

# A server that never responds is reported after several time-outs.
REPORT_SECONDS = 60


@pytest.fixture
def healthy(linked: World) -> World:
    """Two valid links, and the Service `web` mirrored from the first."""
    linked.declare("web")
    linked.publish(linked.c1, "web", "10.1.0.1")
    linked.await_mirrored("web", c1=["10.1.0.1"])
    return linked


def invalid_kubeconfigs(
    cluster: Cluster, tmp_path: Path, silent_server: str
) -> dict[str, tuple[str, str]]:
    """Kubeconfigs with one fault each, and the reason that its link must report."""
    user = {"token": CANARY}
    without_context = yaml.safe_load(cluster.kubeconfig(user))
    del without_context["current-context"]
    other_authority = base64.b64encode(trustme.CA().cert_pem.bytes()).decode()
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
            cluster.kubeconfig(user, **{"certificate-authority-data": other_authority}),
            "CertificateInvalid",
        ),
        "wrong-token": (cluster.kubeconfig(user), "Unauthorized"),
        "no-permission": (cluster.kubeconfig({"token": cluster.token(UNPRIVILEGED)}), "Forbidden"),
        "exec-plugin": (cluster.kubeconfig(exec_plugin(tmp_path / "marker")), "InsecureKubeconfig"),
        "token-file": (cluster.kubeconfig({"tokenFile": str(token_file)}), "InsecureKubeconfig"),
        "skip-verify": (without_tls_verification(cluster), "InsecureKubeconfig"),
        "http": (
            cluster.kubeconfig(user, server=cluster.server.replace("https", "http")),
            "InsecureKubeconfig",
        ),
    }


def exec_plugin(marker: Path) -> dict[str, Any]:
    """A user entry with an exec plugin that creates a file when it runs."""
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    return {"exec": plugin | {"command": "/bin/sh", "args": ["-c", f"touch '{marker}'"]}}


def without_tls_verification(cluster: Cluster) -> str:
    config = yaml.safe_load(cluster.kubeconfig({"token": CANARY}))
    (entry,) = config["clusters"]
    del entry["cluster"]["certificate-authority-data"]
    entry["cluster"]["insecure-skip-tls-verify"] = True
    return str(yaml.safe_dump(config))


def test_invalid_links_report_why_and_valid_links_still_mirror(
    healthy: World, tmp_path: Path, silent_server: str, subtests: pytest.Subtests
) -> None:
    """Each link has a reason and a message without the token, and valid links still mirror."""
    before = healthy.versions("web")
    invalid = invalid_kubeconfigs(healthy.c2, tmp_path, silent_server)
    for name, (kubeconfig, _) in invalid.items():
        healthy.links.add(name, kubeconfig)
    healthy.main.api.create(cluster_link("not-base64", kubeconfig="%% this is not base64 %%"))

    reasons = {name: reason for name, (_, reason) in invalid.items()} | {
        "not-base64": "InvalidKubeconfig"
    }
    for name, reason in reasons.items():
        with subtests.test(name):
            assert_invalid(healthy, name, reason)
    assert healthy.versions("web") == before
    healthy.set_addresses(healthy.c1, "web", "10.1.0.2")
    healthy.await_mirrored("web", c1=["10.1.0.2"])
    healthy.links.await_ready("c1", "c2")


def assert_invalid(world: World, name: str, reason: str) -> None:
    condition = world.links.await_condition(name, "False", reason, timeout=REPORT_SECONDS)
    assert condition["message"]
    status: Manifest = world.links.status(name)
    assert status["phase"] == "NotReady"
    assert CANARY not in str(status)


@pytest.mark.parametrize("key", ["exec", "tokenFile"])
def test_message_names_the_refused_kubeconfig_key(
    world: World, controller: Controller, tmp_path: Path, key: str
) -> None:
    """The message of the condition names the key of the kubeconfig that is not allowed."""
    users = {"exec": exec_plugin(tmp_path / "marker"), "tokenFile": {"tokenFile": "/dev/null"}}
    world.links.add("bad", world.c1.kubeconfig(users[key]))

    assert key in world.links.await_condition("bad", "False", "InsecureKubeconfig")["message"]
    assert controller.running


def test_exec_plugin_never_runs(healthy: World, tmp_path: Path) -> None:
    """An exec plugin never runs: not for a new link, a retry, or an edited link."""
    marker = tmp_path / "marker"
    kubeconfig = healthy.c2.kubeconfig(exec_plugin(marker))

    healthy.links.add("bad", kubeconfig)
    healthy.links.replace_kubeconfig("c1", kubeconfig)

    healthy.links.await_condition("bad", "False", "InsecureKubeconfig")
    healthy.links.await_condition("c1", "False", "InsecureKubeconfig")
    healthy.set_addresses(healthy.c1, "web", "10.1.0.2")
    healthy.await_mirrored("web", c1=["10.1.0.2"])

    def assert_not_run() -> None:
        assert not marker.exists()

    consistently(6, assert_not_run)  # Longer than the resync of 5 s.


def test_link_to_the_main_cluster_is_refused(healthy: World) -> None:
    """A link to main itself is SelfLink, because it would duplicate endpoints."""
    healthy.links.add("self", healthy.main.remote_kubeconfig())

    healthy.links.await_condition("self", "False", "SelfLink")

    healthy.assert_mirrored("web", c1=["10.1.0.1"])


def test_older_of_two_links_to_one_cluster_is_used(healthy: World) -> None:
    """The younger link is DuplicateCluster, and is used after the older one is deleted."""
    healthy.links.add("c1-again", healthy.c1.remote_kubeconfig())

    healthy.links.await_condition("c1-again", "False", "DuplicateCluster")
    healthy.assert_mirrored("web", c1=["10.1.0.1"])
    healthy.links.await_ready("c1")

    healthy.links.remove("c1")
    healthy.await_mirrored("web", **{"c1-again": ["10.1.0.1"]})


def test_fixed_link_works_without_a_restart(healthy: World) -> None:
    """A link with an invalid kubeconfig mirrors as soon as it has a valid one."""
    healthy.publish(healthy.c2, "web", "10.2.0.1")
    healthy.links.remove("c2")
    healthy.links.add("west", "not a kubeconfig")
    healthy.links.await_condition("west", "False", "InvalidKubeconfig")
    healthy.await_mirrored("web", c1=["10.1.0.1"])

    healthy.links.replace_kubeconfig("west", healthy.c2.remote_kubeconfig())

    healthy.links.await_ready("west")
    healthy.await_mirrored("web", c1=["10.1.0.1"], west=["10.2.0.1"])


@pytest.mark.real_servers("the embedded server does not evaluate the rules of a CRD")
def test_crd_refuses_the_ranges_that_svclink_cannot_read(world: World) -> None:
    """The API server and svclink agree on what a range is, and the refusal is one sentence."""

    def create(text: str) -> None:
        kubeconfig = encoded(world.c1.remote_kubeconfig())
        world.main.api.create(cluster_link("c1", kubeconfig=kubeconfig, allowedCIDRs=[text]))
        world.links.remove("c1")

    for text in VALID_CIDRS:
        create(text)
    for text in INVALID_CIDRS:
        with pytest.raises(ApiError) as refused:
            create(text)
        assert refused.value.status == 422
        assert "an entry of spec.allowedCIDRs must be a CIDR such as 10.0.0.0/16" in str(
            refused.value
        )
