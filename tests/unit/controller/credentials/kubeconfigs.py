"""Kubeconfigs to edit, and what their errors contain.

Real: certificates and keys. Substituted: nothing.
"""

from __future__ import annotations

import base64
import copy
import traceback
from typing import TypeAlias

import pytest
import trustme
import yaml

from svclink_controller.credentials.kubeconfig import KubeconfigError, parse_kubeconfig
from svclink_controller.credentials.kubeconfig_yaml import DEFAULT_LOADER, YamlLoader

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Path: TypeAlias = tuple[str | int, ...]

INVALID = "InvalidKubeconfig"
INSECURE = "InsecureKubeconfig"

AUTHORITY, OTHER_AUTHORITY = trustme.CA(), trustme.CA(key_type=trustme.KeyType.RSA)
CLIENT = AUTHORITY.issue_cert("svclink.test")
RSA_CLIENT = OTHER_AUTHORITY.issue_cert("svclink.test", key_type=trustme.KeyType.RSA)
CA_PEM = AUTHORITY.cert_pem.bytes()
CLIENT_PEM, CLIENT_KEY = CLIENT.cert_chain_pems[0].bytes(), CLIENT.private_key_pem.bytes()
TOKEN = "hush.hush-0123456789"  # noqa: S105 - not a real secret


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pem(label: str, der: bytes) -> bytes:
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN {label}-----\n{body}-----END {label}-----\n".encode()


def with_token() -> dict[str, Json]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "remote-cluster",
                "cluster": {
                    "server": "https://remote.example:6443",
                    "certificate-authority-data": b64(CA_PEM),
                },
            }
        ],
        "users": [{"name": "remote-user", "user": {"token": TOKEN}}],
        "contexts": [
            {
                "name": "remote-context",
                "context": {"cluster": "remote-cluster", "user": "remote-user"},
            }
        ],
        "current-context": "remote-context",
    }


def with_certificate() -> dict[str, Json]:
    user: dict[str, Json] = {
        "client-certificate-data": b64(CLIENT_PEM),
        "client-key-data": b64(CLIENT_KEY),
    }
    return edited(with_token(), ("users", 0, "user"), user)


def edited(config: dict[str, Json], path: Path, value: Json) -> dict[str, Json]:
    """A copy with another value at a path; an index past the end of a list extends it."""
    changed = copy.deepcopy(config)
    here: Json = changed
    for step in path[:-1]:
        here = child(here, step)
    last = path[-1]
    if isinstance(here, list) and isinstance(last, int):
        here[last : last + 1] = [value]
    elif isinstance(here, dict) and isinstance(last, str):
        here[last] = value
    else:
        raise TypeError(path)
    return changed


def child(value: Json, step: str | int) -> Json:
    if isinstance(value, list) and isinstance(step, int):
        return value[step]
    if isinstance(value, dict) and isinstance(step, str):
        return value[step]
    raise TypeError(step)


def as_yaml(config: Json) -> bytes:
    return yaml.safe_dump(config).encode()


def leaves(value: Json) -> set[str]:
    """All strings of a document except keys."""
    match value:
        case str():
            return {value}
        case list():
            return set().union(*map(leaves, value))
        case dict():
            return set().union(*map(leaves, value.values()))
        case _:
            return set()


def refusal(content: bytes, yaml_loader: YamlLoader = DEFAULT_LOADER) -> KubeconfigError:
    """The error of a kubeconfig that must be refused."""
    with pytest.raises(KubeconfigError) as caught:
        parse_kubeconfig(content, yaml_loader=yaml_loader)
    error = caught.value
    assert error.reason in {INVALID, INSECURE}
    assert str(error).startswith(error.where)
    assert "; " in str(error), "the problem, and its fix"
    assert "\n" not in str(error)
    return error


def shown(error: KubeconfigError) -> str:
    """Everything that a log line could contain of an error."""
    return "\n".join(
        [str(error), repr(error), repr(error.args), *traceback.format_exception(error)]
    )


CLUSTER: Path = ("clusters", 0, "cluster")
USER: Path = ("users", 0, "user")
CONTEXT: Path = ("contexts", 0, "context")
EXEC: Json = {
    "apiVersion": "client.authentication.k8s.io/v1",
    "command": "/usr/bin/exfiltrate",
    "args": ["hushhush"],
}
