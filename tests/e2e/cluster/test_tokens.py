"""The ServiceAccount token of svclink, which kubelet replaces before it expires."""

from __future__ import annotations

import json
import time

import pytest

from tests.builders.manifests import Manifest
from tests.e2e.world import Kubectl

from .probe import Probe
from .shop import SVCLINK_NAMESPACE, Shop

LIFETIME_SECONDS = 600
"""The shortest that the API server accepts. kubelet replaces a token after 80% of it."""

TOKENS = "/var/run/secrets/kubernetes.io/serviceaccount"


def projected_token() -> Manifest:
    """The volume that Pods have for their token by default, with a shorter lifetime."""
    token = {"path": "token", "expirationSeconds": LIFETIME_SECONDS}
    items = [{"key": "ca.crt", "path": "ca.crt"}]
    namespace = [{"path": "namespace", "fieldRef": {"fieldPath": "metadata.namespace"}}]
    sources = [
        {"serviceAccountToken": token},
        {"configMap": {"name": "kube-root-ca.crt", "items": items}},
        {"downwardAPI": {"items": namespace}},
    ]
    return {"name": "token", "projected": {"sources": sources}}


@pytest.mark.timeout(2 * LIFETIME_SECONDS, func_only=True)
@pytest.mark.needs_minutes(11)
def test_token_is_replaced(shop: Shop, probe: Probe, kubectl: Kubectl) -> None:
    """svclink works on when its token has expired and kubelet has written another one."""
    container = {"name": "svclink", "volumeMounts": [{"name": "token", "mountPath": TOKENS}]}
    pod = {
        "automountServiceAccountToken": False,
        "containers": [container],
        "volumes": [projected_token()],
    }
    patch = json.dumps({"spec": {"template": {"spec": pod}}})
    kubectl("patch", "deployment", "svclink", "-n", SVCLINK_NAMESPACE, "--patch", patch)
    shop.await_svclink()
    containers = shop.svclink_containers()

    deadline = time.monotonic() + LIFETIME_SECONDS + 30
    while time.monotonic() < deadline:
        probe.await_mirrored(probe.change())
        time.sleep(5)

    assert shop.svclink_containers() == containers
    kubectl("rollout", "undo", "deployment/svclink", "-n", SVCLINK_NAMESPACE)
    shop.await_svclink()
