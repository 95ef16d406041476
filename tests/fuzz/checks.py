"""What may happen with any kubeconfig, and what never.

Real: parsers, TLS contexts, transports. Substituted: nothing; no connection is opened.
"""

from __future__ import annotations

import asyncio
import io
import logging
import ssl
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from weakref import WeakSet

from attrs import evolve

from svclink_controller.api.connecting import (
    ConfigurationError,
    cluster_entry,
    main_client,
    own_namespace,
    remote_client,
)
from svclink_controller.api.renewing import RenewingTransport
from svclink_controller.api.tls import client_tls_context, configuration_of
from svclink_controller.api.transport import hardened_session
from svclink_controller.credentials.administrator.access import Access
from svclink_controller.credentials.administrator.kubeconfig_files import read_admin_kubeconfig
from svclink_controller.credentials.kubeconfig import (
    Credentials,
    KubeconfigError,
    decode_base64,
    parse_kubeconfig,
)
from svclink_controller.credentials.trust import STRICT, Trust
from svclink_controller.monitoring import logs
from svclink_controller.remotes.problems import problem_of
from svclink_core.errors import SvclinkError
from tests.fuzz.audit import Audit, temporary_directories
from tests.fuzz.samples import encoded
from tests.fuzz.strategies import Case

TRUSTS = (STRICT, Trust(allows_insecure=True, allows_proxies=True))


def check_link(case: Case, audit: Audit) -> bool:
    """Take the kubeconfig of a link as the controller does; returns whether it is accepted.

    Raises:
        AssertionError: It is refused with a secret in the message, or opens something.
    """
    with shown() as output:
        with audit.watching(*temporary_directories()) as seen:
            taken = [take_link(case, trust) for trust in TRUSTS]
        accepted = [show(each) for each in taken]
    assert seen == [], f"a kubeconfig of a link had the effects {seen}"
    assert case.secrets.leaked_in(output.getvalue()) == [], output.getvalue()
    return any(accepted)


def take_link(case: Case, trust: Trust) -> Credentials | SvclinkError:
    """Parse it, make a client of it, and close that."""
    try:
        credentials = parse_kubeconfig(decode_base64(encoded(case.content)), trust)
        asyncio.run(connect_remote(credentials, trust))
    except SvclinkError as error:
        return error
    return credentials


def show(taken: Credentials | Access | SvclinkError) -> bool:
    """Print all that a log line could contain of a result; returns whether it is no error."""
    if not isinstance(taken, SvclinkError):
        named = without_names(taken)
        sys.stdout.write(f"{named} {named!r}\n")
        return True
    sys.stdout.write(f"{taken} {taken!r}\n")
    traceback.print_exception(taken)
    if isinstance(taken, KubeconfigError):
        sys.stdout.write(f"{problem_of(taken)}\n")
    return False


def without_names(accepted: Credentials | Access) -> Credentials | Access:
    """The same without what may be shown: a mutation may use a secret as the name of a server."""
    if isinstance(accepted, Access):
        credentials = evolve(accepted.credentials, server="", tls_server_name=None)
        return evolve(accepted, credentials=credentials, impersonation=(), namespace="")
    return evolve(accepted, server="", tls_server_name=None)


async def connect_remote(credentials: Credentials, trust: Trust) -> None:
    """Everything that a connection needs, up to the first byte."""
    client = await remote_client(credentials, trust)
    try:
        async with hardened_session(client.configuration.host, trust, WeakSet()):
            begin_handshake(client_tls_context(credentials), credentials)
    finally:
        await client.close()


def begin_handshake(context: ssl.SSLContext, credentials: Credentials) -> None:
    """A TLS handshake with a peer that says nothing: the name of the server is used."""
    configuration = configuration_of(credentials)
    name = configuration.tls_server_name or "remote.example"
    connection = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        return


def check_administrator(case: Case, audit: Audit, directory: Path) -> bool:
    """Take it as the administrator's; returns whether it is accepted. Plugins do not run.

    Raises:
        AssertionError: It is refused with a secret in the message, or starts something.
    """
    file = directory / "config"
    file.write_bytes(case.content)
    with shown() as output:
        with audit.watching(reads_files=True) as seen:
            taken = take_administrator(file)
        accepted = show(taken)
    assert seen == [], f"a kubeconfig of the administrator had the effects {seen}"
    assert case.secrets.leaked_in(output.getvalue()) == [], output.getvalue()
    return accepted


def take_administrator(file: Path) -> Access | SvclinkError:
    """Read it, and make what a connection needs."""
    try:
        access = read_admin_kubeconfig([file], None)
        own_namespace(file)
        asyncio.run(connect_administrator(file))
    except SvclinkError as error:
        return error
    return access


async def connect_administrator(file: Path) -> None:
    """A client; with a plugin, everything but the client, because the plugin would run."""
    access = read_admin_kubeconfig([file], None)
    if access.plugin is None:
        client = await main_client(file)
        await client.close()
        return
    anonymous = evolve(cluster_entry(file, None), token=None)
    try:
        transport = RenewingTransport(configuration_of(anonymous), access, lambda: access)
    except ssl.SSLError as error:  # `main_client` says so in a sentence.
        raise ConfigurationError("a certificate or key is broken") from error
    await transport.close()


@contextmanager
def shown() -> Iterator[io.StringIO]:
    """Everything that the controller logs and prints in a block."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    logging.getLogger().addHandler(handler)
    try:
        with redirect_stdout(output), redirect_stderr(output):
            logs.configure("json", "debug")
            yield output
    finally:
        logging.getLogger().removeHandler(handler)
