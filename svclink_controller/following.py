"""Follows all clusters: what the controller and the dashboard have in common."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from attrs import define, frozen

from svclink_controller.api.client import Client
from svclink_controller.credentials.trust import Trust
from svclink_controller.dispatch import Dispatcher, LinkRead, Routes, SecretRead
from svclink_controller.reconcile.deadlines import Deadlines
from svclink_controller.reconcile.deletion_holds import DeletionHolds
from svclink_controller.reconcile.workqueue import SWEEP_LANE, WorkQueue
from svclink_controller.reflect.main_reflectors import MainReflectors
from svclink_controller.reflect.reflector import ReadError
from svclink_controller.reflect.sinks import LinkSink
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.secret_kubeconfigs import SecretKubeconfigs
from svclink_controller.remotes.session import identify_until_known
from svclink_controller.remotes.supervisor import Supervisor
from svclink_controller.state.store import Store
from svclink_controller.wire.resources import CLUSTER_LINKS, Resource
from svclink_core.budget import Budget
from svclink_core.controller_namespace import ControllerNamespace, KnownNamespace
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import ClusterLink


def _ignore(*_: object) -> None:
    """Note nothing."""


@frozen
class Reports:
    """What is called with what happens while clusters are read.

    Args:
        unidentified: Called with why the identity of the main cluster is not known yet.
        kind_failed: Called with each kind of the main cluster that could not be read, and why.
        secret_heard: Called with the name of a Secret, and why it cannot be read, if it cannot.
        link_left: Called with the name of a link that was deleted or is no longer selected.
    """

    unidentified: Callable[[ReadError], None] = _ignore
    kind_failed: Callable[[str, ReadError], None] = _ignore
    secret_heard: Callable[[str, ReadError | None], None] = _ignore
    link_left: Callable[[str], None] = _ignore


NO_REPORTS: Final = Reports()


@define
class Following:
    """Reads the main cluster and the linked ones into the state.

    Args:
        client: The main cluster.
        reflectors: Read the main cluster.
        cluster_claims: Decides which link may be used for which cluster.
        supervisor: Reads the linked clusters.
        deletion_holds: Decides which deletions wait.
        policy_deadlines: When the unreachable policies of lost clusters take effect.
        reports: What is called meanwhile.
    """

    client: Client
    reflectors: MainReflectors
    cluster_claims: ClusterClaims
    supervisor: Supervisor
    deletion_holds: DeletionHolds
    policy_deadlines: Deadlines
    reports: Reports

    async def read(
        self,
        group: asyncio.TaskGroup,
        find_home: Callable[[], Awaitable[ControllerNamespace]] | None,
    ) -> None:
        """Begin to read everything. Returns once links are read.

        Args:
            group: Runs what reads.
            find_home: Finds the namespace of the controller; None: it is known.
        """
        self.reflectors.read_objects(group)
        # Before the first link: a link to the main cluster itself must be recognized.
        self.cluster_claims.main_id = await identify_until_known(
            self.client, self.reports.unidentified
        )
        if find_home is not None:
            self.supervisor.secrets.home = await find_home()
        self.reflectors.read_links(group)

    async def close(self) -> None:
        """Stop what the end of the group does not stop."""
        self.deletion_holds.close()
        self.policy_deadlines.close()
        await self.supervisor.close()


def make_following(
    client: Client,
    store: Store,
    dispatcher: Dispatcher,
    *,
    namespace: str,
    services: WorkQueue[NamespacedName],
    links: WorkQueue[str],
    trust: Trust,
    budget: Budget,
    resource: Resource[ClusterLink] = CLUSTER_LINKS,
    is_everything_selected: bool = True,
    reports: Reports = NO_REPORTS,
) -> Following:
    """All parts, connected. Nothing is started yet.

    Args:
        client: The main cluster.
        store: The state.
        dispatcher: Passes on what the store and the parts report.
        namespace: The namespace of the controller, until another one is found.
        services: Gets the Services to plan.
        links: Gets the links that may have changed.
        trust: What remote clusters are allowed.
        budget: What each of them may cost.
        resource: How ClusterLinks are read.
        is_everything_selected: Whether no link is left to another controller.
        reports: What is called with what happens.
    """
    link_sink = LinkSink(
        store=store,
        changed=lambda name: dispatcher.emit(LinkRead(name)),
        is_everything_selected=is_everything_selected,
    )
    secrets = SecretKubeconfigs(
        client=client,
        home=KnownNamespace(namespace),
        changed=lambda name: dispatcher.emit(SecretRead(name)),
        heard=reports.secret_heard,
    )
    cluster_claims = ClusterClaims()
    following = Following(
        client=client,
        reflectors=MainReflectors(client, store, resource, link_sink, reports.kind_failed),
        cluster_claims=cluster_claims,
        supervisor=Supervisor(store, secrets, cluster_claims, reports.link_left, trust, budget),
        deletion_holds=DeletionHolds(
            store=store, queued=lambda cluster: services.queued_in(cluster, SWEEP_LANE)
        ),
        policy_deadlines=Deadlines(reached=store.wake),
        reports=reports,
    )
    dispatcher.subscribe(_routes_of(following, store, services, links).receive)
    return following


def _routes_of(
    following: Following,
    store: Store,
    services: WorkQueue[NamespacedName],
    links: WorkQueue[str],
) -> Routes:
    return Routes(
        services=services,
        links=links,
        store=store,
        deletion_holds=following.deletion_holds,
        policy_deadlines=following.policy_deadlines,
        supervisor=following.supervisor,
    )
