"""Users who have what the roles of svclink give, but for one verb each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from svclink_controller.settings import Settings
from svclink_controller.wire import label_selector
from svclink_core.snapshot import Options

from .api_client import ApiError, Object
from .control_planes import RBAC_GROUP, Cluster
from .objects import cluster_link
from .world import World

# Resource, name and namespace.
Role = tuple[str, str, str | None]

HOME: Final = "cloudpilot"
MAIN_ROLES: Final[tuple[Role, ...]] = (
    ("clusterroles", "svclink", None),
    ("roles", "svclink", HOME),
)
REMOTE_ROLES: Final[tuple[Role, ...]] = (("clusterroles", "svclink-reader", None),)
# The user who lacks nothing.
NOBODY: Final = "nobody"


@dataclass(frozen=True)
class Lack:
    """One verb on one resource that a role is to be without."""

    cluster: Cluster
    role: Role
    resource: str
    verb: str

    @property
    def user(self) -> str:
        """What the user without it is called, and all that is made for that user."""
        return f"{self.cluster.name}-without-{self.verb}-{self.resource.replace('/', '-')}"

    @property
    def rest(self) -> list[Object]:
        """The other rules of the role."""
        rules: list[Object] = self.cluster.api.get(*self.role)["rules"]
        shorter = [
            rule | {"verbs": [verb for verb in rule["verbs"] if not self._is_of(rule, verb)]}
            for rule in rules
        ]
        return [rule for rule in shorter if rule["verbs"]]

    def _is_of(self, rule: Object, verb: str) -> bool:
        return (rule["resources"], verb) == ([self.resource], self.verb)


def lacks_of(cluster: Cluster, roles: Iterable[Role]) -> list[Lack]:
    """One for each verb that some roles grant."""
    return [
        Lack(cluster, role, resource, verb)
        for role in roles
        for rule in cluster.api.get(*role)["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@dataclass
class Users:
    """Makes users, each with a link and settings for a controller of its own."""

    world: World
    remote: Cluster
    directory: Path
    _made: list[tuple[Cluster, Role]] = field(default_factory=list)

    def admit(self, lack: Lack | None) -> Settings:
        """A user with all permissions but one, in main or in the remote."""
        main, user = self.world.main, lack.user if lack else NOBODY
        for cluster, roles in ((main, MAIN_ROLES), (self.remote, REMOTE_ROLES)):
            for role in roles:
                is_short = lack is not None and (cluster, role) == (lack.cluster, lack.role)
                self._grant(cluster, role, user, lack.rest if lack and is_short else None)
        link = cluster_link(user, self.remote.user_kubeconfig(user))
        if lack is None or lack.cluster is main:
            link["spec"] = {"kubeconfigSecretRef": {"name": "exported"}}
        link["metadata"]["labels"] = {"of": user}
        main.api.create(link)
        kubeconfig = self.directory / user
        kubeconfig.write_text(main.user_kubeconfig(user, HOME), encoding="utf-8")
        return Settings(
            kubeconfig,
            options=self._options(lack),
            link_selector=label_selector.parse(f"of={user}"),
            leader_elect=lack is not None and lack.resource == "leases",
            lease_name=user,
        )

    def clean(self) -> None:
        """Take back all that was granted."""
        for cluster, role in self._made:
            with contextlib.suppress(ApiError):
                cluster.api.delete(*role)

    def _options(self, lack: Lack | None) -> Options:
        """Only who needs it makes Services, and each others than the next: one that is there is not made again."""
        namespace = self.world.namespace
        making = {
            ("services", "create"): namespace,
            ("namespaces", "create"): f"{namespace}-new",
            ("namespaces", "list"): "nowhere",
            ("namespaces", "watch"): "nowhere",
        }
        made = (
            making.get((lack.resource, lack.verb))
            if lack and lack.cluster is self.world.main
            else None
        )
        return Options(frozenset({made or namespace}), sync_services=made is not None)

    def _grant(
        self, cluster: Cluster, role: Role, user: str, rules: Sequence[Object] | None
    ) -> None:
        """Bind a user to a role, or to one of the user's own with these rules."""
        resource, name, namespace = role
        if rules is not None:
            name = user
            cluster.create_role(name, rules, namespace)
            self._made.append((cluster, (resource, name, namespace)))
        cluster.bind(user, name, {"apiGroup": RBAC_GROUP, "kind": "User", "name": user}, namespace)
        self._made.append((cluster, (f"{resource.removesuffix('s')}bindings", user, namespace)))
