"""No link is used for the main cluster, and at most one for each remote cluster.

Real: the claims and the rules of the core. Substituted: the connections of the links.
"""

from __future__ import annotations

from attrs import define, evolve, field
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.remotes.cluster_claims import ClusterClaims
from svclink_core import ClusterLink, ClusterLinkSpec, ClusterLinkStatus, LinkReason
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.values import link

IN_SECRET = ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference("c1"))
CREATED = {
    "old": "2026-01-01T00:00:00Z",
    "young": "2026-02-01T00:00:00Z",
    "youngest": "2026-03-01T00:00:00Z",
}


@define
class Links:
    """The claims under test, and the links that were woken."""

    cluster_claims: ClusterClaims = field(factory=lambda: ClusterClaims(main_id="main"))
    woken: list[str] = field(factory=list)

    def refusal(self, name: str, cluster: str) -> LinkReason | None:
        asking = aged(name, cluster)
        return reason(self.cluster_claims, asking, f"kubeconfig of {cluster}", cluster)

    def claim(self, name: str, cluster: str) -> None:
        self.cluster_claims.claim(
            aged(name, cluster),
            f"kubeconfig of {cluster}",
            cluster,
            lambda: self.woken.append(name),
        )

    def wait(self, name: str, cluster: str = "1") -> None:
        self.cluster_claims.wait(aged(name, cluster), cluster, lambda: self.woken.append(name))

    def release(self, name: str) -> None:
        self.cluster_claims.release(f"uid-of-{name}")


def aged(name: str, cluster: str) -> ClusterLink:
    spec = ClusterLinkSpec(kubeconfig=f"kubeconfig of {cluster}")
    return link(name, spec, created=CREATED.get(name))


def reason(
    cluster_claims: ClusterClaims, asking: ClusterLink, kubeconfig: str, cluster: str
) -> LinkReason | None:
    problem = cluster_claims.refusal(asking, kubeconfig, cluster)
    return None if problem is None else problem.reason


# Who is refused


def test_links_to_different_clusters_may_be_used() -> None:
    """Links to different clusters do not refuse each other."""
    links = Links()
    links.claim("a", "1")
    assert links.refusal("b", "2") is None


def test_main_cluster_may_not_be_used() -> None:
    """A link to the main cluster is refused."""
    assert Links().refusal("a", "main") is LinkReason.SELF_LINK


def test_unknown_main_cluster_refuses_no_link() -> None:
    """If the main cluster cannot be identified, a link to it cannot be recognised."""
    assert Links(ClusterClaims()).refusal("a", "main") is None


def test_younger_link_to_a_cluster_is_refused() -> None:
    """Of two links to one cluster the older one is used."""
    links = Links()
    links.claim("old", "1")
    assert links.refusal("young", "1") is LinkReason.DUPLICATE_CLUSTER


def test_asking_claims_nothing() -> None:
    """A link that was only tried refuses and wakes no other link."""
    links = Links()
    links.claim("young", "2")
    links.refusal("old", "1")
    assert links.refusal("young", "1") is None
    assert links.woken == []


def test_link_that_lost_its_connection_keeps_its_cluster() -> None:
    """A claim is held until it is released, so a link that comes back finds its cluster."""
    links = Links()
    links.claim("old", "1")
    assert links.refusal("young", "1") is LinkReason.DUPLICATE_CLUSTER
    assert links.refusal("old", "1") is None


# Who is woken


def test_older_link_takes_the_cluster_from_a_younger_one() -> None:
    """If the older link connects later, the younger one is woken, and refused from then on."""
    links = Links()
    links.claim("young", "1")
    assert links.refusal("old", "1") is None
    links.claim("old", "1")
    assert links.woken == ["young"]
    assert links.refusal("young", "1") is LinkReason.DUPLICATE_CLUSTER


def test_link_that_claims_is_not_woken_itself() -> None:
    """A link that reconnects does not wake itself."""
    links = Links()
    links.claim("old", "1")
    links.claim("old", "1")
    assert links.woken == []


