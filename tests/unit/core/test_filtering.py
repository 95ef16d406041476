"""Whether a Service is imported, in the order of docs/explanation/concepts.md."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import (
    PENDING,
    SYNCED,
    ClusterLinkSpec,
    NamespacedName,
    Options,
    Reason,
    Service,
    Synced,
    Unreachable,
)
from svclink_core.deletion_guard import is_caused_by_cluster
from svclink_core.filtering import Imported, Kept, Skipped, Verdict, judge, why_slice_skipped
from svclink_core.label_selector import parse_selector
from svclink_core.meta_v1 import LabelSelector
from svclink_core.snapshot import Connection, UnreadNamespace
from svclink_core.well_known import (
    ANNOTATION_GO_IMPORTED,
    ANNOTATION_MIRROR,
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_IMPORTED,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    MANAGED_BY,
)
from tests.builders.keys import WEB
from tests.builders.values import HTTP_8080, cluster, endpoint, remote_slice, service

LOST = Unreachable("2026-01-01T00:00:00Z", 1_767_225_600.0)


def verdict(
    key: NamespacedName = WEB,
    spec: ClusterLinkSpec = ClusterLinkSpec(),  # noqa: B008 - it is frozen
    options: Options = Options(),  # noqa: B008 - it is frozen
) -> Verdict:
    """The result for a healthy Service of this name with these filters."""
    return judge(key, cluster(spec=spec, services=[service(key)]), service(key), options)


def test_a_plain_service_is_imported() -> None:
    """A Service that both clusters have is imported, and both objects are returned."""
    remote, main = service(uid="remote"), service(uid="main")
    assert judge(WEB, cluster(services=[remote]), main, Options()) == Imported(remote, main)


# 1. The link


def test_a_disabled_link_is_frozen() -> None:
    """`enabled: false` keeps existing slices; this rule comes first."""
    assert verdict(NamespacedName("kube-system", "dns"), ClusterLinkSpec(enabled=False)) == Kept(
        Reason.FROZEN
    )


@pytest.mark.parametrize(
    ("connection", "reason"), [(PENDING, Reason.PENDING), (LOST, Reason.UNREACHABLE)]
)
def test_an_unknown_cluster_is_kept(connection: Connection, reason: Reason) -> None:
    """A cluster that is not listed yet, or unreachable, keeps its slices."""
    remote = evolve(cluster(services=[]), connection=connection)
    assert judge(WEB, remote, service(), Options()) == Kept(reason)


@pytest.mark.parametrize("connection", [PENDING, LOST])
def test_what_main_or_the_operator_excludes_goes_while_the_cluster_is_away(
    connection: Connection,
) -> None:
    """Filters and the main Service decide before it matters whether the cluster is known."""
    spec = ClusterLinkSpec(excluded_services=("default/web",))
    excluding = cluster(spec=spec, services=[], connection=connection)
    away = cluster(services=[], connection=connection)
    assert judge(WEB, excluding, service(), Options()) == Skipped(Reason.SERVICE_EXCLUDED)
    assert judge(WEB, away, service(cluster_ip="None"), Options()) == Skipped(Reason.MAIN_HEADLESS)
    assert judge(WEB, away, None, Options()) == Skipped(Reason.MAIN_SERVICE_MISSING)
    creating = Options(sync_services=True)
    assert isinstance(judge(WEB, away, None, creating), Kept)


def test_a_namespace_that_cannot_be_read_is_kept() -> None:
    """Whatever a cluster held of the namespace before, and of its other namespaces now."""
    for services in ([], [service()]):
        remote = evolve(cluster(services=services), connection=Synced(frozenset({"default"})))
        assert judge(WEB, remote, service(), Options()) == Kept(Reason.NAMESPACE_MISSING)
    elsewhere = evolve(cluster(), connection=Synced(frozenset({"elsewhere"})))
    assert isinstance(judge(WEB, elsewhere, service(), Options()), Imported)


def test_an_excluded_namespace_is_not_kept() -> None:
    """What the operator excludes goes, whether or not it can be read."""
    spec = ClusterLinkSpec(excluded_namespaces=("default",))
    remote = evolve(cluster(spec=spec), connection=Synced(frozenset({"default"})))
    assert judge(WEB, remote, service(), Options()) == Skipped(Reason.NAMESPACE_EXCLUDED)


def test_a_disabled_link_is_frozen_even_while_unreachable() -> None:
    """A link that is disabled and unreachable is Frozen."""
    remote = cluster(spec=ClusterLinkSpec(enabled=False), connection=LOST)
    assert judge(WEB, remote, service(), Options()) == Kept(Reason.FROZEN)


# 2. Always


@pytest.mark.parametrize("included", [(), ("kube-system",)])
def test_kube_system_is_never_imported(included: tuple[str, ...]) -> None:
    """Namespace kube-system is skipped, even if it is included."""
    key = NamespacedName("kube-system", "web")
    assert verdict(key, ClusterLinkSpec(included_namespaces=included)) == Skipped(
        Reason.NAMESPACE_KUBE_SYSTEM
    )
    assert verdict(key, options=Options(frozenset(included))) == Skipped(
        Reason.NAMESPACE_KUBE_SYSTEM
    )


@pytest.mark.parametrize("namespace", ["default", "prod"])
def test_kubernetes_is_never_imported(namespace: str) -> None:
    """Service kubernetes is skipped in every namespace."""
    assert verdict(NamespacedName(namespace, "kubernetes")) == Skipped(Reason.SERVICE_KUBERNETES)


# 3. Namespaces


@pytest.mark.parametrize(
    ("flag", "included", "excluded", "reason"),
    [
        ((), (), (), None),
        ((), ("default",), (), None),
        ((), ("prod", "default"), (), None),
        ((), ("prod",), (), Reason.NAMESPACE_NOT_INCLUDED),
        ((), ("Default",), (), Reason.NAMESPACE_NOT_INCLUDED),
        ((), (), ("default",), Reason.NAMESPACE_EXCLUDED),
        ((), (), ("prod",), None),
        ((), ("default",), ("default",), Reason.NAMESPACE_EXCLUDED),
        ((), ("prod",), ("default",), Reason.NAMESPACE_NOT_INCLUDED),
        (("prod",), (), (), Reason.NAMESPACE_NOT_IN_FLAG),
        (("prod",), ("default",), (), Reason.NAMESPACE_NOT_IN_FLAG),
        (("default",), ("prod",), (), None),
        (("default",), (), ("default",), None),
    ],
)
def test_namespaces(
    flag: tuple[str, ...],
    included: tuple[str, ...],
    excluded: tuple[str, ...],
    reason: Reason | None,
) -> None:
    """The flag overrides both lists of the link; an empty list means all; exclusion wins."""
    spec = ClusterLinkSpec(included_namespaces=included, excluded_namespaces=excluded)
    found = verdict(spec=spec, options=Options(frozenset(flag)))
    assert found == (Imported(service(), service()) if reason is None else Skipped(reason))


# 4. Services


@pytest.mark.parametrize("excluded", ["prod/web", "default/we", "default/Web", "web"])
def test_excluded_services_are_compared_exactly(excluded: str) -> None:
    """An entry of excludedServices matches namespace and name exactly and case-sensitively."""
    assert isinstance(verdict(spec=ClusterLinkSpec(excluded_services=(excluded,))), Imported)


def test_an_excluded_service_is_skipped() -> None:
    """A Service in excludedServices is skipped."""
    assert verdict(spec=ClusterLinkSpec(excluded_services=("default/web",))) == Skipped(
        Reason.SERVICE_EXCLUDED
    )


@pytest.mark.parametrize("namespace", ["default", "prod"])
def test_an_excluded_name_is_skipped_in_every_namespace(namespace: str) -> None:
    """A name in excludedServiceNames is skipped in every namespace."""
    spec = ClusterLinkSpec(excluded_service_names=("web",))
    assert verdict(NamespacedName(namespace, "web"), spec) == Skipped(Reason.SERVICE_NAME_EXCLUDED)


@pytest.mark.parametrize("excluded", ["Web", "we", "default/web"])
def test_excluded_names_are_compared_exactly(excluded: str) -> None:
    """An entry of excludedServiceNames matches the whole name case-sensitively."""
    assert isinstance(verdict(spec=ClusterLinkSpec(excluded_service_names=(excluded,))), Imported)


# 4. Selectors

SELECTING = ClusterLinkSpec(service_selector=LabelSelector((("tier", "gold"),)))


@pytest.mark.parametrize(
    ("spec", "options"),
    [
        (SELECTING, Options()),
        (ClusterLinkSpec(), Options(service_selector=parse_selector("tier=gold"))),
    ],
)
def test_a_service_that_no_selector_selects(spec: ClusterLinkSpec, options: Options) -> None:
    """It is absent. Slices that stay prove that it exists, so the operator removed its labels."""
    gone = cluster(spec=spec, services=[])
    unlabelled = cluster("c1", remote_slice(), spec=spec, services=[])
    assert judge(WEB, gone, service(), options) == Skipped(Reason.SELECTED_SERVICE_MISSING)
    assert judge(WEB, unlabelled, service(), options) == Skipped(Reason.SERVICE_NOT_SELECTED)
    assert isinstance(judge(WEB, cluster(spec=spec), service(), options), Imported)


def test_mirrors_in_the_remote_cluster_prove_nothing() -> None:
    """Only slices that Kubernetes removes with their Service do."""
    mirror = remote_slice(labels={LABEL_CLUSTER: "c9"})
    remote = cluster("c1", mirror, spec=SELECTING, services=[])
    found = judge(WEB, remote, service(), Options())
    assert found == Skipped(Reason.SELECTED_SERVICE_MISSING)


@pytest.mark.parametrize("connection", [PENDING, LOST])
def test_what_selectors_select_of_a_cluster_that_is_away_is_unknown(connection: Connection) -> None:
    """Labels are those of the remote objects."""
    unread = {"default": UnreadNamespace.NOT_SELECTED}
    remote = evolve(
        cluster("c1", remote_slice(), spec=SELECTING, services=[], connection=connection),
        unread_namespaces=unread,
    )
    assert isinstance(judge(WEB, remote, service(), Options()), Kept)


def test_namespaces_that_are_not_read() -> None:
    """One that is not selected is skipped, whatever was read of it; one not yet listed is kept."""
    for services in ([], [service()]):
        remote = cluster(services=services)
        unselected = evolve(remote, unread_namespaces={"default": UnreadNamespace.NOT_SELECTED})
        unlisted = evolve(remote, unread_namespaces={"default": UnreadNamespace.NOT_LISTED})
        found = judge(WEB, unselected, service(), Options())
        assert found == Skipped(Reason.NAMESPACE_NOT_SELECTED)
        assert judge(WEB, unlisted, service(), Options()) == Kept(Reason.NAMESPACE_MISSING)
    elsewhere = evolve(cluster(), unread_namespaces={"other": UnreadNamespace.NOT_SELECTED})
    assert isinstance(judge(WEB, elsewhere, service(), Options()), Imported)


def test_only_a_selected_service_that_is_gone_is_the_doing_of_the_cluster() -> None:
    """The deletion guard counts nothing else that selectors cause."""
    assert is_caused_by_cluster(Reason.SELECTED_SERVICE_MISSING)
    assert not is_caused_by_cluster(Reason.SERVICE_NOT_SELECTED)
    assert not is_caused_by_cluster(Reason.NAMESPACE_NOT_SELECTED)


# 7. The remote Service

IMPORTED = service(labels={LABEL_IMPORTED: "true"})
DELETED_AT = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("remote", "reason"),
    [
        (None, Reason.REMOTE_SERVICE_MISSING),
        (service(service_type="ExternalName", cluster_ip="None"), Reason.REMOTE_EXTERNAL_NAME),
        (service(cluster_ip="None", labels={LABEL_IMPORTED: "true"}), Reason.REMOTE_HEADLESS),
        (service(labels={LABEL_IMPORTED: "true"}, deleted_at=DELETED_AT), Reason.REMOTE_IMPORTED),
        (service(annotations={ANNOTATION_GO_IMPORTED: "true"}), Reason.REMOTE_IMPORTED),
        (service(deleted_at=DELETED_AT), Reason.REMOTE_DELETING),
    ],
)
@pytest.mark.parametrize("main", [None, service()])
def test_remote_services_that_are_not_imported(
    remote: Service | None, main: Service | None, reason: Reason
) -> None:
    """The first rule that skips a remote Service gives the reason, also for one to be created."""
    found = cluster(services=[] if remote is None else [remote])
    assert judge(WEB, found, main, Options(sync_services=True)) == Skipped(reason)


@pytest.mark.parametrize(
    "remote",
    [
        service(labels={LABEL_IMPORTED: "false"}),
        service(annotations={ANNOTATION_GO_IMPORTED: "false"}),
    ],
)
def test_only_true_says_that_svclink_created_a_service(remote: Service) -> None:
    """Another value of the label or of the Go release's annotation has no meaning."""
    assert isinstance(judge(WEB, cluster(services=[remote]), service(), Options()), Imported)


