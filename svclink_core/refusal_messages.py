"""Who refused a write, and how to fix it, from what the API server says.

Its admission plugins have no codes of their own: the text of a Status tells them apart. The texts
are those of Kubernetes 1.30 to 1.37 and OpenShift 4.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final


class RefusalSource(Enum):
    """Who refused a write. The value says how to fix it; empty if only the server's words can."""

    PERMISSION = "grant svclink permission to {action}"
    RESTRICTED_ENDPOINTS = (
        "OpenShift restricts these endpoints: run kubectl apply -k deploy/openshift"
    )
    QUOTA = "a ResourceQuota rejected the write: raise the quota in {where}"
    POLICY = "an admission policy rejected the write: change the policy to accept svclink's writes"
    WEBHOOK = (
        "an admission webhook rejected the write: change the webhook to accept svclink's writes"
    )
    BROKEN_WEBHOOK = "an admission webhook failed: fix the webhook, or exempt {where}"
    SERVICE_NAME = (
        "before Kubernetes 1.36, a Service name cannot start with a digit: upgrade the main"
        " cluster, or rename the remote Service"
    )
    VALIDATION = "the API server's validation rejected the write"
    SIZE = "the object is too large for the API server"
    SERVER = ""


ABOUT_CONTENT: Final = frozenset(
    {
        RefusalSource.RESTRICTED_ENDPOINTS,
        RefusalSource.POLICY,
        RefusalSource.WEBHOOK,
        RefusalSource.SERVICE_NAME,
        RefusalSource.VALIDATION,
        RefusalSource.SIZE,
    }
)
"""Those who refuse a certain content, and may accept another one."""


def refusal_source(code: int, message: str) -> RefusalSource:
    """Who refused a write, by code and message of the API server's Status.

    The first known phrase decides: after it, policies and webhooks say what they like. Their code
    is their own choice too (a ValidatingAdmissionPolicy: 422, a webhook: 400).
    """
    if (found := _PHRASES.search(message)) is not None and found.lastgroup is not None:
        return RefusalSource[found.lastgroup]
    return _BY_CODE.get(code, RefusalSource.SERVER)


def is_distribution_refused(code: int, message: str) -> bool:
    """Whether an API server does not know the `trafficDistribution` of a Service.

    `PreferClose` came with Kubernetes 1.30, `PreferSameZone` and `PreferSameNode` with 1.33.
    """
    return code == 422 and "spec.trafficDistribution: " in message


def explain_refusal(source: RefusalSource, error: str, action: str, namespace: str) -> str:
    """What to do about a refused write, with the server's words in brackets.

    Args:
        source: Who refused it.
        error: Code, reason and message of the API server's Status.
        action: What the write does: `create services in namespace default`.
        namespace: Where it was to be written; empty for an object that is in no namespace.
    """
    where = f"namespace {namespace}" if namespace else "the cluster"
    fix = source.value.format(action=action, where=where)
    return f"{fix} ({error})" if fix else error


_BY_CODE: Final = {413: RefusalSource.SIZE, 422: RefusalSource.VALIDATION}

_PHRASES: Final = re.compile(
    r'(?P<WEBHOOK>admission webhook "[^"]*" denied the request)'
    r"|(?P<POLICY>ValidatingAdmissionPolicy '[^']*'( with binding '[^']*')? denied request)"
    r'|(?P<BROKEN_WEBHOOK>failed calling webhook ")'
    r"|(?P<QUOTA>(exceeded|failed|unknown for) quota: |insufficient quota to )"
    r"|(?P<SERVICE_NAME>a DNS-1035 label must )"
    r"|(?P<RESTRICTED_ENDPOINTS>endpoint (address|port) \S+ is not allowed)"
    r'|(?P<PERMISSION>User "[^"]*" cannot )'
)
