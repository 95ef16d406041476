"""Links share the authorities of the system, and nothing else.

Real: sockets, TLS, files and the client. Substituted: the API server, by handlers; the authorities
of the system, by a file.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import web
from attrs import evolve

from svclink_controller.api.connecting import remote_client
from svclink_controller.api.errors import TransportError
from svclink_controller.api.tls import remote_tls_context
from svclink_controller.credentials.kubeconfig import Credentials
from tests.unit.controller.api.peers import say_yes
from tests.unit.controller.http_server import (
    AUTHORITY,
    OTHER_AUTHORITY,
    connecting,
    credentials,
    serving,
    with_certificate,
)
from tests.unit.controller.responses import answer

NOWHERE = "https://127.0.0.1:1"


def trust(bundle: Path, *authorities: trustme.CA) -> None:
    """The system trusts these authorities from now on."""
    bundle.write_bytes(b"".join(each.cert_pem.bytes() for each in authorities))


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The file with the authorities that the system trusts."""
    bundle = tmp_path / "bundle.pem"
    trust(bundle, AUTHORITY)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    return bundle


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[ssl.SSLContext]:
    """The TLS contexts into which the authorities of the system were loaded."""
    seen: list[ssl.SSLContext] = []
    load = ssl.SSLContext.load_default_certs

    def record_and_load(context: ssl.SSLContext, purpose: ssl.Purpose) -> None:
        seen.append(context)
        load(context, purpose)

    monkeypatch.setattr(ssl.SSLContext, "load_default_certs", record_and_load)
    return seen


def of_system(url: str = NOWHERE, **changes: Any) -> Credentials:
    """Credentials of a link without a CA."""
    return credentials(url, ca_data="", **changes)


@pytest.mark.usefixtures("system")
async def test_authorities_of_the_system_are_loaded_once(loads: list[ssl.SSLContext]) -> None:
    """However many links start together: each load takes 80 ms and 1 MB with the usual files."""
    clients = await asyncio.gather(*(remote_client(of_system()) for _ in range(20)))
    for client in clients:
        await client.close()
    assert len(loads) == 1


@pytest.mark.parametrize(
    "wanted", [credentials(NOWHERE), of_system(insecure=True)], ids=["CA", "insecure"]
)
async def test_other_links_load_nothing_of_the_system(
    loads: list[ssl.SSLContext], wanted: Credentials
) -> None:
    """A CA in the kubeconfig is the only one that counts, and none does without verification."""
    await (await remote_client(wanted)).close()
    assert loads == []


def test_authority_that_is_added_to_the_system_counts(system: Path) -> None:
    """A new connection uses the files as they are now."""
    before = remote_tls_context(of_system())
    assert remote_tls_context(of_system()) is before
    assert len(before.get_ca_certs()) == 1
    trust(system, AUTHORITY, OTHER_AUTHORITY)
    os.utime(system, (1, 1))
    assert len(remote_tls_context(of_system()).get_ca_certs()) == 2


@pytest.mark.usefixtures("system")
async def test_client_certificate_is_presented_by_its_own_link_alone() -> None:
    """A link without a client certificate does not get that of another link."""
    presented = []

    async def record(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        presented.append(bool(request.transport.get_extra_info("peercert")))
        return answer({})

    async with serving(record) as server:
        own = evolve(with_certificate(server.url), ca_data="")
        for wanted in (of_system(server.url), own, of_system(server.url)):
            async with connecting(wanted) as client:
                await client.get("/version")
    assert presented == [False, True, False]


async def test_links_that_skip_verification_do_not_weaken_others(system: Path) -> None:
    """Beside a link that accepts any certificate, another one still accepts those of a known CA."""
    trust(system, OTHER_AUTHORITY)
    async with serving(say_yes) as server:
        async with connecting(of_system(server.url, insecure=True)) as client:
            await client.get("/version")
        async with connecting(of_system(server.url)) as client:
            with pytest.raises(TransportError, match="certificate"):
                await client.get("/version")
