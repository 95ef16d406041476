"""No link is used for the main cluster, and no two for one cluster; who may be concerned is told.

Real: the claims and the rules of the core. Substituted: the links' connections.
"""

from __future__ import annotations

from attrs import define, field

from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_core import ClusterLink, ClusterLinkSpec, ClusterLinkStatus, LinkReason, ObjectMeta

CREATED = {"old": "2026-01-01T00:00:00Z", "young": "2026-02-01T00:00:00Z"}


def link(name: str) -> ClusterLink:
    return ClusterLink(ObjectMeta(name, creation_timestamp=CREATED.get(name)))


@define
class Links:
    """The claims under test, and which links were told to look again."""

    cluster_claims: ClusterClaims = field(factory=lambda: ClusterClaims(main_id="main"))
    told: list[str] = field(factory=list)

    def refusal(self, name: str, cluster: str) -> LinkReason | None:
        problem = self.cluster_claims.refusal(link(name), f"kubeconfig of {cluster}", cluster)
        return None if problem is None else problem.reason

    def claim(self, name: str, cluster: str) -> None:
        self.cluster_claims.claim(
            link(name), f"kubeconfig of {cluster}", cluster, lambda: self.told.append(name)
        )

    def wait(self, name: str) -> None:
        self.cluster_claims.wait(name, lambda: self.told.append(name))


def test_cluster_of_its_own_may_be_used() -> None:
    """Links to different clusters do not stand in each other's way."""
    links = Links()
    links.claim("a", "1")
    assert links.refusal("b", "2") is None


def test_main_cluster_may_not_be_used() -> None:
    """A link to the main cluster is refused."""
    assert Links().refusal("a", "main") is LinkReason.SELF_LINK


def test_while_the_main_cluster_is_unknown_nothing_is_refused_for_it() -> None:
    """Where the main cluster does not say which it is, no link can be told to lead there."""
    assert Links(ClusterClaims()).refusal("a", "main") is None


def test_younger_link_to_a_cluster_is_refused() -> None:
    """Of two links to one cluster the older one is used."""
    links = Links()
    links.claim("old", "1")
    assert links.refusal("young", "1") is LinkReason.DUPLICATE_CLUSTER


def test_asking_claims_nothing() -> None:
    """A link that was only tried stands in nobody's way, and tells nobody."""
    links = Links()
    links.claim("young", "2")
    links.refusal("old", "1")
    assert links.refusal("young", "1") is None
    assert links.told == []


def test_older_link_takes_the_cluster_from_a_younger_one() -> None:
    """Where the older link comes later, the younger one is told, and refused from then on."""
    links = Links()
    links.claim("young", "1")
    assert links.refusal("old", "1") is None
    links.claim("old", "1")
    assert links.told == ["young"]
    assert links.refusal("young", "1") is LinkReason.DUPLICATE_CLUSTER


def test_link_that_claims_is_not_told_itself() -> None:
    """A reconnect is no reason to look again for the link that reconnected."""
    links = Links()
    links.claim("old", "1")
    links.claim("old", "1")
    assert links.told == []


def test_link_that_waits_is_told_when_the_other_goes() -> None:
    """When a link goes, those that wait look again, and its cluster may be used."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.cluster_claims.release("old")
    assert links.told == ["young"]
    assert links.refusal("young", "1") is None


def test_link_that_waits_is_told_when_the_other_moves_on() -> None:
    """A link whose new credentials lead elsewhere lets go of the cluster it had."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.claim("old", "2")
    assert links.told == ["young"]
    assert links.refusal("young", "1") is None


def test_link_that_waits_is_told_once() -> None:
    """Who was told does not wait any more, until it is refused again."""
    links = Links()
    links.claim("a", "1")
    links.claim("b", "2")
    links.told.clear()
    links.wait("young")
    links.cluster_claims.release("a")
    links.cluster_claims.release("b")
    assert links.told == ["young"]


