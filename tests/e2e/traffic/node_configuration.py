"""The configuration of kube-proxy and CoreDNS, on simulated and on real nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.builders.manifests import Manifest

DNS_PORT: Final = 53
CLUSTER_DOMAIN: Final = "cluster.local"
MIN_SYNC_PERIOD: Final = "100ms"
"""Minimum time between two syncs of kube-proxy; 1 s, its default, would hide svclink's."""


def kube_proxy_configuration(
    kubeconfig: Path, node: str, pods: str, mode: str, health: str
) -> Manifest:
    """The configuration of kube-proxy in this mode, for a node with these addresses of Pods."""
    unchanged = {
        "maxPerCore": 0,
        "min": 0,
        "tcpEstablishedTimeout": "0s",
        "tcpCloseWaitTimeout": "0s",
    }
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": mode,
        "clientConnection": {"kubeconfig": str(kubeconfig)},
        "hostnameOverride": node,
        "clusterCIDR": pods,
        "conntrack": unchanged,  # A namespace cannot change settings of the whole kernel.
        "healthzBindAddress": health,
        "metricsBindAddress": "127.0.0.1:10249",
        mode: {"minSyncPeriod": MIN_SYNC_PERIOD},
    }


def corefile(ready: str, *options: str) -> str:
    """The configuration of CoreDNS; the options are those of its plugin `kubernetes`."""
    lines = "".join(f"        {option}\n" for option in ("ttl 0", *options))
    return (
        f".:{DNS_PORT} {{\n    errors\n    ready {ready}\n"
        f"    kubernetes {CLUSTER_DOMAIN} {{\n{lines}    }}\n}}\n"
    )
