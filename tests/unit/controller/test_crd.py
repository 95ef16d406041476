"""The CustomResourceDefinitions match the attrs types, and their rules are cheap to evaluate.

Real: the files in crd/ and the types. The end-to-end tests send the files to an API server.
"""

from __future__ import annotations

import copy
import math
import re

import pytest

from svclink_controller.credentials.kubeconfig_yaml import MAX_SIZE
from svclink_core.api_rules import MAX_NAME_LENGTH
from svclink_core.traffic_policy_rules import MAX_CLUSTERS, POLICY_RANGES
from svclink_core.well_known import (
    API_VERSION,
    GROUP,
    PLURAL_CLUSTER_LINKS,
    PLURAL_TRAFFIC_POLICIES,
)
from tests.unit.controller.crd_schemas import (
    PARTS,
    Schema,
    all_differences,
    definition,
    own_fields,
    root,
    served,
    walk,
)

LINKS, POLICIES = PLURAL_CLUSTER_LINKS, PLURAL_TRAFFIC_POLICIES
FIELDS = {plural: own_fields(plural) for plural in PARTS}
LINK_FIELDS, POLICY_FIELDS = FIELDS[LINKS], FIELDS[POLICIES]


def of_type(kind: str) -> list[tuple[str, str]]:
    """Plural and path of every field of a type."""
    return [
        (plural, path)
        for plural, fields in FIELDS.items()
        for path, schema in fields.items()
        if schema["type"] == kind
    ]


class TestSameAsTheTypes:
    @pytest.mark.parametrize("plural", PARTS)
    def test_crd_and_types_have_the_same_fields(self, plural: str) -> None:
        """Names, types, enums, defaults and required fields are equal at all levels."""
        assert all_differences(plural, root(plural)) == []

    @pytest.mark.parametrize(
        ("plural", "path", "key"),
        [
            (LINKS, "spec", "clusterID"),
            (LINKS, "spec", "excludedServices"),
            (LINKS, "spec.kubeconfigSecretRef", "key"),
            (LINKS, "spec.unreachable", "afterSeconds"),
            (LINKS, "status", "phase"),
            (LINKS, "status.conditions[]", "observedGeneration"),
            (POLICIES, "spec.clusters[]", "share"),
            (POLICIES, "status", "activeTier"),
        ],
    )
    def test_missing_field_is_reported_with_its_path(
        self, plural: str, path: str, key: str
    ) -> None:
        """A field that only one side has is named."""
        missing, additional = copy.deepcopy(root(plural)), copy.deepcopy(root(plural))
        del dict(walk(missing))[path]["properties"][key]
        dict(walk(additional))[path]["properties"]["additional"] = {"type": "string"}
        assert all_differences(plural, missing) == [f"{path}.{key}: not in the CRD"]
        assert [line.split(":")[0] for line in all_differences(plural, additional)] == [
            f"{path}.additional"
        ]

    @pytest.mark.parametrize(
        ("plural", "path", "key", "value"),
        [
            (LINKS, "spec.enabled", "default", False),
            (LINKS, "spec.enabled", "type", "string"),
            (LINKS, "spec.unreachable", "default", None),
            (LINKS, "spec.unreachable.action", "enum", ["Keep", "Remove"]),
            (LINKS, "spec.includedNamespaces", "default", ["default"]),
            (LINKS, "spec.includedNamespaces[]", "type", "integer"),
            (LINKS, "spec.kubeconfigSecretRef", "required", []),
            (LINKS, "status.conditions[]", "required", ["type", "status", "reason", "message"]),
            (POLICIES, "spec.minReady", "default", 2),
            (POLICIES, "spec.targetRef", "required", []),
        ],
    )
    def test_different_field_is_reported_with_its_path(
        self, plural: str, path: str, key: str, value: object
    ) -> None:
        """Types, enums, defaults and required fields are compared as well."""
        changed = copy.deepcopy(root(plural))
        dict(walk(changed))[path][key] = value
        (difference,) = all_differences(plural, changed)
        assert difference.startswith(path)

    @pytest.mark.parametrize(
        ("plural", "kind", "scope"),
        [(LINKS, "ClusterLink", "Cluster"), (POLICIES, "TrafficPolicy", "Namespaced")],
    )
    def test_crd_has_the_names_of_the_core(self, plural: str, kind: str, scope: str) -> None:
        """The controller requests the group, version and plural of the CRD, at its scope."""
        spec = definition(plural)["spec"]
        assert (spec["group"], served(plural)["name"]) == (GROUP, API_VERSION)
        assert (spec["names"]["plural"], spec["names"]["kind"]) == (plural, kind)
        assert definition(plural)["metadata"]["name"] == f"{plural}.{GROUP}"
        assert spec["scope"] == scope

    @pytest.mark.parametrize("plural", PARTS)
    def test_one_version_is_served_and_stored(self, plural: str) -> None:
        """No version needs conversion, and users do not edit the status by accident."""
        assert (served(plural)["served"], served(plural)["storage"]) == (True, True)
        assert served(plural)["subresources"] == {"status": {}}

    @pytest.mark.parametrize("plural", PARTS)
    def test_spec_is_required(self, plural: str) -> None:
        """A link needs credentials, and a policy needs a Service."""
        assert root(plural)["required"] == ["spec"]