@pytest.mark.parametrize("kind", ["ClusterIP", "NodePort", "LoadBalancer"])
def test_types_that_are_imported(kind: str) -> None:
    """ClusterIP, NodePort and LoadBalancer Services are imported."""
    remote = service(service_type=kind)
    assert judge(WEB, cluster(services=[remote]), service(), Options()) == Imported(
        remote, service()
    )


def test_undecodable_service_is_kept() -> None:
    """A Service with an undecodable object keeps its slices, whatever its other objects say."""
    remote = evolve(cluster(services=[]), undecodable=[WEB])
    assert judge(WEB, remote, service(), Options()) == Kept(Reason.UNDECODABLE)


def test_filters_apply_to_undecodable_services() -> None:
    """A filter needs only names, so it also removes undecodable Services."""
    remote = evolve(
        cluster(spec=ClusterLinkSpec(excluded_services=("default/web",))), undecodable=[WEB]
    )
    assert judge(WEB, remote, service(), Options()) == Skipped(Reason.SERVICE_EXCLUDED)


# 5. The main Service


@pytest.mark.parametrize(
    ("main", "reason"),
    [
        (None, Reason.MAIN_SERVICE_MISSING),
        (service(service_type="ExternalName", cluster_ip="None"), Reason.MAIN_HEADLESS),
        (
            service(service_type="ExternalName", cluster_ip="", deleted_at=DELETED_AT),
            Reason.MAIN_EXTERNAL_NAME,
        ),
        (service(deleted_at=DELETED_AT), Reason.MAIN_DELETING),
    ],
)
def test_main_services_without_imports(main: Service | None, reason: Reason) -> None:
    """The first rule that skips a main Service gives the reason, whatever the cluster says."""
    for remote in (cluster(), cluster(services=[])):
        assert judge(WEB, remote, main, Options()) == Skipped(reason)
    assert main is not None or judge(WEB, cluster(), main, Options(sync_services=True)) == Skipped(
        reason
    )


