"""The texts of API servers tell who refused a write.

The texts are those of kube-apiserver and of OpenShift.
"""

from __future__ import annotations

from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svclink_core.refusal_messages import (
    ABOUT_CONTENT,
    RefusalSource,
    explain_refusal,
    is_distribution_refused,
    refusal_source,
)

FORBIDDEN: Final = 'endpointslices.discovery.k8s.io "web-c1" is forbidden: '

TEXTS: Final = [
    (
        403,
        (
            "endpointslices.discovery.k8s.io is forbidden: User"
            ' "system:serviceaccount:svclink:svclink" cannot create resource "endpointslices" in'
            ' API group "discovery.k8s.io" in the namespace "default"'
        ),
        RefusalSource.PERMISSION,
    ),
    (
        403,
        FORBIDDEN + "exceeded quota: few, requested: count/services=1, used: count/services=5,"
        " limited: count/services=5",
        RefusalSource.QUOTA,
    ),
    (403, FORBIDDEN + "failed quota: few: must specify limits.cpu", RefusalSource.QUOTA),
    (403, FORBIDDEN + "status unknown for quota: few, resources: pods", RefusalSource.QUOTA),
    (403, FORBIDDEN + "insufficient quota to consume: pods", RefusalSource.QUOTA),
    (
        422,
        FORBIDDEN + "ValidatingAdmissionPolicy 'calm' with binding 'everywhere' denied request:"
        " failed expression: false",
        RefusalSource.POLICY,
    ),
    (403, FORBIDDEN + "ValidatingAdmissionPolicy 'calm' denied request: no", RefusalSource.POLICY),
    (400, 'admission webhook "a.example.com" denied the request: no', RefusalSource.WEBHOOK),
    (
        403,
        'admission webhook "a.example.com" denied the request without explanation',
        RefusalSource.WEBHOOK,
    ),
    (
        500,
        (
            'Internal error occurred: failed calling webhook "a.example.com": failed to call'
            ' webhook: Post "https://a.default.svc:443/": dial tcp: connection refused'
        ),
        RefusalSource.BROKEN_WEBHOOK,
    ),
    (
        403,
        FORBIDDEN + "endpoint address 10.128.0.9 is not allowed",
        RefusalSource.RESTRICTED_ENDPOINTS,
    ),
    (403, FORBIDDEN + "endpoint port TCP:22623 is not allowed", RefusalSource.RESTRICTED_ENDPOINTS),
    (
        422,
        (
            'EndpointSlice.discovery.k8s.io "web-c1" is invalid: endpoints[0].addresses[0]: Invalid'
            ' value: "127.0.0.1": may not be in the loopback range'
        ),
        RefusalSource.VALIDATION,
    ),
    (
        422,
        (
            'Service "1st" is invalid: metadata.name: Invalid value: "1st": a DNS-1035 label must'
            " consist of lower case alphanumeric characters or '-', start with an alphabetic"
        ),
        RefusalSource.SERVICE_NAME,
    ),
    (413, "Request entity too large: limit is 3145728", RefusalSource.SIZE),
    (403, "Forbidden", RefusalSource.SERVER),
    (401, "Unauthorized", RefusalSource.SERVER),
    (500, "etcdserver: mvcc: database space exceeded", RefusalSource.SERVER),
]


@pytest.mark.parametrize(
    ("code", "message", "is_refused"),
    [
        (422, 'spec.trafficDistribution: Unsupported value: "PreferSameZone"', True),
        (403, 'spec.trafficDistribution: Unsupported value: "PreferSameZone"', False),
        (422, 'metadata.name: Invalid value: "1st"', False),
    ],
)
def test_main_cluster_that_does_not_know_a_distribution(
    code: int, message: str, *, is_refused: bool
) -> None:
    """An older API server names the field in a 422."""
    text = f'Service "web" is invalid: {message}: supported values: "PreferClose"'
    assert is_distribution_refused(code, text) is is_refused


@pytest.mark.parametrize(("code", "message", "source"), TEXTS)
def test_text_tells_who_refused(code: int, message: str, source: RefusalSource) -> None:
    """Each admission plugin, RBAC and validation have their own phrase."""
    assert refusal_source(code, message) is source


@pytest.mark.parametrize(("code", "message", "source"), TEXTS[:12])
@pytest.mark.parametrize("quoted", [message for _, message, _ in TEXTS])
def test_first_phrase_decides(code: int, message: str, source: RefusalSource, quoted: str) -> None:
    """A policy or webhook may quote the words of any other refusal."""
    assert refusal_source(code, f"{message}; {quoted}") is source


@given(st.integers(), st.text())
def test_any_text_has_a_refuser(code: int, message: str) -> None:
    """Without a known phrase it is the server; only size and validation have a code."""
    known = {413: RefusalSource.SIZE, 422: RefusalSource.VALIDATION}
    unquoted = message.replace('"', "").replace(":", "")
    assert refusal_source(code, unquoted) is known.get(code, RefusalSource.SERVER)


def test_missing_permission_is_named() -> None:
    """The message says what to grant, and what the server said."""
    action = "update endpointslices in namespace default"
    assert (
        explain_refusal(RefusalSource.PERMISSION, "403 Forbidden: no", action, "default")
        == "grant svclink permission to update endpointslices in namespace default"
        " (403 Forbidden: no)"
    )


def test_full_quota_is_named_with_its_namespace() -> None:
    """A Namespace itself is in no namespace."""
    assert [
        explain_refusal(RefusalSource.QUOTA, "403: no", "", each) for each in ("default", "")
    ] == [
        "a ResourceQuota rejected the write: raise the quota in namespace default (403: no)",
        "a ResourceQuota rejected the write: raise the quota in the cluster (403: no)",
    ]


@given(st.sampled_from(RefusalSource), st.text(), st.text(), st.text())
def test_message_has_the_words_of_the_server(
    source: RefusalSource, error: str, action: str, namespace: str
) -> None:
    """Whatever the refusal, what the server said is part of the message."""
    message = explain_refusal(source, error, action, namespace)
    assert message == error or message.endswith(f" ({error})")


def test_other_content_may_pass_where_content_was_refused() -> None:
    """No content gets past a missing permission, a full quota or a broken server."""
    assert set(RefusalSource) - ABOUT_CONTENT == {
        RefusalSource.PERMISSION,
        RefusalSource.QUOTA,
        RefusalSource.BROKEN_WEBHOOK,
        RefusalSource.SERVER,
    }