def test_link_that_is_connected_does_not_wait_any_more() -> None:
    """A claim ends the wait for one."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.claim("young", "2")
    links.told.clear()
    links.cluster_claims.release("old")
    assert links.told == []


def test_link_that_lost_its_connection_keeps_its_cluster() -> None:
    """A claim is held until it is released: a link that will come back is not overtaken."""
    links = Links()
    links.claim("old", "1")
    assert links.refusal("young", "1") is LinkReason.DUPLICATE_CLUSTER
    assert links.refusal("old", "1") is None


def test_releasing_what_was_not_claimed_is_nothing() -> None:
    """A link that never connected holds nothing, and nobody is told that it went."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.cluster_claims.release("other")
    assert links.told == []


def test_link_that_is_gone_is_not_told_any_more() -> None:
    """A released link neither holds nor waits."""
    links = Links()
    links.claim("old", "1")
    links.claim("other", "2")
    links.wait("young")
    links.told.clear()
    links.cluster_claims.release("young")
    links.cluster_claims.release("other")
    links.claim("old", "3")
    assert links.told == []


# A kubeconfig that leads elsewhere than before


def edited(generation: int, **spec: object) -> ClusterLink:
    """A link whose status, of generation 1, says that its kubeconfig leads to cluster 1."""
    status = ClusterLinkStatus(cluster_id="1", observed_generation=1)
    found = ClusterLinkSpec(kubeconfig="same", **spec)  # type: ignore[arg-type]
    return ClusterLink(ObjectMeta("a", generation=generation), found, status)


def reason(
    cluster_claims: ClusterClaims, known: ClusterLink, kubeconfig: str, cluster: str
) -> LinkReason | None:
    problem = cluster_claims.refusal(known, kubeconfig, cluster)
    return None if problem is None else problem.reason


def test_an_unchanged_kubeconfig_must_not_lead_elsewhere() -> None:
    """It is held for as long as the link is not edited; back at the old cluster it may be used."""
    cluster_claims = ClusterClaims("main")
    cluster_claims.claim(edited(1), "same", "1", lambda: None)
    for _ in range(2):
        assert reason(cluster_claims, edited(1), "same", "2") is LinkReason.CLUSTER_CHANGED
    assert reason(cluster_claims, edited(1), "same", "1") is None
    assert reason(cluster_claims, edited(2), "same", "2") is None


def test_an_edited_kubeconfig_is_taken_at_its_word() -> None:
    """Another kubeconfig may lead to another cluster, also one that is in a Secret."""
    cluster_claims = ClusterClaims("main")
    cluster_claims.claim(edited(1), "same", "1", lambda: None)
    assert reason(cluster_claims, edited(1), "other", "2") is None
    assert reason(cluster_claims, edited(1), "same", "2") is LinkReason.CLUSTER_CHANGED


def test_an_edit_before_anything_changed_is_no_permission() -> None:
    """A filter that was edited while all was well does not let the kubeconfig lead elsewhere later."""
    cluster_claims = ClusterClaims("main")
    cluster_claims.claim(edited(1), "same", "1", lambda: None)
    assert reason(cluster_claims, edited(2), "same", "2") is LinkReason.CLUSTER_CHANGED
    assert reason(cluster_claims, edited(3), "same", "2") is None


def test_a_restart_forgets_nothing() -> None:
    """The status of a link tells where it led, unless the link was edited since, or is disabled and edited now."""
    cluster_claims = ClusterClaims("main")
    cluster_claims.remember(edited(1))
    cluster_claims.release("a")
    assert reason(cluster_claims, edited(1), "same", "2") is LinkReason.CLUSTER_CHANGED
    assert reason(cluster_claims, edited(1), "other", "2") is None
    cluster_claims.remember(edited(2))
    assert reason(cluster_claims, edited(2), "same", "2") is None


def test_a_link_that_is_gone_is_forgotten() -> None:
    """A link of the same name that is made later is another one."""
    cluster_claims = ClusterClaims("main")
    cluster_claims.claim(edited(1), "same", "1", lambda: None)
    cluster_claims.forget("a")
    assert reason(cluster_claims, edited(1), "same", "2") is None