NEVER, ALWAYS = (service(annotations={ANNOTATION_MIRROR: each}) for each in ("false", "true"))


@pytest.mark.parametrize("connection", [SYNCED, PENDING, LOST])
def test_the_owner_of_a_main_service_has_the_last_word(connection: Connection) -> None:
    """`mirror: "false"` is the first rule about main, and holds while the cluster is away."""
    remote = cluster(services=[], connection=connection)
    headless = evolve(NEVER, spec=evolve(NEVER.spec, cluster_ip="None"))
    for main in (NEVER, headless):
        assert judge(WEB, remote, main, Options()) == Skipped(Reason.MIRROR_FALSE)


def test_the_operator_decides_before_the_owner() -> None:
    """A filter of the link comes before the annotation, whatever its value."""
    remote = cluster(spec=ClusterLinkSpec(excluded_services=("default/web",)))
    for main in (NEVER, ALWAYS):
        assert judge(WEB, remote, main, Options()) == Skipped(Reason.SERVICE_EXCLUDED)


def test_an_annotation_of_a_remote_service_says_nothing() -> None:
    """Only the main cluster decides what it mirrors."""
    for remote in (NEVER, ALWAYS):
        found = judge(WEB, cluster(services=[remote]), service(), Options())
        assert found == Imported(remote, service())