def test_claim_wakes_no_link_of_another_cluster() -> None:
    """A link that connects concerns only the links that lead to the same cluster."""
    links = Links()
    links.claim("a", "2")
    links.wait("b", "3")
    links.claim("old", "1")
    links.claim("old", "1")
    links.release("old")
    assert links.woken == []


def test_claim_of_a_younger_link_wakes_no_older_one() -> None:
    """The older link stays in use, so there is nothing to check."""
    links = Links()
    links.claim("old", "1")
    links.claim("young", "1")
    assert links.woken == []


def test_waiting_link_wakes_when_the_other_is_deleted() -> None:
    """When the older link is gone, the younger one may use the cluster."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.release("old")
    assert links.woken == ["young"]
    assert links.refusal("young", "1") is None


def test_waiting_link_wakes_when_the_other_moves_on() -> None:
    """A link whose new credentials lead elsewhere releases the cluster it had."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.claim("old", "2")
    assert links.woken == ["young"]
    assert links.refusal("young", "1") is None


def test_link_that_was_disconnected_as_a_duplicate_wakes_once() -> None:
    """A link that still claims the cluster and waits for it is woken once."""
    links = Links()
    links.claim("young", "1")
    links.claim("old", "1")
    links.wait("young")
    links.woken.clear()
    links.release("old")
    assert links.woken == ["young"]


def test_woken_link_no_longer_waits() -> None:
    """A link that was woken is not woken again until it is refused again."""
    links = Links()
    links.claim("old", "1")
    links.wait("youngest")
    links.release("old")
    links.claim("old", "1")
    links.claim("young", "1")
    links.release("old")
    assert links.woken == ["youngest", "young"]


def test_connected_link_no_longer_waits() -> None:
    """A claim ends the wait for another cluster."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.claim("young", "2")
    links.release("old")
    assert links.woken == []


def test_releasing_nothing_wakes_no_link() -> None:
    """A link that never connected holds no cluster."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.release("other")
    assert links.woken == []


def test_deleted_link_is_not_woken() -> None:
    """A released link neither holds a cluster nor waits for one."""
    links = Links()
    links.claim("old", "1")
    links.wait("young")
    links.wait("youngest")
    links.release("young")
    links.cluster_claims.forget("uid-of-youngest")
    links.release("old")
    assert links.woken == []


# A kubeconfig that leads elsewhere than before


def edited(generation: int) -> ClusterLink:
    """A link whose status, of generation 1, says that its kubeconfig leads to cluster 1."""
    status = ClusterLinkStatus(cluster_id="1", observed_generation=1)
    return link("a", ClusterLinkSpec(kubeconfig="same"), generation=generation, status=status)


def connected_to_1() -> ClusterClaims:
    claims = ClusterClaims("main")
    claims.claim(edited(1), "same", "1", lambda: None)
    return claims


def test_unchanged_kubeconfig_must_not_lead_elsewhere() -> None:
    """The link is refused until it is edited; back at the old cluster it may be used."""
    claims = connected_to_1()
    for _ in range(2):
        assert reason(claims, edited(1), "same", "2") is LinkReason.CLUSTER_CHANGED
    assert reason(claims, edited(1), "same", "1") is None
    assert reason(claims, edited(2), "same", "2") is None


def test_edited_kubeconfig_may_lead_elsewhere() -> None:
    """Another kubeconfig or Secret in the link may lead to another cluster, the old one not."""
    claims = connected_to_1()
    for spec in (ClusterLinkSpec(kubeconfig="other"), IN_SECRET):
        other = evolve(edited(2), spec=spec)
        assert reason(claims, other, "other", "2") is None
        assert reason(claims, other, "same", "2") is LinkReason.CLUSTER_CHANGED


def test_changed_secret_must_not_lead_elsewhere() -> None:
    """New content of a Secret does not change where its link leads; an edit of the link does."""
    link_before, link_after = (evolve(edited(each), spec=IN_SECRET) for each in (1, 2))
    claims = ClusterClaims("main")
    claims.claim(link_before, "old", "1", lambda: None)
    assert reason(claims, link_before, "new", "1") is None
    assert reason(claims, link_before, "new", "2") is LinkReason.CLUSTER_CHANGED
    assert reason(claims, link_after, "new", "2") is None
    restarted = ClusterClaims("main")
    restarted.remember(link_before)
    assert reason(restarted, link_before, "new", "2") is LinkReason.CLUSTER_CHANGED


