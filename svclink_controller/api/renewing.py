"""Connections to the administrator's clusters: what expires or changes on disk is read again."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping

import aiohttp
from attrs import evolve, frozen
from multidict import CIMultiDict

from svclink_controller import clock
from svclink_controller.api.certificate_faults import tls_fault
from svclink_controller.api.official_client import Configuration
from svclink_controller.api.tls import client_tls_context
from svclink_controller.api.transport import LIST_BUFFER_BYTES, HardenedTransport
from svclink_controller.credentials.administrator.access import Access
from svclink_controller.credentials.administrator.exec_plugin import run_plugin
from svclink_controller.credentials.administrator.identity import (
    FileIdentity,
    FixedIdentity,
    IdentitySource,
    PluginIdentity,
    UserIdentity,
)
from svclink_controller.credentials.expiry import expiries_of
from svclink_controller.credentials.kubeconfig import Credentials
from svclink_core.credential_expiry import expired_credentials
from svclink_core.errors import SvclinkError


@frozen
class _Used:
    """What a request was sent with."""

    identity: UserIdentity
    context: ssl.SSLContext


class RenewingTransport(HardenedTransport):
    """The transport to a cluster whose kubeconfig or ServiceAccount is trusted.

    After a certificate was not accepted, in either direction, and after a 401, everything is read
    again: the kubeconfig, the files it names, the plugin. If that gives anything else than before,
    the request is sent once more. Another server is not followed: it could be another cluster.

    Args:
        configuration: The server and its CA.
        access: How to reach the cluster.
        read_again: Reads it again.
    """

    def __init__(
        self, configuration: Configuration, access: Access, read_again: Callable[[], Access]
    ) -> None:
        super().__init__(configuration, None, client_tls_context(_anonymous(access)))
        self._read_again = read_again
        self._lock = asyncio.Lock()
        self._adopt(access)

    def _adopt(self, access: Access) -> None:
        self._access = access
        self._identities = identity_source(access)
        self._presented: tuple[str | None, str | None] = (None, None)
        self._headers = CIMultiDict(access.impersonation)

    async def prepare(self) -> None:
        """Get the identity and the TLS settings, which requests would do otherwise.

        Raises:
            AccessError: There is no identity.
            ssl.SSLError: OpenSSL rejects a certificate or the key.
        """
        await self._usable()

    def expired(self) -> str:
        """Which credentials have expired of those that do not renew themselves, and when."""
        return expired_credentials(expiries_of(self._access.credentials), clock.seconds())

    async def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeouts: aiohttp.ClientTimeout,
        buffer_bytes: int = LIST_BUFFER_BYTES,
    ) -> aiohttp.ClientResponse:
        """Send a request, and once more if reading everything again can help."""
        send = super().send

        async def attempt(used: _Used) -> aiohttp.ClientResponse:
            complete = self._complete(headers, used.identity)
            return await send(method, url, complete, body, timeouts, buffer_bytes)

        used = await self._usable()
        try:
            response = await attempt(used)
        except (aiohttp.ClientError, ssl.SSLError) as error:
            if tls_fault(error) is None or not await self._renew(used):
                raise
        else:
            if not await self._is_outdated(response, used):
                return response
        return await attempt(await self._usable())

    def _complete(self, headers: Mapping[str, str], identity: UserIdentity) -> CIMultiDict[str]:
        """The headers of a request with those of the identity."""
        complete = CIMultiDict(headers)
        complete.extend(self._headers)
        if identity.authorization is not None:
            complete["Authorization"] = identity.authorization
        return complete

    async def _is_outdated(self, response: aiohttp.ClientResponse, used: _Used) -> bool:
        """Whether the server rejected an identity that has been renewed; closes the response."""
        if response.status != 401:
            return False
        is_kept = False
        try:
            is_kept = not await self._renew(used)
        finally:
            if not is_kept:
                response.close()
        return not is_kept

    async def _usable(self) -> _Used:
        """The identity to use now, and TLS settings with its certificate."""
        identity = await self._identities.current()
        pair = identity.client_certificate, identity.client_key
        if pair != self._presented:
            credentials = evolve(
                self._access.credentials, client_certificate=pair[0], client_key=pair[1]
            )
            self.ssl_context = await asyncio.to_thread(client_tls_context, credentials)
            self._presented = pair
        return _Used(identity, self.ssl_context)

    async def _renew(self, used: _Used) -> bool:
        """Whether a request that failed can succeed now with something else."""
        async with self._lock:
            if self.ssl_context is not used.context:
                return True
            return await self._identities.renew(used.identity) or await self._reload()

    async def _reload(self) -> bool:
        try:
            access = await asyncio.to_thread(self._read_again)
            is_same_server = access.credentials.server == self._access.credentials.server
            if access == self._access or not is_same_server:
                return False
            self.ssl_context = await asyncio.to_thread(client_tls_context, _anonymous(access))
        except (SvclinkError, OSError):
            return False  # What was read before stays in use.
        self._adopt(access)
        return True


def _anonymous(access: Access) -> Credentials:
    """How to reach a cluster, without a client certificate."""
    return evolve(access.credentials, client_certificate=None, client_key=None)


def identity_source(access: Access) -> IdentitySource:
    """Where the identity of the administrator comes from."""
    credentials = access.credentials
    authorization = None
    if credentials.token is not None:
        authorization = f"Bearer {credentials.token}"
    elif access.basic is not None:
        authorization = f"Basic {access.basic}"
    fixed = UserIdentity(authorization, credentials.client_certificate, credentials.client_key)
    if access.token_file is not None:
        return FileIdentity(access.token_file, fixed)
    if access.plugin is not None:
        return PluginIdentity(access.plugin, run_plugin)
    return FixedIdentity(fixed)
