"""The API server's validation of EndpointSlices.

Source: k8s.io/kubernetes pkg/apis/discovery/validation, with StrictIPCIDRValidation as in 1.36.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, ip_address

from svclink_core import (
    EndpointSlice,
    Service,
    ServiceSpec,
)


class Refused(Exception):  # noqa: N818 - an answer, not an error of the test
    """The API server rejects a request."""


_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAME_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")


def require_valid(endpoint_slice: EndpointSlice) -> None:
    """Raises `Refused` (422) for an EndpointSlice that the API server would not store."""
    for problem in problems(endpoint_slice):
        raise Refused(f"422: {endpoint_slice.metadata.key}: {problem}")


def problems(endpoint_slice: EndpointSlice) -> Iterator[str]:
    """The errors that the API server would report for an EndpointSlice."""
    if (
        not _SUBDOMAIN.fullmatch(endpoint_slice.metadata.name)
        or len(endpoint_slice.metadata.name) > 253
    ):
        yield f"metadata.name: {endpoint_slice.metadata.name!r}"
    if not DNS_LABEL.fullmatch(endpoint_slice.metadata.namespace):
        yield f"metadata.namespace: {endpoint_slice.metadata.namespace!r}"
    for key, value in endpoint_slice.metadata.labels:
        if value and not _NAME_PART.fullmatch(value):
            yield f"metadata.labels[{key}]: {value!r}"
    if sum(bool(owner.controller) for owner in endpoint_slice.metadata.owner_references) > 1:
        yield "metadata.ownerReferences: more than one controller"
    if len(endpoint_slice.endpoints) > 1_000:
        yield "endpoints: more than 1000"
    if (
        sum(len(key) + len(value) for key, value in endpoint_slice.metadata.annotations)
        > 256 * 1024
    ):
        yield "metadata.annotations: more than 256 KiB"
    yield from _address_problems(endpoint_slice)
    yield from _hint_problems(endpoint_slice)
    yield from _port_problems(endpoint_slice)


def _address_problems(endpoint_slice: EndpointSlice) -> Iterator[str]:
    if endpoint_slice.address_type not in ("IPv4", "IPv6", "FQDN"):
        yield f"addressType: {endpoint_slice.address_type}"
    for endpoint in endpoint_slice.endpoints:
        if not 1 <= len(endpoint.addresses) <= 100:
            yield f"endpoints.addresses: {len(endpoint.addresses)} addresses"
        for address in endpoint.addresses:
            if endpoint_slice.address_type != "FQDN" and not is_valid_address(
                address, endpoint_slice.address_type
            ):
                yield f"endpoints.addresses: {address!r}"


def is_valid_address(address: str, address_type: str) -> bool:
    """Whether the API server accepts an address, in canonical form."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    is_v4 = isinstance(parsed, IPv4Address)
    if is_v4 is not (address_type == "IPv4") or str(parsed) != address:
        return False
    if parsed.is_unspecified or parsed.is_loopback or parsed.is_link_local:
        return False
    packed = parsed.packed
    if isinstance(parsed, IPv4Address):
        return packed[:3] != bytes((224, 0, 0))
    mapped_or_scoped = parsed.ipv4_mapped is not None or parsed.scope_id is not None
    return not mapped_or_scoped and not (packed[0] == 0xFF and packed[1] & 0x0F == 0x02)


def _hint_problems(endpoint_slice: EndpointSlice) -> Iterator[str]:
    for hints in (
        endpoint.hints for endpoint in endpoint_slice.endpoints if endpoint.hints is not None
    ):
        for zones in (hints.for_zones, hints.for_nodes):
            if len(zones) > 8 or len(set(zones)) < len(zones):
                yield f"endpoints.hints: {zones}"
        for zone in hints.for_zones:
            if zone and not _NAME_PART.fullmatch(zone):
                yield f"endpoints.hints.forZones: {zone!r}"
        for node in hints.for_nodes:
            if not _SUBDOMAIN.fullmatch(node):
                yield f"endpoints.hints.forNodes: {node!r}"


def _port_problems(endpoint_slice: EndpointSlice) -> Iterator[str]:
    names = [port.name for port in endpoint_slice.ports]
    if len(set(names)) < len(names):
        yield f"ports: {names}"
    for port in endpoint_slice.ports:
        if port.name and not DNS_LABEL.fullmatch(port.name):
            yield f"ports.name: {port.name!r}"
        if port.protocol not in ("TCP", "UDP", "SCTP"):
            yield f"ports.protocol: {port.protocol!r}"
        if port.app_protocol is not None and not _is_qualified_name(port.app_protocol):
            yield f"ports.appProtocol: {port.app_protocol!r}"


def service_problems(service: Service) -> Iterator[str]:
    """The errors that the API server would report for a new Service of type ClusterIP.

    Source: ValidateService in k8s.io/kubernetes pkg/apis/core/validation.
    """
    spec = service.spec
    names = [port.name for port in spec.ports]
    numbers = [(port.port, port.protocol) for port in spec.ports]
    if not names or len(set(names)) < len(names) or len(set(numbers)) < len(numbers):
        yield f"spec.ports: {spec.ports}"
    if len(names) > 1 and "" in names:
        yield "spec.ports.name: required"
    for port in spec.ports:
        if port.name and not DNS_LABEL.fullmatch(port.name):
            yield f"spec.ports.name: {port.name!r}"
        if not 1 <= port.port <= 65_535 or port.protocol not in ("TCP", "UDP", "SCTP"):
            yield f"spec.ports: {port}"
        if port.app_protocol is not None and not _is_qualified_name(port.app_protocol):
            yield f"spec.ports.appProtocol: {port.app_protocol!r}"
        if not _is_target_port(port.target_port):
            yield f"spec.ports.targetPort: {port.target_port!r}"
    yield from _affinity_problems(spec)


def _affinity_problems(spec: ServiceSpec) -> Iterator[str]:
    if spec.session_affinity not in (None, "None", "ClientIP"):
        yield f"spec.sessionAffinity: {spec.session_affinity!r}"
    config = spec.session_affinity_config
    client_ip = None if config is None else config.client_ip
    if client_ip is not None and not 1 <= (client_ip.timeout_seconds or 0) <= 86_400:
        yield f"spec.sessionAffinityConfig: {config}"
    if config is not None and spec.session_affinity != "ClientIP":
        yield "spec.sessionAffinityConfig: must not be set"


def _is_target_port(target: int | str | None) -> bool:
    if isinstance(target, str):
        is_name = re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?", target) is not None
        return is_name and "--" not in target and re.search("[a-z]", target) is not None
    return target is None or 1 <= target <= 65_535


def _is_qualified_name(text: str) -> bool:
    prefix, slash, name = text.rpartition("/")
    is_prefix = len(prefix) <= 253 and bool(_SUBDOMAIN.fullmatch(prefix))
    return bool(_NAME_PART.fullmatch(name)) and (not slash or is_prefix)
