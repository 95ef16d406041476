"""Whether a Service is imported from a cluster: the first rule in a table that says no decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, assert_never, cast

from attrs import frozen

from svclink_core.addressing import FQDN
from svclink_core.api_rules import is_object_name
from svclink_core.api_server_calls import NOT_CALLED, ApiServerCall
from svclink_core.cidrs import invalid_cidrs
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.mirror_annotation import lacks_opt_in, owner_choice
from svclink_core.ownership import is_imported, is_mirror
from svclink_core.snapshot import (
    PENDING,
    Connection,
    Options,
    Pending,
    RemoteCluster,
    Synced,
    Unreachable,
    UnreadNamespace,
)
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec
from svclink_core.well_known import (
    NAMESPACE_KUBE_SYSTEM,
    SERVICE_KUBERNETES,
    Reason,
)


@frozen
class Imported:
    """The Service is mirrored; both clusters have it."""

    remote: Service
    main: Service


@frozen
class Skipped:
    """The Service is not mirrored, and its mirrors are deleted."""

    reason: Reason


@frozen
class Kept:
    """Nothing is decided: mirrors stay."""

    reason: Reason


Verdict: TypeAlias = Imported | Skipped | Kept


@frozen
class _Question:
    """One Service and cluster: what the rules depend on."""

    key: NamespacedName
    cluster: RemoteCluster
    options: Options
    remote: Service | None
    main: Service | None
    call: ApiServerCall

    @property
    def spec(self) -> ClusterLinkSpec:
        """The specification of the link."""
        return self.cluster.link.spec


def judge(
    key: NamespacedName,
    cluster: RemoteCluster,
    main: Service | None,
    options: Options,
    call: ApiServerCall = NOT_CALLED,
) -> Verdict:
    """Whether the Service `key` is imported from a cluster, kept or skipped, with the reason.

    Args:
        key: Namespace and name of the Service.
        cluster: The linked cluster.
        main: The Service in the main cluster, None if it has none.
        options: The settings of the controller.
        call: Whether the main cluster's API server calls the Service.

    Source: docs/explanation/concepts.md, "What is mirrored" and "Filters".
    """
    if (reason := why_untouched(cluster.link)) is not None:
        return Kept(reason)
    question = _Question(key, cluster, options, cluster.services.get(key), main, call)
    for refuses, verdict in RULES:
        if refuses(question):
            return verdict
    if (reason := why_unknown(cluster.connection)) is not None:
        return Kept(reason)
    for refuses, verdict in REMOTE_RULES:
        if refuses(question):
            return verdict
    return Imported(
        cast("Service", question.remote), cast("Service", question.main)
    )  # The rules have checked both.


def why_main_refuses(
    key: NamespacedName, main: Service | None, options: Options, call: ApiServerCall = NOT_CALLED
) -> Reason | None:
    """Why a Service is mirrored from no cluster, whatever its link says; None if links decide.

    Arguments as for `judge`.
    """
    any_cluster = RemoteCluster(ClusterLink(ObjectMeta("any")), PENDING)
    verdict = judge(key, any_cluster, main, options, call)
    return verdict.reason if isinstance(verdict, Skipped) else None


def why_untouched(link: ClusterLink) -> Reason | None:
    """Why mirrors of a link stay exactly as they are, or None if this controller handles it."""
    if not link.is_selected:
        return Reason.NOT_SELECTED
    return None if link.spec.enabled else Reason.FROZEN


def why_unknown(connection: Connection) -> Reason | None:
    """Why nothing is known of what a cluster has, or None if it is synced."""
    match connection:
        case Synced():
            return None
        case Pending():
            return Reason.PENDING
        case Unreachable():
            return Reason.UNREACHABLE
        case unexpected:
            assert_never(unexpected)


def why_slice_skipped(endpoint_slice: EndpointSlice, main: Service) -> Reason | None:
    """Why one remote slice of an imported Service is not mirrored, or None."""
    if is_mirror(endpoint_slice):
        return Reason.LOOP
    if not is_object_name(endpoint_slice.metadata.name):
        return Reason.INVALID_ENDPOINTS
    if (
        endpoint_slice.address_type == FQDN
        or endpoint_slice.address_type not in main.spec.ip_families
    ):
        return Reason.ADDRESS_TYPE
    if not endpoint_slice.endpoints or not endpoint_slice.ports:
        return Reason.NO_ENDPOINTS
    return None


UNTOUCHED: Final = frozenset({Reason.FROZEN, Reason.NOT_SELECTED})
"""Reasons to keep slices that leave even their owner references as they are."""


def _is_outside_flag(question: _Question) -> bool:
    included = question.options.included_namespaces
    return bool(included) and question.key.namespace not in included


def _is_outside_link(question: _Question) -> bool:
    if question.options.included_namespaces:  # The flag overrules the link's two namespace lists.
        return False
    included = question.spec.included_namespaces
    return bool(included) and question.key.namespace not in included


def _is_in_excluded_namespace(question: _Question) -> bool:
    if question.options.included_namespaces:
        return False
    return question.key.namespace in question.spec.excluded_namespaces


def _is_excluded_service(question: _Question) -> bool:
    return (
        bool(question.spec.excluded_services)
        and str(question.key) in question.spec.excluded_services
    )


def _has_invalid_cidrs(question: _Question) -> bool:
    allowed = question.cluster.link.spec.allowed_cidrs
    return bool(allowed) and bool(invalid_cidrs(allowed))


def _is_not_opted_in(question: _Question) -> bool:
    is_required = question.options.opt_in or question.spec.opt_in
    return lacks_opt_in(question.main, is_required=is_required)


def _is_called_by_api_server(question: _Question) -> bool:
    return bool(question.call.caller) and not _is_wanted_by_owner(question)


def _may_be_called_by_api_server(question: _Question) -> bool:
    return not question.call.is_known and not _is_wanted_by_owner(question)


def _is_wanted_by_owner(question: _Question) -> bool:
    return question.main is not None and owner_choice(question.main) is True


def _is_in_unread_namespace(why: UnreadNamespace) -> Callable[[_Question], bool]:
    def is_unread(question: _Question) -> bool:
        unread = question.cluster.unread_namespaces
        return bool(unread) and unread.get(question.key.namespace) is why

    return is_unread


def _is_selected_service_missing(question: _Question) -> bool:
    """Whether the cluster lacks the Service among those that selectors select."""
    return question.remote is None and selects_services(question.spec, question.options)


def _lost_its_labels(question: _Question) -> bool:
    """Whether the Service exists, and selectors do not select it: its slices are still there.

    The API server reports a Service that lost its labels as deleted, and the deletion guard must
    not count it, because its owner meant it. But a cluster that is restored from an empty backup
    loses its slices too, and must be counted. So slices that stay prove that labels were lost. They
    prove it after `CONSISTENCY_TIMEOUT_SECONDS`: Kubernetes deletes those of a deleted Service
    later. If it takes longer, Services that were deleted count as if they had lost their labels.
    Without slices, as after labels were lost unseen, the cluster is held responsible.
    """
    if not _is_selected_service_missing(question):
        return False
    slices = question.cluster.endpoint_slices.get(question.key, ())
    return any(not is_mirror(each) for each in slices)


def selects_services(spec: ClusterLinkSpec, options: Options) -> bool:
    """Whether a link mirrors only remote Services with certain labels."""
    return spec.service_selector is not None or bool(options.service_selector.requirements)


def _remote(test: Callable[[Service], bool]) -> Callable[[_Question], bool]:
    return lambda question: question.remote is not None and test(question.remote)


def _main(test: Callable[[Service], bool]) -> Callable[[_Question], bool]:
    return lambda question: question.main is not None and test(question.main)


Rules: TypeAlias = tuple[tuple[Callable[[_Question], bool], Skipped | Kept], ...]

NAME_RULES: Final[Rules] = (
    (
        lambda question: question.key.namespace == NAMESPACE_KUBE_SYSTEM,
        Skipped(Reason.NAMESPACE_KUBE_SYSTEM),
    ),
    (lambda question: question.key.name == SERVICE_KUBERNETES, Skipped(Reason.SERVICE_KUBERNETES)),
    (_is_outside_flag, Skipped(Reason.NAMESPACE_NOT_IN_FLAG)),
    (_is_outside_link, Skipped(Reason.NAMESPACE_NOT_INCLUDED)),
    (_is_in_excluded_namespace, Skipped(Reason.NAMESPACE_EXCLUDED)),
    (_is_excluded_service, Skipped(Reason.SERVICE_EXCLUDED)),
    (
        lambda question: question.key.name in question.spec.excluded_service_names,
        Skipped(Reason.SERVICE_NAME_EXCLUDED),
    ),
)
"""What is excluded by name. It holds while nothing else is known of a Service, too."""

EXCLUDED_BY_NAME: Final = frozenset([verdict.reason for _, verdict in NAME_RULES])

RULES: Final[Rules] = (
    *NAME_RULES,
    (_main(lambda service: owner_choice(service) is False), Skipped(Reason.MIRROR_FALSE)),
    (
        lambda question: question.main is None and not question.options.sync_services,
        Skipped(Reason.MAIN_SERVICE_MISSING),
    ),
    (_is_not_opted_in, Skipped(Reason.NOT_OPTED_IN)),
    (_main(lambda service: service.is_headless), Skipped(Reason.MAIN_HEADLESS)),
    (_main(lambda service: service.is_external_name), Skipped(Reason.MAIN_EXTERNAL_NAME)),
    (_main(lambda service: service.is_being_deleted), Skipped(Reason.MAIN_DELETING)),
    (_is_called_by_api_server, Skipped(Reason.CALLED_BY_API_SERVER)),
)
"""What the operator and the main cluster say. It holds while the remote cluster is away, too."""

REMOTE_RULES: Final[Rules] = (
    (_has_invalid_cidrs, Kept(Reason.INVALID_SPEC)),
    (
        _is_in_unread_namespace(UnreadNamespace.NOT_SELECTED),
        Skipped(Reason.NAMESPACE_NOT_SELECTED),
    ),
    (_is_in_unread_namespace(UnreadNamespace.NOT_LISTED), Kept(Reason.NAMESPACE_MISSING)),
    (
        lambda question: question.key.namespace in question.cluster.missing_namespaces,
        Kept(Reason.NAMESPACE_MISSING),
    ),
    (lambda question: question.key in question.cluster.undecodable, Kept(Reason.UNDECODABLE)),
    (_lost_its_labels, Skipped(Reason.SERVICE_NOT_SELECTED)),
    (_is_selected_service_missing, Skipped(Reason.SELECTED_SERVICE_MISSING)),
    (lambda question: question.remote is None, Skipped(Reason.REMOTE_SERVICE_MISSING)),
    (_remote(lambda service: service.is_external_name), Skipped(Reason.REMOTE_EXTERNAL_NAME)),
    (_remote(lambda service: service.is_headless), Skipped(Reason.REMOTE_HEADLESS)),
    (_remote(is_imported), Skipped(Reason.REMOTE_IMPORTED)),
    (_remote(lambda service: service.is_being_deleted), Skipped(Reason.REMOTE_DELETING)),
    (_may_be_called_by_api_server, Kept(Reason.API_SERVER_CALLS_UNKNOWN)),
    (lambda question: question.main is None, Skipped(Reason.MAIN_SERVICE_MISSING)),
)
"""What a synced cluster says about its Service. A Service that main lacks can then be created."""
