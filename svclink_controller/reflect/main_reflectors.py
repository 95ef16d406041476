"""Reads the main cluster: one reflector for each kind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from attrs import frozen

from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.reflect.reflector import (
    ReadError,
    Reflector,
    Sink,
    reflect_forever,
    warn_unread,
)
from svclink_controller.reflect.sinks import CallerSink, LinkSink, NamespaceSink, ObjectSink
from svclink_controller.reflect.traffic_policy_sink import TrafficPolicySink
from svclink_controller.state.shared_values import reuse_held
from svclink_controller.state.store import Store
from svclink_controller.wire.api_server_callers import CALLERS
from svclink_controller.wire.messages import IsHeld, T, nothing_is_held
from svclink_controller.wire.resources import (
    ENDPOINT_SLICES,
    NAMESPACES,
    SERVICES,
    TRAFFIC_POLICIES,
    Resource,
    reusing,
)
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import MAIN


@frozen
class MainReflectors:
    """Lists and watches every kind of the main cluster that plans depend on.

    Args:
        client: The main cluster.
        store: The state.
        links: How ClusterLinks are read.
        link_sink: Stores them.
        failed: Called with each kind that could not be read, and why.
    """

    client: Client
    store: Store
    links: Resource[ClusterLink]
    link_sink: LinkSink
    failed: Callable[[str, ReadError], None] = lambda _, __: None

    def read_objects(self, group: asyncio.TaskGroup) -> None:
        """Read Services, EndpointSlices and what makes the API server call Services.

        Namespaces are read if Services are to be created.
        """
        slices = reusing(ENDPOINT_SLICES, partial(reuse_held, self.store, MAIN))
        group.create_task(self._reflect(SERVICES, ObjectSink(self.store, MAIN, Service)))
        group.create_task(
            self._reflect(slices, ObjectSink(self.store, MAIN, EndpointSlice), self.store.has_slice)
        )
        self.store.main.callers.await_lists()
        for kind, resource in CALLERS.items():
            sink = CallerSink(self.store.main.callers, kind)
            group.create_task(self._reflect(resource, sink, on_error=sink.fail))
        policies = TrafficPolicySink(self.store)
        group.create_task(self._reflect(TRAFFIC_POLICIES, policies, on_error=policies.fail))
        if self.store.options.sync_services:
            group.create_task(self._reflect(NAMESPACES, NamespaceSink(self.store.main.namespaces)))

    def read_links(self, group: asyncio.TaskGroup) -> None:
        """Read ClusterLinks."""
        group.create_task(self._reflect(self.links, self.link_sink))

    async def list_links(self) -> None:
        """List the ClusterLinks once more, whatever their watch says.

        Raises:
            ApiError, TransportError, WireError: There is no complete list.
        """
        await self.link_sink.replace(await Reflector(self.client, self.links).list_all())

    async def list_policies(self) -> None:
        """List the TrafficPolicies once more, whatever their watch says.

        Raises:
            TransportError, WireError: There is no complete list.
        """
        sink = TrafficPolicySink(self.store)
        try:
            await sink.replace(await Reflector(self.client, TRAFFIC_POLICIES).list_all())
        except ApiError as error:
            sink.fail(error)

    async def _reflect(
        self,
        resource: Resource[T],
        sink: Sink[T],
        is_held: IsHeld = nothing_is_held,
        on_error: Callable[[ReadError], None] | None = None,
    ) -> None:
        on_activity = partial(self.store.propagation.record_activity, MAIN, resource.plural)
        reflector = Reflector(self.client, resource, on_activity=on_activity, is_held=is_held)
        report = on_error or partial(warn_unread, resource.plural)

        def fail(error: ReadError) -> None:
            report(error)
            self.failed(resource.plural, error)

        await reflect_forever(reflector, sink, fail)
