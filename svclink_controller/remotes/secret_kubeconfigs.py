"""Kubeconfigs that links keep in Secrets of the controller's namespace.

They may be those that Cluster API and Argo CD write. Only the Secrets that links name are read,
each with a watch of its own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.credentials.argo_clusters import CONFIG_KEY, SERVER_KEY, argo_document
from svclink_controller.reflect.reflector import (
    ReadError,
    Reflector,
    reflect_forever,
    warn_unread,
)
from svclink_controller.wire.decoding import Secret
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_controller.wire.resources import SECRETS
from svclink_core.controller_namespace import (
    AmbiguousNamespace,
    AssumedNamespace,
    ControllerNamespace,
    KnownNamespace,
)
from svclink_core.link_identity import Problem, SecretFault
from svclink_core.link_reasons import LinkReason
from svclink_core.link_target import SECRET_NOT_READ, SecretContent
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import SecretKeyReference

SecretHome: TypeAlias = KnownNamespace | AssumedNamespace
"""The namespace of the Secrets."""


@define
class SecretKubeconfigs:
    """The Secrets that links name.

    Args:
        client: The main cluster.
        home: The namespace of the controller.
        changed: Called with the name of a Secret that was read, changed or deleted.
        heard: Called with the name of a Secret and why it cannot be read; None: it is read again,
            or no link names it any more.
    """

    client: Client
    home: ControllerNamespace
    changed: Callable[[str], None]
    heard: Callable[[str, ReadError | None], None] = lambda _, __: None
    _watches: dict[str, asyncio.Task[None]] = field(factory=dict)
    _secrets: dict[str, Secret | Problem | None] = field(factory=dict)

    def require(self, names: set[str]) -> None:
        """Read these Secrets from now on, and no others; none until it is clear where."""
        if isinstance(self.home, AmbiguousNamespace):
            return
        for name in self._watches.keys() - names:
            self._watches.pop(name).cancel()
            self._secrets.pop(name, None)
            self.heard(name, None)
        for name in names - self._watches.keys():
            self._watches[name] = asyncio.create_task(self._watch(name, self.home))

    def look_up(self, reference: SecretKeyReference) -> SecretContent:
        """The kubeconfig in base64, or why there is none."""
        if isinstance(self.home, AmbiguousNamespace):
            return unclear_home(self.home)
        if reference.name not in self._secrets:
            return SECRET_NOT_READ
        secret = self._secrets[reference.name]
        if isinstance(secret, Problem):
            return secret
        return kubeconfig_in(secret, reference, self.home)

    async def close(self) -> None:
        """Stop reading."""
        watches = list(self._watches.values())
        self.require(set())
        await asyncio.gather(*watches, return_exceptions=True)

    async def _watch(self, name: str, home: SecretHome) -> None:
        reflector = secret_reflector(self.client, home.name, name)
        reflector.on_activity = partial(self.heard, name, None)

        def fail(error: ReadError) -> None:
            warn_unread(SECRETS.plural, error)
            self.heard(name, error)
            # A Secret that was read once stays valid while it cannot be read again.
            if not isinstance(self._secrets.get(name), Secret):
                self.set(name, unreadable_secret(name, home, str(error)))

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
    secret: Secret | None, reference: SecretKeyReference, home: SecretHome
) -> str | Problem:
    """The kubeconfig in base64 that a link keeps in a Secret, or why there is none.

    In a Secret of Argo CD the URL of the API server is apart from the credentials.
    """
    where = f"Secret {home.name}/{reference.name}"
    if secret is None:
        missing = f"there is no {where}: create it with the key {reference.key}"
        return _problem(missing + _doubt(home), SecretFault.MISSING)
    data = dict(secret.data)
    if (kubeconfig := data.get(reference.key)) is None:
        return _problem(
            f"{where} has no key {reference.key}: add this key, with the kubeconfig as its value"
        )
    is_of_argo = reference.key == CONFIG_KEY and SERVER_KEY in data
    return argo_document(data[SERVER_KEY], kubeconfig) if is_of_argo else kubeconfig


def unreadable_secret(name: str, home: SecretHome, problem: str) -> Problem:
    """What a link shows whose Secret cannot be read."""
    message = f"Secret {home.name}/{name} cannot be read: {problem}"
    return _problem(message + _doubt(home), SecretFault.UNREADABLE)


def undecodable_secret(secret: Undecodable) -> Problem:
    """What a link shows whose Secret cannot be decoded."""
    return _problem(f"Secret {secret.key} could not be decoded: {secret.problem}")


def unclear_home(home: AmbiguousNamespace) -> Problem:
    """What a link shows whose Secret may be in one of several namespaces."""
    return _problem(home.sentence, SecretFault.UNREADABLE)


def _doubt(home: SecretHome) -> str:
    return f" ({home.sentence})" if isinstance(home, AssumedNamespace) else ""


def _problem(message: str, fault: SecretFault | None = None) -> Problem:
    text = f"spec.kubeconfigSecretRef: {message}"
    return Problem(LinkReason.INVALID_KUBECONFIG, text, secret_fault=fault)


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
        self.secrets.set(self.name, undecodable_secret(each))
