"""Random faults on the way to every API server, and random changes of everything svclink looks at."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from .api_client import ApiError, Object
from .control_planes import Cluster
from .fault_proxy import (
    PASSING,
    Answering,
    Corrupting,
    Delaying,
    Fault,
    FaultProxy,
    Hanging,
    Refusing,
    Throttling,
    Truncating,
)
from .objects import endpoint, endpoint_slice, port, service
from .world import World

SERVICES: Final = tuple(f"web-{number:02}" for number in range(14))
SLICES_EACH: Final = 2
HTML: Final = b"<html><body>Bad gateway</body></html>"
STATUSES: Final = (200, 401, 403, 404, 409, 429, 500, 502, 503, 504)
# All requests, or those whose line has these words.
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

# All of a remote may change while it cannot be seen: what looks like a mass deletion is believed soon.
FLAGS: Final = ("--deletion-hold=3s",)

# What may happen to an object that is not there (any more) or there already.
HARMLESS: Final = (404, 409, 422)


@dataclass
class Chaos:
    """Does something random, again and again. The seed decides what, the machine when.

    Args:
        world: The clusters, and the links of the first two remotes under their names.
        proxies: The way to each API server, by the name of its cluster.
        kubeconfigs: How the controller reaches each remote.
        seed: Of all decisions.
    """

    world: World
    proxies: dict[str, FaultProxy]
    kubeconfigs: dict[str, str]
    seed: int
    _random: random.Random = field(init=False)
    _started: float = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - it is to be repeatable
        self._started = time.monotonic()

    def begin(self) -> None:
        """Every Service is everywhere, with its slices in the remotes, and the controller is at work."""
        for cluster in (self.world.main, self.world.c1, self.world.c2):
            for name in SERVICES:
                cluster.api.create(service(self.world.namespace, name))
        for cluster in (self.world.c1, self.world.c2):
            for name in SERVICES:
                for part in range(SLICES_EACH):
                    cluster.api.create(self._slice(name, part))
        self.world.controller.start(*FLAGS)
        for name, kubeconfig in self.kubeconfigs.items():
            self.world.links.add(name, kubeconfig)

    def rage(self, seconds: float) -> None:
        """Faults and changes for so long; afterwards the last faults are still there."""
        self._started = time.monotonic()
        next_fault = 0.0
        while (elapsed := time.monotonic() - self._started) < seconds:
            if elapsed >= next_fault:
                self._disturb()
                next_fault = elapsed + self._random.uniform(0, 2)
            self._change()
            time.sleep(self._random.uniform(0, 0.2))

    def calm(self) -> None:
        """Nothing disturbs any more, and every link is there and enabled."""
        for proxy in self.proxies.values():
            proxy.work()
        for name in self.kubeconfigs:
            self._ensure_link(name)
            self.world.links.edit(name, enabled=True)
        if not self.world.controller.running:
            self.world.controller.start(*FLAGS)

    # Faults

    def _disturb(self) -> None:
        """One way fails differently, or works again."""
        name = self._random.choice(sorted(self.proxies))
        proxy, fault = self.proxies[name], self._fault(name)
        proxy.fail(fault)
        # Answers to single requests show where everything is asked for anew.
        is_cut = isinstance(fault, Answering) or self._random.random() < 0.5
        if is_cut:
            proxy.cut()
        self._say(f"{name}: {fault}{', cut' if is_cut else ''}")

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
        """One change of any kind, which may turn out to be impossible just now."""
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
            self._say(change())
        except ApiError as error:
            if error.status not in HARMLESS:
                raise

    def _toggle_main_service(self) -> str:
        return self._toggle(
            self.world.main, "services", service(self.world.namespace, self._name())
        )

    def _recreate_main_service(self) -> str:
        name, api = self._name(), self.world.main.api
        api.delete("services", name, self.world.namespace)
        api.create(service(self.world.namespace, name))
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
        return self._toggle(self._remote(), "services", service(self.world.namespace, self._name()))

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
        """The link of the second remote goes or comes. That of the first stays, so that nothing of it may ever go."""
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

    # What they are made of

    def _toggle(self, cluster: Cluster, resource: str, obj: Object) -> str:
        """Create an object, or delete it where it exists, but not always: of a Service all parts should often exist."""
        name = obj["metadata"]["name"]
        try:
            cluster.api.create(obj)
        except ApiError as error:
            if error.status != 409:
                raise
            if self._random.random() < 0.6:
                return f"{cluster.name}: {resource} {name} stays"
            cluster.api.delete(resource, name, self.world.namespace)
            return f"{cluster.name}: {resource} {name} deleted"
        return f"{cluster.name}: {resource} {name} created"

    def _ensure_link(self, name: str) -> bool:
        """Whether it had to be added."""
        if name in {link["metadata"]["name"] for link in self.world.main.api.find("clusterlinks")}:
            return False
        self.world.links.add(name, self.kubeconfigs[name])
        return True

    def _any_slice(self) -> Object:
        return self._slice(self._name(), self._random.randrange(SLICES_EACH))

    def _slice(self, name: str, part: int) -> Object:
        pick = self._random
        members = [
            endpoint(f"10.{part + 1}.{pick.randrange(250)}.{i + 1}")
            for i in range(pick.randrange(1, 6))
        ]
        return endpoint_slice(self.world.namespace, name, members, name=f"{name}-{part}")

    def _name(self) -> str:
        return self._random.choice(SERVICES)

    def _remote(self) -> Cluster:
        return self._random.choice([self.world.c1, self.world.c2])

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self._started:7.2f} {what}")  # noqa: T201 - shown where the test fails
