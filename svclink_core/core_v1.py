"""Kubernetes core/v1: Service and Namespace, as far as the core reasons about them."""

from __future__ import annotations

from attrs import field, frozen

from svclink_core.meta_v1 import ObjectMeta

TYPE_CLUSTER_IP = "ClusterIP"
TYPE_EXTERNAL_NAME = "ExternalName"
HEADLESS = "None"


@frozen
class ServicePort:
    """A port of a Service. `name` is empty if the Service has a single unnamed port."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    target_port: int | str | None = None


@frozen
class ClientIPConfig:
    """How long all requests from one address go to one endpoint."""

    timeout_seconds: int | None = None


@frozen
class SessionAffinityConfig:
    """The details of `sessionAffinity: ClientIP`."""

    client_ip: ClientIPConfig | None = field(default=None, metadata={"json": "clientIP"})


@frozen
class ServiceSpec:
    """The specification of a Service. `ip_families` has `IPv4`, `IPv6` or both, the primary first.

    svclink only copies the fields after `traffic_distribution` to Services that it creates.
    """

    type: str = TYPE_CLUSTER_IP
    cluster_ip: str = field(default="", metadata={"json": "clusterIP"})
    ip_families: tuple[str, ...] = ()
    ports: tuple[ServicePort, ...] = ()
    traffic_distribution: str | None = None
    ip_family_policy: str | None = None
    session_affinity: str | None = None
    session_affinity_config: SessionAffinityConfig | None = None
    publish_not_ready_addresses: bool = False


@frozen
class Service:
    """A Service."""

    metadata: ObjectMeta
    spec: ServiceSpec = ServiceSpec()

    @property
    def is_headless(self) -> bool:
        """Whether the Service has no virtual IP, so that DNS returns Pod addresses."""
        return self.spec.cluster_ip == HEADLESS

    @property
    def is_external_name(self) -> bool:
        """Whether the Service is a DNS alias."""
        return self.spec.type == TYPE_EXTERNAL_NAME

    @property
    def is_being_deleted(self) -> bool:
        """Whether the Service is being deleted and waiting for its finalizers."""
        return self.metadata.is_being_deleted


@frozen
class Namespace:
    """A Namespace. A link may or may not select it by its labels."""

    metadata: ObjectMeta
    is_selected: bool = field(default=True, metadata={"json": ""})

    @property
    def is_terminating(self) -> bool:
        """Whether the Namespace is being deleted: nothing can be created in it."""
        return self.metadata.is_being_deleted
