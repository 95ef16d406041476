"""The YAML of a kubeconfig is read within limits and without surprises, by either parser.

Real: the parsers. Substituted: nothing.
"""

from __future__ import annotations

import pytest
import yaml

from svclink_controller.credentials.kubeconfig import parse_kubeconfig
from svclink_controller.credentials.kubeconfig_yaml import YamlLoader
from tests.unit.controller.credentials.kubeconfigs import (
    INVALID,
    TOKEN,
    as_yaml,
    refusal,
    shown,
    with_token,
)

UNPARSABLE = "kubeconfig cannot be parsed as UTF-8 YAML or JSON"

YAML_ERRORS: dict[str, tuple[bytes, str | tuple[str, str]]] = {
    "nothing": (b"", "kubeconfig is empty"),
    "a comment": (b"# hush\n", "kubeconfig is empty"),
    "an empty document": (b"---\n", "kubeconfig is not a mapping"),
    "a scalar": (b"hush", "kubeconfig is not a mapping"),
    "a list": (b"- hush", "kubeconfig is not a mapping"),
    "not UTF-8": (b"a: \xffhush", UNPARSABLE),
    "UTF-16": ("kind: hush".encode("utf-16"), UNPARSABLE),
    "a null byte": (b"kind: hush\x00", UNPARSABLE),
    "not YAML": (b"kind: Config\ntoken: [hush", f"{UNPARSABLE} (line "),
    "a second document": (
        b"kind: Config\n---\nkind: hush\n",
        "kubeconfig line 2 starts a second document",
    ),
    "an error after the document": (b"kind: Config\n...\n[hush", f"{UNPARSABLE} (line "),
    "an anchor": (b"kind: &hush Config\n", "kubeconfig line 1 uses an anchor"),
    "an alias": (b"kind: Config\ntoken: *hush\n", "kubeconfig line 2 uses an anchor or an alias"),
    "an alias bomb": (b"a: &a [x]\nb: &b [*a,*a]\nc: [*b,*b]", "kubeconfig line 1 uses an anchor"),
    "a tag": (b"kind: !!python/object/apply:os.system [hush]", "kubeconfig line 1 uses a tag"),
    "a binary": (b"kind: !!binary aHVzaA==", "kubeconfig line 1 uses a tag"),
    "a field twice": (b"kind: Config\nkind: hush", "kubeconfig line 2 repeats a field"),
    "a field twice in JSON": (
        b'{"kind": "Config",\n"kind": "hush"}',
        "kubeconfig line 2 repeats a field",
    ),
    "a list as key": (b"? [hush]\n: x", "kubeconfig line 1 has a key that is not a string"),
    "a mapping as key": (b"? {hush: x}\n: x", "kubeconfig line 1 has a key that is not a string"),
    "deep lists": (b"[" * 900, "kubeconfig line 1 is nested deeper"),
    "lists too deep for libyaml 0.2.6 itself": (
        b"[" * 100_000,
        (f"{UNPARSABLE} (line 1)", "kubeconfig line 1 is nested deeper"),
    ),
    "deep mappings": (b'{"a":' * 50_000, "kubeconfig line 1 is nested deeper"),
    "deep block lists": (b"- " * 100_000, "kubeconfig line 1 is nested deeper"),
    "many values": (
        b"a: [" + b"x," * 30_000 + b"]",
        "kubeconfig has more than 20000 values (limit reached at line 1)",
    ),
    "many bytes": (b"#" * (256 * 1024 + 1), "kubeconfig is larger than 262144 bytes"),
}


@pytest.fixture(
    params=[loader for loader in ("CSafeLoader", "SafeLoader") if hasattr(yaml, loader)]
)
def yaml_loader(request: pytest.FixtureRequest) -> YamlLoader:
    """Both YAML parsers: libyaml's, and the one that a PyYAML without libyaml falls back to."""
    loader: YamlLoader = getattr(yaml, request.param)
    return loader


class TestYaml:
    @pytest.mark.parametrize(("content", "text"), YAML_ERRORS.values(), ids=YAML_ERRORS)
    def test_document_that_is_not_plain_is_refused(
        self, yaml_loader: YamlLoader, content: bytes, text: str | tuple[str, str]
    ) -> None:
        """Only one limited document without aliases, tags and repeated fields is read."""
        error = refusal(content, yaml_loader)
        assert str(error).startswith(text)
        assert error.reason == INVALID
        assert "hush" not in shown(error)

    @pytest.mark.parametrize(
        "scalar", ["123", "1e3", "0x10", "2024-01-15", "1_000", "yes", "<<", ".inf", "9" * 5000]
    )
    def test_plain_scalar_is_text(self, yaml_loader: YamlLoader, scalar: str) -> None:
        """Numbers and dates have no meaning in a kubeconfig: a token of digits is a token."""
        content = as_yaml(with_token()).replace(
            f"token: {TOKEN}".encode(), f"token: {scalar}".encode()
        )
        assert parse_kubeconfig(content, yaml_loader=yaml_loader).token == scalar

    @pytest.mark.parametrize("scalar", ["true", "false"])
    def test_unquoted_boolean_is_not_text(self, yaml_loader: YamlLoader, scalar: str) -> None:
        """As in Kubernetes, true and false without quotes are not strings."""
        content = as_yaml(with_token()).replace(
            f"token: {TOKEN}".encode(), f"token: {scalar}".encode()
        )
        assert refusal(content, yaml_loader).where == "users[0].user.token"

    @pytest.mark.parametrize("scalar", ["", "~", "null", '""'])
    def test_empty_value_is_absent(self, yaml_loader: YamlLoader, scalar: str) -> None:
        """Null and the empty string mean the same as no field, as in Kubernetes."""
        content = as_yaml(with_token()).replace(
            f"token: {TOKEN}".encode(), f"token: {scalar}".encode()
        )
        assert refusal(content, yaml_loader).where == "users[0].user"

    def test_both_parsers_read_the_same(self, yaml_loader: YamlLoader) -> None:
        """A kubeconfig means the same with either parser."""
        assert parse_kubeconfig(as_yaml(with_token()), yaml_loader=yaml_loader).token == TOKEN