class TestBounds:
    """The API server refuses CEL rules that may cost too much, as on an unbounded field."""

    @pytest.mark.parametrize(
        ("plural", "path"), [(plural, path) for plural, fields in FIELDS.items() for path in fields]
    )
    def test_field_has_a_description(self, plural: str, path: str) -> None:
        """`kubectl explain` has a sentence for each field."""
        description = FIELDS[plural][path]["description"]
        assert description[0].isupper()
        assert description.endswith(".")

    @pytest.mark.parametrize(("plural", "path"), of_type("array"))
    def test_list_is_bounded(self, plural: str, path: str) -> None:
        """A list has a maximum length, and a list type for server-side apply.

        Those in a selector have that of Kubernetes' own selectors.
        """
        assert 1 <= FIELDS[plural][path]["maxItems"] <= 1000
        types = {"atomic"} if "Selector." in path else {"set", "map"}
        assert FIELDS[plural][path]["x-kubernetes-list-type"] in types

    @pytest.mark.parametrize(("plural", "path"), of_type("string"))
    def test_string_is_bounded(self, plural: str, path: str) -> None:
        """A string has a maximum length, which fits all values of an enum."""
        field = FIELDS[plural][path]
        assert all(len(value) <= field["maxLength"] for value in field.get("enum", []))

    @pytest.mark.parametrize(("plural", "path"), of_type("integer"))
    def test_integer_has_a_format_and_a_minimum(self, plural: str, path: str) -> None:
        """An integer has a format, and is not negative."""
        assert FIELDS[plural][path]["format"] in {"int32", "int64"}
        assert FIELDS[plural][path]["minimum"] >= 0

    def test_largest_kubeconfig_fits(self) -> None:
        """The limit fits the largest accepted kubeconfig, in base64 with lines of 76 characters."""
        encoded = 4 * math.ceil(MAX_SIZE / 3)
        lines = math.ceil(encoded / 76)
        assert encoded + lines <= LINK_FIELDS["spec.kubeconfig"]["maxLength"]

    def test_status_has_room_for_every_tier_of_both_families(self) -> None:
        """A Service may fail over to the last of 127 tiers, with all tiers before it in use."""
        tiers = POLICY_FIELDS["status.tiers"]
        assert tiers["maxItems"] == 2 * POLICY_FIELDS["spec.clusters[].tier"]["maximum"]
        assert tiers["x-kubernetes-list-map-keys"] == ["tier", "ipFamily"]

    @pytest.mark.parametrize("plural", PARTS)
    def test_conditions_are_merged_by_type(self, plural: str) -> None:
        """Writers of different conditions do not overwrite each other."""
        conditions = FIELDS[plural]["status.conditions"]
        assert conditions["x-kubernetes-list-type"] == "map"
        assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def columns(plural: str, *, wide: bool) -> list[tuple[str, str]]:
    """Head and path of the columns, in order."""
    return [
        (column["name"].upper(), column["jsonPath"])
        for column in served(plural)["additionalPrinterColumns"]
        if bool(column.get("priority")) == wide
    ]


