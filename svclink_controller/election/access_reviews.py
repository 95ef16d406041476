"""Asks an API server whether a request is allowed, which every user may ask.

A request that is not allowed would be denied as well, but it would show in the audit log.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from svclink_controller.api.client import Client
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json

REVIEWS: Final = "/apis/authorization.k8s.io/v1"


async def is_allowed(
    client: Client, attributes: Mapping[str, Json], user: str | None = None
) -> bool:
    """Whether a request is allowed.

    Args:
        client: The cluster.
        attributes: The request, as `resourceAttributes` of a SubjectAccessReview.
        user: Who sends it; None for the credentials of the client.
    """
    spec: dict[str, Json] = {"resourceAttributes": dict(attributes)}
    kind = "SelfSubjectAccessReview"
    if user is not None:
        kind, spec = "SubjectAccessReview", spec | {"user": user}
    body: dict[str, Json] = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    answer = await client.post(f"{REVIEWS}/{kind.lower()}s", body)
    try:
        return _REVIEW.decode(answer).status.allowed
    except msgspec.MsgspecError as error:
        raise WireError(f"the server's response is not a {kind}: {error}") from error


class _Status(msgspec.Struct):
    allowed: bool = False


class _Review(msgspec.Struct):
    status: _Status = msgspec.field(default_factory=_Status)


_REVIEW: Final = msgspec.json.Decoder(_Review)
