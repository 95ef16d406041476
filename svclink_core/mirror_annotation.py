"""What the owner of a main Service says about mirroring it: `svclink.cloudpilot.ai/mirror`.

Source: docs/explanation/concepts.md, "The owner of a Service".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from svclink_core.core_v1 import Service
from svclink_core.omissions import clipped
from svclink_core.well_known import ANNOTATION_MIRROR

_CHOICES: Final[Mapping[str | None, bool]] = {"true": True, "false": False}


def owner_choice(main: Service) -> bool | None:
    """Whether the owner of a Service wants it mirrored; None if the owner does not say.

    A value other than `true` and `false` says nothing, in whatever case it is written.
    """
    return _CHOICES.get(main.metadata.annotation(ANNOTATION_MIRROR))


def lacks_opt_in(main: Service | None, *, is_required: bool) -> bool:
    """Whether only Services with the annotation `"true"` are mirrored, and this one is not.

    A Service that main lacks has no owner to opt it in, so it is not created either.
    """
    return is_required and (main is None or owner_choice(main) is not True)


def invalid_choice(main: Service) -> str | None:
    """The value of the annotation if it is neither `true` nor `false`, cut to be shown, or None."""
    value = main.metadata.annotation(ANNOTATION_MIRROR)
    return None if value is None or value in _CHOICES else clipped(value)
