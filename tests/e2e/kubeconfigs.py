"""Kubeconfigs with one cluster, one user and one context."""

from __future__ import annotations

import trustme
import yaml

from tests.builders.manifests import Manifest, encoded


def kubeconfig(name: str, cluster: Manifest, user: Manifest, namespace: str) -> str:
    """A kubeconfig with these cluster and user entries; cluster and context have the name."""
    context = {"cluster": name, "user": "user", "namespace": namespace}
    return str(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": cluster}],
                "users": [{"name": "user", "user": user}],
                "contexts": [{"name": name, "context": context}],
                "current-context": name,
            }
        )
    )


def certificate_user(certificate: trustme.LeafCert) -> Manifest:
    """The user entry for a client certificate."""
    return {
        "client-certificate-data": encoded_pem(certificate.cert_chain_pems[0]),
        "client-key-data": encoded_pem(certificate.private_key_pem),
    }


def encoded_pem(blob: trustme.Blob) -> str:
    return encoded(blob.bytes().decode())
