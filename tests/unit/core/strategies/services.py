"""Services. Port names are unique in a Service, as the API server demands."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Final

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from svclink_core import (
    CALLER_KINDS,
    ApiServerCaller,
    ApiServerCalls,
    NamespacedName,
    ObjectMeta,
    Service,
    ServicePort,
    ServiceSpec,
    calls_by,
)
from svclink_core.core_v1 import ClientIPConfig, SessionAffinityConfig
from svclink_core.well_known import (
    ANNOTATION_GO_IMPORTED,
    ANNOTATION_MIRROR,
    ANNOTATION_TOPOLOGY_HINTS,
    ANNOTATION_TOPOLOGY_MODE,
    LABEL_IMPORTED,
)
from tests.unit.core.strategies.drawing import mostly, mostly_of
from tests.unit.core.strategies.names import EARLIER, Universe, keys

_service_ports = st.builds(
    ServicePort,
    port=st.sampled_from((80, 53, 443)),
    name=st.sampled_from(("http", "dns", "web")),
    protocol=st.sampled_from(("TCP", "TCP", "UDP")),
    app_protocol=st.sampled_from((None, "http")),
    target_port=st.sampled_from((None, 8080, "http")),
)
_USUAL_SERVICE_PORTS: Final[tuple[tuple[ServicePort, ...], ...]] = (
    *((ServicePort(80, "http"),),) * 4,
    (ServicePort(80, "http"), ServicePort(53, "dns", "UDP")),
    (ServicePort(80),),
    (ServicePort(80, "web"), ServicePort(443, "http")),
)
service_ports = mostly_of(
    _USUAL_SERVICE_PORTS,
    st.lists(
        _service_ports,
        max_size=2,
        unique_by=(lambda port: port.name, lambda port: (port.port, port.protocol)),
    ).map(tuple),
    4,
)
FAMILIES: Final = (
    ("IPv4",),
    ("IPv4",),
    ("IPv4", "IPv6"),
    ("IPv4", "IPv6"),
    ("IPv6", "IPv4"),
    ("IPv6",),
)
_HEALTHY_SPECS: Final = tuple(
    ServiceSpec(kind, "10.96.0.1", families, (), distribution)
    for kind in ("ClusterIP", "NodePort", "LoadBalancer")
    for families in FAMILIES
    for distribution in (None, None, "PreferClose", "PreferSameNode")
)
_ODD_SPECS: Final = (
    ServiceSpec(cluster_ip="None", ip_families=("IPv4",), ports=(ServicePort(80, "http"),)),
    ServiceSpec(type="ExternalName"),
    ServiceSpec(),
)
_HEALTHY: Final = ObjectMeta("", resource_version="1")
_CHOICES: Final = ("true", "true", "false", "yes")
_metadata = st.sampled_from(
    [
        *(_HEALTHY,) * 3,
        *(evolve(_HEALTHY, resource_version="2"),) * 2,
        *(evolve(_HEALTHY, annotations=((ANNOTATION_TOPOLOGY_MODE, "Auto"),)),) * 2,
        evolve(_HEALTHY, annotations=((ANNOTATION_TOPOLOGY_HINTS, "Auto"),)),
        evolve(_HEALTHY, deletion_timestamp=EARLIER),
        evolve(_HEALTHY, labels=((LABEL_IMPORTED, "true"),)),
        evolve(_HEALTHY, annotations=((ANNOTATION_GO_IMPORTED, "true"),)),
        *(evolve(_HEALTHY, annotations=((ANNOTATION_MIRROR, each),)) for each in _CHOICES),
    ]
)
_specs = st.sampled_from(_HEALTHY_SPECS + _ODD_SPECS * 10)
_incarnations = st.sampled_from((1, 1, 1, 2))


@cache
def services(key: NamespacedName) -> SearchStrategy[Service]:
    """Services with this key, with one of two uids.

    Most can be mirrored. Others are headless, ExternalName, being deleted, or created by svclink.
    """
    return _services(key)


@st.composite
def _services(draw: DrawFn, key: NamespacedName) -> Service:
    incarnation = draw(_incarnations)
    metadata = evolve(
        draw(_metadata), name=key.name, namespace=key.namespace, uid=uid_of(key, incarnation)
    )
    spec = draw(_specs)
    if spec not in _HEALTHY_SPECS:
        return Service(metadata, spec)
    return Service(metadata, evolve(draw(_copied_fields)(spec), ports=draw(service_ports)))


_copied_fields: SearchStrategy[Callable[[ServiceSpec], ServiceSpec]] = st.sampled_from(
    (
        lambda spec: spec,
        lambda spec: evolve(spec, session_affinity="None", ip_family_policy="SingleStack"),
        lambda spec: evolve(spec, session_affinity="ClientIP", publish_not_ready_addresses=True),
        lambda spec: evolve(spec, session_affinity_config=SessionAffinityConfig()),
        lambda spec: evolve(
            spec, session_affinity_config=SessionAffinityConfig(ClientIPConfig(60))
        ),
    )
)
"""Sets fields that a Service which svclink creates copies from the remote Service."""


_UNTRUSTED_PORTS: Final[tuple[tuple[ServicePort, ...], ...]] = (
    (ServicePort(80), ServicePort(81, "http")),
    (ServicePort(80, "http"), ServicePort(81, "http"), ServicePort(81, "web")),
    (ServicePort(0, "http"), ServicePort(70_000, "web")),
    (ServicePort(80, "http", "tcp"), ServicePort(53, "Dns", "UDP")),
    (ServicePort(80, "http", app_protocol="not a name", target_port="not a name"),),
    (ServicePort(80, "http", app_protocol="x" * 254, target_port=0),),
)
"""Ports that no API server accepts."""

_untrusted_fields: SearchStrategy[Callable[[ServiceSpec], ServiceSpec]] = st.sampled_from(
    (
        lambda spec: spec,
        lambda spec: evolve(spec, session_affinity="Cookie"),
        lambda spec: evolve(
            spec,
            session_affinity="ClientIP",
            session_affinity_config=SessionAffinityConfig(ClientIPConfig(-1)),
        ),
    )
)


@st.composite
def _untrusted_services(draw: DrawFn, key: NamespacedName) -> Service:
    service = draw(services(key))
    spec = draw(_untrusted_fields)(service.spec)
    return evolve(service, spec=evolve(spec, ports=draw(st.sampled_from(_UNTRUSTED_PORTS))))


@cache
def remote_services(key: NamespacedName) -> SearchStrategy[Service]:
    """Services of a remote cluster with this key, whose content is not trusted."""
    return mostly(services(key), _untrusted_services(key))


def uid_of(key: NamespacedName, incarnation: int = 1) -> str:
    """The uid of a Service. A re-created Service has another one."""
    return f"uid-of-{key}-{incarnation}"


@cache
def some_services(universe: Universe) -> SearchStrategy[list[Service]]:
    """A Service of the main cluster for most of the keys."""
    return _some(universe, services)


@cache
def some_remote_services(universe: Universe) -> SearchStrategy[list[Service]]:
    """A Service of a remote cluster for most of the keys."""
    return _some(universe, remote_services)


def _some(
    universe: Universe, make: Callable[[NamespacedName], SearchStrategy[Service]]
) -> SearchStrategy[list[Service]]:
    present = [mostly(make(key), st.none()) for key in universe.keys]
    return st.tuples(*present).map(
        lambda drawn: [service for service in drawn if service is not None]
    )


all_services = keys.flatmap(services)


@cache
def api_server_calls(universe: Universe) -> SearchStrategy[ApiServerCalls]:
    """The Services that the main cluster's API server calls; mostly none of them."""
    callers = [
        ApiServerCaller(ObjectMeta(f"{kind.lower()}-{number}"), kind, (key,))
        for number, key in enumerate(universe.keys)
        for kind in CALLER_KINDS[:2]
    ]
    return st.sampled_from(
        (
            *(ApiServerCalls(),) * 9,
            *(calls_by([each]) for each in callers),
            calls_by(callers),
            calls_by(callers[:1], is_known=False),
            calls_by([], is_known=False),
        )
    )
