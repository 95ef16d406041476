"""What the Kubernetes API server accepts: names, label values and limits.

Sources: k8s.io/apimachinery pkg/util/validation, k8s.io/kubernetes pkg/apis/discovery/validation.
"""

from __future__ import annotations

import re
from typing import Final

MAX_ENDPOINTS: Final = 1000
"""Endpoints of an EndpointSlice."""

MAX_ADDRESSES: Final = 100
"""Addresses of an endpoint."""

MAX_SLICE_ADDRESSES: Final = 10_000
"""Addresses of an EndpointSlice that fit into 1.5 MiB, which is all that etcd stores of an object.

An IPv6 address takes up to 42 bytes.
"""

MAX_NAME_LENGTH: Final = 63
"""Characters of a DNS label, and of a label value."""

MAX_PORT_NAME_LENGTH: Final = 15
"""Characters of the name of a container's port."""

MAX_SUBDOMAIN_LENGTH: Final = 253
"""Characters of a DNS subdomain."""

MAX_PORT: Final = 65535

PORT_PROTOCOLS: Final = frozenset({"TCP", "UDP", "SCTP"})

MAX_AFFINITY_SECONDS: Final = 86_400
"""The longest time for which all requests of one address may go to one endpoint."""

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_LABEL: Final = re.compile(_LABEL)
_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PORT_NAME: Final = re.compile(r"(?=.*[a-z])[a-z0-9]+(?:-[a-z0-9]+)*")
_NAME_PART: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")


DNS_LABEL_RULE: Final = (
    f"use at most {MAX_NAME_LENGTH} lowercase letters, digits and '-', with no '-' at either end"
)
"""How to correct a name that is not a DNS label."""


def is_dns_label(text: str) -> bool:
    """Whether a text is a DNS label (RFC 1123), as are names of Namespaces, Services and links.

    >>> is_dns_label("shop-1"), is_dns_label("shop.1"), is_dns_label("")
    (True, False, False)
    """
    return len(text) <= MAX_NAME_LENGTH and _DNS_LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Whether a text is a DNS subdomain (RFC 1123), as are the names of most objects."""
    return len(text) <= MAX_SUBDOMAIN_LENGTH and _SUBDOMAIN.fullmatch(text) is not None


def is_object_name(text: str) -> bool:
    """Whether a text can be the name of any object, as far as its length and paths are concerned.

    Source: IsValidPathSegmentName in k8s.io/apimachinery pkg/api/validation/path.
    """
    return 0 < len(text) <= MAX_SUBDOMAIN_LENGTH and "/" not in text


def is_label_value(text: str) -> bool:
    """Whether a text is a label value, which may be empty. Zones in hints follow this rule too."""
    return text == "" or _is_name_part(text)


def is_qualified_name(text: str) -> bool:
    """Whether a text is a name with an optional DNS subdomain and `/` before it (`appProtocol`).

    >>> is_qualified_name("kubernetes.io/h2c"), is_qualified_name("http"), is_qualified_name("a b")
    (True, True, False)
    """
    prefix, slash, name = text.rpartition("/")
    return _is_name_part(name) and (not slash or is_subdomain(prefix))


def is_port_name(text: str) -> bool:
    """Whether a text can be the name of a container's port (`targetPort`; RFC 6335).

    >>> is_port_name("http-2"), is_port_name("80"), is_port_name("a--b")
    (True, False, False)
    """
    return len(text) <= MAX_PORT_NAME_LENGTH and _PORT_NAME.fullmatch(text) is not None


def is_port(number: int) -> bool:
    """Whether a number is a port, from 1 to 65535."""
    return 1 <= number <= MAX_PORT


def _is_name_part(text: str) -> bool:
    return len(text) <= MAX_NAME_LENGTH and _NAME_PART.fullmatch(text) is not None
