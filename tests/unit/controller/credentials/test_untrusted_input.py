"""Any bytes give credentials or a refusal; nothing is opened or started.

Real: the parsers, certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import base64
import json
import random
import subprocess
import sys

import yaml
from hypothesis import given
from hypothesis import strategies as st

from svclink_controller.credentials.kubeconfig import Credentials, KubeconfigError, parse_kubeconfig
from tests.unit.controller.credentials.kubeconfigs import (
    CLIENT,
    CLUSTER,
    RSA_CLIENT,
    USER,
    Json,
    Path,
    as_yaml,
    b64,
    child,
    edited,
    pem,
    with_certificate,
    with_token,
)
from tests.unit.controller.credentials.test_allowed_fields import refused_documents
from tests.unit.controller.credentials.test_kubeconfig_yaml import YAML_ERRORS


class TestNothingHappens:
    def test_nothing_is_opened_or_started(self) -> None:
        """Audit events report what is opened, imported, started or connected during parsing."""
        documents = [
            as_yaml(config) for config in (with_token(), with_certificate(), *refused_documents())
        ]
        documents += [content for content, _ in YAML_ERRORS.values()]
        documents += broken(documents, 300)
        done = subprocess.run(
            [sys.executable, "-c", AUDITED],
            input=json.dumps([b64(document) for document in documents]),
            capture_output=True,
            text=True,
            check=True,
        )
        answer = json.loads(done.stdout)
        assert answer.pop("accepted") + answer.pop("refused") == len(documents)
        assert answer == {"seen": [], "control": ["open"]}


def broken(documents: list[bytes], count: int) -> list[bytes]:
    """Documents with bytes removed, doubled, replaced or joined from two documents."""
    chance = random.Random(20260125)  # noqa: S311 - test data
    results = []
    for _ in range(count):
        content, other = chance.choice(documents)[:20_000], chance.choice(documents)[:20_000]
        start, end = sorted(chance.choices(range(len(content) + 1), k=2))
        middle = chance.choice(
            (b"", content[start:end] * 2, chance.randbytes(3), other[start:end], b"exec: !!x &y")
        )
        results.append(content[:start] + middle + content[end:])
    return results


AUDITED = """
import base64, json, os, sys
from svclink_controller.credentials.kubeconfig import KubeconfigError, parse_kubeconfig
documents = [base64.b64decode(text) for text in json.load(sys.stdin)]
seen = []
effects = (
    "open", "import", "exec", "compile", "os.", "subprocess.", "socket.", "ctypes.", "shutil.",
    "tempfile.",
)
sys.addaudithook(lambda event, _: seen.append(event) if event.startswith(effects) else None)
accepted = refused = 0
for document in documents:
    try:
        parse_kubeconfig(document)
        accepted += 1
    except KubeconfigError:
        refused += 1
before = list(seen)
open(os.devnull).close()
control = seen[len(before):]
print(json.dumps(dict(accepted=accepted, refused=refused, seen=before, control=control)))
"""


def outcome(content: bytes) -> Credentials | KubeconfigError:
    """Credentials or an error; any other exception fails the test."""
    try:
        return parse_kubeconfig(content)
    except KubeconfigError as error:
        return error


def paths(value: Json, here: Path = ()) -> list[Path]:
    """Every place of a document that can be changed: values, and new items and fields."""
    match value:
        case list():
            inner = [
                path for index, item in enumerate(value) for path in paths(item, (*here, index))
            ]
            return [here, *inner, (*here, len(value))]
        case dict():
            inner = [path for key, item in value.items() for path in paths(item, (*here, key))]
            return [here, *inner, *((*here, key) for key in NASTY_KEYS)]
        case _:
            return [here]


NASTY_KEYS = [
    "<<",
    "exec",
    "token",
    "tls-server-name",
    "",
    "\x85",
    "insecure-skip-tls-verify",
    "disable-compression",
]
NASTY_TEXTS = [
    "",
    "\x00",
    "\ud800",
    "~",
    "é",
    "x" * 300,
    "https://[",
    "https://a:99999",
    "-----BEGIN CERTIFICATE-----",
    "=",
    "&a",
]
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(NASTY_TEXTS)
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(NASTY_KEYS) | st.text(), inner, max_size=4)
    ),
    max_leaves=20,
)
tokens = st.sampled_from(
    [
        *"[]{},'\"!|>?-:#%\n\t\0\ufeff\u2028",
        *(
            "a",
            ": ",
            "  ",
            "- ",
            "? ",
            "<<: ",
            "&a ",
            "*a",
            "!!str ",
            "|\n",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "\\ud800",
        ),
        *("null", "2024-01-15", "1e999", "clusters", "users", "contexts", "current-context"),
    ]
)
valid_configs = st.sampled_from([with_token(), with_certificate()])


@st.composite
def changed(draw: st.DrawFn) -> dict[str, Json]:
    """A valid kubeconfig with one to three values replaced or added."""
    config = draw(valid_configs)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from([path for path in paths(config) if path]))
        config = edited(config, path, draw(values))
    return config


class TestWhateverTheBytes:
    @given(st.binary(max_size=500))
    def test_random_bytes(self, content: bytes) -> None:
        """Random bytes are refused."""
        assert isinstance(outcome(content), KubeconfigError)

    @given(st.lists(tokens, max_size=40).map("".join))
    def test_yaml_tokens(self, text: str) -> None:
        """Text that resembles YAML is refused without another exception."""
        assert isinstance(outcome(text.encode()), KubeconfigError)

    @given(changed(), st.booleans())
    def test_changed_values(self, config: dict[str, Json], is_json: bool) -> None:
        """An accepted kubeconfig leads to an https server whose certificate is verified."""
        text = json.dumps(config) if is_json else yaml.safe_dump(config, allow_unicode=False)
        result = outcome(text.encode("utf-8", "surrogatepass"))
        if isinstance(result, Credentials):
            assert result.server.startswith("https://")
            assert not result.insecure
            assert result.token or (result.client_certificate and result.client_key)

    @given(valid_configs, st.data())
    def test_changed_bytes(self, config: dict[str, Json], data: st.DataObject) -> None:
        """A damaged kubeconfig is read or refused."""
        content = as_yaml(config)
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 20)))
        outcome(content[:start] + data.draw(st.binary(max_size=8)) + content[end:])

    @given(
        st.sampled_from(
            ["certificate-authority-data", "client-certificate-data", "client-key-data"]
        ),
        st.data(),
    )
    def test_changed_der(self, name: str, data: st.DataObject) -> None:
        """A damaged certificate or key is read or refused, however its parser fails."""
        is_rsa = data.draw(st.booleans())
        client = RSA_CLIENT if is_rsa else CLIENT
        user: dict[str, Json] = {
            "client-certificate-data": b64(client.cert_chain_pems[0].bytes()),
            "client-key-data": b64(client.private_key_pem.bytes()),
        }
        config = edited(with_token(), USER, user)
        path = (*(CLUSTER if name.startswith("certificate") else USER), name)
        lines = base64.b64decode(
            str(child(child(child(child(config, path[0]), path[1]), path[2]), name))
        ).splitlines()
        der = bytearray(base64.b64decode(b"".join(lines[1:-1])))
        for _ in range(data.draw(st.integers(1, 3))):
            der[data.draw(st.integers(0, len(der) - 1))] = data.draw(st.integers(0, 255))
        label = lines[0].decode().removeprefix("-----BEGIN ").removesuffix("-----")
        outcome(as_yaml(edited(config, path, b64(pem(label, bytes(der))))))
