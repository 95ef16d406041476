"""Tokens are asked for again before they expire, and read again from their file.

Real: files. Substituted: the clock, and running a plugin.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from attrs import define, field

from svclink_controller.credentials.administrator.access import AccessError, ExecPlugin
from svclink_controller.credentials.administrator.identity import (
    FILE_SECONDS,
    RUN_SECONDS,
    FileIdentity,
    FixedIdentity,
    PluginIdentity,
    UserIdentity,
    due_at,
)

PLUGIN = ExecPlugin("aws", (), (), "client.authentication.k8s.io/v1", "Never")


@define
class World:
    """A clock, and a plugin whose tokens are valid for `lifetime` seconds."""

    lifetime: float | None = 900
    seconds: float = 1_000_000.0
    runs: int = 0
    is_broken: bool = False
    identity: PluginIdentity = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.identity = PluginIdentity(PLUGIN, self.run, lambda: self.seconds)

    async def run(self, _: ExecPlugin) -> UserIdentity:
        self.runs += 1
        await asyncio.sleep(0)
        if self.is_broken:
            raise AccessError("the plugin failed")
        expires = None if self.lifetime is None else self.seconds + self.lifetime
        return UserIdentity(f"Bearer {self.runs}", expires=expires)

    async def token(self) -> str | None:
        return (await self.identity.current()).authorization


class TestPlugin:
    async def test_runs_again_before_the_token_expires(self) -> None:
        """A token of 15 minutes, as of EKS, is replaced a minute before its end."""
        world = World()
        assert await world.token() == "Bearer 1"
        world.seconds += 839
        assert await world.token() == "Bearer 1"
        world.seconds += 1
        assert await world.token() == "Bearer 2"

    async def test_without_an_expiry_it_runs_once(self) -> None:
        """Credentials without an expiry are used until a server rejects them."""
        world = World(lifetime=None)
        await world.token()
        world.seconds += 10**9
        assert await world.token() == "Bearer 1"

    async def test_rejected_token_is_replaced(self) -> None:
        """After a 401 the plugin runs again, once for all requests with the same token."""
        world = World()
        first = await world.identity.current()
        assert await asyncio.gather(*(world.identity.renew(first) for _ in range(3))) == [True] * 3
        assert world.runs == 2

    async def test_requests_wait_for_one_run(self) -> None:
        """Concurrent requests do not start a plugin each."""
        world = World()
        assert await asyncio.gather(*(world.token() for _ in range(5))) == ["Bearer 1"] * 5

    async def test_valid_token_is_used_while_the_plugin_fails(self) -> None:
        """A plugin that fails early costs nothing until the token has expired."""
        world = World()
        await world.token()
        world.is_broken = True
        world.seconds += 850
        assert await world.token() == "Bearer 1"
        assert await world.token() == "Bearer 1"
        assert world.runs == 2
        world.seconds += 51
        with pytest.raises(AccessError, match="the plugin failed"):
            await world.token()

    @pytest.mark.parametrize(
        ("lifetime", "due"),
        [(900, 840), (120, 60), (100, 50), (8, RUN_SECONDS), (0, RUN_SECONDS), (-60, RUN_SECONDS)],
    )
    def test_short_lived_tokens(self, lifetime: float, due: float) -> None:
        """It is replaced at half its life or a minute before its end; never at every request."""
        assert due_at(1000 + lifetime, 1000) == 1000 + due


def write(file: Path, content: str | None) -> None:
    if content is None:
        file.unlink()
    else:
        file.write_text(content, encoding="utf-8")


class TestFile:
    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        path = tmp_path / "token"
        path.write_text("first\n", encoding="ascii")
        return path

    async def test_is_read_again_after_a_minute(self, file: Path) -> None:
        """The kubelet replaces the token of a ServiceAccount before it expires."""
        seconds = [0.0]
        source = FileIdentity(file, UserIdentity(), lambda: seconds[0])
        assert (await source.current()).authorization == "Bearer first"
        write(file, "second")
        assert (await source.current()).authorization == "Bearer first"
        seconds[0] = FILE_SECONDS
        assert (await source.current()).authorization == "Bearer second"

    async def test_is_read_again_after_a_rejection(self, file: Path) -> None:
        """After a 401 it is read at once."""
        source = FileIdentity(file, UserIdentity())
        first = await source.current()
        assert not await source.renew(first)
        write(file, "second")
        assert await source.renew(first)
        assert (await source.current()).authorization == "Bearer second"

    @pytest.mark.parametrize("content", [None, "", "\n", "two words", "ä"])
    async def test_last_token_stays_while_the_file_is_broken(
        self, file: Path, content: str | None
    ) -> None:
        """A file that is missing or half written does not end the connection."""
        source = FileIdentity(file, UserIdentity())
        first = await source.current()
        write(file, content)
        assert not await source.renew(first)
        assert await source.current() == first

    async def test_file_that_was_never_read_is_an_error(self, tmp_path: Path) -> None:
        """Without a token there is nothing to ask with; with one in the kubeconfig there is."""
        for name in ("none", "null\0byte"):
            with pytest.raises(AccessError, match="cannot be read"):
                await FileIdentity(tmp_path / name, UserIdentity()).current()
        fixed = UserIdentity("Bearer inline")
        assert await FileIdentity(tmp_path / "none", fixed).current() == fixed


async def test_fixed_identity_renews_only_another_one() -> None:
    """A token in the kubeconfig changes only with the kubeconfig."""
    source = FixedIdentity(UserIdentity("Bearer new"))
    assert not await source.renew(await source.current())
    assert await source.renew(UserIdentity("Bearer old"))
