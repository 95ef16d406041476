"""The audit log of an API server: the policy that is set, and the events that tests read."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

AUDIT_POLICY: Final = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


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
        allowed_by=event.get("annotations", {}).get("authorization.k8s.io/reason", ""),
    )
