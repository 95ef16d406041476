"""Kubernetes Events that svclink wrote, decoded to what a reader of them is shown."""

from __future__ import annotations

from typing import Final

import msgspec
from attrs import frozen

from svclink_controller.wire.decoding import Struct
from svclink_core.meta_v1 import ObjectMeta

FROM_SVCLINK: Final = "reportingComponent=svclink"
"""The field selector of these Events."""

MAX_SHOWN_CHARACTERS: Final = 1000
"""How much of each text is kept: every user who may create Events can choose them.

svclink's own messages are no longer.
"""


@frozen
class WrittenEvent:
    """An Event about a ClusterLink or a TrafficPolicy.

    Args:
        metadata: Its metadata.
        about: The object, as `Kind/name` or `Kind/namespace/name`.
        type: `Normal` or `Warning`.
        reason: Its reason.
        message: The reason in a sentence.
        count: How often it happened.
        at: When it happened last, as RFC 3339.
    """

    metadata: ObjectMeta
    about: str
    type: str
    reason: str
    message: str
    count: int
    at: str


class _Meta(Struct):
    name: str
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    creation_timestamp: str | None = None


class _Involved(Struct):
    kind: str = ""
    namespace: str = ""
    name: str = ""


class _Event(Struct):
    metadata: _Meta
    involved_object: _Involved
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    last_timestamp: str | None = None
    event_time: str | None = None


_DECODER: Final = msgspec.json.Decoder(_Event)


def decode_written_event(content: bytes | msgspec.Raw) -> WrittenEvent:
    """Decode an Event."""
    raw = _DECODER.decode(content)
    about = raw.involved_object
    place = f"{about.namespace}/" if about.namespace else ""
    metadata = raw.metadata
    return WrittenEvent(
        metadata=ObjectMeta(
            metadata.name, metadata.namespace, metadata.uid, metadata.resource_version
        ),
        about=_clipped(f"{about.kind}/{place}{about.name}"),
        type=_clipped(raw.type),
        reason=_clipped(raw.reason),
        message=_clipped(raw.message),
        count=raw.count or 1,
        at=_clipped(raw.last_timestamp or raw.event_time or metadata.creation_timestamp or ""),
    )


def _clipped(text: str) -> str:
    return text[:MAX_SHOWN_CHARACTERS]
