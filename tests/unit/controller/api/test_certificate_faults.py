"""Which server certificates are accepted, and what the error says about the others.

The same holds on every Python: the sessions `unit` and `unit-matrix` run these tests on all of
them. kubectl accepts the same ones.

Real: certificates, sockets, TLS, HTTP and the client. Substituted: the API server, by handlers.
"""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
import trustme
from attrs import frozen

from svclink_controller.api.certificate_faults import CertificateFault, certificate_fault, tls_fault
from svclink_controller.api.errors import TransportError, transport_errors
from svclink_controller.remotes.problems import problem_of
from svclink_core.link_reasons import LinkReason
from tests.unit.controller.api.certificates import HOST, HOUR, Issued, issue
from tests.unit.controller.api.peers import say_yes, speaking_plain_http
from tests.unit.controller.http_server import (
    AUTHORITY,
    OTHER_AUTHORITY,
    connecting,
    credentials,
    serving,
)

DAY = timedelta(days=1)

ROOT = issue("root", is_authority=True)
INTERMEDIATE = issue("intermediate", ROOT, is_authority=True)
LEAF = issue("server", INTERMEDIATE, names=(HOST, "api.test", "10.96.0.1"))
EKS = issue("kubernetes", is_authority=True, has_key_usage=False, has_key_ids=False)


def of_root(**how: object) -> Issued:
    """A server certificate that the root signed."""
    return issue("server", ROOT, **({"names": (HOST,)} | how))  # type: ignore[arg-type]


@frozen
class Case:
    """What a server presents, and what the kubeconfig says."""

    served: trustme.LeafCert
    authorities: tuple[Issued, ...]
    tls_server_name: str | None = None


ACCEPTED = {
    "CA without key usage, as of EKS": Case(issue("server", EKS, names=(HOST,)).served(), (EKS,)),
    "CA and certificate without key ids": Case(
        issue("server", EKS, names=(HOST,), has_key_ids=False, has_key_usage=False).served(),
        (EKS,),
    ),
    "certificate without key ids": Case(of_root(has_key_ids=False).served(), (ROOT,)),
    "intermediate alone": Case(LEAF.served(), (INTERMEDIATE,)),
    "intermediate alone, and sent too": Case(LEAF.served(INTERMEDIATE), (INTERMEDIATE,)),
    "full bundle": Case(LEAF.served(), (INTERMEDIATE, ROOT)),
    "full bundle in another order": Case(LEAF.served(INTERMEDIATE, ROOT), (ROOT, INTERMEDIATE)),
    "root, and the intermediate is sent": Case(LEAF.served(INTERMEDIATE), (ROOT,)),
    "bundle of the old and the new root": Case(
        of_root().served(), (issue("root", is_authority=True), ROOT)
    ),
    "the server certificate itself": Case(LEAF.served(), (LEAF,)),
    "self-signed server certificate": Case(
        (own := issue("server", names=(HOST,))).served(), (own,)
    ),
    "DNS name as tls-server-name": Case(LEAF.served(), (INTERMEDIATE,), "api.test"),
    "IP address as tls-server-name": Case(LEAF.served(), (INTERMEDIATE,), "10.96.0.1"),
}

REJECTED = {
    "expired": (
        Case(of_root(starts=-2 * DAY, ends=-DAY).served(), (ROOT,)),
        CertificateFault.EXPIRED,
        "expired",
    ),
    "expired CA": (
        Case(
            issue(
                "server",
                old := issue("old", is_authority=True, starts=-2 * DAY, ends=-HOUR),
                names=(HOST,),
            ).served(),
            (old,),
        ),
        CertificateFault.EXPIRED,
        "expired",
    ),
    "of tomorrow": (
        Case(of_root(starts=DAY, ends=2 * DAY).served(), (ROOT,)),
        CertificateFault.NOT_YET_VALID,
        "not yet valid",
    ),
    "for another address": (
        Case(of_root(names=("10.96.0.1",)).served(), (ROOT,)),
        CertificateFault.OTHER_ADDRESS,
        HOST,
    ),
    "other name": (
        Case(LEAF.served(), (INTERMEDIATE,), "elsewhere.test"),
        CertificateFault.OTHER_NAME,
        "elsewhere.test",
    ),
    "IP address as tls-server-name that it is not for": (
        Case(LEAF.served(), (INTERMEDIATE,), "192.0.2.1"),
        CertificateFault.OTHER_ADDRESS,
        "192.0.2.1",
    ),
    "another CA": (
        Case(of_root().served(), (EKS,)),
        CertificateFault.UNKNOWN_ISSUER,
        "issuer",
    ),
    "another CA of the same name": (
        Case(of_root().served(), (issue("root", is_authority=True),)),
        CertificateFault.UNKNOWN_ISSUER,
        "issuer",
    ),
    "intermediate that is not sent": (
        Case(LEAF.served(), (ROOT,)),
        CertificateFault.UNKNOWN_ISSUER,
        "issuer",
    ),
}


