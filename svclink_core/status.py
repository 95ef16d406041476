"""The status of a ClusterLink, made from facts. Time only sets the times of transitions."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Final, TypeAlias, assert_never

from attrs import evolve, field, frozen

from svclink_core.conditions import ConditionState, condition_of, dated, plain_condition
from svclink_core.controller_namespace import ControllerNamespace
from svclink_core.credential_expiry import CredentialState
from svclink_core.deletion_guard import UNGUARDED, Guard
from svclink_core.explained import counted, joined
from svclink_core.kubeconfig_place import (
    kubeconfig_place,
    replacement_advice,
    replacing_command,
)
from svclink_core.link_identity import Problem, SecretFault
from svclink_core.link_reasons import LinkReason
from svclink_core.mirroring import Finding
from svclink_core.snapshot import PENDING, Connection, Pending, Synced, Unreachable
from svclink_core.svclink_v1alpha1 import (
    ClusterLink,
    ClusterLinkStatus,
    Condition,
    Phase,
)
from svclink_core.well_known import Reason

SHOWN_NAMES = 3
"""How many Services a condition names; it only counts the others."""


@frozen
class LinkFacts:
    """Everything that determines a link's status. Times are RFC 3339.

    Args:
        link: The link as last seen, with the status it has.
        home: The controller's namespace, which contains the Secrets with kubeconfigs.
        connection: Whether the mirrored state is current.
        problem: Why the cluster or new credentials cannot be used, or None.
        version: The cluster's Kubernetes version, or None if it was never reached.
        cluster_id: uid of the cluster's `kube-system` namespace.
        silent_since: When a watch last sent something, if watches are silent but lists succeed.
        excess: How a followed cluster exceeds its budget, or None.
        credentials: Whether the credentials in use expire soon; None if they are not known.
        services: How many Services have at least one mirrored slice.
        endpoints: How many endpoints are mirrored.
        slices: How many slices the main cluster mirrors from this cluster.
        in_use: How many of the Services have a mirrored endpoint that is ready.
        needed_by: The Services that have no other ready endpoint, sorted, if the link is drained.
        guard: Which deletions must wait.
        findings: What could not be mirrored.
        write_failures: One message for each Service whose slices could not be written.
    """

    link: ClusterLink
    home: ControllerNamespace = field(kw_only=True)
    connection: Connection = PENDING
    problem: Problem | None = None
    version: str | None = None
    cluster_id: str | None = None
    silent_since: str | None = None
    excess: str | None = None
    credentials: CredentialState | None = None
    services: int = 0
    endpoints: int = 0
    slices: int = 0
    in_use: int = 0
    needed_by: Sequence[str] = ()
    guard: Guard = UNGUARDED
    findings: Sequence[Finding] = ()
    write_failures: Sequence[str] = ()


def summarize(facts: LinkFacts, now: str) -> ClusterLinkStatus:
    """Return the status that a link should have. Equal facts give equal statuses (law L9).

    The status contains no time that only this controller knows. Otherwise, another controller
    that works on the same link would replace it with its own, and both would keep writing.

    Args:
        facts: What is known of the link.
        now: RFC 3339; used only as the time of transitions.
    """
    old = facts.link.status
    connected = facts.link.spec.enabled and isinstance(facts.connection, Synced)
    generation = facts.link.metadata.generation
    credentials = facts.credentials if facts.link.spec.enabled else None
    # After an edit the link may lead to another cluster, until that is reached.
    known_id = old.cluster_id if generation == old.observed_generation else None
    states = (
        _ready(facts),
        _synced(facts),
        _degraded(facts),
        *_expiring(credentials, facts),
        *_drained(facts),
    )
    return ClusterLinkStatus(
        phase=_phase(facts),
        version=facts.version or old.version,
        cluster_id=facts.cluster_id or known_id,
        connected=connected,
        last_connected=now if connected and not _was_connected(old) else old.last_connected,
        credentials_expire=None if credentials is None else credentials.expire,
        services=facts.services,
        endpoints=facts.endpoints,
        slices=facts.slices,
        still_needed_by=len(facts.needed_by),
        observed_generation=generation,
        error=_error(facts),
        conditions=tuple(_condition(state, old, generation, now) for state in states),
    )


def _was_connected(old: ClusterLinkStatus) -> bool:
    """Whether an old status says that the cluster is connected, and since when."""
    return old.connected and old.last_connected is not None


_Trouble: TypeAlias = tuple[LinkReason, str]
"""The reason of a condition, and its message."""


def _phase(facts: LinkFacts) -> Phase:
    if not facts.link.spec.enabled:
        return "Disabled"
    if facts.problem is not None:
        return "NotReady"
    match facts.connection:
        case Synced():
            return "Ready"
        case Pending():
            return "Pending"
        case Unreachable():
            return "NotReady"
        case unexpected:
            assert_never(unexpected)


def _error(facts: LinkFacts) -> str | None:
    if not facts.link.spec.enabled:
        return None
    if facts.problem is not None:
        return _advised(facts.problem, facts)
    return min(facts.write_failures, default=None)


def _ready(facts: LinkFacts) -> ConditionState:
    if not facts.link.spec.enabled:
        return plain_condition("Ready", "False", LinkReason.DISABLED)
    if facts.problem is not None:
        problem = facts.problem
        message = _advised(problem, facts)
        return ConditionState("Ready", "False", problem.reason, message, problem.expired)
    match facts.connection:
        case Synced():
            return plain_condition("Ready", "True", LinkReason.CLUSTER_READY)
        case Pending():
            return plain_condition("Ready", "Unknown", LinkReason.CONNECTING)
        case Unreachable():
            return plain_condition("Ready", "False", LinkReason.UNREACHABLE)
        case unexpected:
            assert_never(unexpected)


def _advised(problem: Problem, facts: LinkFacts) -> str:
    """A problem, with the command that replaces the kubeconfig if that solves it."""
    command = replacement_advice(problem, facts.link, facts.home)
    if problem.secret_fault is SecretFault.MISSING and command:
        return f"{problem.message}. To do so, run: {command}"
    return problem.message + (_replacement(command, facts) if command else "")


def _replacement(command: str, facts: LinkFacts) -> str:
    place = kubeconfig_place(facts.link, facts.home)
    return f". To replace the kubeconfig ({place}): {command}"


def _synced(facts: LinkFacts) -> ConditionState:
    if not facts.link.spec.enabled:
        return plain_condition("Synced", "Unknown", LinkReason.DISABLED)
    match facts.connection:
        case Pending():
            return plain_condition("Synced", "False", LinkReason.INITIALIZING)
        case Unreachable(since, _):
            return ConditionState(
                "Synced",
                "False",
                LinkReason.STALE,
                f"{LinkReason.STALE.sentence} (unreachable since {since})",
            )
        case Synced(missing):
            return _synced_while_connected(facts, missing)
        case unexpected:
            assert_never(unexpected)


def _synced_while_connected(facts: LinkFacts, missing: Collection[str]) -> ConditionState:
    """The first problem gives the reason; the message has all."""
    problems = [*_silence(facts), *_missing(missing), *_failed_writes(facts)]
    if not problems:
        return plain_condition("Synced", "True", LinkReason.SYNCED)
    return ConditionState("Synced", "False", *joined(problems))


def _silence(facts: LinkFacts) -> Iterator[_Trouble]:
    if facts.silent_since is not None:
        silence = f"lists succeed, but a watch has sent nothing since {facts.silent_since}"
        fix = "turn off response buffering in the proxy in front of the API server"
        yield LinkReason.STALE, f"{LinkReason.STALE.sentence} ({silence}): {fix}"


def _missing(namespaces: Collection[str]) -> Iterator[_Trouble]:
    if names := sorted(namespaces):
        reason = LinkReason.NAMESPACES_MISSING
        missing = f"{counted(len(names), 'included namespace')} ({_named(names)})"
        kept = "cannot be read, so the EndpointSlices mirrored from them are kept"
        yield reason, f"{missing} {kept}: {reason.sentence}"


def _failed_writes(facts: LinkFacts) -> Iterator[_Trouble]:
    if facts.write_failures:
        yield LinkReason.WRITE_FAILED, _named(sorted(facts.write_failures))


_DEGRADING = {
    LinkReason.PORT_MISMATCH: {Reason.PORT_MISMATCH},
    LinkReason.ADDRESS_CONFLICT: {Reason.ADDRESS_CONFLICT},
    LinkReason.INVALID_ENDPOINTS: {Reason.INVALID_ENDPOINTS},
    LinkReason.INVALID_MIRROR_ANNOTATION: {Reason.INVALID_MIRROR_ANNOTATION},
    LinkReason.UNDECODABLE: {Reason.UNDECODABLE, Reason.MAIN_UNDECODABLE},
}
"""The findings that each reason of the Degraded condition tells of."""


def _degraded(facts: LinkFacts) -> ConditionState:
    """The first problem gives the reason; the message counts and names the Services of each."""
    kinds = [*_exceeded(facts), *_held(facts.guard), *_found(facts.findings)]
    if not kinds:
        return plain_condition("Degraded", "False", LinkReason.AS_EXPECTED)
    return ConditionState("Degraded", "True", *joined(kinds))


def _expiring(credentials: CredentialState | None, facts: LinkFacts) -> Iterator[ConditionState]:
    """Nothing is said of credentials that are not known."""
    if credentials is None:
        return
    reason = credentials.reason
    if reason is LinkReason.CREDENTIALS_VALID:
        message = f"{reason.sentence} ({credentials.text})"
        yield ConditionState("CredentialsExpiring", "False", reason, message, exact=message)
        return
    message = f"{credentials.text}: {reason.sentence}"
    advice = _replacement(replacing_command(facts.link, facts.home), facts)
    yield ConditionState("CredentialsExpiring", "True", reason, message + advice, exact=message)


def _drained(facts: LinkFacts) -> Iterator[ConditionState]:
    """Nothing is said of a link that is not drained."""
    if not facts.link.spec.drained:
        return
    if not facts.link.spec.enabled:
        yield plain_condition("Drained", "False", LinkReason.DISABLED)
    elif facts.in_use == 0:
        yield plain_condition("Drained", "True", LinkReason.DRAINED)
    elif facts.in_use > len(facts.needed_by):
        message = _draining(facts.in_use - len(facts.needed_by))
        yield ConditionState("Drained", "False", LinkReason.DRAINING, message)
    else:
        message = _needing(facts.needed_by)
        yield ConditionState("Drained", "False", LinkReason.STILL_NEEDED, message)


def _draining(services: int) -> str:
    use = "uses" if services == 1 else "use"
    return (
        f"{counted(services, 'Service')} still {use} the cluster's endpoints; svclink is about to"
        " put these endpoints on standby"
    )


def _needing(services: Sequence[str]) -> str:
    """Which Services keep using a drained cluster, and why."""
    keep, they_have = ("keeps", "it has") if len(services) == 1 else ("keep", "they have")
    why = f"{they_have} no other ready endpoint for at least one IP family"
    return f"{_services(services)} {keep} using the cluster, because {why}"


def _exceeded(facts: LinkFacts) -> Iterator[_Trouble]:
    if facts.problem is not None and facts.problem.reason is LinkReason.BUDGET_EXCEEDED:
        yield facts.problem.reason, facts.problem.message
    elif facts.excess is not None:
        yield LinkReason.BUDGET_EXCEEDED, facts.excess


def _held(guard: Guard) -> Iterator[_Trouble]:
    wave = guard.wave
    if wave is not None and wave.held_until is not None:
        slices = f"{wave.deletions} of {wave.slices} EndpointSlices that svclink mirrors"
        lost = f"{slices} disappeared from the cluster at once"
        fix = "if the loss is intentional, edit the link to delete the mirrors now"
        yield LinkReason.DELETION_HELD, f"{lost}; svclink is keeping the mirrors for now: {fix}"


def _found(findings: Sequence[Finding]) -> Iterator[_Trouble]:
    for shown, reasons in _DEGRADING.items():
        services = sorted(
            {str(finding.service) for finding in findings if finding.reason in reasons}
        )
        if services:
            yield shown, f"{_services(services)}: {shown.sentence}"


def _services(names: Sequence[str]) -> str:
    """How many Services there are, and the names of the first few."""
    return f"{counted(len(names), 'Service')} ({_named(names)})"


def _named(items: Sequence[str]) -> str:
    more = len(items) - SHOWN_NAMES
    return ", ".join(items[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def _condition(
    state: ConditionState, old: ClusterLinkStatus, generation: int, now: str
) -> Condition:
    before = condition_of(old.conditions, state.type)
    return dated(evolve(state, message=_message(state, before)), before, generation, now)


def _message(state: ConditionState, before: Condition | None) -> str:
    """The message; one that only names another time is no news, and the time seen first stays."""
    is_about_same = before is not None and before.message.startswith(state.exact)
    if before is not None and is_about_same and before.reason == state.reason.code:
        is_same = _TIME.sub("", before.message) == _TIME.sub("", state.message)
        return before.message if is_same else state.message
    return state.message


_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
