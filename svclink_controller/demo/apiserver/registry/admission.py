"""Admission: set the defaults of an object, and find its invalid fields.

EndpointSlices are validated as Kubernetes does (pkg/apis/discovery/validation), custom resources
by the structure of their schema, without its CEL rules. Of other types, only names, labels,
annotations and owners are validated.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from typing import Final

from svclink_controller.demo.apiserver.resource_types import RBAC_GROUP, ResourceType
from svclink_controller.demo.apiserver.status_errors import Cause, JsonObject
from svclink_core.api_rules import is_label_value, is_qualified_name

DNS_LABEL: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
DNS_SUBDOMAIN: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
)
PATH_SEGMENT: Final = re.compile(r"(?!\.{1,2}$)[^/%]{1,253}")
LINK_LOCAL_MULTICAST: Final = {
    4: ipaddress.ip_network("224.0.0.0/24"),
    6: ipaddress.ip_network("ff02::/16"),
}
ADDRESS_TYPES: Final = {"IPv4": 4, "IPv6": 6, "FQDN": 0}
PROTOCOLS: Final = ("TCP", "UDP", "SCTP")
OBJECT_FIELDS: Final = ("apiVersion", "kind", "metadata")
"""Fields of every custom resource, which its schema need not have."""
NAME_PART: Final = "name part must consist of alphanumeric characters"

_PYTHON_TYPES: Final[dict[str, type]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
}


def set_defaults(resource_type: ResourceType, item: JsonObject, old: JsonObject | None) -> None:
    """Set the defaults of an object before it is stored, and drop fields its schema lacks."""
    match resource_type.kind:
        case "EndpointSlice":
            _default_endpoint_slice(item)
        case "Namespace":
            item["spec"] = {"finalizers": ["kubernetes"]}
            name_label = {"kubernetes.io/metadata.name": item["metadata"]["name"]}
            item["metadata"]["labels"] = (item["metadata"].get("labels") or {}) | name_label
        case "Service":
            _default_service(item.setdefault("spec", {}), (old or {}).get("spec", {}))
        case "Secret":
            item.setdefault("type", "Opaque")
        case _:
            _prune(_schema(resource_type), item, is_root=True)


def _default_endpoint_slice(item: JsonObject) -> None:
    for port in item.get("ports") or ():
        port.setdefault("name", "")
        port["protocol"] = port.get("protocol") or "TCP"
    for endpoint in item.get("endpoints") or ():
        endpoint["conditions"] = endpoint.get("conditions") or {}
    # A real cluster stores protobuf, which does not distinguish an empty list from none.
    for name in ("endpoints", "ports"):
        item[name] = item.get(name) or None


def _default_service(spec: JsonObject, old: JsonObject) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for port in spec.get("ports") or ():
        port.setdefault("protocol", "TCP")
        port.setdefault("targetPort", port.get("port"))
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("ipFamilyPolicy", old.get("ipFamilyPolicy", "SingleStack"))
    families = ["IPv4"] if spec["ipFamilyPolicy"] == "SingleStack" else ["IPv4", "IPv6"]
    spec.setdefault("ipFamilies", old.get("ipFamilies", families))
    spec.setdefault("internalTrafficPolicy", "Cluster")
    for name in ("clusterIP", "clusterIPs"):
        if name in old:
            spec.setdefault(name, old[name])


def problems(resource_type: ResourceType, item: JsonObject) -> list[Cause]:
    """Return the invalid fields of an object."""
    found = list(_metadata_problems(resource_type, item["metadata"]))
    if resource_type.kind == "EndpointSlice":
        found += _endpoint_slice_problems(item)
    elif resource_type.kind == "Service":
        found += _service_problems(item["spec"])
    elif resource_type.definition is not None:
        found += _custom_resource_problems(_schema(resource_type), item)
    return found


# Metadata


def _metadata_problems(resource_type: ResourceType, meta: JsonObject) -> Iterator[Cause]:
    if not _name_rule(resource_type).fullmatch(meta["name"]):
        yield _invalid("metadata.name", meta["name"], "must be a lower-case DNS-1123 name")
    for key, value in (meta.get("labels") or {}).items():
        if not is_qualified_name(key):
            why = f"{NAME_PART}, '-', '_' or '.'"
            yield _invalid("metadata.labels", key, why)
        if not isinstance(value, str) or not is_label_value(value):
            why = "a valid label must be an empty string or at most 63 characters"
            yield _invalid("metadata.labels", value, why)
    for key in meta.get("annotations") or {}:
        if not is_qualified_name(key.lower()):
            yield _invalid("metadata.annotations", key, NAME_PART)
    yield from _owner_problems(meta.get("ownerReferences") or ())


def _name_rule(resource_type: ResourceType) -> re.Pattern[str]:
    if resource_type.group == RBAC_GROUP:
        return PATH_SEGMENT
    return DNS_LABEL if resource_type.kind in ("Namespace", "Service") else DNS_SUBDOMAIN


def _owner_problems(owners: Sequence[JsonObject]) -> Iterator[Cause]:
    for i, owner in enumerate(owners):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield _invalid(f"metadata.ownerReferences[{i}].{name}", "", "must not be empty")
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield _invalid(
            "metadata.ownerReferences", owners, "Only one reference can have Controller set to true"
        )


# Services


def _service_problems(spec: JsonObject) -> Iterator[Cause]:
    has_no_address = spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName"
    if not spec.get("ports") and not has_no_address:
        yield _required("spec.ports")


# EndpointSlices


def _endpoint_slice_problems(item: JsonObject) -> Iterator[Cause]:
    address_type = item.get("addressType")
    if not address_type:
        yield _required("addressType")
    elif address_type not in ADDRESS_TYPES:
        yield _unsupported("addressType", address_type, ADDRESS_TYPES)
    endpoints, ports = item["endpoints"] or (), item["ports"] or ()
    if len(endpoints) > 1000:
        yield _too_many("endpoints", endpoints, 1000)
    else:
        for i, endpoint in enumerate(endpoints):
            yield from _endpoint_problems(f"endpoints[{i}]", endpoint, str(address_type))
    if len(ports) > 20000:
        yield _too_many("ports", ports, 20000)
    names = [port["name"] for port in ports]
    for i, port in enumerate(ports):
        yield from _port_problems(f"ports[{i}]", port, names[:i])


def _endpoint_problems(path: str, endpoint: JsonObject, address_type: str) -> Iterator[Cause]:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        yield Cause(f"{path}.addresses", "FieldValueRequired", "must contain at least 1 address")
    if len(addresses) > 100:
        yield _too_many(f"{path}.addresses", addresses, 100)
    for i, address in enumerate(addresses):
        why = _address_problem(address, ADDRESS_TYPES.get(address_type, 0))
        if why is not None:
            yield _invalid(f"{path}.addresses[{i}]", address, why)
    hostname, node = endpoint.get("hostname"), endpoint.get("nodeName")
    if hostname is not None and not DNS_LABEL.fullmatch(hostname):
        yield _invalid(f"{path}.hostname", hostname, "must be a lower-case DNS-1123 label")
    if node is not None and not DNS_SUBDOMAIN.fullmatch(node):
        yield _invalid(f"{path}.nodeName", node, "must be a lower-case DNS-1123 subdomain")
    zones = (endpoint.get("hints") or {}).get("forZones") or ()
    yield from _zone_problems(f"{path}.hints.forZones", [zone.get("name", "") for zone in zones])


def _zone_problems(path: str, zones: Sequence[str]) -> Iterator[Cause]:
    if len(zones) > 8:
        yield _too_many(path, zones, 8)
    for i, zone in enumerate(zones):
        if zone in zones[:i]:
            yield _duplicate(f"{path}[{i}]", zone)


def _address_problem(address: str, version: int) -> str | None:
    """Return why an address is invalid for an IP version, or for FQDN (0)."""
    if version == 0:
        return None if DNS_SUBDOMAIN.fullmatch(address) else "must be a valid FQDN"
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
    if parsed.version != version:
        return f"must be an IPv{version} address"
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        return "must not be an IPv4-mapped IPv6 address"
    if str(parsed) != address:
        return f'must be in canonical form ("{parsed}")'
    is_link_local_multicast = parsed in LINK_LOCAL_MULTICAST[version]
    forbidden = {
        "unspecified": parsed.is_unspecified,
        "in the loopback range (127.0.0.0/8, ::1/128)": parsed.is_loopback,
        "in the link-local range (169.254.0.0/16, fe80::/10)": parsed.is_link_local,
        "in the link-local multicast range (224.0.0.0/24, ff02::/10)": is_link_local_multicast,
    }
    return next((f"may not be {what}" for what, is_so in forbidden.items() if is_so), None)


def _port_problems(path: str, port: JsonObject, names_before: list[str]) -> Iterator[Cause]:
    name, protocol, app_protocol = port["name"], port["protocol"], port.get("appProtocol")
    if name and not DNS_LABEL.fullmatch(name):
        yield _invalid(f"{path}.name", name, "must be a lower-case DNS-1123 label")
    if name in names_before:
        yield _duplicate(f"{path}.name", name)
    if protocol not in PROTOCOLS:
        yield _unsupported(f"{path}.protocol", protocol, PROTOCOLS)
    if app_protocol is not None and not is_qualified_name(app_protocol):
        yield _invalid(f"{path}.appProtocol", app_protocol, NAME_PART)


# Custom resources


def _schema(resource_type: ResourceType) -> JsonObject:
    """Return the schema of a custom resource; empty for a built-in type."""
    definition = resource_type.definition or {}
    schema: JsonObject = definition.get("schema", {}).get("openAPIV3Schema", {})
    return schema


def _prune(schema: JsonObject, value: object, *, is_root: bool = False) -> None:
    """Set the defaults of a structural schema; drop nulls, and fields that it does not have.

    Source: kubernetes apiextensions-apiserver, PruneNonNullableNullsWithoutDefaults.
    """
    if isinstance(value, list):
        for each in value:
            _prune(schema.get("items", {}), each)
    if not isinstance(value, dict) or "properties" not in schema:
        return
    properties = schema["properties"]
    for name in list(value):
        if name not in properties and not (is_root and name in OBJECT_FIELDS):
            del value[name]
    for name, part in properties.items():
        if is_root and name == "metadata":
            continue
        _default_field(name, part, value)
        if name in value:
            _prune(part, value[name])


def _default_field(name: str, schema: JsonObject, fields: JsonObject) -> None:
    if fields.get(name) is None and not schema.get("nullable"):
        fields.pop(name, None)
    if name not in fields and "default" in schema:
        fields[name] = deepcopy(schema["default"])


def _custom_resource_problems(schema: JsonObject, item: JsonObject) -> Iterator[Cause]:
    for name, part in schema.get("properties", {}).items():
        if name in item and name not in OBJECT_FIELDS:
            yield from _schema_problems(part, item[name], name)
    yield from (_required(name) for name in schema.get("required", ()) if name not in item)


def _schema_problems(schema: JsonObject, value: object, path: str) -> Iterator[Cause]:
    expected = schema.get("type", "")
    if not _has_type(value, expected):
        message = f"{path} in body must be of type {expected}: {type(value).__name__}"
        yield Cause(path, "FieldValueTypeInvalid", f"Invalid value: {message}")
        return
    if "enum" in schema and value not in schema["enum"]:
        yield _unsupported(path, value, schema["enum"])
    if isinstance(value, dict):
        missing = (name for name in schema.get("required", ()) if name not in value)
        yield from (_required(f"{path}.{name}") for name in missing)
        for name, part in schema.get("properties", {}).items():
            if name in value:
                yield from _schema_problems(part, value[name], f"{path}.{name}")
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _schema_problems(schema.get("items", {}), each, f"{path}[{i}]")
    yield from _limit_problems(schema, value, path)


def _has_type(value: object, expected: str) -> bool:
    # A Python bool is also an int.
    if isinstance(value, bool) and expected != "boolean":
        return False
    return isinstance(value, _PYTHON_TYPES.get(expected, object))


def _limit_problems(schema: JsonObject, value: object, path: str) -> Iterator[Cause]:
    size = _size(value)
    for limit in ("minLength", "minItems", "minimum"):
        if limit in schema and size < schema[limit]:
            yield _invalid(path, value, f"{path} in body should be at least {schema[limit]}")
    for limit in ("maxLength", "maxItems", "maximum"):
        if limit in schema and size > schema[limit]:
            message = f"Too long: may not be more than {schema[limit]}"
            yield Cause(path, "FieldValueTooLong", message)


def _size(value: object) -> int:
    """Return the number that a schema's limits apply to."""
    if isinstance(value, str | list):
        return len(value)
    return value if isinstance(value, int) else 0


# Causes


def _invalid(field: str, value: object, why: str) -> Cause:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def _required(field: str) -> Cause:
    return Cause(field, "FieldValueRequired", "Required value")


def _too_many(field: str, values: Sequence[object], limit: int) -> Cause:
    message = f"Too many: {len(values)}: must have at most {limit} items"
    return Cause(field, "FieldValueTooMany", message)


def _duplicate(field: str, value: str) -> Cause:
    return Cause(field, "FieldValueDuplicate", f'Duplicate value: "{value}"')


def _unsupported(field: str, value: object, supported: Iterable[object]) -> Cause:
    listed = ", ".join(f'"{each}"' for each in supported)
    message = f'Unsupported value: "{value}": supported values: {listed}'
    return Cause(field, "FieldValueNotSupported", message)
