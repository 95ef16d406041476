"""A minimal API client on aiohttp, for the floor and for the measurements."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

Object = dict[str, Any]
SLICES: Final = "/apis/discovery.k8s.io/v1/endpointslices"


class Api:
    """A client of one API server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(
        self, method: str, path: str, body: Object | None = None, **query: str
    ) -> Object:
        """Return the object in the response; raises RuntimeError for an error response."""
        async with self._session.request(method, path, json=body, params=query) as response:
            content = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {content[:300]!r}")
            decoded: Object = json.loads(content)
            return decoded

    async def watch(self, path: str, **query: str) -> AsyncIterator[Object]:
        """Return the events of a watch."""
        parameters = {"watch": "true", "timeoutSeconds": "3600"} | query
        async with self._session.get(
            path, params=parameters, timeout=aiohttp.ClientTimeout(total=None)
        ) as response:
            rest = b""
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield json.loads(line)


@asynccontextmanager
async def connected(kubeconfig: str) -> AsyncIterator[Api]:
    """Connect to the API server of a kubeconfig that holds a token or a client certificate."""
    content = yaml.safe_load(kubeconfig)
    cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
    headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
    connector = aiohttp.TCPConnector(limit=0, ssl=_context(cluster, user))
    async with aiohttp.ClientSession(
        cluster["server"], connector=connector, headers=headers
    ) as session:
        yield Api(session)


def slices_of(namespace: str) -> str:
    """Return the path of the EndpointSlices of a namespace."""
    return f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


def _context(cluster: Mapping[str, str], user: Mapping[str, str]) -> ssl.SSLContext:
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    context = ssl.create_default_context(cadata=authority)
    if "client-certificate-data" in user:
        # OpenSSL reads a key only from a file; only its owner can read this one.
        with tempfile.NamedTemporaryFile() as file:
            parts = (user["client-certificate-data"], user["client-key-data"])
            Path(file.name).write_bytes(b"\n".join(base64.b64decode(part) for part in parts))
            context.load_cert_chain(file.name)
    return context
