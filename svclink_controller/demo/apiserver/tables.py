"""Tables, as `kubectl get` asks for them (meta.k8s.io/v1 Table)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from svclink_controller import clock
from svclink_controller.demo.apiserver.resource_types import ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject

Column: TypeAlias = tuple[str, str, int, Callable[[JsonObject], Any]]
"""Name, type, priority (0: always shown) and how the cell is got from an object."""


def table(kind: ResourceType, items: list[JsonObject], version: str) -> JsonObject:
    """The objects as a table: the columns of the CustomResourceDefinition, or those that kubectl users know."""
    columns = _columns(kind)
    rows = [
        {"cells": [get(item) for *_, get in columns], "object": _partial(item)} for item in items
    ]
    definitions = [
        {
            "name": name,
            "type": of,
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": priority,
        }
        for name, of, priority, _ in columns
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": definitions,
        "rows": rows,
    }


def _columns(kind: ResourceType) -> list[Column]:
    name: Column = ("Name", "string", 0, lambda item: item["metadata"]["name"])
    age: Column = ("Age", "string", 0, lambda item: _age(item["metadata"]["creationTimestamp"]))
    if kind.definition is not None:
        wanted = kind.definition.get("additionalPrinterColumns")
        return [name, *(_custom_column(each) for each in wanted)] if wanted else [name, age]
    if kind.resource == "events":
        return _EVENT
    return [name, *_BUILT_IN.get(kind.resource, ()), age]


def _custom_column(definition: JsonObject) -> Column:
    path = [part for part in re.split(r"[.\[\]'\"]+", definition["jsonPath"]) if part]
    kind = definition["type"]

    def get(item: JsonObject) -> object:
        value: object = item
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return _age(value) if kind == "date" and isinstance(value, str) else value

    return definition["name"], kind, definition.get("priority", 0), get


def _partial(item: JsonObject) -> JsonObject:
    """The row's object, of which kubectl needs the metadata."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item["metadata"],
    }


def _age(since: str | None) -> str:
    return clock.age(since, clock.seconds())


def _joined(values: list[str], limit: int = 3) -> str:
    """As many as fit, and how many more there are."""
    more = len(values) - limit
    return ",".join(values[:limit]) + (f" + {more} more..." if more > 0 else "") or "<unset>"


def _service_ports(item: JsonObject) -> str:
    ports = item["spec"].get("ports") or ()
    return ",".join(f"{port['port']}/{port['protocol']}" for port in ports) or "<none>"


def _addresses(item: JsonObject) -> str:
    return _joined(
        [address for endpoint in item["endpoints"] or () for address in endpoint["addresses"]]
    )


_BUILT_IN: Final[dict[str, list[Column]]] = {
    "namespaces": [("Status", "string", 0, lambda item: item["status"]["phase"])],
    "services": [
        ("Type", "string", 0, lambda item: item["spec"]["type"]),
        ("Cluster-IP", "string", 0, lambda item: item["spec"].get("clusterIP", "<none>")),
        ("External-IP", "string", 0, lambda item: item["spec"].get("externalName", "<none>")),
        ("Port(s)", "string", 0, _service_ports),
    ],
    "endpointslices.discovery.k8s.io": [
        ("AddressType", "string", 0, lambda item: item["addressType"]),
        (
            "Ports",
            "string",
            0,
            lambda item: _joined([str(port.get("port")) for port in item["ports"] or ()]),
        ),
        ("Endpoints", "string", 0, _addresses),
    ],
}
_EVENT: Final[list[Column]] = [
    (
        "Last Seen",
        "string",
        0,
        lambda item: _age(item.get("lastTimestamp") or item["metadata"]["creationTimestamp"]),
    ),
    ("Type", "string", 0, lambda item: item.get("type", "")),
    ("Reason", "string", 0, lambda item: item.get("reason", "")),
    (
        "Object",
        "string",
        0,
        lambda item: "{kind}/{name}".format_map(item["involvedObject"]).lower(),
    ),
    ("Message", "string", 0, lambda item: item.get("message", "")),
]
