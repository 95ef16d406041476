"""CoreDNS as a Deployment, with the permissions and the Service that clusters have for it."""

from __future__ import annotations

from typing import Final

from tests.builders.manifests import Manifest, port, service
from tests.e2e import rbac
from tests.e2e.api_client import Api
from tests.e2e.traffic.node_configuration import DNS_PORT, corefile

from .workloads import PROBE, REQUESTS

IMAGE: Final = "localhost/coredns:latest"
NAME: Final = "coredns"
NAMESPACE: Final = "kube-system"
READY_PORT: Final = 8181
RULES: Final = (
    {
        "apiGroups": [""],
        "resources": ["services", "pods", "namespaces"],
        "verbs": ["list", "watch"],
    },
    {
        "apiGroups": ["discovery.k8s.io"],
        "resources": ["endpointslices"],
        "verbs": ["list", "watch"],
    },
)


def deploy_dns(api: Api, address: str, node: str) -> None:
    """Run CoreDNS on a node of a cluster; its Service has this ClusterIP."""
    metadata = {"name": NAME, "namespace": NAMESPACE}
    api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    rbac.grant(api, f"system:{NAME}", RULES, rbac.service_account(NAME, NAMESPACE))
    api.create(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata,
            "data": {"Corefile": corefile(f":{READY_PORT}", "pods insecure")},
        }
    )
    ports = [port("dns", DNS_PORT, "UDP"), port("dns-tcp", DNS_PORT, "TCP")]
    selector = {"k8s-app": "kube-dns"}
    api.create(service(f"{NAMESPACE}/kube-dns", ports=ports, selector=selector, clusterIP=address))
    api.create(_deployment(metadata, selector, node))


def _deployment(metadata: Manifest, labels: Manifest, node: str) -> Manifest:
    container = {
        "name": NAME,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "resources": REQUESTS,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "configuration", "mountPath": "/etc/coredns"}],
        "readinessProbe": {
            "httpGet": {"path": "/ready", "port": READY_PORT},
            **PROBE,
        },
    }
    pod = {
        "nodeSelector": {"kubernetes.io/hostname": node},
        "serviceAccountName": NAME,
        "containers": [container],
        "volumes": [{"name": "configuration", "configMap": {"name": NAME}}],
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }
