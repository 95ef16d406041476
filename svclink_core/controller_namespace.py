"""Which namespace is the controller's: its Lease is there, and the Secrets that links refer to.

A Pod knows its namespace. From elsewhere it is the one in which controllers are seen to run.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, TypeAlias

from attrs import frozen

CONTROLLER_NAMESPACE_FLAG: Final = "--controller-namespace"


@frozen
class KnownNamespace:
    """The namespace was given, or the controller was found there."""

    name: str

    @property
    def names(self) -> tuple[str, ...]:
        """The namespace alone."""
        return (self.name,)

    @property
    def sentence(self) -> str:
        """Where the controller is."""
        return f"svclink's namespace is {self.name}"


@frozen
class AssumedNamespace:
    """No controller was found: it is assumed in the namespace of the kubeconfig's context.

    Args:
        name: The namespace.
        is_everything_seen: Whether all namespaces could be searched.
    """

    name: str
    is_everything_seen: bool

    @property
    def names(self) -> tuple[str, ...]:
        """The namespace alone."""
        return (self.name,)

    @property
    def sentence(self) -> str:
        """Why this namespace is assumed, and what to do if that is wrong."""
        why = (
            "no svclink Deployment or Lease was found"
            if self.is_everything_seen
            else "the credentials in use cannot list Deployments or Leases in all namespaces"
        )
        return (
            f"{why}, so namespace {self.name} from the kubeconfig's context is used: if svclink"
            f" runs in another namespace, pass {CONTROLLER_NAMESPACE_FLAG}"
        )


@frozen
class AmbiguousNamespace:
    """Controllers run in several namespaces, and the context names none of them."""

    names: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Where controllers run, and how to choose one of them."""
        return (
            f"controllers run in namespaces {', '.join(self.names)}: pass"
            f" {CONTROLLER_NAMESPACE_FLAG} with one of them"
        )


ControllerNamespace: TypeAlias = KnownNamespace | AssumedNamespace | AmbiguousNamespace
"""The namespace of the controller, and how sure that is."""


def controller_namespace(
    sightings: Sequence[Collection[str] | None], context: str
) -> ControllerNamespace:
    """The namespace of the controller, by the strongest evidence that names one.

    Where controllers run in several namespaces, the context decides if it names one of them.

    Args:
        sightings: Namespaces in which controllers were seen, the strongest evidence first; None
            where looking for it is not permitted.
        context: The namespace of the kubeconfig's context.
    """
    strongest = next((set(names) for names in sightings if names), None)
    if strongest is None:
        return AssumedNamespace(context, is_everything_seen=None not in sightings)
    if context in strongest:
        return KnownNamespace(context)
    if len(strongest) == 1:
        return KnownNamespace(min(strongest))
    return AmbiguousNamespace(tuple(sorted(strongest)))
