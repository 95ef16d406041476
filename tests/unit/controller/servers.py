"""Former names of the parts of the fake API server, until every test imports them from their modules."""

from __future__ import annotations

from tests.unit.controller.fake_api_server import Cluster, Object
from tests.unit.controller.http_server import (
    AUTHORITY,
    CLIENT,
    OTHER_AUTHORITY,
    TOKEN,
    Handler,
    Request,
    Server,
    connected,
    connecting,
    credentials,
    kubeconfig,
    read_lines,
    serving,
    with_certificate,
)
from tests.unit.controller.responses import (
    answer,
    bookmark,
    event,
    page,
    refusal,
    status_object,
    stream,
)
from tests.unit.controller.waiting import eventually

__all__ = [
    "AUTHORITY", "CLIENT", "OTHER_AUTHORITY", "TOKEN", "Cluster", "Handler", "Object", "Request", "Server",
    "answer", "bookmark", "connected", "connecting", "credentials", "event", "eventually", "kubeconfig", "page",
    "read_lines", "refusal", "serving", "status_object", "stream", "with_certificate",
]  # fmt: skip
