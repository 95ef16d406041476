"""Draws kubeconfigs: of the grammar of the allow-list, and mutations of those in the wild."""

from __future__ import annotations

import base64
import codecs
import copy
import functools
import json
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import yaml
from attrs import field, frozen
from hypothesis import strategies as st

from svclink_controller.credentials.allowed_fields import ALLOWED_FIELDS, REFUSED_FIELDS
from tests.fuzz.canaries import CA_PEM, Canaries
from tests.fuzz.samples import SAMPLES, Config, encoded

Place: TypeAlias = tuple[str | int, ...]

SHOWN_FIELDS: Final = frozenset(
    {"name", "apiVersion", "kind", "command", "args", "interactiveMode", "installHint"}
)
"""Fields whose values messages about the administrator's kubeconfig may quote."""


@frozen
class Case:
    """A kubeconfig, and the secrets in it."""

    content: bytes
    secrets: Canaries = field(repr=False)


# The grammar of the allow-list

_names: Final = st.sampled_from(["a", "b", "", "default/api:6443/kube:admin", "arn:aws:eks:x"])
_hosts: Final = st.sampled_from(
    [
        *("remote.example", "a_b.example.", "xn--mnchen-3ya.example", "10.0.0.1", "[fd00::1]"),
        *(
            "[::ffff:169.254.169.254]",
            "localhost",
            "1",
            "0x7f.1",
            "-a",
            "a..b",
            "x" * 64,
            "a" * 254,
        ),
    ]
)
_ports: Final = st.sampled_from(["", ":6443", ":0", ":65536", ":"])
_paths: Final = st.sampled_from(["", "/", "/k8s/clusters/c-m-0123", "/..;/%2e%2e/", "?a=b", "#c"])
servers: Final = st.builds(
    lambda scheme, host, port, path: f"{scheme}{host}{port}{path}",
    st.sampled_from(["https://", "HTTPS://", "http://", "", "https:/"]),
    _hosts,
    _ports,
    _paths,
)


@st.composite
def users(draw: st.DrawFn, secrets: Canaries) -> Config:
    """A user with fields of the allow-list."""
    fields: dict[str, st.SearchStrategy[Any]] = {
        "token": st.sampled_from([secrets.token, secrets.jwt, f"{secrets.token}\n", " ", None]),
        "client-certificate-data": st.sampled_from(
            [encoded(secrets.certificate), encoded(secrets.certificate + secrets.key), None]
        ),
        "client-key-data": st.sampled_from([*_keys(secrets), None]),
        "extensions": st.just([]),
    }
    return draw(st.fixed_dictionaries({}, optional=fields))


