"""Imports of libraries without what svclink does not use. Real: a new interpreter."""

from __future__ import annotations

import subprocess
import sys


def printed(program: str) -> str:
    """What a new interpreter prints."""
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_the_start_of_svclink_imports_no_rich() -> None:
    """structlog would import it for tracebacks that svclink does not print."""
    program = "import sys, svclink_controller.__main__; print('rich' in sys.modules)"
    assert printed(program) == "False"


def test_commands_can_still_import_rich() -> None:
    """They print tables with it."""
    program = "import svclink_controller.__main__, rich.table; print(rich.table.Table.__name__)"
    assert printed(program) == "Table"


def test_a_request_without_a_tls_context_would_trust_no_server() -> None:
    """aiohttp would load the authorities of the system, for requests that svclink does not send."""
    program = """
import svclink_controller.__main__, aiohttp.connector
print(aiohttp.connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509"])"""
    assert printed(program) == "0"


def test_other_tls_contexts_load_the_authorities_of_the_system() -> None:
    """A link without a CA of its own trusts what the system trusts."""
    program = """
import ssl
before = ssl.SSLContext.load_default_certs
import svclink_controller.__main__
print(ssl.SSLContext.load_default_certs is before)"""
    assert printed(program) == "True"
