"""Undo what a test has changed, even one that failed, so that the next does not depend on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.builders.manifests import Manifest
from tests.e2e.api_client import Api
from tests.e2e.polling import eventually
from tests.e2e.shell import ROOT
from tests.e2e.world import Kubectl

from .shop import APP, NAMESPACE, PODS, SVCLINK_NAMESPACE, Shop, await_open_shop
from .workloads import POD_SECONDS

MANIFESTS: Final = str(ROOT / "deploy")
LINKED: Final = ("c1", "c2")


@dataclass(frozen=True)
class Opened:
    """The specs of svclink and of its links when the shop was opened."""

    svclink: Manifest | None
    links: dict[str, Manifest]

    @classmethod
    def of(cls, shop: Shop) -> Opened:
        """The present specs."""
        return cls(spec_of_svclink(shop.main.api), specs_of_links(shop.main.api))

    def restore(self, shop: Shop) -> None:
        """Make the shop what it was, and wait until all Pods of all clusters respond."""
        for cluster in shop.clusters.values():
            cluster.restore()
        for cluster in shop.clusters.values():
            eventually(cluster.assert_ready, POD_SECONDS)
            cluster.api.patch("deployments", APP, NAMESPACE, replicas(PODS[cluster.name]))
        if spec_of_svclink(shop.main.api) != self.svclink:
            reinstall_svclink(shop.kubectl)
        eventually(lambda: self._restore_links(shop))
        eventually(lambda: delete_policies(shop.main.api))
        shop.await_svclink()
        await_open_shop(shop.clusters)
        eventually(shop.assert_responders, POD_SECONDS)

    def _restore_links(self, shop: Shop) -> None:
        present = specs_of_links(shop.main.api)
        for name in LINKED:
            if present.get(name) == self.links[name]:
                continue
            if name in present:
                shop.links.remove(name)
            shop.links.add(name, shop.clusters[name].remote_kubeconfig())


def spec_of_svclink(api: Api) -> Manifest | None:
    """The spec of the Deployment of svclink; None if there is none."""
    deployments = api.find("deployments", SVCLINK_NAMESPACE)
    specs = [each["spec"] for each in deployments if each["metadata"]["name"] == "svclink"]
    return specs[0] if specs else None


def specs_of_links(api: Api) -> dict[str, Manifest]:
    """The spec of each ClusterLink by its name."""
    return {each["metadata"]["name"]: each["spec"] for each in api.find("clusterlinks")}


def delete_policies(api: Api) -> None:
    """Delete all TrafficPolicies of the shop."""
    for policy in api.find("trafficpolicies", NAMESPACE):
        api.delete("trafficpolicies", policy["metadata"]["name"], NAMESPACE)


def reinstall_svclink(kubectl: Kubectl) -> None:
    """Install svclink from the manifests. A Deployment that exists would keep unknown fields."""
    deployment = ("deployment/svclink", "--namespace", SVCLINK_NAMESPACE)
    kubectl("delete", *deployment, "--ignore-not-found")
    kubectl("apply", "--kustomize", MANIFESTS)


def replicas(count: int) -> Manifest:
    return {"spec": {"replicas": count}}