def _keys(secrets: Canaries) -> Iterator[str]:
    """The key as it is, and as other programs spoil it."""
    key = secrets.key
    yield encoded(key)
    yield encoded(key.replace(b"EC PRIVATE", b"PRIVATE").replace(b"RSA PRIVATE", b"PRIVATE"))
    yield encoded(key[: len(key) // 2])
    yield encoded(key.replace(b"\n", b"\r\n"))
    yield encoded(encoded(key).encode())
    yield encoded(secrets.certificate + key)


@st.composite
def clusters(draw: st.DrawFn) -> Config:
    """A cluster with fields of the allow-list."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        "certificate-authority-data": st.sampled_from(
            [encoded(CA_PEM), encoded(CA_PEM * 3), encoded(CA_PEM[:200]), ""]
        ),
        "tls-server-name": st.sampled_from(["a.example", "10.0.0.1", "a b", "", "a" * 64]),
        "insecure-skip-tls-verify": st.sampled_from([True, False, "true", None]),
        "disable-compression": st.sampled_from([True, False, "no"]),
        "proxy-url": st.sampled_from(["", None, "http://proxy:3128", "socks5://p", "http://["]),
        "extensions": st.just([]),
    }
    return draw(st.fixed_dictionaries({"server": servers}, optional=optional))


@st.composite
def grammar(draw: st.DrawFn, secrets: Canaries) -> Config:
    """A kubeconfig of the allow-list: one to three entries of each list."""

    def entries(kind: str, values: st.SearchStrategy[Config]) -> st.SearchStrategy[Any]:
        entry = st.fixed_dictionaries({"name": _names, kind: values})
        return st.lists(entry, min_size=1, max_size=3)

    context = st.fixed_dictionaries(
        {"cluster": _names, "user": _names}, optional={"namespace": _names}
    )
    return draw(
        st.fixed_dictionaries(
            {
                "clusters": entries("cluster", clusters()),
                "users": entries("user", users(secrets)),
                "contexts": entries("context", context),
                "current-context": _names,
            },
            optional={"apiVersion": st.just("v1"), "kind": st.just("Config")},
        )
    )


# Mutations of values

_KEYS: Final = sorted(
    {*REFUSED_FIELDS, *(key for keys in ALLOWED_FIELDS.values() for key in keys), "<<", "", "Token"}
)


def _nasty(secrets: Canaries, canary_file: str) -> st.SearchStrategy[Any]:
    """Values that do not belong where they are put."""
    texts = (
        *(
            "",
            "\0",
            "a\nb",
            "~",
            "\u2028",
            "x" * 300,
            "2024-13-45",
            "2024-01-15",
            "9" * 5000,
            "=",
            "0x",
        ),
        *(
            "https://[",
            "https://a:99999",
            "//",
            "http://\u2100",
            "-----BEGIN PRIVATE KEY-----",
            "../..",
        ),
        *(
            canary_file,
            "/dev/null",
            ".",
            "missing",
            "true",
            "!!binary x",
            "&a",
            "*a",
            "%TAG",
            "{",
            "[",
        ),
    )
    exec_plugin: Any = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "interactiveMode": "Never",
        "command": "/bin/true",
        "env": [{"name": "A", "value": secrets.token}],
    }
    scalars: st.SearchStrategy[Any] = st.sampled_from(texts) | st.text(max_size=8)
    return st.one_of(
        scalars,
        st.sampled_from([None, True, False, 0, -1, 10**30, 1e308, float("inf"), [], {}]),
        st.sampled_from([secrets.token, secrets.jwt, secrets.password, *_keys(secrets)]),
        st.just(f"https://admin:{secrets.password}@host:99999"),
        st.just(exec_plugin),
        st.lists(scalars, max_size=2),
        st.dictionaries(st.sampled_from(_KEYS), scalars, max_size=2),
    )


def places(value: Any, here: Place = ()) -> list[Place]:
    """The places of all values in a kubeconfig, except the whole."""
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [place for key, item in inner for place in ((*here, key), *places(item, (*here, key)))]


def at(value: Any, place: Place) -> Any:
    """The value at a place."""
    return functools.reduce(operator.getitem, place, value)


@st.composite
def mutated(
    draw: st.DrawFn, config: Config, secrets: Canaries, canary_file: str, *, is_admin: bool
) -> Config:
    """A copy with up to four values replaced, removed, renamed, added or repeated."""
    changed = copy.deepcopy(config)
    keys = [each for each in _KEYS if not (is_admin and is_shown((each,)))]
    for _ in range(draw(st.integers(0, 4))):
        known = [each for each in places(changed) if not (is_admin and is_shown(each))]
        if not known:
            break
        *start, last = draw(st.sampled_from(known))
        parent = at(changed, tuple(start))
        if isinstance(parent, list) and isinstance(last, int):
            _change_item(parent, last, draw, secrets, canary_file)
        elif isinstance(parent, dict) and isinstance(last, str):
            _change_field(parent, last, draw(st.sampled_from(keys)), draw, secrets, canary_file)
    return changed


def _change_item(
    parent: list[Any], index: int, draw: st.DrawFn, secrets: Canaries, canary_file: str
) -> None:
    match draw(st.sampled_from(("replace", "remove", "repeat"))):
        case "replace":
            parent[index] = draw(_nasty(secrets, canary_file))
        case "remove":
            del parent[index]
        case _:
            parent.append(copy.deepcopy(parent[index]))


def _change_field(
    parent: Config, name: str, other: str, draw: st.DrawFn, secrets: Canaries, canary_file: str
) -> None:
    match draw(st.sampled_from(("replace", "add", "remove", "rename"))):
        case "replace":
            parent[name] = draw(_nasty(secrets, canary_file))
        case "add":
            parent[other] = draw(_nasty(secrets, canary_file))
        case "remove":
            del parent[name]
        case _:
            parent[other] = parent.pop(name)


def is_shown(place: Place) -> bool:
    """Whether messages about the administrator's kubeconfig may quote the value at a place."""
    is_name = place[0] in ("contexts", "current-context", "apiVersion", "kind")
    return is_name or place[-1] in SHOWN_FIELDS or "args" in place


# Mutations of text


def _as_yaml(config: Config, **style: Any) -> str:
    return str(yaml.dump(config, Dumper=_DUMPER, **style))


# The writer in C is ten times faster, but a PyYAML built from source may lack it.
_DUMPER: Final = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

_WRITERS: Final[tuple[Callable[[Config], str], ...]] = (
    json.dumps,
    _as_yaml,
    lambda config: _as_yaml(config, default_flow_style=True, width=40),
    lambda config: _as_yaml(config, indent=6, explicit_start=True, explicit_end=True),
    lambda config: _as_yaml(config) + "---\n",
    lambda config: _as_yaml(config).replace("\n", "\r\n"),
)
_PIECES: Final = [
    *(
        b"",
        b"\t",
        b"\0",
        b"\xff",
        b"\n---\n",
        b"&a ",
        b"*a",
        b"!!python/object:os.system ",
        b"!!int ",
    ),
    *(
        b"!!timestamp ",
        b"!!binary ",
        b"!!bool ",
        b"!!float ",
        b"<<: ",
        b"? ",
        b"- ",
        b": ",
        b"'",
        b'"',
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b"|\n",
        b">\n",
        b"#",
        b"%YAML 9.9\n",
        b"exec: ",
        b"\xc2\x85",
        b"\\u0000",
    ),
]


@st.composite
def spoiled(draw: st.DrawFn, content: bytes) -> bytes:
    """The text with up to three pieces cut out, inserted or written twice, or in another form."""
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2, 3]))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 60)))
        middle = draw(st.sampled_from([*_PIECES, content[start:end] * 2]))
        content = content[:start] + middle + content[end:]
    form = draw(st.sampled_from(["plain"] * 6 + ["bom", "utf-16", "base64"]))
    return _FORMS[form](content)


_FORMS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "plain": lambda content: content,
    "bom": lambda content: codecs.BOM_UTF8 + content,
    "utf-16": lambda content: content.decode("utf-8", "replace").encode("utf-16"),
    "base64": base64.b64encode,
}


@st.composite
def cases(draw: st.DrawFn, canary_file: str, *, is_admin: bool = False) -> Case:
    """A kubeconfig of either kind, mutated or not.

    Args:
        canary_file: A file that nothing may read.
        is_admin: Whether it is the administrator's, whose messages quote names.
    """
    secrets = Canaries.of(draw(st.integers(0, 10**18)), is_rsa=draw(st.booleans()))
    sample = st.sampled_from(sorted(SAMPLES)).map(lambda name: SAMPLES[name](secrets))
    config = draw(sample | grammar(secrets))
    config = draw(mutated(config, secrets, canary_file, is_admin=is_admin))
    text = draw(st.sampled_from(_WRITERS))(config)
    return Case(draw(spoiled(text.encode("utf-8", "surrogatepass"))), secrets)
