"""A server that an API server calls: admission, conversion, and an aggregated API.

Real: HTTP and TLS. It ends each connection after the response, so that every call is balanced.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Final

import trustme

from tests.builders.manifests import Manifest

AGGREGATED_GROUP: Final = "aggregated.example.com"
AGGREGATED_PATH: Final = f"/apis/{AGGREGATED_GROUP}/v1"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        """Answer discovery, by which the API server finds that the aggregated API is available."""
        resource = {
            "name": "pings",
            "singularName": "ping",
            "namespaced": False,
            "kind": "Ping",
            "verbs": ["create"],
        }
        found = {
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": f"{AGGREGATED_GROUP}/v1",
            "resources": [resource],
        }
        is_discovery = self.path.partition("?")[0] == AGGREGATED_PATH
        self._answer(200 if is_discovery else 404, found if is_discovery else {"kind": "Status"})

    def do_POST(self) -> None:
        """Allow what is asked, convert objects, or create a Ping."""
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        match self.path.partition("?")[0]:
            case "/admit":
                review["response"] = {"uid": review["request"]["uid"], "allowed": True}
                self._answer(200, review)
            case "/convert":
                review["response"] = _converted(review["request"])
                self._answer(200, review)
            case _:
                self._answer(201, review)

    def log_message(self, *_: object) -> None:
        """Log nothing."""

    def _answer(self, code: int, content: Manifest) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _converted(request: Manifest) -> Manifest:
    objects = [each | {"apiVersion": request["desiredAPIVersion"]} for each in request["objects"]]
    return {"uid": request["uid"], "result": {"status": "Success"}, "convertedObjects": objects}


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that does not trust the certificate is no error of the server."""


@contextmanager
def serving(authority: trustme.CA, names: Sequence[str]) -> Iterator[int]:
    """Serve with a certificate of this authority for these names. Yields the loopback port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(*names).configure_cert(context)
    with _Server(("127.0.0.1", 0), _Handler) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