def test_edit_before_the_cluster_changed_allows_nothing() -> None:
    """A filter that was edited earlier does not let the kubeconfig lead elsewhere later."""
    claims = connected_to_1()
    assert reason(claims, edited(2), "same", "2") is LinkReason.CLUSTER_CHANGED
    assert reason(claims, edited(3), "same", "2") is None


def test_restart_remembers_where_a_link_led() -> None:
    """The status of a link says where it led, unless the link was edited since."""
    claims = ClusterClaims("main")
    claims.remember(edited(1))
    claims.release("uid-of-a")
    assert reason(claims, edited(1), "same", "2") is LinkReason.CLUSTER_CHANGED
    claims.remember(edited(2))
    assert reason(claims, edited(2), "same", "2") is None


def test_deleted_link_is_forgotten() -> None:
    """A later link with the same name is another link."""
    claims = connected_to_1()
    claims.forget("uid-of-a")
    assert reason(claims, edited(1), "same", "2") is None


# Links that are deleted and created again


@define
class Fleet:
    """Links that come, connect, and go; the connection of a deleted one ends at any later time."""

    claims: ClusterClaims = field(factory=ClusterClaims)
    clusters: dict[str, str] = field(factory=dict)
    links: dict[str, ClusterLink] = field(factory=dict)
    ending: list[str] = field(factory=list)
    created: int = 0

    def replace(self, name: str, cluster: str) -> None:
        """Creates a link, after deleting the one that has its name."""
        if (old := self.links.pop(name, None)) is not None:
            self.ending.append(old.metadata.uid)
        self.created += 1
        created = f"2026-01-01T00:{self.created:02}:00Z"
        self.links[name] = link(name, uid=f"{name}-{self.created}", created=created)
        self.clusters[name] = cluster
        self.connect(name)

    def connect(self, name: str) -> None:
        """Lets a link connect if it may, or wait."""
        asking, cluster = self.links[name], self.clusters[name]

        def reconsider() -> None:
            if self.links.get(name) is asking:
                self.connect(name)

        if self.claims.refusal(asking, "kubeconfig", cluster) is None:
            if self.claims._held.get(asking.metadata.uid) is None:
                self.claims.claim(asking, "kubeconfig", cluster, reconsider)
        else:
            self.claims.wait(asking, cluster, reconsider)

    def end(self) -> None:
        """Lets the connection of the link that was deleted first end."""
        if self.ending:
            self.claims.forget(self.ending.pop(0))


STEPS = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xy")) | st.none(), max_size=20)


@given(STEPS)
def test_late_end_of_a_deleted_link_takes_no_claim_of_its_successor(
    steps: list[tuple[str, str] | None],
) -> None:
    """Whenever old connections end, the oldest link to each cluster is the one that may be used."""
    fleet = Fleet()
    for step in steps:
        if step is None:
            fleet.end()
        else:
            fleet.replace(*step)
    while fleet.ending:
        fleet.end()
    oldest: dict[str, ClusterLink] = {}
    for name, each in fleet.links.items():
        first = oldest.setdefault(fleet.clusters[name], each)
        if (each.metadata.creation_timestamp or "") < (first.metadata.creation_timestamp or ""):
            oldest[fleet.clusters[name]] = each
    for name, each in fleet.links.items():
        cluster = fleet.clusters[name]
        is_allowed = reason(fleet.claims, each, "kubeconfig", cluster) is None
        assert is_allowed is (oldest[cluster] is each)


def test_claim_of_a_link_outlives_the_end_of_its_predecessor() -> None:
    """A second link to the cluster is refused although the old connection ends late."""
    fleet = Fleet()
    fleet.replace("a", "x")
    fleet.replace("a", "x")
    fleet.end()
    second = link("b", created="2026-01-01T01:00:00Z")
    assert reason(fleet.claims, second, "other", "x") is LinkReason.DUPLICATE_CLUSTER
