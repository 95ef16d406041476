"""`svclink check` in a Pod of the main cluster says which remote Pods can be reached.

The command runs where the clients run, as the ServiceAccount of the controller and with its files.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import pytest
import yaml

from svclink_controller.credentials.administrator.access import SERVICE_ACCOUNT
from tests.e2e.control_planes import Cluster
from tests.e2e.shell import Shell, deployed_kubeconfig

from .network import NODE, POD_NETWORKS, inside
from .shop import Shop

# Returns the level of each line `pod network` by cluster and IP family.
CheckFromPod: TypeAlias = Callable[[], dict[tuple[str, str], str]]

# `ip netns exec` has a mount namespace of its own, so nothing of this is seen outside.
AS_POD: Final = f"""
mount -t tmpfs none /run
mkdir -p {SERVICE_ACCOUNT}
cp "$0"/* {SERVICE_ACCOUNT}
exec "$@"
"""


@pytest.fixture
def check_from_pod(network: Path, deployed: Shell, main: Cluster, tmp_path: Path) -> CheckFromPod:
    """Runs the command on the node as a Pod of the controller would."""
    assert network.exists()
    account = tmp_path / "account"
    account.mkdir()
    content = yaml.safe_load(deployed_kubeconfig(deployed, main))
    ca = base64.b64decode(content["clusters"][0]["cluster"]["certificate-authority-data"])
    (account / "ca.crt").write_bytes(ca)
    (account / "token").write_text(content["users"][0]["user"]["token"], encoding="utf-8")
    (account / "namespace").write_text("cloudpilot", encoding="utf-8")
    server = urlsplit(main.server)
    environment = os.environ | {
        "HOME": str(tmp_path),
        "KUBERNETES_SERVICE_HOST": str(server.hostname),
        "KUBERNETES_SERVICE_PORT": str(server.port),
    }
    environment.pop("KUBECONFIG", None)
    svclink = (sys.executable, "-m", "svclink_controller", "check", "-o", "json")
    command = inside(NODE, "sh", "-ec", AS_POD, account, *svclink)

    def run() -> dict[tuple[str, str], str]:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stdout, done.stderr
        lines = [each for each in json.loads(done.stdout) if each["subject"] == "pod network"]
        return {(each["cluster"], each["message"].split()[3]): each["level"] for each in lines}

    return run


@pytest.mark.any_proxy_mode
def test_check_from_a_pod_finds_the_cluster_that_is_cut_off(
    shop: Shop, check_from_pod: CheckFromPod
) -> None:
    """Both families of both remotes are reached, and neither of c1 when its network is cut."""
    pods = {"main": 1, "c1": 2, "c2": 1}
    shop.deploy(pods, ipFamilyPolicy="RequireDualStack")
    families = ("IPv4", "IPv6")
    assert check_from_pod() == {(name, each): "ok" for name in ("c1", "c2") for each in families}

    with POD_NETWORKS["c1"].cut():
        levels = check_from_pod()
    assert levels == {
        (name, each): level for name, level in (("c1", "fail"), ("c2", "ok")) for each in families
    }
