"""Users whose roles grant everything svclink needs except one verb."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from svclink_controller.settings import Settings
from svclink_core.label_selector import parse_selector
from svclink_core.snapshot import Options
from tests.builders.manifests import Manifest, cluster_link, encoded

from . import rbac
from .api_client import ApiError
from .control_planes import Cluster
from .world import World

# Resource, name and namespace of a Role or ClusterRole.
Role = tuple[str, str, str | None]

DEPLOYED_NAMESPACE: Final = "cloudpilot"
MAIN_ROLES: Final[tuple[Role, ...]] = (
    ("clusterroles", "svclink", None),
    ("roles", "svclink", DEPLOYED_NAMESPACE),
)
REMOTE_ROLES: Final[tuple[Role, ...]] = (("clusterroles", "svclink-reader", None),)
# The user with every permission.
FULL_USER: Final = "full-permissions"


@dataclass(frozen=True)
class MissingVerb:
    """One verb on one resource, which is taken out of a role."""

    cluster: Cluster
    role: Role
    resource: str
    verb: str

    @property
    def user(self) -> str:
        """The name of the user without this verb, and of every object created for that user."""
        return f"{self.cluster.name}-without-{self.verb}-{self.resource.replace('/', '-')}"

    @property
    def remaining_rules(self) -> list[Manifest]:
        """The rules of the role without this verb."""
        rules: list[Manifest] = self.cluster.api.get(*self.role)["rules"]
        reduced = [
            rule | {"verbs": [verb for verb in rule["verbs"] if not self._matches(rule, verb)]}
            for rule in rules
        ]
        return [rule for rule in reduced if rule["verbs"]]

    def _matches(self, rule: Manifest, verb: str) -> bool:
        return (rule["resources"], verb) == ([self.resource], self.verb)


def granted_verbs(cluster: Cluster, roles: Iterable[Role]) -> list[MissingVerb]:
    """Every verb that these roles grant, each as the one that a user will lack."""
    return [
        MissingVerb(cluster, role, resource, verb)
        for role in roles
        for rule in cluster.api.get(*role)["rules"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    ]


@dataclass
class Users:
    """Creates users, each with its own ClusterLink and its own controller settings."""

    world: World
    remote: Cluster
    directory: Path
    _created: list[tuple[Cluster, Role]] = field(default_factory=list)

    def create(self, missing: MissingVerb | None) -> Settings:
        """Create a user with every permission except one, in the main or in the remote cluster."""
        main, user = self.world.main, missing.user if missing else FULL_USER
        for cluster, roles in ((main, MAIN_ROLES), (self.remote, REMOTE_ROLES)):
            for role in roles:
                is_reduced = missing and (cluster, role) == (missing.cluster, missing.role)
                rules = missing.remaining_rules if missing and is_reduced else None
                self._grant(cluster, role, user, rules)
        credentials: Manifest = {"kubeconfig": encoded(self.remote.user_kubeconfig(user))}
        if missing is None or missing.cluster is main:
            credentials = {"kubeconfigSecretRef": {"name": "exported"}}
        main.api.create(cluster_link(user, labels={"user": user}, **credentials))
        kubeconfig = self.directory / user
        kubeconfig.write_text(main.user_kubeconfig(user, DEPLOYED_NAMESPACE), encoding="utf-8")
        return Settings(
            kubeconfig,
            options=self._options(missing),
            link_selector=parse_selector(f"user={user}"),
            leader_elect=missing is not None and missing.resource == "leases",
            lease_name=user,
        )

    def clean_up(self) -> None:
        """Delete every role and binding that was created."""
        for cluster, role in self._created:
            with contextlib.suppress(ApiError):
                cluster.api.delete(*role)

    def _options(self, missing: MissingVerb | None) -> Options:
        """Options of a controller.

        Only users who lack a verb for creating Services create any, each in its own namespace:
        a Service that exists is not created again.
        """
        namespace = self.world.namespace
        namespaces = {
            ("services", "create"): namespace,
            ("namespaces", "create"): f"{namespace}-new",
            ("namespaces", "list"): "nowhere",
            ("namespaces", "watch"): "nowhere",
        }
        created_in = None
        if missing and missing.cluster is self.world.main:
            created_in = namespaces.get((missing.resource, missing.verb))
        return Options(frozenset({created_in or namespace}), sync_services=created_in is not None)

    def _grant(
        self, cluster: Cluster, role: Role, user: str, rules: Sequence[Manifest] | None
    ) -> None:
        """Bind a user to a role or, with rules, to a role of its own that has these rules."""
        resource, name, namespace = role
        if rules is not None:
            name = user
            rbac.create_role(cluster.api, name, rules, namespace)
            self._created.append((cluster, (resource, name, namespace)))
        rbac.bind(cluster.api, user, name, rbac.user(user), namespace)
        self._created.append((cluster, (f"{resource.removesuffix('s')}bindings", user, namespace)))
