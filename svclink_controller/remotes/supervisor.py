"""Keeps one remote running for each link: starts, configures and stops them as links change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from functools import partial

from attrs import define, field

from svclink_controller.api.spending import Account
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.remote import Remote
from svclink_controller.remotes.secret_kubeconfigs import SecretKubeconfigs
from svclink_controller.remotes.session import OpenSession, open_session_within
from svclink_controller.state.link_states import Observation
from svclink_controller.state.store import Store
from svclink_core.budget import Budget
from svclink_core.link_target import SECRET_NOT_READ, SecretNotRead, link_target
from svclink_core.remote_lifecycle import Wanted
from svclink_core.svclink_v1alpha1 import ClusterLink


@define
class _Running:
    remote: Remote
    task: asyncio.Task[None]


async def _run_after(predecessors: Collection[asyncio.Task[None]], remote: Remote) -> None:
    """Run a remote once those of earlier links with its name have closed their connections."""
    if predecessors:
        await asyncio.wait(predecessors)
    await remote.run()


@define
class Supervisor:
    """Runs the remotes of all links that this controller works on.

    A link that was deleted and created again, which a watch may report as one change, is another
    link with another remote. The new remote starts when the old one has ended, because both write
    to the same part of the store.

    Args:
        store: Holds the links, and gets what the remotes find.
        secrets: Kubeconfigs that links keep in Secrets.
        cluster_claims: Decides which link may be used for which cluster.
        link_left: Called with the name of a link that was deleted or is no longer selected.
        trust: What the administrator allows remote clusters.
        budget: What each remote cluster may cost.
        open_session_within: Makes the function that opens sessions and counts what they cost.
    """

    store: Store
    secrets: SecretKubeconfigs
    cluster_claims: ClusterClaims
    link_left: Callable[[str], None]
    trust: Trust = STRICT
    budget: Budget = field(factory=Budget)
    open_session_within: Callable[[Account], OpenSession] = open_session_within
    _running: dict[str, _Running] = field(factory=dict)
    _stopping: dict[asyncio.Task[None], str] = field(factory=dict)

    @property
    def names(self) -> list[str]:
        """The links whose remotes are running."""
        return list(self._running)

    def link_changed(self, name: str) -> None:
        """A link was added, edited or deleted."""
        self._require_secrets()
        link = self.store.links.get(name)
        if link is not None and not link.is_selected:
            link = None
        running = self._running.get(name)
        if running is not None and (link is None or link.metadata.uid != running.remote.uid):
            self._leave(name)
        if link is not None:
            self._configure(link, Remote.edit)
        self.store.mark_status_changed(name)

    def secret_changed(self, secret: str) -> None:
        """A Secret was read, changed or deleted."""
        for link in self._selected():
            reference = link.spec.kubeconfig_secret_ref
            if reference is not None and reference.name == secret:
                self._configure(link, Remote.change_credentials)

    async def close(self) -> None:
        """Stop all remotes, and reading Secrets."""
        for name in self.names:
            self._stop(name)
        await asyncio.gather(*self._stopping, self.secrets.close(), return_exceptions=True)

    def _selected(self) -> list[ClusterLink]:
        return [link for link in self.store.links.values() if link.is_selected]

    def _require_secrets(self) -> None:
        references = [link.spec.kubeconfig_secret_ref for link in self._selected()]
        self.secrets.require({each.name for each in references if each is not None})

    def _configure(self, link: ClusterLink, change: Callable[[Remote, Wanted, int], None]) -> None:
        """Give the remote of a link what the link asks for, once that is known."""
        name, reference = link.metadata.name, link.spec.kubeconfig_secret_ref
        secret = SECRET_NOT_READ if reference is None else self.secrets.look_up(reference)
        wanted = link_target(link, self.store.options, secret)
        if isinstance(wanted, SecretNotRead):
            return
        if name not in self._running:
            self._start(link)
        change(self._running[name].remote, wanted, link.metadata.generation)

    def _start(self, link: ClusterLink) -> None:
        name = link.metadata.name
        self.cluster_claims.remember(link)
        remote = Remote(
            name=name,
            uid=link.metadata.uid,
            store=self.store,
            cluster_claims=self.cluster_claims,
            trust=self.trust,
            open_session=self.open_session_within(self._account(name)),
        )
        predecessors = [task for task, other in self._stopping.items() if other == name]
        task = asyncio.create_task(_run_after(predecessors, remote))
        self._running[name] = _Running(remote, task)

    def _account(self, name: str) -> Account:
        return Account(
            budget=self.budget,
            stored_bytes=partial(self.store.memory, name),
            is_stored=partial(self.store.holds, name),
        )

    def _leave(self, name: str) -> None:
        """Stop the remote of a link. Its mirrors stay if another controller has the link."""
        self._stop(name)
        self.store.forget(name)
        self.store.observe(name, Observation())
        self.link_left(name)

    def _stop(self, name: str) -> None:
        task = self._running.pop(name).task
        task.cancel()
        self._stopping[task] = name
        task.add_done_callback(self._stopping.pop)
