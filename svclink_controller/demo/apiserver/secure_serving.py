"""Serve an API server over TLS on a loopback port."""

from __future__ import annotations

import asyncio
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import click
import msgspec
from aiohttp import StreamReader, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage

from svclink_controller.demo.apiserver.api_server import ApiServer, make_api_server
from svclink_controller.demo.apiserver.requests import MAX_REQUEST_BYTES
from svclink_controller.demo.apiserver.status_errors import JsonObject

SHUTDOWN_SECONDS = 0.2

_file = click.Path(dir_okay=False, path_type=Path)


@asynccontextmanager
async def serving_api(
    api_server: ApiServer, context: ssl.SSLContext, port: int = 0
) -> AsyncIterator[int]:
    """Serve on loopback while the context is active; yields the port."""
    server = web.Server(api_server, request_factory=_request, handler_cancellation=True)
    runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    collector = asyncio.create_task(api_server.collect_garbage())
    try:
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context, backlog=512).start()
        yield runner.addresses[0][1]
    finally:
        collector.cancel()
        await runner.cleanup()


def _request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(
        message, payload, protocol, writer, task, loop, client_max_size=MAX_REQUEST_BYTES
    )


def tls_context(certificate: Path, client_ca: Path) -> ssl.SSLContext:
    """Return TLS settings that accept client certificates but do not require them.

    Args:
        certificate: PEM file with the key and the certificate of the server.
        client_ca: PEM file of the authority that signs client certificates.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_ca))
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["http/1.1"])
    context.load_cert_chain(certificate)
    return context


@click.command()
@click.option(
    "--secure-port",
    type=click.IntRange(1, 65535),
    required=True,
    help="Port on 127.0.0.1.",
)
@click.option(
    "--tls-cert-file", type=_file, required=True, help="PEM file with the certificate and the key."
)
@click.option(
    "--client-ca-file",
    type=_file,
    required=True,
    help="PEM file of the CA that signs client certificates.",
)
@click.option(
    "--service-account-signing-key-file",
    type=_file,
    required=True,
    help="File with the key that signs tokens.",
)
@click.option("--journal", type=_file, help="File that keeps the objects across restarts.")
@click.option(
    "--audit-log-path", type=_file, help="File of the audit log: one line of JSON per request."
)
def command(
    secure_port: int,
    tls_cert_file: Path,
    client_ca_file: Path,
    service_account_signing_key_file: Path,
    journal: Path | None,
    audit_log_path: Path | None,
) -> None:
    """Serve a Kubernetes API for demos and tests until SIGTERM. The flags are kube-apiserver's."""
    context = tls_context(tls_cert_file, client_ca_file)
    key = service_account_signing_key_file.read_bytes()
    if audit_log_path is None:
        asyncio.run(_serve(make_api_server(journal, key), context, secure_port))
        return
    with audit_log_path.open("ab", buffering=0) as log:
        asyncio.run(_serve(make_api_server(journal, key, _append_to(log)), context, secure_port))


def _append_to(log: BinaryIO) -> Callable[[JsonObject], None]:
    def audit(event: JsonObject) -> None:
        log.write(msgspec.json.encode(event) + b"\n")

    return audit


async def _serve(api_server: ApiServer, context: ssl.SSLContext, port: int) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serving_api(api_server, context, port):
        await stop.wait()
