"""What travels between svclink and an API server: pages of lists, lines of watches, errors.

Everything a server answers is untrusted. A list is taken apart first and its objects are decoded one by one, so that
one that makes no sense costs only itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Generic, Literal, TypeAlias, TypeVar, assert_never

import msgspec
from attrs import evolve, frozen

from svclink_controller.decoding import (
    Secret,
    Struct,
    decode_link,
    decode_namespace,
    decode_remote_slice,
    decode_secret,
    decode_service,
    decode_slice,
)
from svclink_controller.label_selector import LabelSelector
from svclink_core.core_v1 import Namespace, Service
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import BadInputError, SvclinkError
from svclink_core.meta_v1 import NamespacedName
from svclink_core.svclink_v1alpha1 import ClusterLink
from svclink_core.well_known import (
    LABEL_CLUSTER,
    LABEL_GO_CLUSTER,
    LABEL_MANAGED_BY,
    LABEL_MCS_SOURCE_CLUSTER,
    LABEL_SERVICE_NAME,
    MANAGED_BY,
)

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


@frozen
class Resource(Generic[T]):
    """One kind of object: where the API serves it, and how its objects are decoded.

    `prefix` is the path before `/namespaces/...`, `plural` the last part of it. `label_selector` says which objects the
    server need not even send.
    """

    prefix: str
    plural: str
    decode: Callable[[bytes | msgspec.Raw], T]
    label_selector: str = ""

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path of the collection, in one namespace or in all (empty), or of one object."""
        scope = f"/namespaces/{namespace}" if namespace else ""
        return f"{self.prefix}{scope}/{self.plural}" + (f"/{name}" if name else "")


def decode_page(content: bytes, resource: Resource[T]) -> Page[T]:
    """One page of a list, its objects not decoded yet.

    Raises:
        WireError: The content is not a Kubernetes list at all.
    """
    try:
        envelope = _LIST.decode(content)
    except _MALFORMED as error:
        raise _no_list(resource, error) from error
    metadata = envelope.metadata
    return Page(_decode_all(envelope.items or [], resource), metadata.resource_version, metadata.continue_token or "")


def _decode_all(raws: list[msgspec.Raw], resource: Resource[T]) -> Iterator[T | Undecodable]:
    for raw in raws:
        try:
            decoded = _decode_one(raw, resource)
        except _MALFORMED as error:
            raise _no_list(resource, error) from error
        yield decoded


def _no_list(resource: Resource[T], error: Exception) -> WireError:
    return WireError(f"the server's list of {resource.plural} is no Kubernetes list: {error}")


IsKnown: TypeAlias = Callable[[NamespacedName, str, str], bool]
"""Whether an object is held already, as it is with this uid in this resourceVersion."""


def nothing_is_known(_: NamespacedName, __: str, ___: str) -> bool:
    """Nothing is known already."""
    return False


def decode_event(line: bytes, resource: Resource[T], is_known: IsKnown = nothing_is_known) -> tuple[WatchEvent[T], str]:
    """One line of a watch: the event, and the resourceVersion reached with it (empty where it has none).

    Where the object is held already nothing happened: such an event is a bookmark, and its object is not decoded.

    Raises:
        WireError: The line is no watch event at all.
    """
    try:
        envelope = _EVENT.decode(line)
        if envelope.type == "ERROR":
            return decode_status(envelope.object), ""
        metadata = _META_ONLY.decode(envelope.object).metadata
    except _MALFORMED as error:
        raise WireError(f"a line of the server's watch of {resource.plural} is no watch event: {error}") from error
    match envelope.type:
        case "BOOKMARK":
            return Bookmark(metadata.resource_version), metadata.resource_version
        case "DELETED":
            return Deleted(NamespacedName(metadata.namespace, metadata.name)), metadata.resource_version
        case "ADDED" | "MODIFIED":
            if is_known(NamespacedName(metadata.namespace, metadata.name), metadata.uid, metadata.resource_version):
                return Bookmark(metadata.resource_version), metadata.resource_version
            result = _decode_one(envelope.object, resource)
            return result if isinstance(result, Undecodable) else Changed(result), metadata.resource_version
        case unexpected:
            assert_never(unexpected)


def decode_object(content: bytes, resource: Resource[T]) -> T:
    """The object in the answer to a write.

    Raises:
        WireError: The content is no such object.
    """
    try:
        return resource.decode(content)
    except (*_MALFORMED, BadInputError) as error:
        raise WireError(f"the server's answer is none of {resource.plural}: {error}") from error