class TestColumns:
    def test_default_columns_are_those_of_the_readme(self) -> None:
        """`kubectl get clusterlinks` prints NAME, ENABLED, VERSION, STATUS and AGE."""
        assert columns(LINKS, wide=False) == [
            ("ENABLED", ".spec.enabled"),
            ("VERSION", ".status.version"),
            ("STATUS", ".status.phase"),
            ("AGE", ".metadata.creationTimestamp"),
        ]

    def test_columns_of_a_policy(self) -> None:
        """`kubectl get trafficpolicies` prints NAME, SERVICE, ACTIVE TIER, APPLIED and AGE."""
        assert columns(POLICIES, wide=False) == [
            ("SERVICE", ".spec.targetRef.name"),
            ("ACTIVE TIER", ".status.activeTier"),
            ("APPLIED", '.status.conditions[?(@.type=="Applied")].status'),
            ("AGE", ".metadata.creationTimestamp"),
        ]

    def test_wide_output_adds_columns(self) -> None:
        """`-o wide` adds counts, the last contact and filters after the default columns."""
        assert [path for _, path in columns(LINKS, wide=True)] == [
            ".status.services",
            ".status.endpoints",
            ".status.lastConnected",
            ".spec.includedNamespaces",
            ".spec.excludedNamespaces",
            ".spec.drained",
        ]

    @pytest.mark.parametrize("plural", PARTS)
    def test_wide_columns_come_last(self, plural: str) -> None:
        """kubectl prints the columns in the order of the CRD."""
        priorities = [
            column.get("priority", 0) for column in served(plural)["additionalPrinterColumns"]
        ]
        assert priorities == sorted(priorities)

    @pytest.mark.parametrize(
        ("plural", "column"),
        [
            (plural, column)
            for plural in PARTS
            for column in served(plural)["additionalPrinterColumns"]
        ],
    )
    def test_column_has_the_type_of_its_field(self, plural: str, column: Schema) -> None:
        """For a wrong path or type, the API server silently leaves the cell empty."""
        if column["jsonPath"] == ".metadata.creationTimestamp":
            assert column["type"] == "date"
            return
        path = re.sub(r"\[\?\(.*\)\]", "[]", column["jsonPath"].removeprefix("."))
        field = FIELDS[plural][path]
        shown_as = "date" if field.get("format") == "date-time" else field["type"]
        assert column["type"] == ("string" if shown_as == "array" else shown_as)


