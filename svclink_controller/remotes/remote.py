"""One remote cluster: connects, follows it, and reconnects after a loss.

Each remote is a task of its own, so no cluster holds up another one. What to do in which state is
decided in `svclink_core.remote_lifecycle`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import assert_never

import structlog
from attrs import define, evolve, field

from svclink_controller import clock
from svclink_controller.api.errors import retry_after
from svclink_controller.backoff import Backoff
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.inbox import Inbox
from svclink_controller.remotes.live_session import LiveSession
from svclink_controller.remotes.problems import EXPECTED, ConnectError, problem_of, while_kept
from svclink_controller.remotes.retry_timer import RetryTimer
from svclink_controller.remotes.session import (
    HEARTBEAT,
    Heartbeat,
    OpenSession,
    RefusedError,
    Session,
    open_session,
)
from svclink_controller.state.changes import ClusterRead
from svclink_controller.state.link_states import Observation
from svclink_controller.state.shared_values import reuse_held
from svclink_controller.state.store import Store
from svclink_controller.wire.resources import REMOTE_ENDPOINT_SLICES, reusing
from svclink_core.connection_loss import Loss, connection_after, loss_of
from svclink_core.credential_expiry import Expiry, expired_credentials
from svclink_core.link_identity import Problem
from svclink_core.link_reasons import LinkReason
from svclink_core.link_target import LINK_DISABLED, LinkTarget
from svclink_core.remote_lifecycle import (
    Action,
    Broken,
    Checked,
    ClaimMoved,
    Closed,
    Connect,
    CredentialsChanged,
    Disconnect,
    Edited,
    Failed,
    FallBack,
    GiveUp,
    Keep,
    Opened,
    RemoteEvent,
    RemoteState,
    TimeToRetry,
    WaitToRetry,
    WakeUp,
    Wanted,
    after,
    next_action,
)
from svclink_core.snapshot import PENDING
from svclink_core.svclink_v1alpha1 import ClusterLink

log = structlog.get_logger()


@define
class Remote:
    """Keeps the store up to date with one remote cluster for as long as its link exists.

    Args:
        name: Name of the link.
        uid: Uid of the link: a later link of the same name has its own remote.
        store: Holds the objects of the cluster and the state of the connection.
        cluster_claims: Decides whether the link may be used for the cluster.
        trust: What the administrator allows remote clusters.
        heartbeat: How often the cluster has to answer.
        open_session: Opens a session.
        backoff: The pauses between two rounds of attempts to connect.
    """

    name: str
    uid: str
    store: Store
    cluster_claims: ClusterClaims
    trust: Trust = STRICT
    heartbeat: Heartbeat = HEARTBEAT
    open_session: OpenSession = open_session
    backoff: Backoff = field(factory=lambda: Backoff(base=1, cap=30))
    _inbox: Inbox = field(factory=Inbox)
    _retry: RetryTimer = field(init=False)
    _configured: tuple[Wanted, int] = (LINK_DISABLED, -1)
    _state: RemoteState = field(factory=RemoteState)
    _live: LiveSession | None = None
    _opening: asyncio.Task[Session] | None = None
    _tried: tuple[Expiry, ...] | None = None

    @_retry.default
    def _retry_timer(self) -> RetryTimer:
        return RetryTimer(partial(self._inbox.put, TimeToRetry()), self.backoff)

    # What the link asks for

    def edit(self, wanted: Wanted, generation: int = 0) -> None:
        """Use what a new or edited link asks for.

        Args:
            wanted: What the link asks to be read, or why nothing is read.
            generation: That of the link: any edit can allow or refuse the cluster.
        """
        is_other = wanted != self._configured[0]
        self._configure(Edited(wanted, is_other=is_other), generation)

    def change_credentials(self, wanted: Wanted, generation: int = 0) -> None:
        """Use what the link asks for after its Secret changed. Arguments as for `edit`."""
        self._configure(CredentialsChanged(wanted), generation)

    def _configure(self, change: Edited | CredentialsChanged, generation: int) -> None:
        (before, _), asked = self._configured, (change.wanted, generation)
        if asked != self._configured:
            self._configured = asked
            self._inbox.put(change)
        if isinstance(change, Edited) and before not in (LINK_DISABLED, change.wanted):
            # It may lead to another cluster on purpose, which a restart must not refuse.
            self._observe(evolve(self._observation, cluster_id=None))

    # From one action to the next

    async def run(self) -> None:
        """Run until cancelled, then close the connection. No error of the cluster ends it."""
        structlog.contextvars.bind_contextvars(cluster=self.name)
        try:
            while True:
                try:
                    await self._step()
                except Exception:
                    log.exception("internal error", cluster=self.name)
                    await self._discard_opening()
                    if self._live is None:
                        self._state = after(self._state, Closed())
                    await asyncio.sleep(self.backoff.next_delay())
        finally:
            self._retry.stop()
            self.cluster_claims.forget(self.uid)
            await self._discard_opening()
            await self._disconnect()

    async def _step(self) -> None:
        """Handle what happened, then act until something happens again."""
        while (wake_up := self._inbox.take()) is not None:
            await self._handle(wake_up)
        self._state = after(self._state, Checked(self._refusal_of_session()))
        event = await self._act(next_action(self._state))
        if event is not None:
            self._state = after(self._state, event)

    async def _handle(self, wake_up: WakeUp) -> None:
        if isinstance(wake_up, Broken):
            if self._live is None or not self._live.following.done():
                return  # It is about a session that was replaced or closed.
            await self._lose(self._live)
        self._state = after(self._state, wake_up)

    async def _act(self, action: Action) -> RemoteEvent | None:
        """Act, and return the resulting event; None if the next one comes from the inbox."""
        if not isinstance(action, WaitToRetry):
            self._retry.stop()
        match action:
            case Disconnect(problem):
                return await self._stay_away(problem)
            case Connect(target):
                return await self._connect(target)
            case FallBack(target):
                return await self._fall_back(target)
            case GiveUp(problem):
                return await self._give_up(problem)
            case Keep(problem):
                self._keep(problem)
            case WaitToRetry():
                self._retry.start()
            case unexpected:
                assert_never(unexpected)
        await self._inbox.any()
        return None

    # The actions

    async def _stay_away(self, problem: Problem | None) -> Closed:
        """Release the cluster. What is mirrored from it stays."""
        self.cluster_claims.release(self.uid)
        await self._disconnect()
        self.store.forget(self.name)
        self._observe(evolve(self._observation, problem=problem, expiries=None))
        await self._inbox.any()
        return Closed()

    def _keep(self, problem: Problem | None) -> None:
        if problem is not None:
            self._observe(evolve(self._observation, problem=while_kept(problem)))
        elif self._live is not None:
            # An edit that was undone may have put the session in doubt.
            self.store.set_connection(self.name, self._live.session.connection)
            cluster_id = self._live.session.cluster_id
            self._observe(evolve(self._observation, problem=None, cluster_id=cluster_id))
            self._report_read(self._live.session, is_new=False)

    async def _connect(self, target: LinkTarget) -> Opened | Failed | None:
        if self._live is not None and not self._live.session.target.reads_as(target):
            # The session reads other objects, and says nothing about those wanted now.
            self.store.set_connection(self.name, PENDING)
        try:
            session = await self._open(target)
        except EXPECTED as error:
            is_answered = problem_of(error).reason is not LinkReason.UNREACHABLE
            self._retry.note_attempt(is_answered=is_answered)
            self._fail(error, is_kept=self._live is not None)
            return Failed(target, isinstance(error, RefusedError))
        if session is None:
            return None
        await self._take_over(session, problem=None)
        return Opened(target)

    async def _fall_back(self, target: LinkTarget) -> Opened | Failed | None:
        """Connect with what worked before. The link still shows why the wanted target failed."""
        try:
            session = await self._open(target)
        except EXPECTED as error:
            return Failed(target, isinstance(error, RefusedError))
        if session is None:
            return None
        problem = self._observation.problem
        await self._take_over(session, None if problem is None else while_kept(problem))
        return Opened(target)

    async def _give_up(self, problem: Problem) -> Closed:
        if self._live is not None:
            refused = RefusedError(problem, self._live.session.cluster_id)
            await self._lose(self._live, refused)
        return Closed()

    # Opening and closing sessions

    async def _open(self, target: LinkTarget) -> Session | None:
        """Open a session that may be used; None if the link was edited first.

        The session is closed with the remote until `_take_over` has put it into use.
        """
        resource = reusing(REMOTE_ENDPOINT_SLICES, partial(reuse_held, self.store, self.name))
        admit, self._tried = partial(self._refusal, target), None
        opening = asyncio.create_task(
            self.open_session(target, admit, self.trust, resource, self.heartbeat, self._try)
        )
        self._opening = opening
        interruption = asyncio.create_task(self._inbox.interruption())
        try:
            await asyncio.wait({opening, interruption}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            interruption.cancel()
        if not opening.done():
            await self._discard_opening()
            return None
        session = opening.result()
        # Another link may have connected to the cluster while this one listed it.
        if (problem := self._refusal(target, session.cluster_id)) is not None:
            await self._discard_opening()
            raise RefusedError(problem, session.cluster_id)
        return session

    def _try(self, expiries: tuple[Expiry, ...]) -> None:
        """Note when the credentials expire that are tried now."""
        self._tried = expiries

    async def _discard_opening(self) -> None:
        """Give up a session that is being opened, and close it if it is open already."""
        if (opening := self._opening) is None:
            return
        opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled() and opening.exception() is None:
            await opening.result().close()
        self._opening = None

    async def _take_over(self, session: Session, problem: Problem | None) -> None:
        """Use a session from now on instead of the one in use."""
        self._retry.note_attempt(is_answered=True)
        await self._disconnect()
        await session.hand_over(self.store, self.name)
        self.store.set_connection(self.name, session.connection)
        self._report_read(session, is_new=True)
        following = asyncio.create_task(session.follow(self.store, self.name))
        following.add_done_callback(lambda _: self._inbox.put(Broken()))
        self._live = LiveSession(session, following, self._tried)
        self._opening = None
        if (link := self._link) is not None and session.cluster_id is not None:
            reconsider = partial(self._inbox.put, ClaimMoved())
            self.cluster_claims.claim(
                link, session.target.kubeconfig, session.cluster_id, reconsider
            )
        self._observe(
            Observation(problem, session.version, session.cluster_id, expiries=self._tried)
        )
        log.info("cluster connected", cluster=self.name, version=session.version)

    def _report_read(self, session: Session, *, is_new: bool) -> None:
        """Report a session that reads what the link asks for, and no longer something else."""
        wanted, generation = self._configured
        if session.target == wanted:
            self.store.listener(ClusterRead(self.name, generation, is_new))

    async def _disconnect(self) -> None:
        if self._live is not None:
            await self._live.end()
            self._live = None

    # Failures

    async def _lose(self, live: LiveSession, refused: RefusedError | None = None) -> None:
        """Close a session that broke, or that must not be used."""
        self._retry.stop()
        if live.is_healthy:
            self.backoff.reset()
        error, self._tried = refused or live.following.exception(), live.expiries
        await self._disconnect()
        if isinstance(error, EXPECTED):
            self._fail(error, is_kept=False)
        else:
            log.error("internal error", cluster=self.name, exc_info=error)
            self._mark(Loss.REJECTED)  # It says nothing about the cluster.

    def _fail(self, error: ConnectError, *, is_kept: bool) -> None:
        """Report a problem. Without a session, the cluster counts as lost or as unknown."""
        problem = problem_of(error, expired_credentials(self._tried or (), clock.seconds()))
        self._retry.require(retry_after(error))
        if isinstance(error, RefusedError):
            self._wait_for_claim(error)
        if is_kept:
            problem = while_kept(problem)
        else:
            if problem.reason is LinkReason.BUDGET_EXCEEDED and self.store.memory(self.name):
                # The next list gets the whole budget. The mirrors stay in the main cluster.
                self.store.forget(self.name)
            self._mark(loss_of(self._state.wanted, problem))
        if problem != self._observation.problem:
            log.warning(
                "cluster not connected",
                cluster=self.name,
                reason=problem.reason.code,
                problem=problem.message,
            )
        expiries = self._observation.expiries if is_kept else self._tried
        self._observe(evolve(self._observation, problem=problem, expiries=expiries))

    def _mark(self, loss: Loss) -> None:
        held = self.store.connections.get(self.name, PENDING)
        connection = connection_after(held, loss, clock.now(), clock.elapsed())
        self.store.set_connection(self.name, connection)

    # Whether the cluster may be used

    def _refusal_of_session(self) -> Problem | None:
        if self._live is None:
            return None
        return self._refusal(self._live.session.target, self._live.session.cluster_id)

    def _refusal(self, target: LinkTarget, cluster_id: str | None) -> Problem | None:
        """Why a cluster must not be used. A cluster that cannot be identified is not refused."""
        link = self._link
        if cluster_id is None or link is None:
            return None
        return self.cluster_claims.refusal(link, target.kubeconfig, cluster_id)

    def _wait_for_claim(self, refused: RefusedError) -> None:
        link = self._link
        if refused.cluster_id is not None and link is not None:
            reconsider = partial(self._inbox.put, ClaimMoved())
            self.cluster_claims.wait(link, refused.cluster_id, reconsider)

    @property
    def _link(self) -> ClusterLink | None:
        """The link, None once it was deleted, even if another one has its name now."""
        link = self.store.links.get(self.name)
        return link if link is not None and link.metadata.uid == self.uid else None

    @property
    def _observation(self) -> Observation:
        return self.store.observation(self.name)

    def _observe(self, observation: Observation) -> None:
        self.store.observe(self.name, observation)
