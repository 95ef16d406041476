"""Tables, which `kubectl get` asks for (meta.k8s.io/v1 Table)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from attrs import frozen

from svclink_controller import clock
from svclink_controller.demo.apiserver.resource_types import ResourceType
from svclink_controller.demo.apiserver.status_errors import JsonObject


@frozen
class Column:
    """A column of a table.

    Args:
        cell: Returns the cell of an object.
        priority: 0 for a column that kubectl always shows, else only with `-o wide`.
    """

    name: str
    cell: Callable[[JsonObject], object]
    type: str = "string"
    priority: int = 0

    @property
    def definition(self) -> JsonObject:
        """The TableColumnDefinition."""
        return {
            "name": self.name,
            "type": self.type,
            "format": "name" if self.name == "Name" else "",
            "description": "",
            "priority": self.priority,
        }


def table(resource_type: ResourceType, items: list[JsonObject], version: str) -> JsonObject:
    """Return the objects as a Table.

    The columns are those of the CustomResourceDefinition, or those of kube-apiserver.
    """
    columns = _columns(resource_type)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": version},
        "columnDefinitions": [column.definition for column in columns],
        "rows": [
            {"cells": [column.cell(item) for column in columns], "object": _partial(item)}
            for item in items
        ],
    }


def _columns(resource_type: ResourceType) -> list[Column]:
    if resource_type.definition is not None:
        printed = resource_type.definition.get("additionalPrinterColumns")
        return [_NAME, *map(_custom_column, printed)] if printed else [_NAME, _AGE]
    if resource_type.resource == "events":
        return _EVENT
    return [_NAME, *_BUILT_IN.get(resource_type.resource, ()), _AGE]


def _custom_column(definition: JsonObject) -> Column:
    steps = list(_STEP.finditer(definition["jsonPath"]))
    column_type = definition["type"]

    def cell(item: JsonObject) -> object:
        value: object = item
        for step in steps:
            value = _after(step, value)
        return _age(value) if column_type == "date" and isinstance(value, str) else value

    return Column(definition["name"], cell, column_type, definition.get("priority", 0))


_STEP: Final = re.compile(
    r"""\.(?P<field>\w+)"""
    r"""|\[['"](?P<key>[^'"]+)['"]\]"""
    r"""|\[\?\(@\.(?P<by>\w+)==['"](?P<equal>[^'"]*)['"]\)\]"""
)
"""A step of a JSONPath: `.field`, `['key']`, or the element of a list that a filter selects."""


def _after(step: re.Match[str], value: object) -> object:
    """Return what a step of a JSONPath leads to from a value; None if that has no such part."""
    if (field := step["by"]) is not None:
        elements = value if isinstance(value, list) else []
        return next((each for each in elements if each.get(field) == step["equal"]), None)
    return value.get(step["field"] or step["key"]) if isinstance(value, dict) else None


def _partial(item: JsonObject) -> JsonObject:
    """Return the metadata of an object, which is all that kubectl needs for a row."""
    return {
        "kind": "PartialObjectMetadata",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": item["metadata"],
    }


def _age(since: str | None) -> str:
    return clock.age(since, clock.seconds())


def _joined(values: list[str], limit: int = 3) -> str:
    """Join the first values, and count the rest."""
    more = len(values) - limit
    return ",".join(values[:limit]) + (f" + {more} more..." if more > 0 else "") or "<unset>"


def _service_ports(item: JsonObject) -> str:
    ports = item["spec"].get("ports") or ()
    return ",".join(f"{port['port']}/{port['protocol']}" for port in ports) or "<none>"


def _slice_ports(item: JsonObject) -> str:
    return _joined([str(port.get("port")) for port in item["ports"] or ()])


def _slice_addresses(item: JsonObject) -> str:
    endpoints = item["endpoints"] or ()
    return _joined([address for endpoint in endpoints for address in endpoint["addresses"]])


def _last_seen(item: JsonObject) -> str:
    return _age(item.get("lastTimestamp") or item["metadata"]["creationTimestamp"])


def _involved_object(item: JsonObject) -> str:
    return "{kind}/{name}".format_map(item["involvedObject"]).lower()


_NAME: Final = Column("Name", lambda item: item["metadata"]["name"])
_AGE: Final = Column("Age", lambda item: _age(item["metadata"]["creationTimestamp"]))
_BUILT_IN: Final = {
    "namespaces": [Column("Status", lambda item: item["status"]["phase"])],
    "services": [
        Column("Type", lambda item: item["spec"]["type"]),
        Column("Cluster-IP", lambda item: item["spec"].get("clusterIP", "<none>")),
        Column("External-IP", lambda item: item["spec"].get("externalName", "<none>")),
        Column("Port(s)", _service_ports),
    ],
    "endpointslices.discovery.k8s.io": [
        Column("AddressType", lambda item: item["addressType"]),
        Column("Ports", _slice_ports),
        Column("Endpoints", _slice_addresses),
    ],
}
_EVENT: Final = [
    Column("Last Seen", _last_seen),
    Column("Type", lambda item: item.get("type", "")),
    Column("Reason", lambda item: item.get("reason", "")),
    Column("Object", _involved_object),
    Column("Message", lambda item: item.get("message", "")),
]
