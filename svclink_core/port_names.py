"""Under which names the ports of a remote EndpointSlice are mirrored.

Source: docs/explanation/concepts.md, "What is mirrored".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

from svclink_core.api_rules import is_port, is_qualified_name
from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import EndpointPort
from svclink_core.omissions import Omission, clipped
from svclink_core.well_known import Reason


def translate_ports(
    ports: Sequence[EndpointPort], remote: Service, main: Service
) -> tuple[tuple[EndpointPort, ...], list[Omission]]:
    """The ports of a remote slice under the main Service's names, sorted, and what was left out.

    kube-proxy joins a slice to a Service by port name and protocol and ignores other ports. So a
    port gets the name of its partner: the port with the same name and protocol, else the one with
    the same Service port number and protocol. A port without a partner is left out. Of several
    ports for one name the first in this order is kept: those that need no other name come first,
    then lower numbers.
    """
    translated: dict[str, EndpointPort] = {}
    omissions: list[Omission] = []
    names = _port_names(ports, remote, main)

    def order(port: EndpointPort) -> tuple[bool, str, str, int, str]:
        key = port.name, port.protocol
        return names.get(key) != port.name, *key, port.port or 0, port.app_protocol or ""

    for port in sorted(ports, key=order):
        name = names.get((port.name, port.protocol))
        # The API server does not validate the number, and kube-proxy fails for the whole node if it
        # exceeds 65535.
        if name is None or name in translated or port.port is None or not is_port(port.port):
            omissions.append(Omission(Reason.PORT_MISMATCH, _port_text(port)))
            continue
        translated[name] = kept = _renamed(port, name)
        if port.app_protocol and kept.app_protocol is None:
            detail = f"appProtocol of port {_port_text(port)}"
            omissions.append(Omission(Reason.INVALID_ENDPOINTS, detail))
    return tuple([translated[name] for name in sorted(translated)]), omissions


_PortKey: TypeAlias = tuple[str, str]
"""Name and protocol of a port."""


def _port_names(
    ports: Iterable[EndpointPort], remote: Service, main: Service
) -> dict[_PortKey, str]:
    """The main Service's name for each port that has a partner.

    The time it takes grows with the number of ports only, because remote ports are not trusted.
    """
    names = {(own.name, own.protocol): own.name for own in main.spec.ports}
    if all((port.name, port.protocol) in names for port in ports):
        return names
    by_number = {(own.port, own.protocol): own.name for own in main.spec.ports}
    for other in sorted(remote.spec.ports, key=lambda port: port.port):
        partner = by_number.get((other.port, other.protocol))
        if partner is not None:
            names.setdefault((other.name, other.protocol), partner)
    return names


def _renamed(port: EndpointPort, name: str) -> EndpointPort:
    """The port under a name. An appProtocol that the API server would reject is left out."""
    app_protocol = port.app_protocol
    if app_protocol is not None and not is_qualified_name(app_protocol):
        app_protocol = None
    is_same = name == port.name and app_protocol == port.app_protocol
    return port if is_same else EndpointPort(name, port.protocol, port.port, app_protocol)


def _port_text(port: EndpointPort) -> str:
    number = "(no number)" if port.port is None else port.port
    return f"{clipped(port.name) or '(unnamed)'} {number}/{clipped(port.protocol)}"