def decode_status(content: bytes | msgspec.Raw, code: int = 0, reason: str = "") -> Status:
    """The Status of an error answer. Proxies and overload answers are no JSON: then the text itself is the message."""
    try:
        raw = _STATUS.decode(content)
    except _MALFORMED:
        return Status(
            code=code, reason=clean_text(reason), message=clean_text(bytes(content)[:1024].decode(errors="replace"))
        )
    details = raw.details or _Details()
    return Status(
        code=raw.code or code,
        reason=clean_text(raw.reason or reason),
        message=clean_text(raw.message),
        causes=tuple(cause.reason for cause in details.causes or ()),
        retry_after=min(details.retry_after_seconds or 0, MAX_RETRY_AFTER) or None,
    )


def is_earlier(version: str, other: str) -> bool:
    """Whether one resourceVersion comes before another of the same kind of object in the same cluster.

    They compare as numbers (KEP-5504); what is no number is not compared.
    """
    return all(_NUMBER.fullmatch(each) for each in (version, other)) and int(version) < int(other)


def clean_text(text: str, limit: int = 256) -> str:
    """Text of a server as one printable line of limited length: it ends up in logs, status and terminals."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(printable.split())[:limit]


def _decode_one(raw: msgspec.Raw, resource: Resource[T]) -> T | Undecodable:
    try:
        return resource.decode(raw)
    except (*_MALFORMED, BadInputError) as error:
        metadata = _META_ONLY.decode(raw).metadata
        namespace, name = metadata.namespace, metadata.name
        service = name if resource is SERVICES else (metadata.labels or {}).get(LABEL_SERVICE_NAME) or name
        return Undecodable(NamespacedName(namespace, name), NamespacedName(namespace, service), clean_text(str(error)))


_NUMBER: Final = re.compile("[0-9]{1,39}")
"""As long as 128 bits: reading longer ones is slow, and refused by Python at some length."""


class _ListMeta(Struct):
    resource_version: str = ""
    continue_token: str | None = msgspec.field(name="continue", default=None)


class _List(Struct):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None


class _Event(Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _Identity(Struct):
    """Of metadata, what even an object that makes no sense must have, to be told from the others."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None


class _MetaOnly(Struct):
    metadata: _Identity


class _Cause(Struct):
    reason: str = ""


class _Details(Struct):
    causes: list[_Cause] | None = None
    retry_after_seconds: int | None = None


class _Status(Struct):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises, whatever a server sends: wrong types, no JSON, no UTF-8, a thousand lists in each other."""

_LIST: Final = msgspec.json.Decoder(_List)
_EVENT: Final = msgspec.json.Decoder(_Event)
_META_ONLY: Final = msgspec.json.Decoder(_MetaOnly)
_STATUS: Final = msgspec.json.Decoder(_Status)
SERVICES: Final = Resource("/api/v1", "services", decode_service)
NAMESPACES: Final = Resource("/api/v1", "namespaces", decode_namespace)
REMOTE_ENDPOINT_SLICES: Final = Resource(
    "/apis/discovery.k8s.io/v1",
    "endpointslices",
    decode_remote_slice,
    f"{LABEL_SERVICE_NAME},{LABEL_MANAGED_BY}!={MANAGED_BY},!{LABEL_CLUSTER},!{LABEL_GO_CLUSTER},!{LABEL_MCS_SOURCE_CLUSTER}",
)
"""As remote clusters are read: slices of no Service, and those mirrored there from elsewhere, are not sent at all."""

ENDPOINT_SLICES: Final = Resource("/apis/discovery.k8s.io/v1", "endpointslices", decode_slice)
SECRETS: Final = Resource("/api/v1", "secrets", decode_secret)
CLUSTER_LINKS: Final = Resource("/apis/svclink.cloudpilot.ai/v1alpha1", "clusterlinks", decode_link)


def sharing(resource: Resource[T], share: Callable[[T], T]) -> Resource[T]:
    """A kind of object whose objects are, once decoded, exchanged for equal ones."""
    return evolve(resource, decode=lambda content: share(resource.decode(content)))


def cluster_links(selector: LabelSelector) -> Resource[ClusterLink]:
    """ClusterLinks, of which only some are this controller's to work on."""
    return evolve(CLUSTER_LINKS, decode=partial(decode_link, selector=selector))


class _Version(Struct):
    git_version: str


_VERSION: Final = msgspec.json.Decoder(_Version)


def decode_version(content: bytes) -> str:
    """The Kubernetes version in the answer of `/version`, as `v1.36.3`."""
    try:
        return clean_text(_VERSION.decode(content).git_version)
    except _MALFORMED as error:
        raise WireError(f"the server's /version is not that of Kubernetes: {error}") from error


def decode_uid(content: bytes) -> str:
    """The uid of an object of any kind."""
    try:
        return clean_text(_META_ONLY.decode(content).metadata.uid, limit=128)
    except _MALFORMED as error:
        raise WireError(f"the server's answer is no Kubernetes object: {error}") from error
