"""Kubernetes discovery.k8s.io/v1: EndpointSlice, as far as the core reasons about it."""

from __future__ import annotations

from itertools import product
from typing import Final

from attrs import frozen

from svclink_core.meta_v1 import ObjectMeta
from svclink_core.well_known import (
    ANNOTATION_SHARD,
    ANNOTATION_SOURCE_SLICE,
    ANNOTATION_STANDBY,
    ANNOTATION_UNREACHABLE,
    NOT_READY,
)


@frozen
class EndpointConditions:
    """State of an endpoint. As in kube-proxy, None means ready, serving and not terminating."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


_TRISTATE: Final = (None, False, True)

CONDITIONS: Final = {
    each: EndpointConditions(*each) for each in product(_TRISTATE, _TRISTATE, _TRISTATE)
}
"""Every combination of conditions: a million endpoints share 27 objects."""

WRITTEN_OUT: Final = {
    (ready, serving, terminating): CONDITIONS[
        ready is not False, serving is not False, bool(terminating)
    ]
    for ready, serving, terminating in CONDITIONS
}
"""Maps conditions to their equivalent without None: see `EndpointConditions`."""


@frozen
class EndpointHints:
    """Zones and nodes that should prefer the endpoint (KEP-4444)."""

    for_zones: tuple[str, ...] = ()
    for_nodes: tuple[str, ...] = ()


@frozen
class ObjectReference:
    """The object behind an endpoint, usually a Pod."""

    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""


@frozen
class Endpoint:
    """One backend: 1 to 100 addresses of one family, of which kube-proxy uses the first."""

    addresses: tuple[str, ...]
    conditions: EndpointConditions = EndpointConditions()
    zone: str | None = None
    hints: EndpointHints | None = None
    hostname: str | None = None
    node_name: str | None = None
    target_ref: ObjectReference | None = None


@frozen
class EndpointPort:
    """A port of all endpoints of a slice. The API server also accepts None and invalid numbers."""

    name: str = ""
    protocol: str = "TCP"
    port: int | None = None
    app_protocol: str | None = None


@frozen
class EndpointSlice:
    """Up to 1,000 endpoints of one Service with the same address type and ports."""

    metadata: ObjectMeta
    address_type: str
    endpoints: tuple[Endpoint, ...] = ()
    ports: tuple[EndpointPort, ...] = ()

    @property
    def source(self) -> str | None:
        """The remote slice that a mirror was made from, and its shard if the slice was split.

        `web-abc` is the first shard, `web-abc/1` the next. No name has a `/`, so this is
        unambiguous. Earlier versions wrote both into one annotation.
        """
        name = shard = None
        for key, value in self.metadata.annotations:
            if key == ANNOTATION_SOURCE_SLICE:
                name = value
            elif key == ANNOTATION_SHARD:
                shard = value
        return name if name is None or shard is None else f"{name}/{shard}"

    @property
    def is_marked_not_ready(self) -> bool:
        """Whether an unreachable policy turned a mirrored slice's endpoints into a last resort."""
        return self.metadata.annotation(ANNOTATION_UNREACHABLE) == NOT_READY

    @property
    def standby(self) -> str | None:
        """Which endpoints of a mirrored slice are on standby; None if none are. See `standby`."""
        return self.metadata.annotation(ANNOTATION_STANDBY)
