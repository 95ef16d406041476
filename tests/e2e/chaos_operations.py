"""What operators do during a chaos run: to links, their Secrets, policies and controllers."""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from typing import Final

from tests.builders.manifests import cluster_link, encoded, secret

from .admission import WriteBan
from .api_client import ApiError
from .chaos_changes import SERVICES
from .chaos_faults import FaultyNetwork
from .control_planes import CONTROLLER_NAMESPACE, Cluster
from .controller_process import Controller
from .fault_proxy import FaultProxy
from .polling import eventually
from .world import World

# A remote may change completely while it is unreachable, so a mass deletion is held for 3 s only.
FLAGS: Final = ("--deletion-hold=3s", "--leader-elect=true")
STOP_SECONDS: Final = 15.0
SECRET: Final = f"{CONTROLLER_NAMESPACE}/c1"


@dataclass
class Operations:
    """Changes of what svclink runs with.

    The kubeconfig of the first remote is in a Secret, and its link always exists, so none of its
    mirrors may ever be deleted. The second link holds its kubeconfig, comes and goes, and is
    drained now and then.

    Args:
        controllers: Two replicas, by the name of the proxy between each and the main cluster.
        network: The proxies; those of the remotes have the names of the clusters.
    """

    world: World
    controllers: dict[str, Controller]
    network: FaultyNetwork
    ban: WriteBan
    _ending: str = ""
    _second_kubeconfig: str = field(init=False)

    def __post_init__(self) -> None:
        self._second_kubeconfig = self._new_kubeconfig(self.world.c2)

    def set_up(self) -> None:
        """Start the replicas, and link both remotes."""
        first = self.world.c1
        self.world.main.api.create(secret(SECRET, kubeconfig=self._new_kubeconfig(first)))
        self.world.delete_at_end("secrets", first.name, CONTROLLER_NAMESPACE)
        reference = {"name": first.name, "key": "kubeconfig"}
        self.world.main.api.create(cluster_link(first.name, kubeconfigSecretRef=reference))
        self._ensure_second_link()
        self._start_all()

    def restore(self) -> None:
        """Undo everything that keeps svclink from mirroring both remotes."""
        self.ban.lift()
        self._set_secret(self._new_kubeconfig(self.world.c1))
        self._ensure_second_link()
        for cluster in (self.world.c1, self.world.c2):
            self.world.links.edit(cluster.name, enabled=True)
        self._start_all()
        # One that is still starting could not exit cleanly at the end of the test.
        eventually(self._assert_all_connected)

    # Links and Secrets

    def edit_filter(self, pick: random.Random) -> str:
        name = self._link(pick)
        excluded = pick.sample(SERVICES, pick.randrange(4))
        self.world.links.edit(name, excludedServiceNames=excluded)
        return f"link {name}: excludes {excluded}"

    def toggle_link(self, pick: random.Random) -> str:
        name, enabled = self._link(pick), pick.random() < 0.7
        self.world.links.edit(name, enabled=enabled)
        return f"link {name}: enabled={enabled}"

    def toggle_drained(self, pick: random.Random) -> str:
        """Drain the second link, or end that. The mirrors of the first one must never be written.

        At the end of a run it may still be drained.
        """
        name, drained = self.world.c2.name, pick.random() < 0.5
        self.world.links.edit(name, drained=drained)
        return f"link {name}: drained={drained}"

    def relink(self, _: random.Random) -> str:
        """Add or remove the second link."""
        name = self.world.c2.name
        if self._ensure_second_link():
            return f"link {name}: added"
        self.world.links.remove(name)
        return f"link {name}: removed"

    def replace_link_by_force(self, _: random.Random) -> str:
        """Delete the second link and create it at once, as `kubectl replace --force` does."""
        name = self.world.c2.name
        with contextlib.suppress(ApiError):
            self.world.links.remove(name)
        self._ensure_second_link()
        return f"link {name}: replaced by force"

    def rotate_secret(self, pick: random.Random) -> str:
        """Replace the token or the whole Secret, or leave it without a usable kubeconfig."""
        kubeconfig = self._new_kubeconfig(self.world.c1)
        match pick.randrange(4):
            case 0:
                self._delete_secret()
                self._set_secret(kubeconfig)
                return f"Secret {SECRET}: deleted and created"
            case 1:
                self._set_secret(self._kubeconfig(self.world.c1, "of.another.cluster"))
                return f"Secret {SECRET}: token of another cluster"
            case 2:
                self._delete_secret()
                return f"Secret {SECRET}: deleted"
            case _:
                self._set_secret(kubeconfig)
                return f"Secret {SECRET}: new token"

    # Admission policies

    def deny_writes(self, _: random.Random) -> str:
        self.ban.impose()
        return "main: writes of mirrors are denied"

    def allow_writes(self, _: random.Random) -> str:
        self.ban.lift()
        return "main: writes of mirrors are allowed"

    # Controllers

    def kill_controller(self, pick: random.Random) -> str:
        name = pick.choice(sorted(self.controllers))
        if self.controllers[name].running:
            self.controllers[name].kill()
        self.controllers[name].start(*FLAGS)
        return f"controller behind {name}: killed and started"

    def lag_links_of_standby(self, pick: random.Random) -> str:
        """Hold back what the standby sees of links, and make a link that it does not know."""
        self._ending = self._leader() or pick.choice(sorted(self.controllers))
        (standby,) = self.controllers.keys() - {self._ending}
        self.network.lag_links(standby)
        return f"{standby}: watch of ClusterLinks held back; {self.replace_link_by_force(pick)}"

    def end_leader(self, pick: random.Random) -> str:
        """End the leader, and start it as the standby."""
        name, is_killed = self._ending, pick.random() < 0.3
        controller = self.controllers[name]
        if controller.running:
            if is_killed:
                controller.kill()
            else:
                controller.stop(STOP_SECONDS)
        controller.start(*FLAGS)
        return f"controller behind {name}: {'killed' if is_killed else 'stopped'} and started"

    def end_lag(self, _: random.Random) -> str:
        self.network.end_lag()
        return "watch of ClusterLinks no longer held back"

    # Parts of moves

    def _leader(self) -> str | None:
        """The name of the replica that holds the Lease, if any does."""
        with contextlib.suppress(ApiError):
            lease = self.world.main.api.get("leases", "svclink", CONTROLLER_NAMESPACE)
            if holder := lease["spec"].get("holderIdentity"):
                for name, controller in self.controllers.items():
                    if controller.has_logged(holder):
                        return name
        return None

    def _start_all(self) -> None:
        for controller in self.controllers.values():
            if not controller.running:
                controller.start(*FLAGS)

    def _assert_all_connected(self) -> None:
        for name in self.controllers:
            assert self.network.proxies[name].connections, f"no controller behind {name}"

    def _ensure_second_link(self) -> bool:
        """Add the second link if it does not exist; return whether it was added."""
        name = self.world.c2.name
        if name in {link["metadata"]["name"] for link in self.world.main.api.find("clusterlinks")}:
            return False
        self.world.links.add(name, self._second_kubeconfig)
        return True

    def _delete_secret(self) -> None:
        with contextlib.suppress(ApiError):
            self.world.main.api.delete("secrets", self.world.c1.name, CONTROLLER_NAMESPACE)

    def _set_secret(self, kubeconfig: str) -> None:
        """Put a kubeconfig into the Secret, which may not exist."""
        api, name = self.world.main.api, self.world.c1.name
        try:
            api.create(secret(SECRET, kubeconfig=kubeconfig))
        except ApiError as error:
            if error.status != 409:
                raise
            changes = {"data": {"kubeconfig": encoded(kubeconfig)}}
            api.patch("secrets", name, CONTROLLER_NAMESPACE, changes)

    def _new_kubeconfig(self, cluster: Cluster) -> str:
        return self._kubeconfig(cluster, cluster.token())

    def _kubeconfig(self, cluster: Cluster, token: str) -> str:
        proxy: FaultProxy = self.network.proxies[cluster.name]
        return cluster.kubeconfig({"token": token}, **proxy.cluster_entry)

    def _link(self, pick: random.Random) -> str:
        return pick.choice([self.world.c1.name, self.world.c2.name])
