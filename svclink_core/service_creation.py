"""Which Service and Namespace svclink creates in main (`--sync-services-to-local-cluster`).

Source: docs/explanation/concepts.md, "What is mirrored".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final, TypeAlias

from attrs import evolve, frozen

from svclink_core.api_rules import (
    MAX_AFFINITY_SECONDS,
    PORT_PROTOCOLS,
    is_dns_label,
    is_port,
    is_port_name,
    is_qualified_name,
)
from svclink_core.core_v1 import (
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
)
from svclink_core.link_identity import by_age
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import LONG_AGO, MainCluster, RemoteCluster
from svclink_core.well_known import LABEL_IMPORTED, Reason

RESERVED: Final = "kube-"
"""Kubernetes reserves Namespaces with this prefix."""

_OLDEST_DISTRIBUTION: Final = "PreferClose"

LISTING_PATIENCE_SECONDS: Final = 30.0
"""How long a Service waits for older links that are being listed, and may have it too."""

_MAX_COMMENT: Final = 128
"""Characters of a comment in nftables, where kube-proxy puts `namespace/service:port`.

Before Kubernetes 1.37, kube-proxy does not cut it, and one comment that is too long stops all rules
of the node (kubernetes#139515).
"""

TRAFFIC_DISTRIBUTIONS: Final = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})
"""The values that the API server accepts (KEP-4444, KEP-3015); it rejects others."""


@frozen
class CreateNamespace:
    """Create a Namespace for a Service in `cluster`."""

    kind: ClassVar[str] = "Namespace"
    verb: ClassVar[str] = "create"

    namespace: Namespace
    cluster: str
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """The name of the Namespace, which is cluster-scoped."""
        return self.namespace.metadata.key


@frozen
class CreateService:
    """Create a Service that copies the one in `cluster`."""

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
    refused = {name: why_not_copied(each.services[key]) for name, each in remotes.items()}
    copyable = [remotes[name] for name, reason in refused.items() if reason is None]
    if not copyable:
        return ServiceCreation((), {name: reason for name, reason in refused.items() if reason})
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


def why_not_copied(remote: Service) -> Reason | None:
    """Why the main cluster cannot have a Service like a remote one, or None.

    Every API server requires ports, but a remote cluster may serve what it never validated. A name
    that breaks kube-proxy in the main cluster may be harmless where the Service comes from.
    """
    ports = copied_ports(remote.spec.ports)
    if not ports:
        return Reason.REMOTE_PORTLESS
    longest = f"{remote.metadata.key}:{max((port.name for port in ports), key=len)}"
    return Reason.NAME_TOO_LONG if len(longest) > _MAX_COMMENT else None


def copied_ports(ports: Iterable[ServicePort]) -> tuple[ServicePort, ...]:
    """The ports of a remote Service that the main cluster would accept, sorted.

    Only a single port may have no name. Names differ, and so do numbers of one protocol.
    """
    by_name: dict[str, ServicePort] = {}
    taken: set[tuple[int, str]] = set()
    ordered = sorted(ports, key=_order)
    for port in ordered:
        number = port.port, port.protocol
        is_valid = is_port(port.port) and port.protocol in PORT_PROTOCOLS
        is_named = is_dns_label(port.name) if port.name else len(ordered) == 1
        if is_valid and is_named and port.name not in by_name and number not in taken:
            by_name[port.name] = _copied_port(port)
            taken.add(number)
    return tuple(by_name.values())


def _order(port: ServicePort) -> tuple[str, int, str, str, str]:
    app_protocol, target = port.app_protocol or "", str(port.target_port)
    return port.name, port.port, port.protocol, app_protocol, target


def _copied_port(port: ServicePort) -> ServicePort:
    """The port without an appProtocol or targetPort that the API server would reject."""
    target, app_protocol = port.target_port, port.app_protocol
    if target is not None:
        is_valid = is_port(target) if isinstance(target, int) else is_port_name(target)
        target = target if is_valid else None
    if app_protocol is not None and not is_qualified_name(app_protocol):
        app_protocol = None
    return evolve(port, app_protocol=app_protocol, target_port=target)


def _copied_affinity(spec: ServiceSpec) -> tuple[str | None, SessionAffinityConfig | None]:
    """The session affinity with its configuration, which only ClientIP may have."""
    if spec.session_affinity != "ClientIP":
        return "None" if spec.session_affinity == "None" else None, None
    config = spec.session_affinity_config
    client_ip = None if config is None else config.client_ip
    seconds = None if client_ip is None else client_ip.timeout_seconds
    is_valid = seconds is not None and 1 <= seconds <= MAX_AFFINITY_SECONDS
    return "ClientIP", config if is_valid else None


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
    affinity, affinity_config = _copied_affinity(spec)
    distribution = spec.traffic_distribution
    return Service(
        ObjectMeta(
            remote.metadata.name, remote.metadata.namespace, labels=((LABEL_IMPORTED, "true"),)
        ),
        ServiceSpec(
            ports=copied_ports(spec.ports),
            traffic_distribution=distribution if distribution in TRAFFIC_DISTRIBUTIONS else None,
            ip_family_policy="PreferDualStack",
            session_affinity=affinity,
            session_affinity_config=affinity_config,
            publish_not_ready_addresses=spec.publish_not_ready_addresses,
        ),
    )
