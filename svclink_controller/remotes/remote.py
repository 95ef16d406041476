"""One linked cluster: connect, reflect, lose, come back. Each is on its own, so that none can hold up another."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import Final, TypeAlias, assert_never

import structlog
from attrs import define, evolve, field

from svclink_controller import clock
from svclink_controller.api.errors import ApiError, TransportError, retry_after
from svclink_controller.backoff import Backoff
from svclink_controller.credentials.kubeconfig import KubeconfigError
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_controller.remotes.session import RefusedError, Session, open_session
from svclink_controller.state.store import Observation, Store
from svclink_controller.wire.messages import WireError
from svclink_controller.wire.resources import REMOTE_ENDPOINT_SLICES, sharing
from svclink_core.link_identity import Problem
from svclink_core.link_target import LINK_DISABLED, LinkTarget
from svclink_core.snapshot import PENDING, SYNCED, Unreachable
from svclink_core.unreachable_policy import counts_as_lost
from svclink_core.well_known import LinkReason

ConnectError: TypeAlias = KubeconfigError | RefusedError | ApiError | TransportError | WireError
EXPECTED: Final = (KubeconfigError, RefusedError, ApiError, TransportError, WireError)
"""What can go wrong with a cluster; anything else is a fault of svclink."""

HEALTHY_CONNECTION_SECONDS: Final = 60
"""A connection that lived this long was a good one: what breaks it is a new trouble, not the old one."""

log = structlog.get_logger()


@define
class Remote:
    """Keeps the store right about one remote cluster for as long as its link exists.

    New credentials are tried first and take over when everything could be listed with them (make before break); until
    then, and if they fail, those that worked stay in use.

    Args:
        name: Name of the link.
        store: Told what the cluster has, and how the connection is.
        cluster_claims: Says whether the cluster may be used under this link.
        trust: What an administrator allows it.
    """

    name: str
    store: Store
    cluster_claims: ClusterClaims
    trust: Trust = STRICT
    _wanted: LinkTarget | Problem | None = None
    _generation: int = -1
    _proven: LinkTarget | None = None
    _session: Session | None = None
    _opened: Session | None = None
    _following: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(factory=asyncio.Event)
    _connected_at: float = 0
    _leave_alone: float = 0
    _backoff: Backoff = field(factory=lambda: Backoff(base=1, cap=30))

    def configure(self, wanted: LinkTarget | Problem | None, generation: int = 0) -> bool:
        """The link was added or edited, or its Secret.

        Args:
            wanted: What to read, why that cannot be said, or None where the link is disabled.
            generation: That of the link: any edit can allow or forbid the cluster that it leads to.

        Returns:
            Whether something else was wanted before.
        """
        before = self._wanted
        if (wanted, generation) != (before, self._generation):
            self._wanted, self._generation = wanted, generation
            self._changed.set()
        if before not in (None, wanted):
            # Where it leads now is not known: after a restart, the old cluster must not be held against it.
            self._observe(evolve(self._observation, cluster_id=None))
        return before not in (None, wanted)

    async def run(self) -> None:
        """Work until cancelled, then close the connection. Nothing that goes wrong with the cluster ends it."""
        structlog.contextvars.bind_contextvars(cluster=self.name)
        try:
            while True:
                try:
                    await self._step()
                except Exception:
                    log.exception("internal error", cluster=self.name)
                    await asyncio.sleep(self._backoff.next_delay())
        finally:
            self.cluster_claims.forget(self.name)
            await self._disconnect()

    async def _step(self) -> None:
        """From one event to the next: an edited link, a broken connection, or the time to try again."""
        self._changed.clear()
        wanted = self._wanted
        if wanted is None or (isinstance(wanted, Problem) and self._session is None):
            await self._stay_away(wanted)
        elif (
            self._session is not None and (refusal := self._why_refused(self._session)) is not None
        ):
            await self._lose(RefusedError(refusal))
        elif isinstance(wanted, Problem):
            self._observe(evolve(self._observation, problem=_while_kept(wanted)))
            await self._wait()
        elif self._session is not None and self._session.target == wanted:
            self._trust()
            await self._wait()
        elif await self._try(wanted) or self._changed.is_set() or await self._fall_back(wanted):
            pass
        else:
            await self._wait(self._pause())

    def _trust(self) -> None:
        """What feeds the store is what the link asks for: an edit that was taken back may have put it in doubt."""
        self.store.set_connection(self.name, SYNCED)
        cluster_id = None if self._session is None else self._session.cluster_id
        self._observe(evolve(self._observation, problem=None, cluster_id=cluster_id))

    async def _stay_away(self, problem: Problem | None) -> None:
        """The link is disabled, or says no way to connect: its slices stay as they are."""
        self.cluster_claims.release(self.name)
        await self._disconnect()
        self.store.forget(self.name)
        self._observe(evolve(self._observation, problem=problem))
        await self._changed.wait()

    async def _try(self, target: LinkTarget) -> bool:
        """Connect with the credentials wanted; True where they are in use now."""
        if self._session is not None and self._session.target.namespaces != target.namespaces:
            # What is held is of other namespaces: nothing may be concluded from it about those now asked for.
            self.store.set_connection(self.name, PENDING)
        try:
            is_open = await self._unless_changed(self._open(target))
        except EXPECTED as error:
            self._fail(error, kept=self._session is not None)
            return False
        if is_open:
            await self._take_over(problem=None)
        return is_open

    async def _fall_back(self, wanted: LinkTarget) -> bool:
        """Where the wanted credentials failed and nothing is connected: use those that worked before."""
        proven = self._proven
        if (
            self._session is not None
            or proven is None
            or proven == wanted
            or proven.namespaces != wanted.namespaces
        ):
            return False
        try:
            is_open = await self._unless_changed(self._open(proven))
        except EXPECTED:
            return False
        if is_open:
            await self._take_over(problem=self._observation.problem)
        return is_open

    async def _open(self, target: LinkTarget) -> None:
        """What is opened belongs to the remote at once: whenever it is given up or cancelled, it is closed."""
        slices = sharing(REMOTE_ENDPOINT_SLICES, partial(self.store.sharing, self.name))
        self._opened = await open_session(
            target, partial(self._refusal, target), self.trust, slices
        )

    async def _take_over(self, problem: Problem | None) -> None:
        """From now on the connection that was opened is the one that counts."""
        session, self._opened, previous = self._opened, None, (self._following, self._session)
        self._following, self._session = None, session
        await _end(*previous)
        if session is None:
            return
        if self._why_refused(session) is not None:
            return  # Another link connected to the cluster while this one was listed: the next step gives it up.
        self._proven = session.target
        session.hand_over(self.store, self.name)
        self.store.set_connection(self.name, SYNCED)
        self._following = asyncio.create_task(session.follow(self.store, self.name))
        self._connected_at = asyncio.get_running_loop().time()
        if (link := self.store.links.get(self.name)) is not None and session.cluster_id is not None:
            self.cluster_claims.claim(
                link, session.target.kubeconfig, session.cluster_id, self._changed.set
            )
        self._observe(Observation(problem, session.version, session.cluster_id, clock.now()))
        log.info("cluster connected", cluster=self.name, version=session.version)

    async def _wait(self, seconds: float | None = None) -> None:
        """Until the link is edited, the connection breaks, or the time is over."""
        changed = asyncio.create_task(self._changed.wait())
        waiting = {changed, self._following} - {None}
        try:
            await asyncio.wait(
                {task for task in waiting if task is not None},
                timeout=seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            changed.cancel()
        if self._following is not None and self._following.done():
            await self._lose(self._following.exception())
            await self._wait(self._pause())

    async def _lose(self, error: BaseException | None) -> None:
        """The connection broke, or must not be used. One that lived makes up for the failures before it."""
        if asyncio.get_running_loop().time() - self._connected_at > HEALTHY_CONNECTION_SECONDS:
            self._backoff.reset()
        await self._disconnect()
        if isinstance(error, EXPECTED):
            self._fail(error, kept=False)
        else:
            log.error("internal error", cluster=self.name, exc_info=error)
            self._mark_unreachable()

    def _fail(self, error: ConnectError, *, kept: bool) -> None:
        """Say what is wrong; without a connection that still feeds the store, the cluster counts as unreachable."""
        problem = problem_of(error)
        self._leave_alone = retry_after(error)
        if isinstance(error, RefusedError):
            self.cluster_claims.wait(self.name, self._changed.set)
        if kept:
            problem = _while_kept(problem)
        elif counts_as_lost(self._wanted or LINK_DISABLED, problem):
            self._mark_unreachable()
        else:
            self.store.set_connection(self.name, PENDING)
        if problem != self._observation.problem:
            log.warning(
                "cluster not connected",
                cluster=self.name,
                reason=problem.reason.code,
                problem=problem.message,
            )
        self._observe(evolve(self._observation, problem=problem))

    def _pause(self) -> float:
        """How long to wait for the next try: longer each time, and as long as the server asked for."""
        asked, self._leave_alone = self._leave_alone, 0
        return max(self._backoff.next_delay(), asked)

    def _mark_unreachable(self) -> None:
        """From now on, or from when it was first found so: also where it was not reached since svclink started."""
        if not isinstance(self.store.connections.get(self.name), Unreachable):
            self.store.set_connection(self.name, Unreachable(clock.now(), clock.seconds()))

    async def _disconnect(self) -> None:
        previous, opened = (self._following, self._session), self._opened
        self._following = self._session = self._opened = None
        await _end(*previous)
        await _end(None, opened)

    async def _unless_changed(self, work: Coroutine[object, object, None]) -> bool:
        """Whether some work was done; where the link is edited first it is given up, also what it opened by then."""
        task, changed = asyncio.ensure_future(work), asyncio.create_task(self._changed.wait())
        try:
            await asyncio.wait({task, changed}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
                return True
        finally:
            changed.cancel()
            task.cancel()
            await asyncio.wait({task})
        opened, self._opened = self._opened, None
        await _end(None, opened)
        return False

    def _why_refused(self, session: Session) -> Problem | None:
        return self._refusal(session.target, session.cluster_id)

    def _refusal(self, target: LinkTarget, cluster_id: str | None) -> Problem | None:
        """Why a cluster must not be used; where credentials do not show which it is, there is nothing to say."""
        link = self.store.links.get(self.name)
        if cluster_id is None or link is None:
            return None
        return self.cluster_claims.refusal(link, target.kubeconfig, cluster_id)

    @property
    def _observation(self) -> Observation:
        return self.store.observations.get(self.name, Observation())

    def _observe(self, observation: Observation) -> None:
        self.store.observe(self.name, observation)


async def _end(following: asyncio.Task[None] | None, session: Session | None) -> None:
    """Stop following a connection and close it."""
    if following is not None:
        following.cancel()
        await asyncio.wait({following})
    if session is not None:
        await session.close()


def _while_kept(problem: Problem) -> Problem:
    """A problem of new credentials, while those that worked stay in use."""
    return evolve(problem, message=f"{problem.message} (the previous kubeconfig stays in use)")


def problem_of(error: ConnectError) -> Problem:
    """What an error means for the link: a reason, and a message that says what to do."""
    match error:
        case KubeconfigError():
            reason = _BY_CODE[error.reason]
        case RefusedError():
            return error.problem
        case ApiError():
            reason = {401: LinkReason.UNAUTHORIZED, 403: LinkReason.FORBIDDEN}.get(
                error.status.code, LinkReason.UNREACHABLE
            )
        case TransportError():
            reason = (
                LinkReason.CERTIFICATE_INVALID if error.is_certificate else LinkReason.UNREACHABLE
            )
        case WireError():
            reason = LinkReason.UNREACHABLE
        case unexpected:
            assert_never(unexpected)
    return Problem(reason, f"{error}: {reason.sentence}")


_BY_CODE = {reason.code: reason for reason in LinkReason}
