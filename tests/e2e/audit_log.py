"""The audit log of an API server: the policy that is set, and the events that tests read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}
LIST_OF_ONE: Final = re.compile(r"[?&]limit=1(&|$)")


@dataclass(frozen=True)
class AuditEvent:
    """One request: completed or, for a watch, started."""

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    code: int
    stage: str
    denied: bool
    allowed_by: str
    uri: str

    @property
    def writes(self) -> bool:
        return self.verb not in {"get", "list", "watch"}


def audit_event(line: bytes) -> AuditEvent:
    """Parse one line of the audit log."""
    event = json.loads(line)
    target = event.get("objectRef", {})
    resource = "/".join(filter(None, (target.get("resource"), target.get("subresource"))))
    return AuditEvent(
        user=event["user"].get("username", ""),
        verb=event["verb"],
        resource=resource,
        namespace=target.get("namespace", ""),
        name=target.get("name", ""),
        code=event.get("responseStatus", {}).get("code", 0),
        stage=event["stage"],
        denied=event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid",
        uri=event["requestURI"],
        allowed_by=event.get("annotations", {}).get("authorization.k8s.io/reason", ""),
    )


def writes_and_lists(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """The writes, and the lists of more than one object.

    A list of one object asks for the newest resourceVersion.
    """
    return [
        event
        for event in events
        if event.writes or (event.verb == "list" and not LIST_OF_ONE.search(event.uri))
    ]
