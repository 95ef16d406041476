"""Kubeconfigs that links keep in Secrets of the controller's namespace.

Only the Secrets that links name are read, each with a watch of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.reflect.reflector import Reflector, reflect_forever
from svclink_controller.wire.decoding import Secret
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_controller.wire.resources import SECRETS
from svclink_core.link_identity import Problem
from svclink_core.link_target import SECRET_NOT_READ, SecretContent
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from svclink_core.well_known import LinkReason


@define
class SecretKubeconfigs:
    """The Secrets that links name.

    Args:
        client: The main cluster.
        namespace: The namespace of the controller.
        changed: Called with the name of a Secret that was read, changed or deleted.
    """

    client: Client
    namespace: str
    changed: Callable[[str], None]
    _watches: dict[str, asyncio.Task[None]] = field(factory=dict)
    _secrets: dict[str, Secret | Problem | None] = field(factory=dict)

    def require(self, names: set[str]) -> None:
        """Read these Secrets from now on, and no others."""
        for name in self._watches.keys() - names:
            self._watches.pop(name).cancel()
            self._secrets.pop(name, None)
        for name in names - self._watches.keys():
            self._watches[name] = asyncio.create_task(self._watch(name))

    def look_up(self, reference: SecretKeyReference) -> SecretContent:
        """The kubeconfig in base64, or why there is none."""
        if reference.name not in self._secrets:
            return SECRET_NOT_READ
        secret = self._secrets[reference.name]
        if isinstance(secret, Problem):
            return secret
        return kubeconfig_in(secret, reference, self.namespace)

    async def close(self) -> None:
        """Stop reading."""
        watches = list(self._watches.values())
        self.require(set())
        await asyncio.gather(*watches, return_exceptions=True)

    async def _watch(self, name: str) -> None:
        reflector = secret_reflector(self.client, self.namespace, name)

        def fail(problem: str) -> None:
            # A Secret that was read once stays valid while it cannot be read again.
            if not isinstance(self._secrets.get(name), Secret):
                message = f"Secret {self.namespace}/{name} cannot be read: {problem}"
                self.set(name, _problem(message))

        await reflect_forever(reflector, _SecretSink(self, name), fail)

    def set(self, name: str, secret: Secret | Problem | None) -> None:
        """Store a Secret, the reason why it cannot be used, or None if it does not exist."""
        is_new = name not in self._secrets or self._secrets[name] != secret
        if name in self._watches and is_new:
            self._secrets[name] = secret
            self.changed(name)


def secret_reflector(client: Client, namespace: str, name: str) -> Reflector[Secret]:
    """Reads one Secret by `list` and `watch`: the Role of svclink has no other permission."""
    return Reflector(client, SECRETS, namespace, field_selector=f"metadata.name={name}")


def kubeconfig_in(
    secret: Secret | None, reference: SecretKeyReference, namespace: str
) -> str | Problem:
    """The kubeconfig in base64 that a link keeps in a Secret, or why there is none."""
    where = f"Secret {namespace}/{reference.name}"
    if secret is None:
        return _problem(f"there is no {where}: create it with the key {reference.key}")
    if (kubeconfig := dict(secret.data).get(reference.key)) is None:
        return _problem(f"{where} has no key {reference.key}: add the key with the kubeconfig")
    return kubeconfig


def _problem(message: str) -> Problem:
    return Problem(LinkReason.INVALID_KUBECONFIG, f"spec.kubeconfigSecretRef: {message}")


@define
class _SecretSink:
    """One Secret, which may not exist."""

    secrets: SecretKubeconfigs
    name: str

    async def replace(self, listing: Listing[Secret]) -> None:
        for each in listing.undecodable:
            self.mark_undecodable(each)
        if not listing.undecodable:
            self.secrets.set(self.name, listing.items[0] if listing.items else None)

    def apply(self, item: Secret) -> None:
        self.secrets.set(self.name, item)

    def remove(self, _: NamespacedName) -> None:
        self.secrets.set(self.name, None)

    def mark_undecodable(self, each: Undecodable) -> None:
        message = f"Secret {each.key} could not be decoded: {each.problem}"
        self.secrets.set(self.name, _problem(message))
