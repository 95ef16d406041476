"""Which Service and Namespace svclink creates in main (`--sync-services-to-local-cluster`).

Source: MIRRORING, "Creating Services".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, TypeAlias

from attrs import evolve, frozen

from svclink_core.api_rules import is_dns_label
from svclink_core.core_v1 import Namespace, Service, ServiceSpec
from svclink_core.link_identity import by_age
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import LONG_AGO, MainCluster, RemoteCluster
from svclink_core.well_known import LABEL_IMPORTED, Reason

RESERVED: Final = "kube-"
"""Kubernetes reserves Namespaces with this prefix."""

_OLDEST_DISTRIBUTION: Final = "PreferClose"

LISTING_PATIENCE_SECONDS: Final = 30.0
"""How long a Service waits for older links that are being listed, and may have it too."""

TRAFFIC_DISTRIBUTIONS: Final = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})
"""The values that the API server accepts (KEP-4444, KEP-3015); it rejects others."""


@frozen
class CreateNamespace:
    """Create a Namespace, for a Service of `cluster`."""

    kind: ClassVar[str] = "Namespace"
    verb: ClassVar[str] = "create"

    namespace: Namespace
    cluster: str
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """The name of the Namespace, itself in no namespace."""
        return self.namespace.metadata.key


@frozen
class CreateService:
    """Create a Service after that of `cluster`."""

    kind: ClassVar[str] = "Service"
    verb: ClassVar[str] = "create"

    service: Service
    cluster: str
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """Namespace and name of the Service."""
        return self.service.metadata.key


Creation: TypeAlias = CreateNamespace | CreateService


@frozen
class ServiceCreation:
    """What to create for a Service that main lacks.

    Args:
        changes: What to create.
        reasons: The reason for each cluster that waits.
        again_at: When that may change although nothing happens, None if it does not.
    """

    changes: tuple[Creation, ...]
    reasons: Mapping[str, Reason]
    again_at: float | None = None


def create_service(
    key: NamespacedName,
    waiting: Iterable[RemoteCluster],
    listed_later: Iterable[RemoteCluster],
    main: MainCluster,
    now: float,
) -> ServiceCreation:
    """What to create so that a Service can be mirrored. Namespaces come before what they hold.

    The oldest link that has the Service gives it, whichever cluster is listed first.

    Args:
        key: The Service, which the main cluster lacks.
        waiting: The clusters that have it, and could be mirrored if the main cluster had it.
        listed_later: Clusters that are being listed, and may have it.
        main: The main cluster.
        now: Decides which clusters were waited for long enough.
    """
    remotes = {remote.name: remote for remote in waiting}
    if (obstacle := why_not_created(key, main)) is not None:
        return ServiceCreation((), dict.fromkeys(remotes, obstacle))
    copyable = [each for each in remotes.values() if can_be_copied(each.services[key])]
    if not copyable:
        return ServiceCreation((), dict.fromkeys(remotes, Reason.REMOTE_PORTLESS))
    source = min(copyable, key=lambda each: by_age(each.link))
    if (until := _awaited_until(source, listed_later)) > now:
        return ServiceCreation((), dict.fromkeys(remotes, Reason.OLDER_LINK_AWAITED), until)
    reasons = dict.fromkeys(remotes, Reason.SERVICE_AWAITED)
    reasons[source.name] = Reason.SERVICE_CREATED
    return ServiceCreation(_creations(source.services[key], source.name, main), reasons)


def _awaited_until(source: RemoteCluster, listed_later: Iterable[RemoteCluster]) -> float:
    """When none of the links is waited for that are older than the one of a cluster."""
    older = [each.since for each in listed_later if by_age(each.link) < by_age(source.link)]
    return max(older, default=LONG_AGO) + LISTING_PATIENCE_SECONDS


def why_not_created(key: NamespacedName, main: MainCluster) -> Reason | None:
    """Why a Service that a cluster has is not created in the main cluster now, or None.

    Remote clusters are not trusted with names, which become part of the path of a request.
    """
    if key.namespace.startswith(RESERVED):
        return Reason.NAMESPACE_RESERVED
    if not (is_dns_label(key.namespace) and is_dns_label(key.name)):
        return Reason.NAME_INVALID
    if main.namespaces is None:
        return Reason.NAMESPACES_UNKNOWN
    return Reason.NAMESPACE_TERMINATING if key.namespace in main.terminating else None


def can_be_copied(remote: Service) -> bool:
    """Whether the main cluster would accept a Service like a remote one: it must have ports.

    Every API server requires that, but a remote cluster may serve what it never validated.
    """
    return bool(remote.spec.ports)


def _creations(remote: Service, cluster: str, main: MainCluster) -> tuple[Creation, ...]:
    service = CreateService(local_service(remote), cluster, Reason.SERVICE_CREATED)
    name = remote.metadata.namespace
    if name in (main.namespaces or ()):
        return (service,)
    namespace = Namespace(ObjectMeta(name, labels=((LABEL_IMPORTED, "true"),)))
    return CreateNamespace(namespace, cluster, Reason.NAMESPACE_CREATED), service


def with_older_distribution(service: Service) -> Service | None:
    """The Service for a main cluster that refused its `trafficDistribution`, None without one.

    The next value is `PreferClose`, which is older than those that name a zone or a node, and then
    none.
    """
    distribution = service.spec.traffic_distribution
    if distribution is None:
        return None
    older = None if distribution == _OLDEST_DISTRIBUTION else _OLDEST_DISTRIBUTION
    return evolve(service, spec=evolve(service.spec, traffic_distribution=older))


def local_service(remote: Service) -> Service:
    """The Service that the main cluster gets for a remote one.

    It has no selector, so that no local Pod joins by accident. The main cluster assigns addresses
    and node ports. It gives both IP families if it can, so that a remote cluster of any family has
    endpoints.
    """
    spec = remote.spec
    ports = (evolve(port, app_protocol=port.app_protocol or None) for port in spec.ports)
    distribution = spec.traffic_distribution
    return Service(
        ObjectMeta(
            remote.metadata.name, remote.metadata.namespace, labels=((LABEL_IMPORTED, "true"),)
        ),
        ServiceSpec(
            ports=tuple(sorted(ports, key=lambda port: (port.name, port.port, port.protocol))),
            traffic_distribution=distribution if distribution in TRAFFIC_DISTRIBUTIONS else None,
            ip_family_policy="PreferDualStack",
            session_affinity=spec.session_affinity,
            session_affinity_config=spec.session_affinity_config,
            publish_not_ready_addresses=spec.publish_not_ready_addresses,
        ),
    )