LABEL_63 = "a" * 63
NAMES = (
    ["a", "0", "web", "web-1", "1-web", "a--b", LABEL_63],
    ["", "-a", "a-", "A", "a.b", "a_b", "a/b", "é", "a\n", "*"],
)
PATTERNS: dict[tuple[str, str], tuple[list[str], list[str]]] = {
    (LINKS, "metadata.name"): NAMES,
    (LINKS, "spec.includedNamespaces[]"): NAMES,
    (LINKS, "spec.excludedNamespaces[]"): NAMES,
    (LINKS, "spec.excludedServiceNames[]"): NAMES,
    (LINKS, "spec.excludedServices[]"): (
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
    (LINKS, "spec.kubeconfigSecretRef.name"): (
        ["a", "a.b", "remote-1.kubeconfig"],
        ["", ".a", "a.", "a..b", "A", "a/b", "a\n", "-a"],
    ),
    (LINKS, "spec.kubeconfigSecretRef.key"): (
        ["kubeconfig", "tls.crt", ".x", "A_b-c"],
        ["", "a/b", "a b", "a\n", "ä"],
    ),
    (LINKS, "spec.clusterID"): (
        ["bf96c8d9-d62d-4a5d-a001-a7a4552a4101"],
        ["", "a b", "a\n", "a.b", "{x}"],
    ),
    (POLICIES, "spec.targetRef.name"): NAMES,
    (POLICIES, "spec.clusters[].name"): NAMES,
}


def rules(plural: str, path: str) -> list[Schema]:
    found = root(plural) if path == "metadata.name" else FIELDS[plural][path]
    return list(found.get("x-kubernetes-validations", []))


def pattern(plural: str, path: str) -> str:
    """Return the pattern of a rule `self.matches('...')`, which RE2 and re read alike."""
    subject = "self.metadata.name" if path == "metadata.name" else "self"
    (found,) = (
        match[1]
        for rule in rules(plural, path)
        if (match := re.fullmatch(rf"{re.escape(subject)}\.matches\('(.*)'\)", rule["rule"]))
    )
    return found


def accepts(plural: str, path: str, text: str) -> bool:
    is_root = path == "metadata.name"
    limit = MAX_NAME_LENGTH if is_root else FIELDS[plural][path]["maxLength"]
    # fullmatch, because `$` of Python also matches before a newline at the end.
    return len(text) <= limit and re.fullmatch(pattern(plural, path), text) is not None


class TestRules:
    @pytest.mark.parametrize(
        ("field", "text"), [(field, text) for field, (good, _) in PATTERNS.items() for text in good]
    )
    def test_valid_name_is_accepted(self, field: tuple[str, str], text: str) -> None:
        """Each name that Kubernetes allows is accepted."""
        assert accepts(*field, text)

    @pytest.mark.parametrize(
        ("field", "text"), [(field, text) for field, (_, bad) in PATTERNS.items() for text in bad]
    )
    def test_invalid_name_is_refused(self, field: tuple[str, str], text: str) -> None:
        """A name that cannot match anything is an error, and is refused at once."""
        assert not accepts(*field, text)

    @pytest.mark.parametrize("field", PATTERNS)
    def test_pattern_matches_the_whole_text(self, field: tuple[str, str]) -> None:
        """Without anchors, a CEL pattern accepts any text that contains a valid name."""
        assert pattern(*field).startswith("^")
        assert pattern(*field).endswith("$")

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
        assert LINK_FIELDS[path]["maxLength"] == limit

    def test_name_of_link_fits_a_label_value(self) -> None:
        """Without this rule, the API server would allow 253 characters and dots."""
        assert f"size(self.metadata.name) <= {MAX_NAME_LENGTH}" in [
            rule["rule"] for rule in rules(LINKS, "metadata.name")
        ]

    def test_exactly_one_kubeconfig_is_set(self) -> None:
        """There is one rule for none and one for both, each with its own sentence."""
        assert [rule["rule"] for rule in rules(LINKS, "spec")] == [
            "has(self.kubeconfig) || has(self.kubeconfigSecretRef)",
            "!(has(self.kubeconfig) && has(self.kubeconfigSecretRef))",
        ]

    def test_shares_are_percent(self) -> None:
        """A share has the range of a percentage, and what shares have in common is one rule."""
        share = POLICY_FIELDS["spec.clusters[].share"]
        assert (share["minimum"], share["maximum"]) == (0, 100)

    def test_limits_are_those_of_the_core(self) -> None:
        """Policies in files are refused by the same limits."""
        ranges = {
            path.rpartition(".")[2]: (schema["minimum"], schema["maximum"])
            for path, schema in POLICY_FIELDS.items()
            if path.startswith("spec") and schema["type"] == "integer"
        }
        assert ranges == POLICY_RANGES
        assert POLICY_FIELDS["spec.clusters"]["maxItems"] == MAX_CLUSTERS
        (rule,) = rules(POLICIES, "spec")
        assert rule["rule"].endswith(".sum() <= 100")

    def test_clusters_are_merged_by_name(self) -> None:
        """A list with a cluster twice is refused, and server-side apply merges two lists."""
        clusters = POLICY_FIELDS["spec.clusters"]
        assert clusters["x-kubernetes-list-type"] == "map"
        assert clusters["x-kubernetes-list-map-keys"] == ["name"]

    @pytest.mark.parametrize(
        ("plural", "path"),
        [
            (LINKS, "metadata.name"),
            *((plural, path) for plural, fields in FIELDS.items() for path in fields),
        ],
    )
    def test_message_is_one_sentence_that_names_the_field(self, plural: str, path: str) -> None:
        """The message is clear on its own, because kubectl may print it without the path."""
        for rule in rules(plural, path):
            assert path.replace("[]", "") in rule["message"]
            assert "\n" not in rule["message"]
            assert not rule["message"].endswith(".")

    def test_unreachable_policy_waits_at_most_thirty_days(self) -> None:
        """A longer time is probably a mistake, such as milliseconds."""
        assert LINK_FIELDS["spec.unreachable.afterSeconds"]["maximum"] == 30 * 24 * 60 * 60
