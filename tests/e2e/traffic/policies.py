"""The TrafficPolicy of the Service of a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.builders.manifests import Manifest, traffic_policy
from tests.e2e.api_client import Api
from tests.e2e.polling import eventually

from .shop import APP, Shop


@dataclass(frozen=True)
class Policy:
    """A TrafficPolicy, which svclink applies."""

    api: Api
    namespace: str

    def edit(self, *clusters: Manifest, **spec: Any) -> None:
        """Replace the rules of the clusters, and wait until svclink has applied them."""
        self.api.patch(
            "trafficpolicies", APP, self.namespace, {"spec": {"clusters": list(clusters), **spec}}
        )
        self.await_applied()

    def await_applied(self) -> None:
        """Wait until the EndpointSlices are as the policy says: the status is written after."""
        eventually(self.status)

    def status(self) -> Manifest:
        """The status; asserts that it was written for the current spec."""
        policy = self.api.get("trafficpolicies", APP, self.namespace)
        status: Manifest = policy.get("status") or {}
        assert status.get("observedGeneration") == policy["metadata"]["generation"], status
        return status

    def await_condition(self, status: str, reason: str) -> Manifest:
        """Wait until `Applied` has this status and reason, and return it."""

        def check() -> Manifest:
            (found,) = [each for each in self.status()["conditions"] if each["type"] == "Applied"]
            assert (found["status"], found["reason"]) == (status, reason), found
            condition: Manifest = found
            return condition

        return eventually(check)

    def await_event(self, reason: str) -> None:
        """Wait until the policy has an Event with this reason."""
        selector = f"involvedObject.kind=TrafficPolicy,reason={reason}"
        path = f"/api/v1/namespaces/{self.namespace}/events?fieldSelector={selector}"

        def check() -> None:
            assert self.api.request("GET", path)["items"], f"no Event {reason}"

        eventually(check)


def applied_policy(shop: Shop, *clusters: Manifest, **spec: Any) -> Policy:
    """Create the policy of the Service, and wait until svclink has applied it."""
    api, namespace = shop.world.main.api, shop.world.namespace
    api.create(traffic_policy(f"{namespace}/{APP}", *clusters, **spec))
    policy = Policy(api, namespace)
    policy.await_applied()
    return policy
