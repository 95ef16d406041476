"""The status of a link, one fact in each test."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    CredentialState,
    Finding,
    Guard,
    LinkFacts,
    LinkReason,
    NamespacedName,
    Problem,
    Reason,
    Synced,
    Unreachable,
    Wave,
    summarize,
)
from svclink_core.budget import Budget
from svclink_core.controller_namespace import KnownNamespace
from svclink_core.kubeconfig_place import replacing_command
from svclink_core.link_identity import SecretFault
from svclink_core.snapshot import Connection
from svclink_core.svclink_v1alpha1 import Phase, SecretKeyReference
from tests.builders.keys import WEB
from tests.builders.values import link

NOW = "2026-07-01T12:00:00Z"
BEFORE = "2026-07-01T11:00:00Z"
LOST = Unreachable(BEFORE, 0)
HOME = KnownNamespace("svclink")
FACTS = LinkFacts(link(), SYNCED, home=HOME)
DISABLED = LinkFacts(link(spec=ClusterLinkSpec(enabled=False)), LOST, home=HOME)
REFUSED = Problem(LinkReason.UNAUTHORIZED, "401: renew the token")
ADVICE = f". To replace the kubeconfig (spec.kubeconfig): {replacing_command(link(), HOME)}"
ADVISED = REFUSED.message + ADVICE


def condition(facts: LinkFacts, wanted: str) -> Condition:
    (found,) = [each for each in summarize(facts, NOW).conditions if each.type == wanted]
    return found


def test_conditions() -> None:
    """A status has three conditions, each with the observed generation."""
    conditions = summarize(FACTS, NOW).conditions
    assert [each.type for each in conditions] == ["Ready", "Synced", "Degraded"]
    assert {each.observed_generation for each in conditions} == {1}


@pytest.mark.parametrize(
    ("facts", "phase"),
    [
        (FACTS, "Ready"),
        (evolve(FACTS, connection=PENDING), "Pending"),
        (evolve(FACTS, connection=LOST), "NotReady"),
        (evolve(FACTS, problem=REFUSED), "NotReady"),
        (evolve(FACTS, connection=PENDING, problem=REFUSED), "NotReady"),
        (DISABLED, "Disabled"),
        (evolve(DISABLED, problem=REFUSED), "Disabled"),
    ],
)
def test_phase(facts: LinkFacts, phase: Phase) -> None:
    """The STATUS column is Ready, NotReady, Disabled or Pending."""
    assert summarize(facts, NOW).phase == phase


@pytest.mark.parametrize(
    ("facts", "status", "reason", "message"),
    [
        (FACTS, "True", "ClusterReady", "Cluster connection established"),
        (
            evolve(FACTS, connection=PENDING),
            "Unknown",
            "Connecting",
            LinkReason.CONNECTING.sentence,
        ),
        (evolve(FACTS, connection=LOST), "False", "Unreachable", LinkReason.UNREACHABLE.sentence),
        (evolve(FACTS, problem=REFUSED), "False", "Unauthorized", ADVISED),
        (DISABLED, "False", "Disabled", LinkReason.DISABLED.sentence),
        (evolve(DISABLED, problem=REFUSED), "False", "Disabled", LinkReason.DISABLED.sentence),
    ],
)
def test_ready(facts: LinkFacts, status: str, reason: str, message: str) -> None:
    """Ready reports whether the cluster is connected, and if not, how to fix it."""
    found = condition(facts, "Ready")
    assert (found.status, found.reason, found.message) == (status, reason, message)


@pytest.mark.parametrize(
    ("facts", "status", "reason"),
    [
        (FACTS, "True", LinkReason.SYNCED),
        (evolve(FACTS, problem=REFUSED), "True", LinkReason.SYNCED),
        (evolve(FACTS, connection=PENDING), "False", LinkReason.INITIALIZING),
        (evolve(FACTS, connection=LOST), "False", LinkReason.STALE),
        (
            evolve(FACTS, connection=LOST, write_failures=["default/web: no"]),
            "False",
            LinkReason.STALE,
        ),
        (DISABLED, "Unknown", LinkReason.DISABLED),
    ],
)
def test_synced(facts: LinkFacts, status: str, reason: LinkReason) -> None:
    """Synced reports whether the main cluster has everything that the remote cluster holds."""
    found = condition(facts, "Synced")
    assert (found.status, found.reason) == (status, reason.code)
    assert found.message.startswith(reason.sentence)


def test_synced_names_failed_writes() -> None:
    """If the main cluster refused a write, the message is about that write."""
    found = condition(evolve(FACTS, write_failures=["default/web: no"]), "Synced")
    assert (found.status, found.reason, found.message) == (
        "False",
        "WriteFailed",
        "default/web: no",
    )


def test_stale_says_since_when() -> None:
    """The message of a lost cluster has the time of the loss."""
    message = condition(evolve(FACTS, connection=LOST), "Synced").message
    assert message == f"{LinkReason.STALE.sentence} (unreachable since {BEFORE})"


def test_cluster_that_exceeds_its_budget_is_degraded() -> None:
    """The condition has the number and the flag, and the link is not ready."""
    problem = Problem(LinkReason.BUDGET_EXCEEDED, Budget().memory_excess)
    exceeded = evolve(FACTS, connection=PENDING, problem=problem)
    for kind, status in (("Ready", "False"), ("Degraded", "True")):
        found = condition(exceeded, kind)
        assert (found.status, found.reason) == (status, "BudgetExceeded")
        assert "80 MiB" in found.message
        assert "--max-memory-per-remote" in found.message
    assert condition(exceeded, "Synced").status == "False"


def test_cluster_whose_events_are_late_is_degraded() -> None:
    """The condition has the number. The link stays ready and synced."""
    late = evolve(FACTS, excess=Budget().loop_excess)
    found = condition(late, "Degraded")
    assert (found.status, found.reason) == ("True", "BudgetExceeded")
    assert "more than 25% of the controller's time" in found.message
    assert condition(late, "Ready").status == condition(late, "Synced").status == "True"


def test_silent_watches_make_a_connected_cluster_stale() -> None:
    """Where lists are answered and watches silent, the message says so and since when."""
    silent = evolve(FACTS, silent_since=BEFORE)
    found = condition(silent, "Synced")
    assert (found.status, found.reason) == ("False", "Stale")
    assert f"a watch has sent nothing since {BEFORE}" in found.message
    assert condition(silent, "Ready").status == "True"
    assert condition(evolve(silent, connection=LOST), "Synced").message.endswith(f"since {BEFORE})")


def test_synced_names_missing_namespaces() -> None:
    """The message counts and names the namespaces, and says how to fix it."""
    found = condition(evolve(FACTS, connection=Synced(frozenset("dcba"))), "Synced")
    assert (found.status, found.reason) == ("False", "NamespacesMissing")
    assert found.message == (
        "4 included namespaces (a, b, c and 1 more) cannot be read, so the EndpointSlices"
        f" mirrored from them are kept: {LinkReason.NAMESPACES_MISSING.sentence}"
    )


def test_synced_has_every_problem() -> None:
    """The first problem gives the reason, and the message has all."""
    found = condition(evolve(FACTS, silent_since=BEFORE, write_failures=["a: no"]), "Synced")
    assert found.reason == "Stale"
    assert found.message.endswith("; WriteFailed: a: no")


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        (["b", "a"], "a, b"),
        (["c", "b", "a"], "a, b, c"),
        (["d", "c", "b", "a"], "a, b, c and 1 more"),
        (["e", "d", "c", "b", "a"], "a, b, c and 2 more"),
    ],
)
def test_failed_writes_are_counted(failures: list[str], message: str) -> None:
    """The first few failures are named in order, and the others are counted."""
    assert condition(evolve(FACTS, write_failures=failures), "Synced").message == message


def finding(name: str, reason: Reason) -> Finding:
    return Finding(NamespacedName("default", name), "c1", reason, ("a detail",))


MISMATCH, INVALID = Reason.PORT_MISMATCH, Reason.INVALID_ENDPOINTS


@pytest.mark.parametrize(
    ("findings", "status", "reason"),
    [
        ([], "False", "AsExpected"),
        ([finding("web", Reason.LOOP), finding("web", Reason.ADDRESS_TYPE)], "False", "AsExpected"),
        ([finding("web", MISMATCH)], "True", "PortMismatch"),
        ([finding("web", INVALID)], "True", "InvalidEndpoints"),
        ([finding("web", INVALID), finding("web", MISMATCH)], "True", "PortMismatch"),
        ([finding("web", Reason.UNDECODABLE)], "True", "Undecodable"),
        ([finding("web", Reason.MAIN_UNDECODABLE)], "True", "Undecodable"),
    ],
)
def test_degraded(findings: list[Finding], status: str, reason: str) -> None:
    """Degraded reports what was left out, port mismatches first."""
    found = condition(evolve(FACTS, findings=findings), "Degraded")
    assert (found.status, found.reason) == (status, reason)
    assert status == "True" or found.message == LinkReason.AS_EXPECTED.sentence


def test_degraded_names_services() -> None:
    """The message has the number of Services and the first few names."""
    findings = [finding(name, MISMATCH) for name in "dcba"] + [finding("e", INVALID)]
    message = condition(evolve(FACTS, findings=findings), "Degraded").message
    assert message == (
        "4 Services (default/a, default/b, default/c and 1 more): "
        "give the ports the same name or the same number in both clusters; "
        "InvalidEndpoints: 1 Service (default/e): "
        "invalid data and addresses outside spec.allowedCIDRs are left out of the mirrored"
        " EndpointSlices"
    )


def test_a_held_deletion_degrades() -> None:
    """A held deletion comes first, with its numbers; a settling one does not degrade."""
    held = Guard(is_armed=True, wave=Wave(24, 18, 0, 0, 300))
    shown = condition(evolve(FACTS, guard=held, findings=[finding("a", MISMATCH)]), "Degraded")
    assert (shown.status, shown.reason) == ("True", "DeletionHeld")
    assert shown.message.startswith("18 of 24 EndpointSlices that svclink mirrors disappeared")
    assert "; PortMismatch: 1 Service (default/a)" in shown.message
    settling = Guard(is_armed=True, wave=Wave(24, 18, 0, 0))
    assert condition(evolve(FACTS, guard=settling), "Degraded").status == "False"


VALID = CredentialState(LinkReason.CREDENTIALS_VALID, f"valid until {NOW}", NOW)
SOON = CredentialState(LinkReason.CREDENTIALS_EXPIRE_SOON, f"the token expires at {BEFORE}", BEFORE)
EXPIRED = CredentialState(LinkReason.CREDENTIALS_EXPIRED, f"the token expired at {BEFORE}", BEFORE)


@pytest.mark.parametrize(
    ("credentials", "status", "message"),
    [
        (
            VALID,
            "False",
            f"none of the link's credentials expires within a week (valid until {NOW})",
        ),
        (SOON, "True", f"{SOON.text}: {LinkReason.CREDENTIALS_EXPIRE_SOON.sentence}{ADVICE}"),
        (EXPIRED, "True", f"{EXPIRED.text}: {LinkReason.CREDENTIALS_EXPIRED.sentence}{ADVICE}"),
    ],
)
def test_expiry_of_credentials_is_shown(
    credentials: CredentialState, status: str, message: str
) -> None:
    """The status has the time of the first expiry, and a condition that warns of it."""
    facts = evolve(FACTS, credentials=credentials)
    found = condition(facts, "CredentialsExpiring")
    assert (found.status, found.reason) == (status, credentials.reason.code)
    assert found.message == message
    assert summarize(facts, NOW).credentials_expire == credentials.expire
    assert condition(facts, "Ready") == condition(FACTS, "Ready")


@pytest.mark.parametrize(
    "facts", [FACTS, evolve(DISABLED, credentials=SOON)], ids=["unknown", "disabled"]
)
def test_nothing_is_said_of_credentials_that_are_not_used(facts: LinkFacts) -> None:
    """Before the kubeconfig was read, and while the link is disabled, there is no condition."""
    status = summarize(facts, NOW)
    assert "CredentialsExpiring" not in {each.type for each in status.conditions}
    assert status.credentials_expire is None


def test_new_credentials_that_expire_soon_too_are_shown() -> None:
    """The time in this message is a fact, and not the one that a controller saw first."""
    first = summarize(evolve(FACTS, credentials=SOON), NOW)
    renewed = CredentialState(SOON.reason, f"the token expires at {NOW}", NOW)
    again = evolve(FACTS, link=evolve(link(), status=first), credentials=renewed)
    assert condition(again, "CredentialsExpiring").message.startswith(renewed.text)


def test_other_expired_credentials_are_shown() -> None:
    """A rejected token that expired at another time is another cause."""

    def rejected(expired: str) -> LinkFacts:
        message = f"{expired}: rejected at {expired[-20:]}"
        return evolve(FACTS, problem=evolve(REFUSED, message=message, expired=expired))

    first = summarize(rejected(f"the token expired at {BEFORE}"), NOW)
    later = rejected(f"the token expired at {NOW}")
    again = evolve(later, link=evolve(link(), status=first))
    assert condition(again, "Ready").message == condition(later, "Ready").message
    assert condition(again, "Ready").message != first.conditions[0].message


DRAINED_LINK = link(spec=ClusterLinkSpec(drained=True))
FIVE = [f"default/{name}" for name in "abcde"]
ABOUT_TO_DRAIN = "the cluster's endpoints; svclink is about to put these endpoints on standby"
SHOWN_FIVE = "default/a, default/b, default/c and 2 more"


@pytest.mark.parametrize(
    ("in_use", "needed_by", "status", "reason", "message"),
    [
        (0, [], "True", LinkReason.DRAINED, LinkReason.DRAINED.sentence),
        # A Service that was planned, and whose slices are not written yet.
        (0, FIVE[:1], "True", LinkReason.DRAINED, LinkReason.DRAINED.sentence),
        (7, FIVE, "False", LinkReason.DRAINING, f"2 Services still use {ABOUT_TO_DRAIN}"),
        (6, FIVE, "False", LinkReason.DRAINING, f"1 Service still uses {ABOUT_TO_DRAIN}"),
        (
            5,
            FIVE,
            "False",
            LinkReason.STILL_NEEDED,
            (
                f"5 Services ({SHOWN_FIVE}) keep using the cluster, because they have no other"
                " ready endpoint for at least one IP family"
            ),
        ),
        (
            1,
            FIVE[:1],
            "False",
            LinkReason.STILL_NEEDED,
            (
                "1 Service (default/a) keeps using the cluster, because it has no other"
                " ready endpoint for at least one IP family"
            ),
        ),
    ],
)
def test_drained_link_shows_which_services_still_use_it(
    in_use: int, needed_by: list[str], status: str, reason: LinkReason, message: str
) -> None:
    """The condition is True once no Service uses the cluster; it names those that need it."""
    facts = evolve(FACTS, link=DRAINED_LINK, in_use=in_use, needed_by=needed_by)
    found = condition(facts, "Drained")
    assert (found.status, found.reason, found.message) == (status, reason.code, message)
    assert summarize(facts, NOW).still_needed_by == len(needed_by)


def test_disabled_link_is_not_drained() -> None:
    """The EndpointSlices of a disabled link stay as they are, so its endpoints stay in use."""
    disabled = evolve(DRAINED_LINK, spec=ClusterLinkSpec(enabled=False, drained=True))
    assert condition(evolve(FACTS, link=disabled), "Drained").reason == "Disabled"


def test_nothing_is_said_of_draining_a_link_that_is_in_use() -> None:
    """The condition exists only while spec.drained is true."""
    status = summarize(evolve(FACTS, in_use=3), NOW)
    assert "Drained" not in {each.type for each in status.conditions}
    assert status.still_needed_by == 0


@pytest.mark.parametrize("kind", ["Ready", "Synced", "Degraded", "CredentialsExpiring", "Drained"])
def test_healthy_status_of_a_condition(kind: str) -> None:
    """Some conditions are True when all is well, others when something is wrong."""
    is_bad = kind in ("Degraded", "CredentialsExpiring")
    true, false, unknown = (
        Condition(kind, status, "Reason", "message", "2026-01-01T00:00:00Z").is_healthy
        for status in ("True", "False", "Unknown")
    )
    assert (true, false, unknown) == (not is_bad, is_bad, False)


def test_state_of_a_condition_leaves_out_wording_and_times() -> None:
    """Two conditions that differ in these alone are no transition."""
    one = Condition("Ready", "True", "Reason", "message", "2026-01-01T00:00:00Z", 1)
    other = Condition("Ready", "True", "Reason", "another", "2026-01-02T00:00:00Z", 2)
    assert one.state == other.state == ("Ready", "True", "Reason")
    assert one.state != evolve(other, reason="Other").state


def test_edited_link_has_no_known_cluster() -> None:
    """The identity in a status belongs to the link as it was before the edit."""
    known = evolve(
        FACTS,
        link=evolve(FACTS.link, status=ClusterLinkStatus(cluster_id="uid", observed_generation=7)),
    )
    assert summarize(evolve(known, cluster_id=None), NOW).cluster_id is None


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        (FACTS, None),
        (evolve(FACTS, problem=REFUSED), ADVISED),
        (evolve(FACTS, write_failures=["b", "a"]), "a"),
        (evolve(FACTS, problem=REFUSED, write_failures=["a"]), ADVISED),
        (evolve(DISABLED, problem=REFUSED, write_failures=["a"]), None),
    ],
)
def test_error(facts: LinkFacts, error: str | None) -> None:
    """The error is about the connection first and then about writes; a disabled link has none."""
    assert summarize(facts, NOW).error == error


def test_advice_names_the_secret_that_holds_the_kubeconfig() -> None:
    """Only a problem that a new kubeconfig solves has the command that puts one there."""
    in_secret = link(spec=ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference("s", "k")))
    facts = evolve(FACTS, link=in_secret)
    advised = condition(evolve(facts, problem=REFUSED), "Ready").message
    assert "To replace the kubeconfig (key k of Secret svclink/s): svclink export-kub" in advised
    missing = Problem(LinkReason.INVALID_KUBECONFIG, "none", secret_fault=SecretFault.MISSING)
    created = condition(evolve(facts, problem=missing), "Ready").message
    assert created.startswith("none. To do so, run: svclink export-kubeconfig")
    lost = Problem(LinkReason.UNREACHABLE, "no answer")
    assert condition(evolve(facts, problem=lost), "Ready").message == "no answer"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (FACTS, True),
        (evolve(FACTS, connection=PENDING), False),
        (evolve(FACTS, connection=LOST), False),
        (evolve(DISABLED, connection=SYNCED), False),
    ],
)
def test_connected(facts: LinkFacts, expected: bool) -> None:
    """An enabled link is connected if its cluster is synced."""
    assert summarize(facts, NOW).connected is expected


def test_numbers_are_copied() -> None:
    """The status has the mirrored counts and the observed generation."""
    facts = evolve(FACTS, services=1, slices=2, endpoints=3)
    status = summarize(facts, NOW)
    assert (status.services, status.slices, status.endpoints, status.observed_generation) == (
        1,
        2,
        3,
        1,
    )


REMEMBERED = ClusterLinkStatus(
    version="v1.36.0", cluster_id="uid", last_connected=BEFORE, observed_generation=1
)


def test_known_facts_stay_after_a_restart() -> None:
    """Version, identity and last connection stay until newer values exist."""
    facts = evolve(FACTS, link=evolve(link(), status=REMEMBERED), connection=PENDING)
    status = summarize(facts, NOW)
    assert (status.version, status.cluster_id, status.last_connected) == ("v1.36.0", "uid", BEFORE)


def test_newer_facts_replace_older_ones() -> None:
    """Newer facts replace those of the old status."""
    known = evolve(FACTS, link=evolve(link(), status=REMEMBERED))
    status = summarize(evolve(known, version="v1.37.0", cluster_id="other"), NOW)
    assert (status.version, status.cluster_id) == ("v1.37.0", "other")


@pytest.mark.parametrize(
    ("old", "connection", "expected"),
    [
        (ClusterLinkStatus(connected=True, last_connected=BEFORE), SYNCED, BEFORE),
        (ClusterLinkStatus(connected=True, last_connected=BEFORE), LOST, BEFORE),
        (ClusterLinkStatus(connected=False, last_connected=BEFORE), SYNCED, NOW),
        (ClusterLinkStatus(connected=True), SYNCED, NOW),
        (ClusterLinkStatus(), PENDING, None),
    ],
)
def test_time_of_the_connection_is_that_of_its_transition(
    old: ClusterLinkStatus, connection: Connection, expected: str | None
) -> None:
    """A controller that connects to a cluster that is connected already does not move it."""
    facts = evolve(FACTS, link=evolve(link(), status=old), connection=connection)
    assert summarize(facts, NOW).last_connected == expected


def test_time_in_a_message_is_the_one_seen_first() -> None:
    """Another controller, or the same after a restart, lost the cluster at another time."""
    first = summarize(evolve(FACTS, connection=LOST), NOW)
    later = evolve(LOST, since="2026-12-31T00:00:00Z")
    again = evolve(FACTS, link=evolve(link(), status=first), connection=later)
    assert summarize(again, NOW) == first
    other = evolve(FACTS, connection=later)
    assert condition(other, "Synced").message.endswith("(unreachable since 2026-12-31T00:00:00Z)")


@pytest.mark.parametrize(
    ("old_status", "expected"),
    [("True", BEFORE), ("False", NOW), ("Unknown", NOW)],
)
def test_transition_time(old_status: str, expected: str) -> None:
    """The transition time changes with the status, not with the reason or message."""
    old = Condition("Ready", old_status, "Other", "other", BEFORE, 0)  # type: ignore[arg-type]
    facts = evolve(FACTS, link=evolve(link(), status=ClusterLinkStatus(conditions=(old,))))
    found = condition(facts, "Ready")
    assert found == Condition(
        "Ready", "True", "ClusterReady", "Cluster connection established", expected, 1
    )


def test_every_condition_has_its_own_transition_time() -> None:
    """The transition time comes from the old condition of the same type, in any order."""
    old = (
        Condition("Degraded", "False", "AsExpected", "", "2026-01-03T00:00:00Z"),
        Condition("Synced", "True", "Synced", "", "2026-01-02T00:00:00Z"),
        Condition("Ready", "True", "ClusterReady", "", "2026-01-01T00:00:00Z"),
    )
    status = summarize(
        evolve(FACTS, link=evolve(link(), status=ClusterLinkStatus(conditions=old))), NOW
    )
    assert [(each.type, each.last_transition_time) for each in status.conditions] == [
        ("Ready", "2026-01-01T00:00:00Z"),
        ("Synced", "2026-01-02T00:00:00Z"),
        ("Degraded", "2026-01-03T00:00:00Z"),
    ]


def test_a_new_condition_begins_now() -> None:
    """A condition without a predecessor has its transition now."""
    assert {each.last_transition_time for each in summarize(FACTS, NOW).conditions} == {NOW}


def test_services_of_a_message_are_namespaced() -> None:
    """Messages name Services with their namespace."""
    message = condition(evolve(FACTS, findings=[finding("web", MISMATCH)]), "Degraded").message
    assert message.startswith(f"1 Service ({WEB}): ")
