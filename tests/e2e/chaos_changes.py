"""The changes that a chaos run makes to Services and EndpointSlices."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from tests.builders.manifests import Manifest, endpoint, endpoint_slice, port, service

from .api_client import ApiError
from .control_planes import Cluster
from .world import World

SERVICES: Final = tuple(f"web-{number:02}" for number in range(14))
SLICES_EACH: Final = 2
REWRITES_IN_A_ROW: Final = 50


@dataclass
class ObjectChanges:
    """Changes of the objects that svclink reads, and of those it writes."""

    world: World

    def create_all(self, pick: random.Random) -> None:
        """Create every Service in every cluster, and slices in the remotes."""
        for cluster in (self.world.main, self.world.c1, self.world.c2):
            for name in SERVICES:
                cluster.api.create(self._service(name))
        for cluster in (self.world.c1, self.world.c2):
            for name in SERVICES:
                for part in range(SLICES_EACH):
                    cluster.api.create(self._slice(pick, name, part))

    def toggle_main_service(self, pick: random.Random) -> str:
        return self._toggle(pick, self.world.main, "services", self._service(any_service(pick)))

    def recreate_main_service(self, pick: random.Random) -> str:
        name, api = any_service(pick), self.world.main.api
        api.delete("services", name, self.world.namespace)
        api.create(self._service(name))
        return f"main: {name} re-created"

    def rename_ports(self, pick: random.Random) -> str:
        name = any_service(pick)
        ports = [port(pick.choice(["http", "web"]), pick.choice([80, 8080]))]
        self.world.main.api.patch(
            "services", name, self.world.namespace, {"spec": {"ports": ports}}
        )
        return f"main: ports of {name}"

    def toggle_remote_service(self, pick: random.Random) -> str:
        return self._toggle(pick, self._remote(pick), "services", self._service(any_service(pick)))

    def toggle_remote_slice(self, pick: random.Random) -> str:
        return self._toggle(pick, self._remote(pick), "endpointslices", self._any_slice(pick))

    def rewrite_remote_slice(self, pick: random.Random) -> str:
        return self._rewrite(self._remote(pick), self._any_slice(pick))

    def rewrite_remote_slice_often(self, pick: random.Random) -> str:
        """Change one slice as fast as the API server allows."""
        cluster, name, part = self._remote(pick), any_service(pick), _part(pick)
        for _ in range(REWRITES_IN_A_ROW):
            self._rewrite(cluster, self._slice(pick, name, part))
        return f"{cluster.name}: {name}-{part} rewritten {REWRITES_IN_A_ROW} times"

    def damage_mirror(self, pick: random.Random) -> str:
        mirrors = sorted(name for name in self.world.mirrors() if name.startswith("web-"))
        if not mirrors:
            return "no mirror to damage"
        name, namespace = pick.choice(mirrors), self.world.namespace
        if pick.random() < 0.5:
            self.world.main.api.delete("endpointslices", name, namespace)
        else:
            self.world.main.api.patch("endpointslices", name, namespace, {"endpoints": []})
        return f"main: mirror {name} damaged"

    def _rewrite(self, cluster: Cluster, new: Manifest) -> str:
        name = new["metadata"]["name"]
        self.world.set_endpoints(cluster, name, new["endpoints"])
        return f"{cluster.name}: {name} rewritten"

    def _toggle(self, pick: random.Random, cluster: Cluster, resource: str, obj: Manifest) -> str:
        """Create an object or, in 40% of cases where it exists, delete it."""
        name, is_kept = obj["metadata"]["name"], pick.random() < 0.6
        try:
            cluster.api.create(obj)
        except ApiError as error:
            if error.status != 409:
                raise
            if is_kept:
                return f"{cluster.name}: {resource} {name} kept"
            cluster.api.delete(resource, name, self.world.namespace)
            return f"{cluster.name}: {resource} {name} deleted"
        return f"{cluster.name}: {resource} {name} created"

    def _remote(self, pick: random.Random) -> Cluster:
        return pick.choice([self.world.c1, self.world.c2])

    def _service(self, name: str) -> Manifest:
        return service(f"{self.world.namespace}/{name}")

    def _any_slice(self, pick: random.Random) -> Manifest:
        return self._slice(pick, any_service(pick), _part(pick))

    def _slice(self, pick: random.Random, name: str, part: int) -> Manifest:
        members = [
            endpoint(f"10.{part + 1}.{pick.randrange(250)}.{i + 1}")
            for i in range(pick.randrange(1, 6))
        ]
        return endpoint_slice(
            f"{name}-{part}", key=f"{self.world.namespace}/{name}", endpoints=members
        )


def any_service(pick: random.Random) -> str:
    """The name of one of the Services that a run changes."""
    return pick.choice(SERVICES)


def _part(pick: random.Random) -> int:
    return pick.randrange(SLICES_EACH)