async def error_of(case: Case) -> TransportError | None:
    """The error of a request, or None if the server was accepted."""
    authorities = "".join(each.pem for each in case.authorities)
    async with serving(say_yes, case.served) as server:
        wanted = credentials(server.url, ca_data=authorities, tls_server_name=case.tls_server_name)
        async with connecting(wanted) as client:
            try:
                await client.get("/version")
            except TransportError as error:
                return error
    return None


@pytest.mark.parametrize("case", ACCEPTED.values(), ids=ACCEPTED)
async def test_certificate_that_kubectl_accepts_is_accepted(case: Case) -> None:
    """Key usage and key ids are optional, and any certificate in the kubeconfig is trusted."""
    assert await error_of(case) is None


@pytest.mark.parametrize(("case", "fault", "words"), REJECTED.values(), ids=REJECTED)
async def test_rejected_certificate_has_its_own_sentence(
    case: Case, fault: CertificateFault, words: str
) -> None:
    """The condition says what is wrong with the certificate, and the fix for just that."""
    error = await error_of(case)
    assert error is not None
    assert error.fault is fault
    problem = problem_of(error)
    assert problem.reason is LinkReason.CERTIFICATE_INVALID
    assert words in problem.message
    assert problem.message.endswith(fault.value)


async def test_without_a_ca_the_system_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A kubeconfig that names no CA leads to servers whose CA the system trusts, and no others."""
    case = Case(of_root().served(), ())
    error = await error_of(case)
    assert error is not None
    assert error.fault is CertificateFault.UNKNOWN_ISSUER
    bundle = tmp_path / "bundle.pem"
    bundle.write_text(ROOT.pem, encoding="ascii")
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert await error_of(case) is None


def test_every_fault_has_another_fix() -> None:
    """No two faults share a sentence: an enum would make them one member."""
    assert len(CertificateFault) == len(CertificateFault.__members__)


async def test_server_without_tls_is_named_as_such() -> None:
    """The fix for plain HTTP on the port is not another CA."""
    async with speaking_plain_http() as url, connecting(credentials(url)) as client:
        with pytest.raises(TransportError) as caught:
            await client.get("/version")
    assert caught.value.fault is CertificateFault.NO_TLS


def test_client_certificate_of_another_ca_is_named_as_such() -> None:
    """The fix for a client certificate that the server rejects is not another CA."""
    rejected = rejected_client()
    assert certificate_fault(rejected) is CertificateFault.CLIENT_REJECTED
    assert tls_fault(rejected) is CertificateFault.CLIENT_REJECTED


@pytest.mark.parametrize("cause", [ssl.SSLError("bad record mac"), ConnectionResetError(), None])
def test_connection_that_breaks_later_is_not_about_certificates(cause: Exception | None) -> None:
    """In TLS 1.3 only the alert about the client certificate comes after the handshake."""
    host = "https://api.test"
    with pytest.raises(TransportError) as caught, transport_errors(host):
        raise aiohttp.ClientOSError(1, "broken") from cause
    assert caught.value.fault is None
    with pytest.raises(TransportError) as caught, transport_errors(host):
        raise aiohttp.ClientOSError(1, "alert") from rejected_client()
    assert caught.value.fault is CertificateFault.CLIENT_REJECTED


def rejected_client() -> ssl.SSLError:
    """What a client raises whose certificate a server does not accept."""
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    OTHER_AUTHORITY.issue_cert("svclink.test").configure_cert(client)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.verify_mode = ssl.CERT_REQUIRED
    server.maximum_version = ssl.TLSVersion.TLSv1_2  # Its alerts are part of the handshake.
    AUTHORITY.issue_cert("svclink.test").configure_cert(server)
    AUTHORITY.configure_trust(server)
    return error_of_handshake(client, server)


def error_of_handshake(client: ssl.SSLContext, server: ssl.SSLContext) -> ssl.SSLError:
    """What the client raises in a handshake that the server gives up."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    while True:
        try:
            asking.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            return error
        with suppress(ssl.SSLError):
            answering.do_handshake()


def test_unknown_errors_of_tls_are_about_the_handshake() -> None:
    """An error without a reason gets the sentence about TLS versions."""
    assert certificate_fault(ssl.SSLError("?")) is CertificateFault.HANDSHAKE
