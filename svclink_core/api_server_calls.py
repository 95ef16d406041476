"""Which Services the main cluster's API server calls, and which objects make it do so.

A mirror of such a Service would send a share of the API server's own calls to another cluster:
its certificate is usually issued by another CA, so writes fail, and it would see what it must not.
Source: docs/explanation/security.md, "Services that the API server calls".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from attrs import field, frozen

from svclink_core.meta_v1 import NamespacedName, ObjectMeta

CALLER_KINDS: Final = (
    "ValidatingWebhookConfiguration",
    "MutatingWebhookConfiguration",
    "APIService",
    "CustomResourceDefinition",
)
"""The kinds of objects that make an API server call Services."""


@frozen
class ApiServerCaller:
    """An object that makes the API server call Services: a webhook configuration, for example.

    Args:
        metadata: Its metadata.
        kind: One of `CALLER_KINDS`.
        services: The Services that it names.
    """

    metadata: ObjectMeta
    kind: str
    services: tuple[NamespacedName, ...] = ()

    @property
    def reference(self) -> str:
        """Kind and name, for people: `APIService/v1beta1.metrics.k8s.io`."""
        return f"{self.kind}/{self.metadata.name}"


@frozen
class ApiServerCall:
    """Whether the API server calls a Service.

    Args:
        caller: The object that makes the API server call it, as `Kind/name`; the first one if there
            are several, empty if none is known.
        is_known: Whether no other such object can exist.
    """

    caller: str = ""
    is_known: bool = True


NOT_CALLED: Final = ApiServerCall()
CALL_UNKNOWN: Final = ApiServerCall(is_known=False)


@frozen
class ApiServerCalls:
    """The Services that the main cluster's API server calls.

    Args:
        by_service: These Services. If everything is known, no other Services are called.
        is_known: Whether each of `CALLER_KINDS` was listed, or svclink is not permitted to list it.
    """

    by_service: Mapping[NamespacedName, ApiServerCall] = field(factory=dict)
    is_known: bool = True

    def of(self, service: NamespacedName) -> ApiServerCall:
        """Whether the API server calls a Service."""
        call = self.by_service.get(service)
        if call is not None:
            return call
        return NOT_CALLED if self.is_known else CALL_UNKNOWN


def calls_by(callers: Iterable[ApiServerCaller], *, is_known: bool = True) -> ApiServerCalls:
    """Return the calls that some objects cause, whatever their order.

    Args:
        callers: All objects that are known.
        is_known: Whether there can be no others.
    """
    by_service: dict[NamespacedName, ApiServerCall] = {}
    for caller in sorted(callers, key=lambda each: each.reference):
        for service in caller.services:
            by_service.setdefault(service, ApiServerCall(caller.reference))
    return ApiServerCalls(by_service, is_known)
