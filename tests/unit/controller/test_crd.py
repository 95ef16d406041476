"""The CustomResourceDefinition matches the attrs types, and its rules are cheap for an API server.

Real: the file in crd/ and the types. The end-to-end tests send the file to an API server.
"""

from __future__ import annotations

import copy
import math
import re
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import attrs
import pytest
import yaml

from svclink_controller.credentials.kubeconfig_yaml import MAX_SIZE
from svclink_core.api_rules import MAX_NAME_LENGTH
from svclink_core.cidrs import CIDR
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec, ClusterLinkStatus
from svclink_core.well_known import API_VERSION, GROUP, PLURAL_CLUSTER_LINKS

Schema: TypeAlias = dict[str, Any]

CRD: Schema = yaml.safe_load(
    (Path(__file__).parents[3] / "crd" / f"{PLURAL_CLUSTER_LINKS}.{GROUP}.yaml").read_text(
        encoding="utf-8"
    )
)
SERVED: Schema = CRD["spec"]["versions"][0]
ROOT: Schema = SERVED["schema"]["openAPIV3Schema"]
SCALARS = {str: "string", int: "integer", bool: "boolean", CIDR: "string"}


def json_name(attribute: attrs.Attribute[Any]) -> str:
    head, *rest = attribute.name.split("_")
    return str(attribute.metadata.get("json", head + "".join(word.capitalize() for word in rest)))


def json_default(attribute: attrs.Attribute[Any]) -> Any:
    """Return the default in the CRD, or NOTHING: absent, null and an empty list are the same."""
    default = attribute.default
    if default is None or default == ():
        return attrs.NOTHING
    return {} if attrs.has(type(default)) else default


def differences(cls: type[attrs.AttrsInstance], schema: Schema, path: str) -> Iterator[str]:
    """Return each difference between a schema and an attrs type, with the path of the field."""
    properties = schema.get("properties", {})
    fields = {json_name(attribute): attribute for attribute in attrs.fields(cls)}
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
        if (in_crd := field.get("default", attrs.NOTHING)) != (in_type := json_default(attribute)):
            yield f"{here}: default {in_crd} in the CRD, {in_type} in {cls.__name__}"
        yield from type_differences(hints[attribute.name], field, here)


def type_differences(hint: Any, schema: Schema, path: str) -> Iterator[str]:
    if isinstance(hint, types.UnionType):
        (hint,) = (member for member in typing.get_args(hint) if member is not types.NoneType)
    if typing.get_origin(hint) is Literal:
        expected, values = "string", sorted(typing.get_args(hint))
    elif typing.get_origin(hint) is tuple:
        expected, values = "array", []
        yield from type_differences(typing.get_args(hint)[0], schema.get("items", {}), f"{path}[]")
    elif hint in SCALARS:
        expected, values = SCALARS[hint], []
    else:
        expected, values = "object", []
        yield from differences(hint, schema, path)
    if schema.get("type") != expected:
        yield f"{path}: type {schema.get('type')} in the CRD, {expected} in the type"
    if sorted(schema.get("enum", [])) != values:
        yield f"{path}: enum {schema.get('enum')} in the CRD, {values} in the type"


