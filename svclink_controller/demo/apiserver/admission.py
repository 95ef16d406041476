"""What an object must be like to be stored: defaults that are filled in, and fields that are refused.

EndpointSlices are held to all that Kubernetes demands of them (pkg/apis/discovery/validation), custom resources to the
structure of their schema; CEL rules are not evaluated. Of other kinds only names and labels are looked at.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Sequence
from copy import deepcopy
from typing import Final

from svclink_controller.demo.apiserver.resource_types import ResourceType
from svclink_controller.demo.apiserver.status_errors import Cause, JsonObject
from svclink_controller.wire.label_selector import is_key, is_value

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


def problems(kind: ResourceType, item: JsonObject) -> list[Cause]:
    """What is wrong with an object."""
    found = list(_metadata_problems(kind, item["metadata"]))
    if kind.name == "EndpointSlice":
        found += _endpoint_slice_problems(item)
    elif (
        kind.name == "Service"
        and not item["spec"].get("ports")
        and not _is_without_address(item["spec"])
    ):
        found.append(Cause("spec.ports", "FieldValueRequired", "Required value"))
    elif kind.definition is not None:
        schema = kind.definition.get("schema", {}).get("openAPIV3Schema", {})
        for name, part in schema.get("properties", {}).items():
            if name not in ("apiVersion", "kind", "metadata") and name in item:
                found += _schema_problems(part, item[name], name)
        found += [_required(name) for name in schema.get("required", ()) if name not in item]
    return found


def fill_in(kind: ResourceType, item: JsonObject, old: JsonObject | None) -> None:
    """Set the defaults of an object that is about to be stored, and drop what its schema does not know."""
    match kind.name:
        case "EndpointSlice":
            for each in item.get("ports") or ():
                each.setdefault("name", "")
                each["protocol"] = each.get("protocol") or "TCP"
            for endpoint in item.get("endpoints") or ():
                endpoint["conditions"] = endpoint.get("conditions") or {}
            # Stored as protobuf in a real cluster, where an empty list is none.
            item["endpoints"], item["ports"] = (
                item.get("endpoints") or None,
                item.get("ports") or None,
            )
        case "Namespace":
            item["spec"] = {"finalizers": ["kubernetes"]}
            item["metadata"]["labels"] = (item["metadata"].get("labels") or {}) | {
                "kubernetes.io/metadata.name": item["metadata"]["name"]
            }
        case "Service":
            _fill_in_service(item.setdefault("spec", {}), (old or {}).get("spec", {}))
        case "Secret":
            item.setdefault("type", "Opaque")
        case _ if kind.definition is not None:
            _prune(kind.definition.get("schema", {}).get("openAPIV3Schema", {}), item, is_root=True)
        case _:
            pass


def _fill_in_service(spec: JsonObject, old: JsonObject) -> None:
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    for each in spec.get("ports") or ():
        each.setdefault("protocol", "TCP")
        each.setdefault("targetPort", each.get("port"))
    if spec["type"] == "ExternalName":
        return
    spec.setdefault("ipFamilyPolicy", old.get("ipFamilyPolicy", "SingleStack"))
    families = ["IPv4"] if spec["ipFamilyPolicy"] == "SingleStack" else ["IPv4", "IPv6"]
    spec.setdefault("ipFamilies", old.get("ipFamilies", families))
    spec.setdefault("internalTrafficPolicy", "Cluster")
    for name in ("clusterIP", "clusterIPs"):
        if name in old:
            spec.setdefault(name, old[name])


def _is_without_address(spec: JsonObject) -> bool:
    return spec.get("clusterIP") == "None" or spec.get("type") == "ExternalName"


# Metadata


def _metadata_problems(kind: ResourceType, meta: JsonObject) -> Iterator[Cause]:
    names = {"Namespace": DNS_LABEL, "Service": DNS_LABEL}
    rule = (
        PATH_SEGMENT
        if kind.group == "rbac.authorization.k8s.io"
        else names.get(kind.name, DNS_SUBDOMAIN)
    )
    if not rule.fullmatch(meta["name"]):
        yield _invalid("metadata.name", meta["name"], "must be a lower-case DNS-1123 name")
    for key, value in (meta.get("labels") or {}).items():
        if not is_key(key):
            yield _invalid(
                "metadata.labels",
                key,
                "name part must consist of alphanumeric characters, '-', '_' or '.'",
            )
        if not isinstance(value, str) or not is_value(value):
            yield _invalid(
                "metadata.labels",
                value,
                "a valid label must be an empty string or at most 63 characters",
            )
    for key in meta.get("annotations") or {}:
        if not is_key(key.lower()):
            yield _invalid(
                "metadata.annotations", key, "name part must consist of alphanumeric characters"
            )
    yield from _owner_problems(meta.get("ownerReferences") or ())


def _owner_problems(owners: Sequence[JsonObject]) -> Iterator[Cause]:
    for i, owner in enumerate(owners):
        for name in ("apiVersion", "kind", "name", "uid"):
            if not owner.get(name):
                yield _invalid(f"metadata.ownerReferences[{i}].{name}", "", "must not be empty")
    if sum(bool(owner.get("controller")) for owner in owners) > 1:
        yield _invalid(
            "metadata.ownerReferences", owners, "Only one reference can have Controller set to true"
        )


# EndpointSlices


def _endpoint_slice_problems(item: JsonObject) -> Iterator[Cause]:
    kind = item.get("addressType")
    if not kind:
        yield _required("addressType")
    elif kind not in ADDRESS_TYPES:
        yield _unsupported("addressType", kind, ADDRESS_TYPES)
    endpoints, ports = item["endpoints"] or (), item["ports"] or ()
    if len(endpoints) > 1000:
        yield Cause(
            "endpoints",
            "FieldValueTooMany",
            f"Too many: {len(endpoints)}: must have at most 1000 items",
        )
    else:
        for i, endpoint in enumerate(endpoints):
            yield from _endpoint_problems(f"endpoints[{i}]", endpoint, kind)
    if len(ports) > 20000:
        yield Cause(
            "ports", "FieldValueTooMany", f"Too many: {len(ports)}: must have at most 20000 items"
        )
    names = [port["name"] for port in ports]
    for i, port in enumerate(ports):
        yield from _port_problems(f"ports[{i}]", port, names[:i])


def _endpoint_problems(path: str, endpoint: JsonObject, kind: object) -> Iterator[Cause]:
    addresses = endpoint.get("addresses") or ()
    if not addresses:
        yield Cause(f"{path}.addresses", "FieldValueRequired", "must contain at least 1 address")
    if len(addresses) > 100:
        yield Cause(
            f"{path}.addresses",
            "FieldValueTooMany",
            f"Too many: {len(addresses)}: must have at most 100 items",
        )
    for i, address in enumerate(addresses):
        if (problem := _address_problem(address, ADDRESS_TYPES.get(str(kind), 0))) is not None:
            yield _invalid(f"{path}.addresses[{i}]", address, problem)
    if (hostname := endpoint.get("hostname")) is not None and not DNS_LABEL.fullmatch(hostname):
        yield _invalid(f"{path}.hostname", hostname, "must be a lower-case DNS-1123 label")
    if (node := endpoint.get("nodeName")) is not None and not DNS_SUBDOMAIN.fullmatch(node):
        yield _invalid(f"{path}.nodeName", node, "must be a lower-case DNS-1123 subdomain")
    zones = [each.get("name", "") for each in (endpoint.get("hints") or {}).get("forZones") or ()]
    if len(zones) > 8:
        yield Cause(
            f"{path}.hints.forZones",
            "FieldValueTooMany",
            f"Too many: {len(zones)}: must have at most 8 items",
        )
    for i, zone in enumerate(zones):
        if zone in zones[:i]:
            yield Cause(
                f"{path}.hints.forZones[{i}]", "FieldValueDuplicate", f'Duplicate value: "{zone}"'
            )


def _address_problem(address: str, version: int) -> str | None:
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
    forbidden = {
        "may not be unspecified": parsed.is_unspecified,
        "may not be in the loopback range (127.0.0.0/8, ::1/128)": parsed.is_loopback,
        "may not be in the link-local range (169.254.0.0/16, fe80::/10)": parsed.is_link_local,
        "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)": parsed
        in LINK_LOCAL_MULTICAST[version],
    }
    return next((why for why, is_so in forbidden.items() if is_so), None)


def _port_problems(path: str, port: JsonObject, names_before: list[str]) -> Iterator[Cause]:
    if port["name"] and not DNS_LABEL.fullmatch(port["name"]):
        yield _invalid(f"{path}.name", port["name"], "must be a lower-case DNS-1123 label")
    if port["name"] in names_before:
        yield Cause(f"{path}.name", "FieldValueDuplicate", f'Duplicate value: "{port["name"]}"')
    if port["protocol"] not in ("TCP", "UDP", "SCTP"):
        yield _unsupported(f"{path}.protocol", port["protocol"], ("TCP", "UDP", "SCTP"))
    if (protocol := port.get("appProtocol")) is not None and not is_key(protocol):
        yield _invalid(
            f"{path}.appProtocol", protocol, "name part must consist of alphanumeric characters"
        )


# Custom resources


def _prune(schema: JsonObject, value: object, *, is_root: bool = False) -> None:
    """Fill in the defaults of a structural schema, and drop the fields it does not have."""
    if isinstance(value, list):
        for each in value:
            _prune(schema.get("items", {}), each)
    if not isinstance(value, dict) or "properties" not in schema:
        return
    properties = schema["properties"]
    for name in list(value):
        if name not in properties and not (is_root and name in ("apiVersion", "kind", "metadata")):
            del value[name]
    for name, part in properties.items():
        if is_root and name == "metadata":
            continue
        if value.get(name) is None and "default" in part:
            value[name] = deepcopy(part["default"])
        if name in value:
            _prune(part, value[name])


_TYPES: Final[dict[str, type]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
}


def _schema_problems(schema: JsonObject, value: object, path: str) -> Iterator[Cause]:
    kind = schema.get("type", "")
    if not isinstance(value, _TYPES.get(kind, object)) or (
        kind != "boolean" and isinstance(value, bool)
    ):
        reason = f"{path} in body must be of type {kind}"
        yield Cause(
            path, "FieldValueTypeInvalid", f"Invalid value: {reason}: {type(value).__name__}"
        )
        return
    if "enum" in schema and value not in schema["enum"]:
        yield _unsupported(path, value, schema["enum"])
    if isinstance(value, dict):
        yield from (
            _required(f"{path}.{name}") for name in schema.get("required", ()) if name not in value
        )
        for name, part in schema.get("properties", {}).items():
            if name in value:
                yield from _schema_problems(part, value[name], f"{path}.{name}")
    elif isinstance(value, list):
        for i, each in enumerate(value):
            yield from _schema_problems(schema.get("items", {}), each, f"{path}[{i}]")
    yield from _limit_problems(schema, value, path)


def _limit_problems(schema: JsonObject, value: object, path: str) -> Iterator[Cause]:
    size = len(value) if isinstance(value, str | list) else value if isinstance(value, int) else 0
    for limit in ("minLength", "minItems", "minimum"):
        if limit in schema and size < schema[limit]:
            yield _invalid(path, value, f"{path} in body should be at least {schema[limit]}")
    for limit in ("maxLength", "maxItems", "maximum"):
        if limit in schema and size > schema[limit]:
            yield Cause(
                path, "FieldValueTooLong", f"Too long: may not be more than {schema[limit]}"
            )


def _invalid(field: str, value: object, why: str) -> Cause:
    shown = f'"{value}"' if isinstance(value, str) else str(value)
    return Cause(field, "FieldValueInvalid", f"Invalid value: {shown}: {why}")


def _required(field: str) -> Cause:
    return Cause(field, "FieldValueRequired", "Required value")


def _unsupported(field: str, value: object, supported: object) -> Cause:
    listed = ", ".join(f'"{each}"' for each in supported)  # type: ignore[attr-defined]
    return Cause(
        field, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {listed}'
    )
