"""The CustomResourceDefinition says the same as the attrs types, and what it says can be checked by an API server.

Real: the file in crd/ and the types. Not here: an API server, which the e2e tests ask.
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
from svclink_core.svclink_v1alpha1 import ClusterLinkSpec, ClusterLinkStatus
from svclink_core.well_known import API_VERSION, GROUP, MAX_NAME_LENGTH, PLURAL_CLUSTER_LINKS

Schema: TypeAlias = dict[str, Any]

CRD: Schema = yaml.safe_load(
    (Path(__file__).parents[3] / "crd" / f"{PLURAL_CLUSTER_LINKS}.{GROUP}.yaml").read_text(
        encoding="utf-8"
    )
)
SERVED: Schema = CRD["spec"]["versions"][0]
ROOT: Schema = SERVED["schema"]["openAPIV3Schema"]
SCALARS = {str: "string", int: "integer", bool: "boolean"}


def json_name(attribute: attrs.Attribute[Any]) -> str:
    head, *rest = attribute.name.split("_")
    return str(attribute.metadata.get("json", head + "".join(word.capitalize() for word in rest)))


def json_default(attribute: attrs.Attribute[Any]) -> Any:
    """The default as the CRD writes it; NOTHING where it writes none: absent, null and an empty list are the same."""
    default = attribute.default
    if default is None or default == ():
        return attrs.NOTHING
    return {} if attrs.has(type(default)) else default


def differences(cls: type[attrs.AttrsInstance], schema: Schema, path: str) -> Iterator[str]:
    """Each way in which the schema of an object and the attrs type differ, with the path of the field."""
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
    elif attrs.has(hint):
        expected, values = "object", []
        yield from differences(hint, schema, path)
    else:
        expected, values = SCALARS[hint], []
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
    """Every schema below this one, with its path as `spec.excludedServices[]`."""
    for name, child in schema.get("properties", {}).items():
        here = f"{path}.{name}".lstrip(".")
        yield here, child
        yield from walk(child, here)
    if items := schema.get("items"):
        yield f"{path}[]", items
        yield from walk(items, f"{path}[]")


FIELDS = dict(walk(ROOT))
# The API server has a schema of its own for these; for metadata it allows nothing but restrictions of the name.
OWN_FIELDS = {
    path: schema for path, schema in FIELDS.items() if path.startswith(("spec", "status"))
}


class TestSameAsTheTypes:
    def test_the_crd_and_the_types_have_the_same_fields(self) -> None:
        """Names, types, enums, defaults and requiredness are equal, all the way down."""
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
    def test_a_field_that_one_side_lacks_is_named_with_its_path(self, path: str, key: str) -> None:
        """Whoever adds a field to one side only is told which."""
        lacking, surplus = copy.deepcopy(ROOT), copy.deepcopy(ROOT)
        del dict(walk(lacking))[path]["properties"][key]
        dict(walk(surplus))[path]["properties"]["news"] = {"type": "string"}
        assert all_differences(lacking) == [f"{path}.{key}: not in the CRD"]
        assert [line.split(":")[0] for line in all_differences(surplus)] == [f"{path}.news"]

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
    def test_a_field_that_differs_is_named_with_its_path(
        self, path: str, key: str, value: object
    ) -> None:
        """Not only the names of fields are compared."""
        changed = copy.deepcopy(ROOT)
        dict(walk(changed))[path][key] = value
        (difference,) = all_differences(changed)
        assert difference.startswith(path)

    def test_the_names_are_those_of_the_core(self) -> None:
        """The controller asks for the group, version and plural that the CRD defines, in the scope it has."""
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
        """Nothing has to be converted, and status is a subresource that users do not write by accident."""
        assert len(CRD["spec"]["versions"]) == 1
        assert (SERVED["served"], SERVED["storage"]) == (True, True)
        assert SERVED["subresources"] == {"status": {}}

    def test_a_link_without_spec_is_refused(self) -> None:
        """The type has a default spec; the API has none, because a link without credentials means nothing."""
        assert ROOT["required"] == ["spec"]


class TestBounds:
    """The API server refuses a CRD whose CEL rules may cost too much, and it assumes the worst of what has no bound."""

    @pytest.mark.parametrize("path", OWN_FIELDS)
    def test_a_field_is_described(self, path: str) -> None:
        """`kubectl explain` has a sentence for every field."""
        description = OWN_FIELDS[path]["description"]
        assert description[0].isupper()
        assert description.endswith(".")

    @pytest.mark.parametrize(
        "path", [path for path, schema in OWN_FIELDS.items() if schema["type"] == "array"]
    )
    def test_a_list_is_bounded(self, path: str) -> None:
        """Lists have a largest length and a list type, so that server-side apply can merge them."""
        assert 1 <= OWN_FIELDS[path]["maxItems"] <= 1000
        assert OWN_FIELDS[path]["x-kubernetes-list-type"] in {"set", "map"}

    @pytest.mark.parametrize(
        "path", [path for path, schema in OWN_FIELDS.items() if schema["type"] == "string"]
    )
    def test_a_string_is_bounded(self, path: str) -> None:
        """Strings have a largest length, and every value of an enum fits into it."""
        limit = OWN_FIELDS[path]["maxLength"]
        assert all(len(value) <= limit for value in OWN_FIELDS[path].get("enum", []))

    @pytest.mark.parametrize(
        "path", [path for path, schema in OWN_FIELDS.items() if schema["type"] == "integer"]
    )
    def test_an_integer_has_a_width(self, path: str) -> None:
        """Integers say how large they get, and none is negative."""
        assert OWN_FIELDS[path]["format"] in {"int32", "int64"}
        assert OWN_FIELDS[path]["minimum"] == 0

    def test_the_largest_kubeconfig_fits(self) -> None:
        """The limit of the text holds the largest kubeconfig that is read, in base64 with lines of 76 characters."""
        encoded = 4 * math.ceil(MAX_SIZE / 3)
        assert encoded + math.ceil(encoded / 76) <= FIELDS["spec.kubeconfig"]["maxLength"]

    def test_conditions_are_merged_by_type(self) -> None:
        """Two writers of different conditions do not undo each other."""
        assert FIELDS["status.conditions"]["x-kubernetes-list-type"] == "map"
        assert FIELDS["status.conditions"]["x-kubernetes-list-map-keys"] == ["type"]


class TestColumns:
    def test_the_default_columns_are_those_of_the_readme(self) -> None:
        """`kubectl get clusterlinks` prints NAME, which is always first, ENABLED, VERSION, STATUS and AGE."""
        columns = [
            column for column in SERVED["additionalPrinterColumns"] if not column.get("priority")
        ]
        assert [(column["name"].upper(), column["jsonPath"]) for column in columns] == [
            ("ENABLED", ".spec.enabled"),
            ("VERSION", ".status.version"),
            ("STATUS", ".status.phase"),
            ("AGE", ".metadata.creationTimestamp"),
        ]

    def test_wide_adds_numbers_last_contact_and_filters(self) -> None:
        """`-o wide` adds columns behind those of the default view."""
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
    def test_a_column_shows_a_field_of_its_type(self, column: Schema) -> None:
        """The API server leaves a cell empty, without a word, where the path leads nowhere or the type is another."""
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
    """The regular expression of the rule `self.matches('...')`. It means the same to RE2 and to Python's re."""
    of = "self.metadata.name" if path == "metadata.name" else "self"
    (found,) = (
        match[1]
        for rule in rules(path)
        if (match := re.fullmatch(rf"{re.escape(of)}\.matches\('(.*)'\)", rule["rule"]))
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
    def test_a_good_name_is_accepted(self, path: str, text: str) -> None:
        """Every name that Kubernetes allows there can be written."""
        assert accepts(path, text)

    @pytest.mark.parametrize(
        ("path", "text"), [(path, text) for path, (_, bad) in PATTERNS.items() for text in bad]
    )
    def test_a_bad_name_is_refused(self, path: str, text: str) -> None:
        """A name that can match nothing is a mistake, and is better told at once."""
        assert not accepts(path, text)

    @pytest.mark.parametrize("path", PATTERNS)
    def test_a_pattern_holds_for_the_whole_text(self, path: str) -> None:
        """CEL searches: without anchors a pattern would accept whatever contains a good name."""
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
    def test_an_entry_is_no_longer_than_the_names_in_it(self, path: str, limit: int) -> None:
        """Namespaces and Services have names of at most 63 characters."""
        assert FIELDS[path]["maxLength"] == limit

    def test_the_name_of_a_link_is_no_longer_than_a_label_value(self) -> None:
        """The API server itself would allow 253 characters, and dots."""
        assert f"size(self.metadata.name) <= {MAX_NAME_LENGTH}" in [
            rule["rule"] for rule in rules("metadata.name")
        ]

    def test_exactly_one_of_the_two_kubeconfigs_is_set(self) -> None:
        """One rule for none and one for both: each has its own sentence."""
        assert [rule["rule"] for rule in rules("spec")] == [
            "has(self.kubeconfig) || has(self.kubeconfigSecretRef)",
            "!(has(self.kubeconfig) && has(self.kubeconfigSecretRef))",
        ]

    @pytest.mark.parametrize(
        "path", ["metadata.name", *(path for path in OWN_FIELDS if rules(path))]
    )
    def test_a_refusal_is_one_sentence_that_names_the_field(self, path: str) -> None:
        """The message alone tells what to mend: kubectl may print it without the path."""
        for rule in rules(path):
            assert path.removesuffix("[]") in rule["message"]
            assert "\n" not in rule["message"]
            assert not rule["message"].endswith(".")

    def test_the_unreachable_policy_waits_at_most_thirty_days(self) -> None:
        """Nothing longer makes sense, and seconds are easily confused with milliseconds."""
        assert FIELDS["spec.unreachable.afterSeconds"]["maximum"] == 30 * 24 * 60 * 60
