"""The changes that a chaos run makes to TrafficPolicies and to local endpoints."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass
from typing import Final

from tests.builders.manifests import Manifest, endpoint_slice, traffic_policy

from .api_client import ApiError
from .chaos_changes import any_service
from .world import World

CLUSTERS: Final = ("c1", "c2", "not-linked")
SHARES: Final = (0, 1, 10, 30)
"""Three of them add up to less than 100 percent, so the API server accepts every policy."""

MOST_LOCAL: Final = 3
RECOVERY_SECONDS: Final = 2


@dataclass
class TrafficChanges:
    """What the owners of Services do: they write policies, and scale their local Pods."""

    world: World

    def edit_policy(self, pick: random.Random) -> str:
        """Create the policy of a Service, change it or, in 20% of cases, delete it."""
        name = any_service(pick)
        if pick.random() < 0.2:
            self.world.main.api.delete("trafficpolicies", name, self.world.namespace)
            return f"policy of {name}: deleted"
        policy = self._policy(pick, name, name)
        self._apply("trafficpolicies", policy)
        return f"policy of {name}: {policy['spec']}"

    def toggle_rival_policy(self, pick: random.Random) -> str:
        """Create a second policy for a Service, or delete it."""
        service = any_service(pick)
        rival = f"rival-of-{service}"
        try:
            self.world.main.api.create(self._policy(pick, rival, service))
        except ApiError as error:
            if error.status != 409:
                raise
            self.world.main.api.delete("trafficpolicies", rival, self.world.namespace)
            return f"policy {rival}: deleted"
        return f"policy {rival}: created"

    def scale_local(self, pick: random.Random) -> str:
        """Give a Service another number of local endpoints, which may be none."""
        name, count = any_service(pick), pick.randrange(MOST_LOCAL + 1)
        local = f"{name}-local"
        if count == 0:
            with contextlib.suppress(ApiError):  # It may have none already.
                self.world.main.api.delete("endpointslices", local, self.world.namespace)
            return f"main: {name} has no local endpoints"
        addresses = [f"10.9.0.{number + 1}" for number in range(count)]
        key = f"{self.world.namespace}/{name}"
        self._apply("endpointslices", endpoint_slice(local, *addresses, key=key))
        return f"main: {name} has {count} local endpoints"

    def _policy(self, pick: random.Random, name: str, service: str) -> Manifest:
        return traffic_policy(
            f"{self.world.namespace}/{name}",
            *[_rule(pick, each) for each in CLUSTERS if pick.random() < 0.6],
            target=service,
            minReady=pick.randrange(1, MOST_LOCAL + 1),
            recoverySeconds=pick.randrange(RECOVERY_SECONDS + 1),
        )

    def _apply(self, resource: str, obj: Manifest) -> None:
        """Create an object or, if it exists, write everything but its metadata."""
        api, name = self.world.main.api, obj["metadata"]["name"]
        try:
            api.create(obj)
        except ApiError as error:
            if error.status != 409:
                raise
            changes = {field: value for field, value in obj.items() if field != "metadata"}
            api.patch(resource, name, self.world.namespace, changes)


def _rule(pick: random.Random, cluster: str) -> Manifest:
    """A share, a tier or neither; what is not active may be left out."""
    rule: Manifest = {"name": cluster, "fallback": pick.random() < 0.7}
    match pick.randrange(3):
        case 0:
            return rule | {"share": pick.choice(SHARES)}
        case 1:
            return rule | {"tier": pick.randrange(1, 3)}
        case _:
            return rule
