"""Who the administrator is to a cluster: fixed, read from a file, or printed by a plugin."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, Protocol

from attrs import define, evolve, field, frozen

from svclink_controller import clock
from svclink_controller.credentials.administrator.access import (
    AccessError,
    ExecPlugin,
    shown_path,
    why_unread,
)

FILE_SECONDS: Final = 60
"""A token file is read again after this time, as in client-go."""

EARLY_SECONDS: Final = 60
"""A plugin runs again this long before its credentials expire."""

RUN_SECONDS: Final = 5
"""The shortest time between two runs for credentials that are short-lived or already expired."""


@frozen
class UserIdentity:
    """What authenticates a request.

    Args:
        authorization: The value of the header, or None.
        client_certificate: The client certificate as PEM, or None.
        client_key: Its private key as PEM, or None.
        expires: POSIX seconds; None if that is not known.
    """

    authorization: str | None = field(default=None, repr=False)
    client_certificate: str | None = field(default=None, repr=False)
    client_key: str | None = field(default=None, repr=False)
    expires: float | None = None


class IdentitySource(Protocol):
    """Where an identity comes from."""

    async def current(self) -> UserIdentity:
        """The identity to use now.

        Raises:
            AccessError: There is none; the message says why.
        """

    async def renew(self, rejected: UserIdentity) -> bool:
        """Whether there is another identity than the one that a server rejected."""


@frozen
class FixedIdentity:
    """A token, password or certificate in the kubeconfig."""

    identity: UserIdentity

    async def current(self) -> UserIdentity:
        """The identity."""
        return self.identity

    async def renew(self, rejected: UserIdentity) -> bool:
        """Whether another one was rejected."""
        return rejected != self.identity


@define
class FileIdentity:
    """A token in a file, which another program renews: for example the ServiceAccount of a Pod.

    While the file cannot be read, the last token stays in use.

    Args:
        path: The file.
        fixed: The rest of the identity, and the token to use if the file was never readable.
        elapsed: The monotonic clock.
    """

    path: Path
    fixed: UserIdentity
    elapsed: Callable[[], float] = clock.elapsed
    _identity: UserIdentity | None = None
    _read_at: float = 0.0

    async def current(self) -> UserIdentity:
        """The identity with the token that is in the file now, or was a minute ago."""
        if self._identity is None or self.elapsed() - self._read_at >= FILE_SECONDS:
            self._identity = self._read()
            self._read_at = self.elapsed()
        return self._identity

    async def renew(self, rejected: UserIdentity) -> bool:
        """Whether the file holds another token than the one that a server rejected."""
        self._identity = self._read()
        return self._identity != rejected

    def _read(self) -> UserIdentity:
        try:
            token = self.path.read_text(encoding="ascii").strip()
        except UnicodeDecodeError:
            token = ""
        except (OSError, ValueError) as error:
            problem = f"cannot be read: {why_unread(error)}"
            return self._last(f"the token file {shown_path(self.path)} {problem}")
        if not token or not token.isprintable() or " " in token:
            return self._last(f"the token file {shown_path(self.path)} does not contain a token")
        return evolve(self.fixed, authorization=f"Bearer {token}")

    def _last(self, problem: str) -> UserIdentity:
        last = self._identity or self.fixed
        if last.authorization is None:
            raise AccessError(problem)
        return last


@define
class PluginIdentity:
    """The credentials that a plugin prints. It runs again before they expire, and if rejected.

    Args:
        plugin: The plugin.
        run: Runs it.
        now: The clock, in POSIX seconds.
    """

    plugin: ExecPlugin
    run: Callable[[ExecPlugin], Awaitable[UserIdentity]]
    now: Callable[[], float] = clock.seconds
    _identity: UserIdentity | None = None
    _due: float = 0.0
    _lock: asyncio.Lock = field(factory=asyncio.Lock)

    async def current(self) -> UserIdentity:
        """The identity to use now."""
        identity = self._identity
        if identity is None or self.now() >= self._due:
            async with self._lock:
                if self._identity is None or self.now() >= self._due:
                    self._identity = await self._ask_early(self._identity)
                identity = self._identity
        return identity

    async def renew(self, rejected: UserIdentity) -> bool:
        """Whether there is another identity than the one that a server rejected."""
        async with self._lock:
            if self._identity in (None, rejected):
                self._identity = await self._ask()
            return self._identity != rejected

    async def _ask_early(self, held: UserIdentity | None) -> UserIdentity:
        """New credentials; those that are held, if the plugin fails while they are still valid."""
        try:
            return await self._ask()
        except AccessError:
            if held is None or held.expires is None or held.expires <= self.now():
                raise
            self._due = self.now() + RUN_SECONDS
            return held

    async def _ask(self) -> UserIdentity:
        identity = await self.run(self.plugin)
        self._due = due_at(identity.expires, self.now())
        return identity


def due_at(expires: float | None, now: float) -> float:
    """When to ask for new credentials, of those that were given out now; never too early."""
    if expires is None:
        return float("inf")
    early = min(EARLY_SECONDS, (expires - now) / 2)
    return max(expires - early, now + RUN_SECONDS)