def all_differences(root: Schema) -> list[str]:
    properties = root["properties"]
    return [
        *differences(ClusterLinkSpec, properties["spec"], "spec"),
        *differences(ClusterLinkStatus, properties["status"], "status"),
    ]


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, Schema]]:
    """Return all nested schemas, with a path such as `spec.excludedServices[]`."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, child
        yield from walk(child, here)
    if items := schema.get("items"):
        yield f"{path}[]", items
        yield from walk(items, f"{path}[]")


FIELDS = dict(walk(ROOT))
# The API server has its own schema for metadata, and allows only restrictions of the name.
OWN_FIELDS = {
    path: schema for path, schema in FIELDS.items() if path.startswith(("spec", "status"))
}


class TestSameAsTheTypes:
    def test_crd_and_types_have_the_same_fields(self) -> None:
        """Names, types, enums, defaults and required fields are equal at all levels."""
        assert all_differences(ROOT) == []

    @pytest.mark.parametrize(
        ("path", "key"),
        [
            ("spec", "clusterID"),
            ("spec", "excludedServices"),
            ("spec.kubeconfigSecretRef", "key"),
            ("spec.unreachable", "afterSeconds"),
            ("status", "phase"),
            ("status.conditions[]", "observedGeneration"),
        ],
    )
    def test_missing_field_is_reported_with_its_path(self, path: str, key: str) -> None:
        """A field that only one side has is named."""
        missing, additional = copy.deepcopy(ROOT), copy.deepcopy(ROOT)
        del dict(walk(missing))[path]["properties"][key]
        dict(walk(additional))[path]["properties"]["additional"] = {"type": "string"}
        assert all_differences(missing) == [f"{path}.{key}: not in the CRD"]
        assert [line.split(":")[0] for line in all_differences(additional)] == [
            f"{path}.additional"
        ]

    @pytest.mark.parametrize(
        ("path", "key", "value"),
        [
            ("spec.enabled", "default", False),
            ("spec.enabled", "type", "string"),
            ("spec.unreachable", "default", None),
            ("spec.unreachable.action", "enum", ["Keep", "Remove"]),
            ("spec.includedNamespaces", "default", ["default"]),
            ("spec.includedNamespaces[]", "type", "integer"),
            ("spec.kubeconfigSecretRef", "required", []),
            ("status.conditions[]", "required", ["type", "status", "reason", "message"]),
        ],
    )
    def test_different_field_is_reported_with_its_path(
        self, path: str, key: str, value: object
    ) -> None:
        """Types, enums, defaults and required fields are compared as well."""
        changed = copy.deepcopy(ROOT)
        dict(walk(changed))[path][key] = value
        (difference,) = all_differences(changed)
        assert difference.startswith(path)

    def test_crd_has_the_names_of_the_core(self) -> None:
        """The controller requests the group, version and plural of the CRD, at cluster scope."""
        names = CRD["spec"]["names"]
        assert (CRD["spec"]["group"], SERVED["name"], names["plural"]) == (
            GROUP,
            API_VERSION,
            PLURAL_CLUSTER_LINKS,
        )
        assert CRD["metadata"]["name"] == f"{PLURAL_CLUSTER_LINKS}.{GROUP}"
        assert CRD["spec"]["scope"] == "Cluster"
        assert names["kind"] == "ClusterLink"

    def test_one_version_is_served_and_stored(self) -> None:
        """No version needs conversion, and users do not edit the status by accident."""
        assert len(CRD["spec"]["versions"]) == 1
        assert (SERVED["served"], SERVED["storage"]) == (True, True)
        assert SERVED["subresources"] == {"status": {}}

    def test_spec_is_required(self) -> None:
        """The type has a default spec; the API has none, because a link needs credentials."""
        assert ROOT["required"] == ["spec"]


class TestBounds:
    """The API server refuses CEL rules that may cost too much, as on an unbounded field."""

    @pytest.mark.parametrize("path", OWN_FIELDS)
    def test_field_has_a_description(self, path: str) -> None:
        """`kubectl explain` has a sentence for each field."""
        description = OWN_FIELDS[path]["description"]
        assert description[0].isupper()
        assert description.endswith(".")

    @pytest.mark.parametrize(
        "path", [path for path, schema in OWN_FIELDS.items() if schema["type"] == "array"]
    )
    def test_list_is_bounded(self, path: str) -> None:
        """A list has a maximum length, and a list type for server-side apply."""
        assert 1 <= OWN_FIELDS[path]["maxItems"] <= 1000
        assert OWN_FIELDS[path]["x-kubernetes-list-type"] in {"set", "map"}

    @pytest.mark.parametrize(
        "path", [path for path, schema in OWN_FIELDS.items() if schema["type"] == "string"]
    )
    def test_string_is_bounded(self, path: str) -> None:
        """A string has a maximum length, which fits all values of an enum."""
        limit = OWN_FIELDS[path]["maxLength"]
        assert all(len(value) <= limit for value in OWN_FIELDS[path].get("enum", []))

    @pytest.mark.parametrize(
        "path", [path for path, schema in OWN_FIELDS.items() if schema["type"] == "integer"]
    )
    def test_integer_has_a_format_and_a_minimum(self, path: str) -> None:
        """An integer has a format, and is not negative."""
        assert OWN_FIELDS[path]["format"] in {"int32", "int64"}
        assert OWN_FIELDS[path]["minimum"] == 0

    def test_largest_kubeconfig_fits(self) -> None:
        """The limit fits the largest accepted kubeconfig, in base64 with lines of 76 characters."""
        encoded = 4 * math.ceil(MAX_SIZE / 3)
        assert encoded + math.ceil(encoded / 76) <= FIELDS["spec.kubeconfig"]["maxLength"]

    def test_conditions_are_merged_by_type(self) -> None:
        """Writers of different conditions do not overwrite each other."""
        assert FIELDS["status.conditions"]["x-kubernetes-list-type"] == "map"
        assert FIELDS["status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]


class TestColumns:
    def test_default_columns_are_those_of_the_readme(self) -> None:
        """`kubectl get clusterlinks` prints NAME, ENABLED, VERSION, STATUS and AGE."""
        columns = [
            column for column in SERVED["additionalPrinterColumns"] if not column.get("priority")
        ]
        assert [(column["name"].upper(), column["jsonPath"]) for column in columns] == [
            ("ENABLED", ".spec.enabled"),
            ("VERSION", ".status.version"),
            ("STATUS", ".status.phase"),
            ("AGE", ".metadata.creationTimestamp"),
        ]

    def test_wide_output_adds_columns(self) -> None:
        """`-o wide` adds counts, the last contact and filters after the default columns."""
        columns = [
            column for column in SERVED["additionalPrinterColumns"] if column.get("priority")
        ]
        assert columns == SERVED["additionalPrinterColumns"][-len(columns) :]
        assert [column["jsonPath"] for column in columns] == [
            ".status.services",
            ".status.endpoints",
            ".status.lastConnected",
            ".spec.includedNamespaces",
            ".spec.excludedNamespaces",
        ]

    @pytest.mark.parametrize(
        "column", SERVED["additionalPrinterColumns"], ids=lambda column: column["name"]
    )
    def test_column_has_the_type_of_its_field(self, column: Schema) -> None:
        """For a wrong path or type, the API server silently leaves the cell empty."""
        if column["jsonPath"] == ".metadata.creationTimestamp":
            assert column["type"] == "date"
            return
        field = FIELDS[column["jsonPath"].removeprefix(".")]
        shown_as = "date" if field.get("format") == "date-time" else field["type"]
        assert column["type"] == ("string" if shown_as == "array" else shown_as)


LABEL_63 = "a" * 63
NAMES = (
    ["a", "0", "web", "web-1", "1-web", "a--b", LABEL_63],
    ["", "-a", "a-", "A", "a.b", "a_b", "a/b", "é", "a\n", "*"],
)
PATTERNS: dict[str, tuple[list[str], list[str]]] = {
    "metadata.name": NAMES,
    "spec.includedNamespaces[]": NAMES,
    "spec.excludedNamespaces[]": NAMES,
    "spec.excludedServiceNames[]": NAMES,
    "spec.excludedServices[]": (
        ["default/web", "a/b", "0/1", f"{LABEL_63}/{LABEL_63}"],
        [
            "",
            "web",
            "/web",
            "default/",
            "a/b/c",
            "A/b",
            "a/B",
            "a.b/c",
            "a/b.c",
            "a /b",
            "a/b\n",
            "*/web",
            f"a/{LABEL_63}a",
        ],
    ),
    "spec.kubeconfigSecretRef.name": (
        ["a", "a.b", "remote-1.kubeconfig"],
        ["", ".a", "a.", "a..b", "A", "a/b", "a\n", "-a"],
    ),
    "spec.kubeconfigSecretRef.key": (
        ["kubeconfig", "tls.crt", ".x", "A_b-c"],
        ["", "a/b", "a b", "a\n", "ä"],
    ),
    "spec.clusterID": (["bf96c8d9-d62d-4a5d-a001-a7a4552a4101"], ["", "a b", "a\n", "a.b", "{x}"]),
}


def rules(path: str) -> list[Schema]:
    found = ROOT if path == "metadata.name" else FIELDS[path]
    return list(found.get("x-kubernetes-validations", []))


def pattern(path: str) -> str:
    """Return the pattern of a rule `self.matches('...')`, which RE2 and re read alike."""
    subject = "self.metadata.name" if path == "metadata.name" else "self"
    (found,) = (
        match[1]
        for rule in rules(path)
        if (match := re.fullmatch(rf"{re.escape(subject)}\.matches\('(.*)'\)", rule["rule"]))
    )
    return found


def accepts(path: str, text: str) -> bool:
    limit = MAX_NAME_LENGTH if path == "metadata.name" else FIELDS[path]["maxLength"]
    # fullmatch, because `$` of Python also matches before a newline at the end.
    return len(text) <= limit and re.fullmatch(pattern(path), text) is not None


class TestRules:
    @pytest.mark.parametrize(
        ("path", "text"), [(path, text) for path, (good, _) in PATTERNS.items() for text in good]
    )
    def test_valid_name_is_accepted(self, path: str, text: str) -> None:
        """Each name that Kubernetes allows is accepted."""
        assert accepts(path, text)

    @pytest.mark.parametrize(
        ("path", "text"), [(path, text) for path, (_, bad) in PATTERNS.items() for text in bad]
    )
    def test_invalid_name_is_refused(self, path: str, text: str) -> None:
        """A name that cannot match anything is an error, and is refused at once."""
        assert not accepts(path, text)

    @pytest.mark.parametrize("path", PATTERNS)
    def test_pattern_matches_the_whole_text(self, path: str) -> None:
        """Without anchors, a CEL pattern accepts any text that contains a valid name."""
        assert pattern(path).startswith("^")
        assert pattern(path).endswith("$")

    @pytest.mark.parametrize(
        ("path", "limit"),
        [
            ("spec.includedNamespaces[]", MAX_NAME_LENGTH),
            ("spec.excludedNamespaces[]", MAX_NAME_LENGTH),
            ("spec.excludedServiceNames[]", MAX_NAME_LENGTH),
            ("spec.excludedServices[]", MAX_NAME_LENGTH + len("/") + MAX_NAME_LENGTH),
        ],
    )
    def test_length_of_entry_fits_its_names(self, path: str, limit: int) -> None:
        """Names of Namespaces and Services have at most 63 characters."""
        assert FIELDS[path]["maxLength"] == limit

    def test_name_of_link_fits_a_label_value(self) -> None:
        """Without this rule, the API server would allow 253 characters and dots."""
        assert f"size(self.metadata.name) <= {MAX_NAME_LENGTH}" in [
            rule["rule"] for rule in rules("metadata.name")
        ]

    def test_exactly_one_kubeconfig_is_set(self) -> None:
        """There is one rule for none and one for both, each with its own sentence."""
        assert [rule["rule"] for rule in rules("spec")] == [
            "has(self.kubeconfig) || has(self.kubeconfigSecretRef)",
            "!(has(self.kubeconfig) && has(self.kubeconfigSecretRef))",
        ]

    @pytest.mark.parametrize(
        "path", ["metadata.name", *(path for path in OWN_FIELDS if rules(path))]
    )
    def test_message_is_one_sentence_that_names_the_field(self, path: str) -> None:
        """The message is clear on its own, because kubectl may print it without the path."""
        for rule in rules(path):
            assert path.removesuffix("[]") in rule["message"]
            assert "\n" not in rule["message"]
            assert not rule["message"].endswith(".")

    def test_unreachable_policy_waits_at_most_thirty_days(self) -> None:
        """A longer time is probably a mistake, such as milliseconds."""
        assert FIELDS["spec.unreachable.afterSeconds"]["maximum"] == 30 * 24 * 60 * 60
