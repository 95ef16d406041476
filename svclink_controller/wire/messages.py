"""What an API server says, decoded: pages and lists of objects, watch events, errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeAlias, TypeVar

from attrs import frozen

from svclink_controller.wire.decoding import (
    Secret,
)
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import SvclinkError
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import ClusterLink

T = TypeVar("T", Service, Namespace, EndpointSlice, ClusterLink, Secret)

MAX_RETRY_AFTER: Final = 120
"""Seconds a server is left alone at most, however long it asks for."""


class WireError(SvclinkError):
    """A server answered something that is not the Kubernetes API."""

    def __init__(self, message: str) -> None:
        super().__init__(clean_text(message))


@frozen
class Undecodable:
    """An object of a list or event that could not be decoded: which one, the Service it belongs to, and why.

    It exists, so it must not count as absent.
    """

    key: NamespacedName
    service: NamespacedName
    problem: str


@frozen
class Page(Generic[T]):
    """One page of a list. `continue_token` is empty on the last one.

    `objects` are decoded as they are asked for, because all at once take long; what is none raises `WireError`.
    """

    objects: Iterator[T | Undecodable]
    resource_version: str
    continue_token: str


@frozen
class Listing(Generic[T]):
    """A complete list, and the resourceVersion it is of. What could not be decoded exists all the same."""

    items: list[T]
    undecodable: list[Undecodable]
    resource_version: str

    def add(self, each: T | Undecodable) -> None:
        """One more object."""
        if isinstance(each, Undecodable):
            self.undecodable.append(each)
        else:
            self.items.append(each)


@frozen
class Changed(Generic[T]):
    """A watch event: the object was added or modified."""

    item: T


@frozen
class Deleted:
    """A watch event: the object is gone."""

    key: NamespacedName


@frozen
class Bookmark:
    """A watch event: nothing happened up to this resourceVersion."""

    resource_version: str


@frozen
class Status:
    """An API error as the server words it (meta/v1 Status)."""

    code: int
    reason: str
    message: str
    causes: tuple[str, ...] = ()
    retry_after: float | None = None


WatchEvent: TypeAlias = Changed[T] | Deleted | Bookmark | Status | Undecodable

IsKnown: TypeAlias = Callable[[NamespacedName, str, str], bool]
"""Whether an object is held already, as it is with this uid in this resourceVersion."""


def nothing_is_known(_: NamespacedName, __: str, ___: str) -> bool:
    """Nothing is known already."""
    return False


def is_earlier(version: str, other: str) -> bool:
    """Whether one resourceVersion comes before another of the same kind of object in the same cluster.

    They compare as numbers (KEP-5504); what is no number is not compared.
    """
    return all(_NUMBER.fullmatch(each) for each in (version, other)) and int(version) < int(other)


def clean_text(text: str, limit: int = 256) -> str:
    """Text of a server as one printable line of limited length: it ends up in logs, status and terminals."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:limit]


_NUMBER: Final = re.compile("[0-9]{1,39}")
"""As long as 128 bits: reading longer ones is slow, and refused by Python at some length."""
