"""Decoded messages of an API server: pages and lists of objects, watch events, errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeAlias, TypeVar

from attrs import define, frozen

from svclink_controller.wire.decoding import Secret
from svclink_controller.wire.written_events import WrittenEvent
from svclink_core.api_server_calls import ApiServerCaller
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import SvclinkError
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.traffic_policy_v1alpha1 import TrafficPolicy

T = TypeVar(
    "T",
    Service,
    Namespace,
    EndpointSlice,
    ClusterLink,
    TrafficPolicy,
    Secret,
    ApiServerCaller,
    WrittenEvent,
)
"""Every kind of object that svclink reads."""

MAX_RETRY_AFTER: Final = 120
"""The longest pause in seconds that a server can ask for."""


class WireError(SvclinkError):
    """The response of a server is not a valid response of the Kubernetes API."""

    def __init__(self, message: str) -> None:
        super().__init__(clean_text(message))


class TooManyItemsError(WireError):
    """A page of a list has more items than were requested, and more than svclink reads."""


@frozen
class Undecodable:
    """An undecodable object of a list or watch event: it exists, so it does not count as deleted.

    Args:
        key: The object.
        service: The Service that the object belongs to.
        problem: Why it could not be decoded.
    """

    key: NamespacedName
    service: NamespacedName
    problem: str


def undecodable_link(found: Undecodable, *, is_selected: bool = True) -> ClusterLink:
    """The link that stands for an undecodable one."""
    metadata = ObjectMeta(found.key.name, found.key.namespace)
    return ClusterLink(metadata, is_selected=is_selected, undecodable=found.problem)


@frozen
class Page(Generic[T]):
    """One page of a list.

    Args:
        objects: Decodes each object when it is requested, because decoding all at once takes long.
            Raises `WireError` for an item that is not an object.
        resource_version: The resourceVersion of the list.
        continue_token: Continues the list on the next page. Empty on the last page.
    """

    objects: Iterator[T | Undecodable]
    resource_version: str
    continue_token: str


@define
class Listing(Generic[T]):
    """A complete list at a resourceVersion. Undecodable objects are part of it.

    Args:
        items: The decoded objects.
        undecodable: The others.
        resource_version: The resourceVersion of the list.
        memory: Bytes that the objects take, as far as they are not in the state already.
    """

    items: list[T]
    undecodable: list[Undecodable]
    resource_version: str
    memory: int = 0

    def add(self, each: T | Undecodable) -> None:
        """Add an object."""
        if isinstance(each, Undecodable):
            self.undecodable.append(each)
        else:
            self.items.append(each)


@frozen
class Changed(Generic[T]):
    """Watch event: an object was added or modified."""

    item: T


@frozen
class Deleted:
    """Watch event: an object was deleted."""

    key: NamespacedName


@frozen
class Bookmark:
    """Watch event: there are no other changes up to this resourceVersion."""

    resource_version: str


@frozen
class Status:
    """The error of an API server (meta/v1 Status)."""

    code: int
    reason: str
    message: str
    causes: tuple[str, ...] = ()
    retry_after: float | None = None


WatchEvent: TypeAlias = Changed[T] | Deleted | Bookmark | Status | Undecodable

IsHeld: TypeAlias = Callable[[NamespacedName, str, str], bool]
"""Whether the state holds an object with this uid in this resourceVersion already."""


def nothing_is_held(_: NamespacedName, __: str, ___: str) -> bool:
    """An `IsHeld` that decodes the object of every event."""
    return False


def is_earlier(version: str, other: str) -> bool:
    """Whether a resourceVersion is older than another of the same kind in the same cluster.

    Versions compare as numbers (KEP-5504). A version that is not a number is never older or newer.
    """
    return all(_NUMBER.fullmatch(each) for each in (version, other)) and int(version) < int(other)


def clean_text(text: str, limit: int = 256) -> str:
    """One printable line of limited length, for logs, status and terminals."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:limit]


_NUMBER: Final = re.compile("[0-9]{1,39}")
"""Up to 128 bits. Python parses longer numbers slowly, and rejects very long ones."""
