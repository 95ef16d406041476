"""Reads the responses of an API server: pages of lists, lines of watches, errors.

All responses are untrusted. A list is split first and its objects are decoded one by one, so that
an undecodable object does not affect the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Literal, TypeVar, assert_never

import msgspec

from svclink_controller.wire.bounded_arrays import bounded_array, items_of
from svclink_controller.wire.decoding import Struct, decode_written_slice
from svclink_controller.wire.messages import (
    MAX_RETRY_AFTER,
    Bookmark,
    Changed,
    Deleted,
    IsHeld,
    Page,
    Status,
    T,
    TooManyItemsError,
    Undecodable,
    WatchEvent,
    WireError,
    clean_text,
    nothing_is_held,
)
from svclink_controller.wire.object_limits import OversizeError, require_usual_size
from svclink_controller.wire.resources import (
    ENDPOINT_SLICES,
    SERVICES,
    TRAFFIC_POLICIES,
    Resource,
)
from svclink_core.discovery_v1 import EndpointSlice
from svclink_core.errors import BadInputError
from svclink_core.meta_v1 import NamespacedName
from svclink_core.well_known import LABEL_SERVICE_NAME

Answer = TypeVar("Answer")


def decode_page(content: bytes, resource: Resource[T]) -> Page[T]:
    """Read one page of a list. Its objects are not decoded yet.

    Raises:
        TooManyItemsError: The page has more than `MAX_PAGE_ITEMS` items.
        WireError: The content is not a Kubernetes list.
    """
    try:
        envelope = _LIST.decode(content)
    except _MALFORMED as error:
        raise _not_a_list(resource, error) from error
    metadata, items = envelope.metadata, items_of(envelope.items)
    if len(items) > MAX_PAGE_ITEMS:
        raise TooManyItemsError(
            f"the server sent more than {MAX_PAGE_ITEMS} {resource.plural} in one page of a list"
        )
    return Page(
        _decode_all(items, resource),
        metadata.resource_version,
        metadata.continue_token or "",
    )


def _decode_all(raws: list[msgspec.Raw], resource: Resource[T]) -> Iterator[T | Undecodable]:
    for raw in raws:
        try:
            decoded = _decode_one(raw, resource)
        except _MALFORMED as error:
            raise _not_a_list(resource, error) from error
        yield decoded


def _not_a_list(resource: Resource[T], error: Exception) -> WireError:
    return WireError(f"the server's list of {resource.plural} is not a Kubernetes list: {error}")


def decode_event(
    line: bytes, resource: Resource[T], is_held: IsHeld = nothing_is_held
) -> tuple[WatchEvent[T], str]:
    """Read one line of a watch.

    An event with an object that is held already becomes a bookmark, and its object is not decoded.

    Returns:
        The event, and the resourceVersion that the watch has reached. It is empty if there is none.

    Raises:
        WireError: The line is not a watch event.
    """
    try:
        envelope = _EVENT.decode(line)
        if envelope.type == "ERROR":
            return decode_status(envelope.object), ""
        metadata = _META_ONLY.decode(envelope.object).metadata
    except _MALFORMED as error:
        raise WireError(
            f"a line of the server's watch of {resource.plural} is not a watch event: {error}"
        ) from error
    key, version = NamespacedName(metadata.namespace, metadata.name), metadata.resource_version
    match envelope.type:
        case "BOOKMARK":
            return Bookmark(version), version
        case "DELETED":
            return Deleted(key), version
        case "ADDED" | "MODIFIED" if is_held(key, metadata.uid, version):
            return Bookmark(version), version
        case "ADDED" | "MODIFIED":
            result = _decode_one(envelope.object, resource)
            if resource.keeps is not None and not resource.keeps(result):
                return Deleted(key), version
            return result if isinstance(result, Undecodable) else Changed(result), version
        case unexpected:
            assert_never(unexpected)


def decode_object(content: bytes, resource: Resource[T]) -> T:
    """Decode the object in the response to a write.

    Raises:
        WireError: The content is not an object of this kind.
    """
    return _decode_answer(partial(resource.decode, content), resource.plural)


def decode_written(answer: bytes, sent: EndpointSlice, body: bytes) -> EndpointSlice:
    """Decode the slice in the response to its write; arguments as for `decode_written_slice`.

    Raises:
        WireError: The response is not an EndpointSlice.
    """
    decode = partial(decode_written_slice, answer, sent, body)
    return _decode_answer(decode, ENDPOINT_SLICES.plural)


def _decode_answer(decode: Callable[[], Answer], plural: str) -> Answer:
    try:
        return decode()
    except (*_MALFORMED, BadInputError) as error:
        raise WireError(f"the server's response is not one of {plural}: {error}") from error


def decode_status(content: bytes | msgspec.Raw, code: int = 0, reason: str = "") -> Status:
    """Read the Status of an error.

    The response of a proxy is not JSON; its text becomes the message.
    """
    try:
        raw = _STATUS.decode(content)
    except _MALFORMED:
        return Status(
            code=code,
            reason=clean_text(reason),
            message=clean_text(bytes(content)[:1024].decode(errors="replace")),
        )
    details = raw.details or _Details()
    return Status(
        code=raw.code or code,
        reason=clean_text(raw.reason or reason),
        message=clean_text(raw.message),
        causes=tuple(cause.reason for cause in items_of(details.causes)),
        retry_after=min(details.retry_after_seconds or 0, MAX_RETRY_AFTER) or None,
    )


def _decode_one(raw: msgspec.Raw, resource: Resource[T]) -> T | Undecodable:
    try:
        if not resource.is_skimmed:
            require_usual_size(raw)
        return resource.decode(raw)
    except (*_MALFORMED, BadInputError, OversizeError) as error:
        metadata = _META_ONLY.decode(raw).metadata
        service = NamespacedName(metadata.namespace, _service_name(raw, metadata, resource))
        return Undecodable(
            NamespacedName(metadata.namespace, metadata.name), service, clean_text(str(error))
        )


def _service_name(raw: msgspec.Raw, metadata: _Identity, resource: Resource[T]) -> str:
    """The Service that an undecodable object belongs to, as far as it says."""
    if resource.plural == SERVICES.plural:
        return metadata.name
    if resource is TRAFFIC_POLICIES:
        try:
            return _TARGETED.decode(raw).spec.target_ref.name or metadata.name
        except _MALFORMED:
            return metadata.name
    labels = metadata.labels or _ServiceLabel()
    return labels.service_name or metadata.name


class _ListMeta(Struct):
    resource_version: str = ""
    continue_token: str | None = msgspec.field(name="continue", default=None)


MAX_PAGE_ITEMS: Final = 2_000
"""A page of a list is requested with a smaller limit."""

_Items: Final = bounded_array(msgspec.Raw, MAX_PAGE_ITEMS + 1)


class _List(Struct):
    metadata: _ListMeta
    items: _Items | None  # type: ignore[valid-type]


class _Event(Struct):
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"]
    object: msgspec.Raw


class _ServiceLabel(Struct):
    """The only label that identifies anything. Others are skipped, however many there are."""

    service_name: str | None = msgspec.field(name=LABEL_SERVICE_NAME, default=None)


class _Identity(Struct):
    """The metadata that identifies an object, even one that is undecodable."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    labels: _ServiceLabel | None = None


