"""What is known of the main cluster besides its Services and EndpointSlices."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attrs import Factory, define, field

from svclink_controller.state.cluster_objects import ClusterObjects
from svclink_controller.state.main.api_server_callers import ApiServerCallers
from svclink_controller.state.main.namespaces import Namespaces
from svclink_controller.state.main.traffic_policies import TrafficPolicies
from svclink_core.enqueueing import Event
from svclink_core.meta_v1 import NamespacedName
from svclink_core.snapshot import MainCluster


@define
class MainFacts:
    """What is known of the main cluster besides its Services and EndpointSlices.

    Args:
        changed: Called after every change, with the event that tells which Services to plan again.
        namespaces: Its Namespaces.
        callers: What makes its API server call Services.
        traffic_policies: Its TrafficPolicies.
    """

    changed: Callable[[Event], None]
    namespaces: Namespaces = field(
        default=Factory(lambda self: Namespaces(self.changed), takes_self=True)
    )
    callers: ApiServerCallers = field(
        default=Factory(lambda self: ApiServerCallers(self.changed), takes_self=True)
    )
    traffic_policies: TrafficPolicies = field(
        default=Factory(lambda self: TrafficPolicies(self.changed), takes_self=True)
    )

    def with_objects(self, objects: ClusterObjects) -> MainCluster:
        """The main cluster as a value, with its Services and EndpointSlices."""
        return MainCluster(
            services=objects.services.version(),
            endpoint_slices=objects.slices_by_service.version(),
            names=objects.slices.version(),
            undecodable=self._undecodable(objects),
            namespaces=self.namespaces.names(),
            terminating=self.namespaces.terminating(),
            api_server_calls=self.callers.calls,
            traffic_policies=self.traffic_policies.counting(),
        )

    def _undecodable(self, objects: ClusterObjects) -> Collection[NamespacedName]:
        """The Services with an object or a policy that could not be decoded."""
        services = objects.undecodable_services.version()
        policies = self.traffic_policies.undecodable()
        return policies.union(services) if policies else services
