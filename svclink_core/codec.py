"""Converts decoded JSON or YAML to the core's types and back. Errors name the path of the field.

Unknown fields are ignored and `null` counts as absent, as the Kubernetes API conventions require.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import (
    Final,
    Literal,
    Protocol,
    TypeAlias,
    TypeVar,
    cast,
    get_args,
    get_origin,
    runtime_checkable,
)

from attrs import Attribute, evolve, fields, resolve_types
from cattrs import BaseConverter, BaseValidationError, Converter, transform_error
from cattrs.cols import homogenous_tuple_structure_factory
from cattrs.gen import AttributeOverride as _Override  # type: ignore[attr-defined]  # what override() returns
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from svclink_core.cidrs import CIDR, parse_cidr
from svclink_core.core_v1 import (
    ClientIPConfig,
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
    SessionAffinityConfig,
)
from svclink_core.discovery_v1 import (
    Endpoint,
    EndpointConditions,
    EndpointHints,
    EndpointPort,
    EndpointSlice,
    ObjectReference,
)
from svclink_core.errors import BadInputError
from svclink_core.json_values import exactly, json_type, read_string, read_target_port, read_time
from svclink_core.meta_v1 import (
    Labels,
    LabelSelector,
    LabelSelectorRequirement,
    ObjectMeta,
    OwnerReference,
    sorted_pairs,
)
from svclink_core.ownership import additions_of
from svclink_core.svclink_v1alpha1 import (
    ClusterLink,
    ClusterLinkSpec,
    ClusterLinkStatus,
    Condition,
    SecretKeyReference,
    UnreachablePolicy,
)
from svclink_core.traffic_policy_v1alpha1 import (
    ActiveTier,
    ClusterTraffic,
    ClusterTrafficStatus,
    TargetReference,
    TrafficPolicy,
    TrafficPolicySpec,
    TrafficPolicyStatus,
)
from svclink_core.well_known import API_VERSION, GROUP, REASONED_ANNOTATIONS, REASONED_LABELS

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
"""A decoded JSON value."""

T = TypeVar("T")
Kind = TypeVar("Kind", Service, Namespace, EndpointSlice, ClusterLink, TrafficPolicy)

KINDS: Final[Mapping[type, tuple[str, str]]] = {
    Service: ("v1", "Service"),
    Namespace: ("v1", "Namespace"),
    EndpointSlice: ("discovery.k8s.io/v1", "EndpointSlice"),
    ClusterLink: (f"{GROUP}/{API_VERSION}", "ClusterLink"),
    TrafficPolicy: (f"{GROUP}/{API_VERSION}", "TrafficPolicy"),
}
"""apiVersion and kind of the types that are Kubernetes objects."""


@runtime_checkable
class ClientModel(Protocol):
    """An object of the official Python client: `V1Service`, `V1EndpointSlice`."""

    def to_dict(self) -> dict[str, object]:
        """Its fields under the names they have in Python (`cluster_ip`), times as `datetime`."""


def structure(content: object, kind: type[Kind]) -> Kind:
    """Convert a Kubernetes object to its type.

    Examples:
        >>> structure({"metadata": {"name": "web"}, "spec": {"ports": "http"}}, Service)
        Traceback (most recent call last):
        svclink_core.errors.BadInputError: $.spec.ports: must be a list but is a string

    Args:
        content: The object as decoded from JSON or YAML, or as returned by the official client's
            `ApiClient().sanitize_for_serialization`, or an object of that client (`ClientModel`).
        kind: `Service`, `Namespace`, `EndpointSlice`, `ClusterLink` or `TrafficPolicy`.

    Raises:
        BadInputError: A field is missing or of the wrong type; `path` names it.
    """
    if isinstance(content, ClientModel):
        return _structure(_with_json_names(content.to_dict()), kind)
    return _structure(content, kind)


def unstructure(
    value: Service | Namespace | EndpointSlice | ClusterLink | TrafficPolicy,
) -> dict[str, Json]:
    """Convert a typed object to a Kubernetes object with apiVersion and kind, for a request body.

    It has only the fields that the core reasons about. `structure` reverses it (law L10).
    """
    api_version, kind = KINDS[type(value)]
    return {
        "apiVersion": api_version,
        "kind": kind,
        **cast("dict[str, Json]", _without_nulls(_CONVERTER.unstructure(value))),
    }


def unstructure_status(status: ClusterLinkStatus | TrafficPolicyStatus) -> dict[str, Json]:
    """The `status` of an object as JSON. Unset fields are null: a merge patch clears them.

    It replaces lists as a whole, so the items of a list have no nulls.
    """
    content = cast("dict[str, Json]", _CONVERTER.unstructure(status))
    lists = {name: _without_nulls(each) for name, each in content.items() if isinstance(each, list)}
    return content | cast("dict[str, Json]", lists)


def json_name(attribute: str, metadata: Mapping[str, str]) -> str:
    """The JSON name of an attribute: the one it declares, else camelCase."""
    head, *tail = attribute.split("_")
    return (
        metadata["json"]
        if "json" in metadata
        else head + "".join(word.capitalize() for word in tail)
    )


def _structure(content: object, kind: type[T]) -> T:
    try:
        return _CONVERTER.structure(_without_nulls(content), kind)
    except BaseValidationError as error:
        problem, _, path = transform_error(error, format_exception=_describe)[0].rpartition(" @ ")
        raise BadInputError(_json_path(path), problem) from error
    except (TypeError, ValueError) as error:
        raise BadInputError("$", str(error)) from error


def _json_path(path: str) -> str:
    """A path of attributes as a path of JSON names."""
    names = [part.partition("[") for part in path.split(".")]
    return ".".join(_JSON_NAMES.get(name, name) + "".join(index) for name, *index in names)


def _with_json_names(content: object) -> object:
    """A copy with JSON names. No label or annotation that the core reads is named like a field."""
    if isinstance(content, Mapping):
        return {
            _JSON_NAMES.get(key, key): _with_json_names(value) for key, value in content.items()
        }
    return [_with_json_names(value) for value in content] if isinstance(content, list) else content


def _describe(error: BaseException, wanted: type | None) -> str:
    if isinstance(error, KeyError):
        return "required field missing"
    if get_origin(wanted) is Literal:
        return f"must be one of {', '.join(get_args(wanted))}"
    return str(error) if isinstance(error, TypeError | ValueError) else f"must be of type {wanted}"


def _without_nulls(content: object) -> object:
    """A copy without null fields: the API server may write an empty list as null."""
    if isinstance(content, Mapping):
        return {key: _without_nulls(value) for key, value in content.items() if value is not None}
    if isinstance(content, list | tuple):
        return [_without_nulls(value) for value in content]
    return content


def _register(converter: Converter, kind: type[T], *, omit_defaults: bool) -> None:
    """Register how an attrs class is read and written: as an object with camelCase names."""
    attributes: tuple[Attribute[object], ...] = fields(resolve_types(kind))  # type: ignore[arg-type, type-var]
    names = {each.name: _override(each.name, each.metadata) for each in attributes}
    if kind is ObjectMeta:
        names["labels"] = _pairs("labels", REASONED_LABELS)
        names["annotations"] = _pairs("annotations", REASONED_ANNOTATIONS)
        names["creation_timestamp"] = override(rename="creationTimestamp", struct_hook=read_time)
        names["deletion_timestamp"] = override(rename="deletionTimestamp", struct_hook=read_time)
    if kind is LabelSelector:
        names["match_labels"] = _pairs("matchLabels")
    read = make_dict_structure_fn(kind, converter, **names)  # type: ignore[arg-type]
    write = make_dict_unstructure_fn(
        kind,
        converter,
        _cattrs_omit_if_default=omit_defaults,
        **names,  # type: ignore[arg-type]
    )

    def checked(value: object, wanted: type[T]) -> T:
        if not isinstance(value, Mapping):
            raise TypeError(f"must be an object but is {json_type(value)}")
        return read(value, wanted)

    converter.register_structure_hook(kind, checked)
    converter.register_unstructure_hook(kind, write)


def _register_additions(converter: Converter) -> None:
    """Register that an EndpointSlice is read and written with what others put on it."""
    read = converter.get_structure_hook(EndpointSlice)
    write = converter.get_unstructure_hook(EndpointSlice)

    def structure_slice(value: object, wanted: type[EndpointSlice]) -> EndpointSlice:
        found: EndpointSlice = read(value, wanted)
        content = cast("Mapping[str, Mapping[str, object]]", value)["metadata"]
        additions = additions_of(
            _strings(content.get("labels", {})),
            _strings(content.get("annotations", {})),
            [
                each
                for each in cast("list[object]", content.get("finalizers", []))
                if isinstance(each, str)
            ],
        )
        return evolve(found, metadata=evolve(found.metadata, additions=additions))

    def unstructure_slice(value: EndpointSlice) -> dict[str, object]:
        content: dict[str, object] = write(value)
        cast("dict[str, object]", content["metadata"]).update(_written_additions(value.metadata))
        return content

    converter.register_structure_hook(EndpointSlice, structure_slice)
    converter.register_unstructure_hook(EndpointSlice, unstructure_slice)


def _strings(content: object) -> dict[str, str]:
    pairs = cast("Mapping[str, object]", content)
    return {key: value for key, value in pairs.items() if isinstance(value, str)}


def _written_additions(metadata: ObjectMeta) -> dict[str, object]:
    """The fields of metadata that others added to, with what svclink writes."""
    if (additions := metadata.additions) is None:
        return {}
    fields_added_to = {
        "labels": dict(metadata.labels + additions.labels),
        "annotations": dict(metadata.annotations + additions.annotations),
        "finalizers": list(additions.finalizers),
    }
    return {name: each for name, each in fields_added_to.items() if each}


def _override(attribute: str, metadata: Mapping[str, str]) -> _Override:
    """The JSON name; an attribute that declares an empty one is not part of the object."""
    name = json_name(attribute, metadata)
    return override(rename=name) if name else override(omit=True)


def _pairs(name: str, keys: frozenset[str] | None = None) -> _Override:
    """Labels or annotations: a map in JSON, sorted pairs of known keys in the core."""

    def read(value: object, _: object) -> Labels:
        if not isinstance(value, Mapping):
            raise TypeError(f"must be an object but is {json_type(value)}")
        return sorted_pairs(
            {key: read_string(value[key]) for key in value if keys is None or key in keys}
        )

    return override(rename=name, struct_hook=read, unstruct_hook=dict)


def _is_list(wanted: type) -> bool:
    return get_origin(wanted) is tuple and get_args(wanted)[-1] is Ellipsis


def _list_factory(wanted: type, converter: BaseConverter) -> Callable[[object, type], object]:
    inner = homogenous_tuple_structure_factory(wanted, converter)

    def checked(value: object, _: type) -> object:
        if not isinstance(value, list | tuple):
            raise TypeError(f"must be a list but is {json_type(value)}")
        return inner(value, wanted)

    return checked


def _read_hints(value: object, _: type) -> EndpointHints:
    if not isinstance(value, Mapping):
        raise TypeError(f"must be an object but is {json_type(value)}")
    return EndpointHints(
        for_zones=_names(value.get("forZones")), for_nodes=_names(value.get("forNodes"))
    )


def _names(entries: object) -> tuple[str, ...]:
    if not isinstance(entries, list | None):
        raise TypeError(f"must be a list but is {json_type(entries)}")
    return tuple(
        read_string(entry.get("name", "")) for entry in entries or () if isinstance(entry, Mapping)
    )


def _write_hints(hints: EndpointHints) -> dict[str, Json]:
    both = {"forZones": hints.for_zones, "forNodes": hints.for_nodes}
    return {key: [{"name": name} for name in names] for key, names in both.items() if names}


def _converter() -> Converter:
    converter = Converter(detailed_validation=True)
    for scalar in (str, bool, int):
        converter.register_structure_hook(scalar, exactly(scalar))
    converter.register_structure_hook_factory(_is_list, _list_factory)
    converter.register_structure_hook(EndpointHints, _read_hints)
    converter.register_unstructure_hook(EndpointHints, _write_hints)
    converter.register_structure_hook(int | str | None, read_target_port)
    converter.register_structure_hook(CIDR, lambda value, _: parse_cidr(read_string(value)))
    converter.register_unstructure_hook(CIDR, lambda cidr: cidr.text)
    for kind in CLASSES:
        _register(converter, kind, omit_defaults=kind in (ObjectMeta, ObjectReference))
    _register_additions(converter)
    return converter


CLASSES: Final = (
    OwnerReference,
    ObjectMeta,
    ServicePort,
    ClientIPConfig,
    SessionAffinityConfig,
    ServiceSpec,
    Service,
    Namespace,
    EndpointConditions,
    ObjectReference,
    Endpoint,
    EndpointPort,
    EndpointSlice,
    SecretKeyReference,
    UnreachablePolicy,
    LabelSelectorRequirement,
    LabelSelector,
    ClusterLinkSpec,
    Condition,
    ClusterLinkStatus,
    ClusterLink,
    TargetReference,
    ClusterTraffic,
    TrafficPolicySpec,
    ActiveTier,
    ClusterTrafficStatus,
    TrafficPolicyStatus,
    TrafficPolicy,
)
"""Every class that represents a JSON object, parts before the whole."""

_CONVERTER: Final = _converter()

_JSON_NAMES: Final[Mapping[str, str]] = {
    each.name: json_name(each.name, each.metadata)
    for kind in (*CLASSES, EndpointHints)
    for each in fields(kind)
}
"""The JSON names of attributes; the official client names attributes as the core does."""
