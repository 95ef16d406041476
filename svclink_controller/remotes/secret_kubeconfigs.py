"""Kubeconfigs that links keep in Secrets of the controller's namespace. Only Secrets that links name are read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from attrs import define, field

from svclink_controller.api.client import Client
from svclink_controller.reflect.reflector import Reflector, reflect_for_ever
from svclink_controller.wire.decoding import Secret
from svclink_controller.wire.messages import Listing, Undecodable
from svclink_controller.wire.resources import SECRETS
from svclink_core.link_identity import Problem
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from svclink_core.well_known import LinkReason


@define
class SecretKubeconfigs:
    """Watches each Secret that a link names, by itself.

    Args:
        client: The main cluster.
        namespace: The controller's.
        changed: Called when a Secret was read, changed or went, with its name.
    """

    client: Client
    namespace: str
    changed: Callable[[str], None]
    _watches: dict[str, asyncio.Task[None]] = field(factory=dict)
    _known: dict[str, Secret | Problem | None] = field(factory=dict)

    def require(self, names: set[str]) -> None:
        """Read these Secrets from now on, and no others."""
        for name in self._watches.keys() - names:
            self._watches.pop(name).cancel()
            self._known.pop(name, None)
        for name in names - self._watches.keys():
            self._watches[name] = asyncio.create_task(self._watch(name))

    def look_up(self, reference: SecretKeyReference) -> str | Problem | None:
        """The kubeconfig, in base64, or why there is none; None where it is too early to say."""
        if reference.name not in self._known:
            return None
        known = self._known[reference.name]
        return (
            known if isinstance(known, Problem) else kubeconfig_in(known, reference, self.namespace)
        )

    async def close(self) -> None:
        """Stop reading."""
        watches = list(self._watches.values())
        self.require(set())
        await asyncio.gather(*watches, return_exceptions=True)

    async def _watch(self, name: str) -> None:
        reflector = Reflector(
            self.client, SECRETS, self.namespace, field_selector=f"metadata.name={name}"
        )

        def report(problem: str) -> None:
            if not isinstance(
                self._known.get(name), Secret
            ):  # What was read stays good until something else is.
                self.set(
                    name, _problem(f"Secret {self.namespace}/{name} cannot be read: {problem}")
                )

        await reflect_for_ever(reflector, _SecretSink(self, name), report)

    def set(self, name: str, known: Secret | Problem | None) -> None:
        """Something was learnt of a Secret."""
        if name in self._watches and (name not in self._known or self._known[name] != known):
            self._known[name] = known
            self.changed(name)


def kubeconfig_in(
    secret: Secret | None, reference: SecretKeyReference, namespace: str
) -> str | Problem:
    """The kubeconfig, in base64, that a link keeps in a Secret of a namespace, or why there is none."""
    where = f"Secret {namespace}/{reference.name}"
    if secret is None:
        return _problem(f"there is no {where}: create it with the key {reference.key}")
    if (kubeconfig := dict(secret.data).get(reference.key)) is None:
        return _problem(f"{where} has no key {reference.key}: put the kubeconfig there")
    return kubeconfig


def _problem(message: str) -> Problem:
    return Problem(LinkReason.INVALID_KUBECONFIG, f"spec.kubeconfigSecretRef: {message}")


@define
class _SecretSink:
    """One Secret, which is there or not."""

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
        self.secrets.set(
            self.name, _problem(f"the Secret {each.key} is not understood: {each.problem}")
        )
