"""Which Service, and which Namespace, the main cluster lacks and svclink makes (`--sync-services-to-local-cluster`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TypeAlias

from attrs import evolve, frozen

from svclink_core.core_v1 import Namespace, Service, ServiceSpec
from svclink_core.link_identity import by_age
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.snapshot import MainCluster, RemoteCluster
from svclink_core.well_known import LABEL_IMPORTED, Reason

RESERVED: Final = "kube-"
"""Namespaces whose names begin so are Kubernetes' own."""

TRAFFIC_DISTRIBUTIONS: Final = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})
"""What the API server knows (KEP-4444, KEP-3015); it refuses a Service with another value."""

_DNS_LABEL: Final = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")


@frozen
class CreateNamespace:
    """Make a Namespace that does not exist, for a Service of `cluster`."""

    namespace: Namespace
    cluster: str
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """The name of the Namespace, itself in no namespace."""
        return self.namespace.metadata.key


@frozen
class CreateService:
    """Make a Service that does not exist, after that of `cluster`."""

    service: Service
    cluster: str
    reason: Reason

    @property
    def key(self) -> NamespacedName:
        """Namespace and name of the Service."""
        return self.service.metadata.key


Creation: TypeAlias = CreateNamespace | CreateService


def why_not_created(key: NamespacedName, main: MainCluster) -> Reason | None:
    """The reason why a Service is not made in the main cluster, or none now, although a cluster has it; or None.

    A remote cluster is not trusted with names: they become part of the path of a request.
    """
    if key.namespace.startswith(RESERVED):
        return Reason.NAMESPACE_RESERVED
    if not (_DNS_LABEL.fullmatch(key.namespace) and _DNS_LABEL.fullmatch(key.name)):
        return Reason.NAME_INVALID
    if main.namespaces is None:
        return Reason.NAMESPACES_UNKNOWN
    return Reason.NAMESPACE_TERMINATING if key.namespace in main.terminating else None


def can_be_copied(remote: Service) -> bool:
    """Whether the main cluster could have a Service like a remote one: only one that is headless needs no ports.

    No API server stores another without, but one that passes on what it did not check may give it.
    """
    return bool(remote.spec.ports)


def oldest(remotes: Iterable[RemoteCluster]) -> RemoteCluster:
    """The cluster whose link is the oldest; of those of one second the first by name."""
    return min(remotes, key=lambda each: by_age(each.link))


def creations(remote: Service, cluster: str, main: MainCluster) -> tuple[Creation, ...]:
    """What to make in the main cluster so that it has a Service like that of a remote one.

    Args:
        remote: The remote Service.
        cluster: The cluster it is of.
        main: The main cluster, which has no Service of that name, and whose namespaces are known.

    Source: MIRRORING, "Creating Services".
    """
    service = CreateService(local_service(remote), cluster, Reason.SERVICE_CREATED)
    name = remote.metadata.namespace
    if name in (main.namespaces or ()):
        return (service,)
    namespace = Namespace(ObjectMeta(name, labels=((LABEL_IMPORTED, "true"),)))
    return CreateNamespace(namespace, cluster, Reason.NAMESPACE_CREATED), service


def local_service(remote: Service) -> Service:
    """The Service the main cluster gets for a remote one.

    No selector, so that no local Pod joins by accident. Addresses, node ports and load balancers are the main cluster's
    to give. What it has one family of, it has by the main cluster's choice; of two, the main cluster has two if it can.
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
            ip_family_policy="PreferDualStack" if len(spec.ip_families) > 1 else None,
            session_affinity=spec.session_affinity,
            session_affinity_config=spec.session_affinity_config,
            publish_not_ready_addresses=spec.publish_not_ready_addresses,
        ),
    )
