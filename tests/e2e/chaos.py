"""Random faults on the way to every API server, and random changes to everything svclink reads."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from tests.builders.manifests import Manifest, endpoint, endpoint_slice, port, service

from .api_client import ApiError
from .control_planes import Cluster
from .fault_proxy import FaultProxy
from .faults import (
    PASSING,
    Answering,
    Corrupting,
    Delaying,
    Fault,
    Hanging,
    Refusing,
    Throttling,
    Truncating,
)
from .world import World

SERVICES: Final = tuple(f"web-{number:02}" for number in range(14))
SLICES_EACH: Final = 2
HTML: Final = b"<html><body>Bad gateway</body></html>"
STATUSES: Final = (200, 401, 403, 404, 409, 429, 500, 502, 503, 504)
# Every request, or those whose request line contains this text.
REQUESTS: Final = (
    "",
    "services",
    "endpointslices",
    "limit=",
    "watch=true",
    "PUT ",
    "POST ",
    "DELETE ",
    "/version",
)

# A remote may change completely while it is unreachable, so a mass deletion is held for 3 s only.
FLAGS: Final = ("--deletion-hold=3s",)

# A random change may hit an object that does not exist, or already exists.
EXPECTED_STATUSES: Final = (404, 409, 422)


@dataclass
class Chaos:
    """Injects random faults and makes random changes; the seed decides which.

    Args:
        world: The clusters, and links to both remotes under their own names.
        proxies: The proxy in front of each API server, by cluster name.
        kubeconfigs: The kubeconfig of each remote, by cluster name.
        seed: Seed of the random choices.
    """

    world: World
    proxies: dict[str, FaultProxy]
    kubeconfigs: dict[str, str]
    seed: int
    _random: random.Random = field(init=False)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - must be repeatable
        self._started = time.monotonic()

    def set_up(self) -> None:
        """Start the controller, with every Service in every cluster and slices in the remotes."""
        for cluster in (self.world.main, self.world.c1, self.world.c2):
            for name in SERVICES:
                cluster.api.create(service(f"{self.world.namespace}/{name}"))
        for cluster in (self.world.c1, self.world.c2):
            for name in SERVICES:
                for part in range(SLICES_EACH):
                    cluster.api.create(self._slice(name, part))
        self.world.controller.start(*FLAGS)
        for name, kubeconfig in self.kubeconfigs.items():
            self.world.links.add(name, kubeconfig)

    def run(self, seconds: float) -> None:
        """Inject faults and make changes for this long; the last faults stay in place."""
        self._started = time.monotonic()
        next_fault = 0.0
        while (elapsed := time.monotonic() - self._started) < seconds:
            if elapsed >= next_fault:
                self._inject_fault()
                next_fault = elapsed + self._random.uniform(0, 2)
            self._change()
            time.sleep(self._random.uniform(0, 0.2))

    def settle(self) -> None:
        """Remove the faults, and make sure that every link exists and is enabled."""
        for proxy in self.proxies.values():
            proxy.heal()
        for name in self.kubeconfigs:
            self._ensure_link(name)
            self.world.links.edit(name, enabled=True)
        if not self.world.controller.running:
            self.world.controller.start(*FLAGS)

    # Faults

    def _inject_fault(self) -> None:
        """Give one proxy another fault, or none."""
        name = self._random.choice(sorted(self.proxies))
        proxy, fault = self.proxies[name], self._fault(name)
        proxy.fail(fault)
        # Error responses take effect on new requests only, so existing watches are reset.
        is_reset = isinstance(fault, Answering) or self._random.random() < 0.5
        if is_reset:
            proxy.reset_connections()
        self._log(f"{name}: {fault}{', connections reset' if is_reset else ''}")

    def _fault(self, name: str) -> Fault:
        pick = self._random
        faults: list[Fault] = [
            Refusing(),
            Hanging(),
            Delaying(pick.uniform(0.1, 2)),
            Throttling(pick.randrange(5_000, 100_000)),
            Truncating(pick.randrange(20_000)),
            Corrupting(pick.randrange(20_000)),
        ]
        answers = [self._answer() for _ in faults] if self.proxies[name].terminates_tls else []
        return pick.choice([*faults, *answers, *[PASSING] * len(faults)])

    def _answer(self) -> Answering:
        status = self._random.choice(STATUSES)
        headers = (
            "Content-Type: text/html",
            *(("Retry-After: 1",) if status in {429, 503} else ()),
        )
        return Answering(status, self._random.choice(REQUESTS), HTML, headers)

    # Changes

    def _change(self) -> None:
        """Make one random change; the API server may reject it."""
        kinds: list[tuple[Callable[[], str], int]] = [
            (self._toggle_main_service, 10),
            (self._recreate_main_service, 3),
            (self._rename_ports, 4),
            (self._toggle_remote_service, 10),
            (self._toggle_remote_slice, 20),
            (self._rewrite_remote_slice, 40),
            (self._damage_mirror, 6),
            (self._edit_filter, 4),
            (self._toggle_link, 3),
            (self._relink, 2),
            (self._kill_controller, 1),
        ]
        (change,) = self._random.choices(
            [kind for kind, _ in kinds], [weight for _, weight in kinds]
        )
        try:
            self._log(change())
        except ApiError as error:
            if error.status not in EXPECTED_STATUSES:
                raise

    def _toggle_main_service(self) -> str:
        return self._toggle(
            self.world.main, "services", service(f"{self.world.namespace}/{self._name()}")
        )

    def _recreate_main_service(self) -> str:
        name, api = self._name(), self.world.main.api
        api.delete("services", name, self.world.namespace)
        api.create(service(f"{self.world.namespace}/{name}"))
        return f"main: {name} re-created"

    def _rename_ports(self) -> str:
        name, ports = (
            self._name(),
            [port(self._random.choice(["http", "web"]), self._random.choice([80, 8080]))],
        )
        self.world.main.api.patch(
            "services", name, self.world.namespace, {"spec": {"ports": ports}}
        )
        return f"main: ports of {name}"

    def _toggle_remote_service(self) -> str:
        return self._toggle(
            self._remote(), "services", service(f"{self.world.namespace}/{self._name()}")
        )

    def _toggle_remote_slice(self) -> str:
        return self._toggle(self._remote(), "endpointslices", self._any_slice())

    def _rewrite_remote_slice(self) -> str:
        cluster, new = self._remote(), self._any_slice()
        name = new["metadata"]["name"]
        cluster.api.patch(
            "endpointslices", name, self.world.namespace, {"endpoints": new["endpoints"]}
        )
        return f"{cluster.name}: {name} rewritten"

    def _damage_mirror(self) -> str:
        mirrors = sorted(name for name in self.world.mirrors() if name.startswith("web-"))
        if not mirrors:
            return "no mirror to damage"
        name = self._random.choice(mirrors)
        if self._random.random() < 0.5:
            self.world.main.api.delete("endpointslices", name, self.world.namespace)
        else:
            self.world.main.api.patch(
                "endpointslices", name, self.world.namespace, {"endpoints": []}
            )
        return f"main: mirror {name} damaged"

    def _edit_filter(self) -> str:
        name = self._random.choice(sorted(self.kubeconfigs))
        excluded = self._random.sample(SERVICES, self._random.randrange(4))
        self.world.links.edit(name, excludedServiceNames=excluded)
        return f"link {name}: excludes {excluded}"

    def _toggle_link(self) -> str:
        name, enabled = self._random.choice(sorted(self.kubeconfigs)), self._random.random() < 0.7
        self.world.links.edit(name, enabled=enabled)
        return f"link {name}: enabled={enabled}"

    def _relink(self) -> str:
        """Add or remove the link of the second remote.

        The link of the first stays, so none of its mirrors may ever be deleted.
        """
        name = self.world.c2.name
        if self._ensure_link(name):
            return f"link {name}: added"
        self.world.links.remove(name)
        return f"link {name}: removed"

    def _kill_controller(self) -> str:
        if self.world.controller.running:
            self.world.controller.kill()
        self.world.controller.start(*FLAGS)
        return "controller: killed and started"

    # Parts of changes

    def _toggle(self, cluster: Cluster, resource: str, obj: Manifest) -> str:
        """Create an object or, in 40 % of cases where it exists, delete it."""
        name = obj["metadata"]["name"]
        try:
            cluster.api.create(obj)
        except ApiError as error:
            if error.status != 409:
                raise
            if self._random.random() < 0.6:
                return f"{cluster.name}: {resource} {name} kept"
            cluster.api.delete(resource, name, self.world.namespace)
            return f"{cluster.name}: {resource} {name} deleted"
        return f"{cluster.name}: {resource} {name} created"

    def _ensure_link(self, name: str) -> bool:
        """Add the link if it does not exist; return whether it was added."""
        if name in {link["metadata"]["name"] for link in self.world.main.api.find("clusterlinks")}:
            return False
        self.world.links.add(name, self.kubeconfigs[name])
        return True

    def _any_slice(self) -> Manifest:
        return self._slice(self._name(), self._random.randrange(SLICES_EACH))

    def _slice(self, name: str, part: int) -> Manifest:
        pick = self._random
        members = [
            endpoint(f"10.{part + 1}.{pick.randrange(250)}.{i + 1}")
            for i in range(pick.randrange(1, 6))
        ]
        return endpoint_slice(
            f"{name}-{part}", key=f"{self.world.namespace}/{name}", endpoints=members
        )

    def _name(self) -> str:
        return self._random.choice(SERVICES)

    def _remote(self) -> Cluster:
        return self._random.choice([self.world.c1, self.world.c2])

    def _log(self, what: str) -> None:
        elapsed = time.monotonic() - self._started
        print(f"{elapsed:7.2f} {what}")  # noqa: T201 - pytest shows it with a failure
