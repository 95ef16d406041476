"""How much attention a Service of a cluster needs. Views sort by it, and show trouble first."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

from svclink_core.well_known import Reason


class Level(Enum):
    """How much attention something needs: the later, the more."""

    NONE = "none"
    OK = "ok"
    SKIPPED = "skipped"
    WAITING = "waiting"
    WARNING = "warning"
    ERROR = "error"

    @property
    def rank(self) -> int:
        """0 for `NONE`, 5 for `ERROR`."""
        return LEVELS.index(self)


LEVELS: Final = tuple(Level)

_BY_LEVEL: Final[Mapping[Level, tuple[Reason, ...]]] = {
    # The cluster lacks the Service, or a rule is about every cluster alike.
    Level.NONE: (
        Reason.NAMESPACE_KUBE_SYSTEM,
        Reason.SERVICE_KUBERNETES,
        Reason.REMOTE_SERVICE_MISSING,
        Reason.SELECTED_SERVICE_MISSING,
        Reason.MAIN_SERVICE_MISSING,
        Reason.NAMESPACE_NOT_SELECTED,
        Reason.SERVICE_NOT_SELECTED,
    ),
    # A user asked for it, or the kind of Service does not allow anything else.
    Level.SKIPPED: (
        Reason.FROZEN,
        Reason.NOT_SELECTED,
        Reason.NAMESPACE_NOT_IN_FLAG,
        Reason.NAMESPACE_NOT_INCLUDED,
        Reason.NAMESPACE_EXCLUDED,
        Reason.SERVICE_EXCLUDED,
        Reason.SERVICE_NAME_EXCLUDED,
        Reason.MIRROR_FALSE,
        Reason.NOT_OPTED_IN,
        Reason.REMOTE_EXTERNAL_NAME,
        Reason.REMOTE_HEADLESS,
        Reason.REMOTE_IMPORTED,
        Reason.MAIN_HEADLESS,
        Reason.MAIN_EXTERNAL_NAME,
        Reason.NAMESPACE_RESERVED,
        Reason.CALLED_BY_API_SERVER,
        Reason.LOOP,
        Reason.LINK_GONE,
        Reason.TARGET_PORTS_DIFFER,
    ),
    # It changes without any help.
    Level.WAITING: (
        Reason.PENDING,
        Reason.DELETION_SETTLING,
        Reason.REMOTE_CHANGING,
        Reason.API_SERVER_CALLS_UNKNOWN,
        Reason.REMOTE_DELETING,
        Reason.MAIN_DELETING,
        Reason.NAMESPACES_UNKNOWN,
        Reason.NAMESPACE_TERMINATING,
        Reason.OLDER_LINK_AWAITED,
        Reason.SERVICE_AWAITED,
    ),
    Level.WARNING: (
        Reason.UNREACHABLE,
        Reason.NAMESPACE_MISSING,
        Reason.UNREACHABLE_NOT_READY,
        Reason.LAST_ENDPOINTS,
        Reason.DELETION_HELD,
        Reason.UNREACHABLE_REMOVED,
        Reason.NAME_INVALID,
        Reason.NAME_TOO_LONG,
        Reason.REMOTE_PORTLESS,
        Reason.ADDRESS_TYPE,
        Reason.OUTSIDE_ALLOWED_CIDRS,
        Reason.NO_ENDPOINTS,
        Reason.PORT_MISMATCH,
        Reason.ADDRESS_CONFLICT,
        Reason.INVALID_ENDPOINTS,
        Reason.LOOKS_STATEFUL,
        Reason.HAS_ENDPOINT_GROUP,
        Reason.INVALID_MIRROR_ANNOTATION,
    ),
    Level.ERROR: (Reason.MAIN_UNDECODABLE, Reason.UNDECODABLE, Reason.INVALID_SPEC),
}

_LEVEL_OF: Final = {reason: level for level, reasons in _BY_LEVEL.items() for reason in reasons}


def level_of(reason: Reason) -> Level:
    """How much attention a reason needs. Mirroring and every change to that end is in order."""
    return _LEVEL_OF.get(reason, Level.OK)


def worst(levels: tuple[Level, ...]) -> Level:
    """The highest of some levels; `NONE` without any."""
    return max(levels, key=lambda each: each.rank, default=Level.NONE)


WHOLE_CLUSTER: Final = frozenset(
    {
        Reason.PENDING,
        Reason.UNREACHABLE,
        Reason.FROZEN,
        Reason.NOT_SELECTED,
        Reason.INVALID_SPEC,
        Reason.API_SERVER_CALLS_UNKNOWN,
    }
)
"""Reasons that concern all Services of a cluster at once: the state of its link says so, too."""