OPT_INS = [
    (ClusterLinkSpec(opt_in=True), Options()),
    (ClusterLinkSpec(), Options(opt_in=True)),
    (ClusterLinkSpec(), Options(opt_in=True, sync_services=True)),
]


@pytest.mark.parametrize(("spec", "options"), OPT_INS)
def test_opt_in(spec: ClusterLinkSpec, options: Options) -> None:
    """With --opt-in or `optIn`, only Services whose annotation is "true" are mirrored."""
    remote = cluster(spec=spec)
    yes = service(annotations={ANNOTATION_MIRROR: "yes"})
    assert isinstance(judge(WEB, remote, ALWAYS, options), Imported)
    assert judge(WEB, remote, service(), options) == Skipped(Reason.NOT_OPTED_IN)
    assert judge(WEB, remote, yes, options) == Skipped(Reason.NOT_OPTED_IN)
    assert judge(WEB, remote, NEVER, options) == Skipped(Reason.MIRROR_FALSE)


def test_a_service_that_main_lacks_is_not_opted_in() -> None:
    """So it is not created. Without the flag that creates Services, it is just missing."""
    creating = Options(opt_in=True, sync_services=True)
    assert judge(WEB, cluster(), None, creating) == Skipped(Reason.NOT_OPTED_IN)
    missing = judge(WEB, cluster(), None, Options(opt_in=True))
    assert missing == Skipped(Reason.MAIN_SERVICE_MISSING)


