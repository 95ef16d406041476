"""What the state says about links and about the main cluster, as the page shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from attrs import define, field

from svclink_controller import clock
from svclink_controller.api.errors import NOT_SERVED, ApiError, MissingApiError
from svclink_controller.dashboard.board import MainRead
from svclink_controller.reflect.reflector import ReadError, fix_of
from svclink_controller.state.store import Store
from svclink_controller.wire.resources import CLUSTER_LINKS, ENDPOINT_SLICES, SECRETS, SERVICES
from svclink_core.link_overview import LinkOverview, SeenCluster
from svclink_core.snapshot import PENDING
from svclink_core.well_known import MAIN

_REQUIRED: Final = {each.plural for each in (CLUSTER_LINKS, ENDPOINT_SLICES, SERVICES)}
"""The kinds that every main cluster serves; svclink goes on without the others."""

KUBE_SYSTEM: Final = "kube-system"
CONTROLLER: Final = "controller"
ANSWER: Final = "main"
"""What problems are about, apart from kinds and Secrets."""


@define
class Observer:
    """Looks at the state.

    Args:
        store: The state.
        memory_budget: How many bytes the objects of one remote cluster may take.
        elapsed: The clock of the state, in seconds.
    """

    store: Store
    memory_budget: int
    elapsed: Callable[[], float] = clock.elapsed
    _failures: dict[str, tuple[float, str]] = field(factory=dict)
    _unanswered: dict[str, str] = field(factory=dict)

    def note_failure(self, plural: str, error: ReadError) -> None:
        """Note that a kind of the main cluster could not be read."""
        is_absent = isinstance(error, ApiError) and error.status.code == NOT_SERVED
        if is_absent and plural not in _REQUIRED:
            return
        text = f"cannot read {plural} in the main cluster: {error}"
        self._failures[plural] = self.elapsed(), _with_fix(text, fix_of(error, plural))

    def note_unidentified(self, error: ReadError) -> None:
        """Note that the identity of the main cluster is not known, so links are not read yet."""
        fix = error.fix if isinstance(error, MissingApiError) else None
        text = f"cannot read the kube-system namespace in the main cluster: {error}"
        self._unanswered[KUBE_SYSTEM] = _with_fix(text, fix)

    def note_homeless(self, error: ReadError) -> None:
        """Note that the namespace of the controller is not known, so links are not read yet."""
        self._unanswered[CONTROLLER] = f"the controller's namespace cannot be determined: {error}"

    def note_located(self) -> None:
        """Note that links can be read: the cluster and the controller's namespace are known."""
        self._unanswered.pop(KUBE_SYSTEM, None)
        self._unanswered.pop(CONTROLLER, None)

    def note_answer(self, error: ReadError | None) -> None:
        """Note that the main cluster answers; or why not, whatever its watches say."""
        self._note(ANSWER, "the main cluster does not respond", error)

    def note_secret(self, name: str, error: ReadError | None) -> None:
        """Note that the Secret of a link is read; or why not.

        A link goes on with a Secret that was read once, so that it does not show the problem.
        """
        about = f"{SECRETS.plural}/{name}"
        fix = None if error is None else fix_of(error, SECRETS.plural)
        self._note(about, f"Secret {name}, which a link refers to, cannot be read", error, fix)

    def _note(self, about: str, text: str, error: ReadError | None, fix: str | None = None) -> None:
        if error is None:
            self._unanswered.pop(about, None)
        else:
            self._unanswered[about] = _with_fix(f"{text}: {error}", fix)

    def main(self) -> MainRead:
        """How the main cluster is read. A kind that was heard of again is no problem any more."""
        now, ages = self.elapsed(), self.store.propagation.ages()
        heard = {kind: now - age for (cluster, kind), age in ages.items() if cluster == MAIN}
        self._failures = {
            plural: failure
            for plural, failure in self._failures.items()
            if heard.get(plural, float("-inf")) <= failure[0]
        }
        kinds = {plural: text for plural, (_, text) in self._failures.items()}
        problems = tuple(sorted((kinds | self._unanswered).items()))
        return MainRead(self.store.is_complete, problems, self._last_event(MAIN))

    def link(self, name: str) -> LinkOverview | None:
        """A link and what is seen of its cluster; None if there is no such link."""
        link = self.store.links.get(name)
        return None if link is None else LinkOverview(link, self._seen(name))

    def _seen(self, name: str) -> SeenCluster:
        observation = self.store.observation(name)
        remote = self.store.snapshot().remotes.get(name)
        return SeenCluster(
            connection=self.store.connections.get(name, PENDING),
            problem=observation.problem,
            version=observation.version,
            last_event=self._last_event(name),
            services=0 if remote is None else len(remote.services),
            memory=self.store.memory(name),
            memory_budget=self.memory_budget,
        )

    def _last_event(self, cluster: str) -> str | None:
        ages = [age for (name, _), age in self.store.propagation.ages().items() if name == cluster]
        return clock.rfc3339(clock.seconds() - min(ages)) if ages else None


def _with_fix(problem: str, fix: str | None) -> str:
    return problem if fix is None else f"{problem}: {fix}"
