"""What one remote cluster may cost, and how much memory its objects take.

A remote cluster is not trusted: it may be huge, or hostile. Whatever exceeds its budget costs its
own link alone.
"""

from __future__ import annotations

from typing import Final, assert_never

from attrs import frozen

from svclink_core.core_v1 import Service
from svclink_core.discovery_v1 import Endpoint, EndpointSlice
from svclink_core.meta_v1 import ObjectMeta

MEBIBYTE: Final = 2**20

MEMORY_FLAG: Final = "--max-memory-per-remote"

UNDECODABLE_BYTES: Final = 500
"""Memory of the note that an object exists but could not be decoded."""


@frozen
class Budget:
    """What one remote cluster may cost.

    Limits of one object, of one page and of one response are the same for all clusters: see
    `wire/object_limits.py`, `wire/messages.py` and `api/limits.py` of the controller.

    Args:
        memory: Bytes of memory for its objects and for all that is being read of it. 100,000
            endpoints in slices of 100 take 24 MiB, in slices of 10 with their Services 45 MiB.
        list_seconds: Time of one list. The API server forgets the state that the pages of a list
            are read from after 5 to 10 minutes, so a longer list cannot end.
        loop_share: Part of the time of the event loop that it may take in the long run.
        loop_burst: How many seconds of work it may be ahead of that.
    """

    memory: int = 80 * MEBIBYTE
    list_seconds: float = 600
    loop_share: float = 0.25
    loop_burst: float = 1

    @property
    def list_bytes(self) -> int:
        """Bytes of one list, whose objects have many fields that are not kept."""
        return 8 * self.memory

    @property
    def memory_excess(self) -> str:
        """The message for a cluster that needs more memory."""
        return (
            f"the cluster needs more than {self.memory // MEBIBYTE} MiB of memory, the limit for"
            f" one remote cluster; raise {MEMORY_FLAG}"
        )

    @property
    def list_bytes_excess(self) -> str:
        """The message for a list that is too long."""
        return (
            f"a list from the cluster exceeds {self.list_bytes // MEBIBYTE} MiB, eight times the"
            f" memory limit for one remote cluster; raise {MEMORY_FLAG}"
        )

    @property
    def loop_excess(self) -> str:
        """The message for a cluster that sends more events than it gets time for."""
        return (
            f"watch events from the cluster take more than {self.loop_share:.0%} of the"
            " controller's time, the limit for one remote cluster, so changes are mirrored late"
        )

    @property
    def list_seconds_excess(self) -> str:
        """The message for a list that takes too long."""
        return (
            f"listing the cluster takes more than {self.list_seconds:g} s, after which the"
            " API server discards the remaining pages"
        )


UNLIMITED: Final = Budget(memory=2**62, loop_share=1)
"""The budget of the main cluster, which is trusted."""


def footprint(item: Service | EndpointSlice) -> int:
    """About how many bytes of memory an object of a remote cluster takes, as svclink keeps it."""
    match item:
        case EndpointSlice():
            own = _endpoints(item.endpoints)
            for port in item.ports:
                own += 160 + _length(port.app_protocol or "")
        case Service():
            own = 0
            for service_port in item.spec.ports:
                target = service_port.target_port
                own += 250 + _length(service_port.app_protocol or "")
                own += _length(target) if isinstance(target, str) else 0
        case unexpected:
            assert_never(unexpected)
    return own + _metadata(item.metadata)


def _metadata(metadata: ObjectMeta) -> int:
    """The object itself, its place among the others, and its metadata."""
    size = 900 + _length(metadata.name) + _length(metadata.uid)
    for _, value in metadata.labels + metadata.annotations:
        size += 120 + _length(value)
    for owner in metadata.owner_references:
        size += 350 + _length(owner.name) + _length(owner.uid)
    return size


def _endpoints(endpoints: tuple[Endpoint, ...]) -> int:
    """Their objects and tuples, and their addresses: 236 bytes for a usual endpoint."""
    addresses = [address for each in endpoints for address in each.addresses]
    return 160 * len(endpoints) + 64 * len(addresses) + _length("".join(addresses))


def _length(text: str) -> int:
    """Bytes of the characters. Python takes up to four for each if one is not ASCII."""
    return len(text) if text.isascii() else 4 * len(text)
