"""The CustomResourceDefinitions in crd/, and how their schemas differ from the attrs types."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

import attrs
import yaml

from svclink_core.cidrs import CIDR
from svclink_core.meta_v1 import Labels
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec, ClusterLinkStatus
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicySpec, TrafficPolicyStatus
from svclink_core.well_known import GROUP, PLURAL_CLUSTER_LINKS, PLURAL_TRAFFIC_POLICIES

Schema: TypeAlias = dict[str, Any]

PARTS: Final[Mapping[str, Mapping[str, type[attrs.AttrsInstance]]]] = {
    PLURAL_CLUSTER_LINKS: {"spec": ClusterLinkSpec, "status": ClusterLinkStatus},
    PLURAL_TRAFFIC_POLICIES: {"spec": TrafficPolicySpec, "status": TrafficPolicyStatus},
}
"""The types of spec and status, by the plural of the kind."""

SCALARS: Final = {str: "string", int: "integer", bool: "boolean", CIDR: "string"}


def definition(plural: str) -> Schema:
    """The CustomResourceDefinition of a kind."""
    file = Path(__file__).parents[3] / "crd" / f"{plural}.{GROUP}.yaml"
    content: Schema = yaml.safe_load(file.read_text(encoding="utf-8"))
    return content


def served(plural: str) -> Schema:
    """The only version of a CustomResourceDefinition."""
    version: Schema
    (version,) = definition(plural)["spec"]["versions"]
    return version


def root(plural: str) -> Schema:
    """The schema of a kind."""
    schema: Schema = served(plural)["schema"]["openAPIV3Schema"]
    return schema


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """All nested schemas, with a path such as `spec.excludedServices[]`."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, child
        yield from walk(child, here)
    if items := schema.get("items"):
        yield f"{path}[]", items
        yield from walk(items, f"{path}[]")


def own_fields(plural: str) -> dict[str, Schema]:
    """The fields of spec and status: the API server has its own schema for metadata."""
    return {
        path: schema for path, schema in walk(root(plural)) if path.startswith(("spec", "status"))
    }


def all_differences(plural: str, schema: Schema) -> list[str]:
    """Each difference between a schema of a kind and its types."""
    return [
        difference
        for part, cls in PARTS[plural].items()
        for difference in differences(cls, schema["properties"][part], part)
    ]


def differences(cls: type[attrs.AttrsInstance], schema: Schema, path: str) -> Iterator[str]:
    """Each difference between a schema and an attrs type, with the path of the field."""
    properties = schema.get("properties", {})
    fields = {_json_name(attribute): attribute for attribute in attrs.fields(cls)}
    hints = typing.get_type_hints(cls)
    for name in properties.keys() - fields.keys():
        yield f"{path}.{name}: not in {cls.__name__}"
    for name, attribute in fields.items():
        if name not in properties:
            yield f"{path}.{name}: not in the CRD"
            continue
        here, field = f"{path}.{name}", properties[name]
        if (name in schema.get("required", [])) != (attribute.default is attrs.NOTHING):
            yield f"{here}: required on one side only"
        if (in_crd := field.get("default", attrs.NOTHING)) != (in_type := _json_default(attribute)):
            yield f"{here}: default {in_crd} in the CRD, {in_type} in {cls.__name__}"
        yield from _type_differences(hints[attribute.name], field, here)


def _type_differences(hint: Any, schema: Schema, path: str) -> Iterator[str]:
    if isinstance(hint, types.UnionType):
        (hint,) = (member for member in typing.get_args(hint) if member is not types.NoneType)
    if hint == Labels:
        expected, values = "object", []
    elif typing.get_origin(hint) is Literal:
        expected, values = "string", sorted(typing.get_args(hint))
    elif typing.get_origin(hint) is tuple:
        expected, values = "array", []
        yield from _type_differences(typing.get_args(hint)[0], schema.get("items", {}), f"{path}[]")
    elif hint in SCALARS:
        expected, values = SCALARS[hint], []
    else:
        expected, values = "object", []
        yield from differences(hint, schema, path)
    if schema.get("type") != expected:
        yield f"{path}: type {schema.get('type')} in the CRD, {expected} in the type"
    if sorted(schema.get("enum", [])) != values:
        yield f"{path}: enum {schema.get('enum')} in the CRD, {values} in the type"


def _json_name(attribute: attrs.Attribute[Any]) -> str:
    head, *rest = attribute.name.split("_")
    return str(attribute.metadata.get("json", head + "".join(word.capitalize() for word in rest)))


def _json_default(attribute: attrs.Attribute[Any]) -> Any:
    """The default in the CRD, or NOTHING: absent, null and an empty list are the same."""
    default = attribute.default
    if default is None or default == ():
        return attrs.NOTHING
    return {} if attrs.has(type(default)) else default