def test_a_main_service_that_svclink_created_is_imported_for() -> None:
    """The label of Services that svclink created skips remote Services, not main ones."""
    assert isinstance(judge(WEB, cluster(), IMPORTED, Options()), Imported)


# 8. The remote slice


@pytest.mark.parametrize(
    "labels",
    [
        {LABEL_MANAGED_BY: MANAGED_BY},
        {LABEL_CLUSTER: "c9"},
        {LABEL_GO_CLUSTER: "c9"},
        {LABEL_MCS_SOURCE_CLUSTER: "c9"},
    ],
)
def test_mirrored_slices_are_not_mirrored_again(labels: dict[str, str]) -> None:
    """A remote slice that svclink, its Go release or an MCS controller mirrored would be a loop."""
    assert why_slice_skipped(remote_slice(labels=labels), service()) is Reason.LOOP


@pytest.mark.parametrize(
    ("address_type", "families", "reason"),
    [
        ("IPv4", ("IPv4",), None),
        ("IPv6", ("IPv4", "IPv6"), None),
        ("IPv6", ("IPv4",), Reason.ADDRESS_TYPE),
        ("IPv4", ("IPv6",), Reason.ADDRESS_TYPE),
        ("IPv4", (), Reason.ADDRESS_TYPE),
        ("FQDN", ("IPv4", "IPv6"), Reason.ADDRESS_TYPE),
        ("FQDN", ("FQDN",), Reason.ADDRESS_TYPE),
    ],
)
def test_address_types(address_type: str, families: tuple[str, ...], reason: Reason | None) -> None:
    """FQDN slices, and families that the main Service does not have, are skipped."""
    endpoint_slice = remote_slice(address_type=address_type, endpoints=[endpoint("x")])
    assert why_slice_skipped(endpoint_slice, service(ip_families=families)) is reason


def test_a_slice_without_endpoints_is_skipped() -> None:
    """The placeholder slice of a Service without Pods is skipped."""
    assert why_slice_skipped(remote_slice(endpoints=[]), service()) is Reason.NO_ENDPOINTS


def test_a_slice_without_ports_is_skipped() -> None:
    """kube-proxy cannot use an endpoint without a port."""
    assert why_slice_skipped(remote_slice(ports=()), service()) is Reason.NO_ENDPOINTS
    assert why_slice_skipped(remote_slice(ports=(HTTP_8080,)), service()) is None