class _MetaOnly(Struct):
    metadata: _Identity


class _Target(Struct):
    name: str = ""


class _TargetSpec(Struct):
    target_ref: _Target


class _Targeted(Struct):
    """The only field of a TrafficPolicy that tells its Service."""

    spec: _TargetSpec


MAX_CAUSES: Final = 16
"""How many causes of a Status are read."""


class _Cause(Struct):
    reason: str = ""


_Causes: Final = bounded_array(_Cause, MAX_CAUSES)


class _Details(Struct):
    causes: _Causes | None = None  # type: ignore[valid-type]
    retry_after_seconds: int | None = None


class _Status(Struct):
    code: int = 0
    reason: str = ""
    message: str = ""
    details: _Details | None = None


_MALFORMED: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""The errors of a decoder: wrong types, invalid JSON or UTF-8, too deeply nested lists."""

_LIST: Final = msgspec.json.Decoder(_List)

_EVENT: Final = msgspec.json.Decoder(_Event)

_META_ONLY: Final = msgspec.json.Decoder(_MetaOnly)

_TARGETED: Final = msgspec.json.Decoder(_Targeted)

_STATUS: Final = msgspec.json.Decoder(_Status)


class _Version(Struct):
    git_version: str


_VERSION: Final = msgspec.json.Decoder(_Version)


def decode_version(content: bytes) -> str:
    """Read the Kubernetes version in the response of `/version`, for example `v1.36.3`."""
    try:
        return clean_text(_VERSION.decode(content).git_version)
    except _MALFORMED as error:
        raise WireError(
            f"the server's /version is not that of a Kubernetes API server: {error}"
        ) from error


def decode_uid(content: bytes) -> str:
    """Read the uid of an object of any kind."""
    try:
        return clean_text(_META_ONLY.decode(content).metadata.uid, limit=128)
    except _MALFORMED as error:
        raise WireError(f"the server's response is not a Kubernetes object: {error}") from error
