"""Secrets to put into kubeconfigs, and a search for them in what svclink prints."""

from __future__ import annotations

import base64
import json
from typing import Final

import trustme
from attrs import field, frozen

_AUTHORITY: Final = trustme.CA()
_EC: Final = _AUTHORITY.issue_cert("fuzz.test")
_RSA: Final = _AUTHORITY.issue_cert("fuzz.test", key_type=trustme.KeyType.RSA)

CA_PEM: Final = _AUTHORITY.cert_pem.bytes()
SHOWN_CHARACTERS: Final = 12
"""So many characters of a secret in a row in a message are a leak."""


@frozen
class Canaries:
    """The secrets of one kubeconfig, different in each.

    Args:
        token: An opaque token, as k3s, Rancher and OpenShift use.
        jwt: A token of a ServiceAccount.
        password: A password.
        certificate: A client certificate as PEM, which is public.
        key: Its private key as PEM.
    """

    token: str
    jwt: str
    password: str
    certificate: bytes = field(repr=False)
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, seed: int, *, is_rsa: bool) -> Canaries:
        """The secrets of a seed."""
        client = _RSA if is_rsa else _EC
        digits = f"{seed:020}"
        claims = json.dumps({"iss": "kubernetes/serviceaccount", "sub": digits * 20}).encode()
        parts = (b'{"alg":"RS256","kid":"k"}', claims, (digits * 12).encode())
        return cls(
            token=f"tok{digits}{digits[::-1]}",
            jwt=".".join(base64.urlsafe_b64encode(each).decode().rstrip("=") for each in parts),
            password=f"pw{digits[::-1]}-{digits}",
            certificate=client.cert_chain_pems[0].bytes(),
            key=client.private_key_pem.bytes(),
        )

    def leaked_in(self, text: str) -> list[str]:
        """The secrets that a text shows a part of, whatever white space is in between."""
        squeezed = "".join(text.split())
        return [name for name, parts in self._parts() if any(part in squeezed for part in parts)]

    def _parts(self) -> list[tuple[str, list[str]]]:
        key_lines = self.key.decode().splitlines()[1:-1]
        encoded = base64.b64encode(self.key).decode()
        # All base64 of keys begins alike: the beginning says nothing about the key.
        secrets = {
            "token": self.token,
            "jwt": self.jwt.rpartition(".")[2],
            "password": self.password,
            "key": "".join(key_lines)[64:],
            "encoded key": encoded[len(encoded) // 2 :],
        }
        return [(name, _windows(secret)) for name, secret in secrets.items()]


def _windows(secret: str) -> list[str]:
    last = max(1, len(secret) - SHOWN_CHARACTERS)
    return [secret[start : start + SHOWN_CHARACTERS] for start in range(0, last, 4)]
