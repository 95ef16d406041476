"""Only the Secrets that links name are read; each is followed, and shows what is wrong with it.

Real: the watches, reflector, client, sockets and TLS. Substituted: the main API
server, by a small one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from attrs import define, field

from svclink_controller.remotes.secret_kubeconfigs import SecretKubeconfigs
from svclink_core import LinkReason
from svclink_core.controller_namespace import (
    AmbiguousNamespace,
    AssumedNamespace,
    KnownNamespace,
)
from svclink_core.link_identity import Problem
from svclink_core.link_target import SECRET_NOT_READ, SecretNotRead
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Refuse
from tests.unit.controller.http_server import Server, connected, serving
from tests.unit.controller.waiting import eventually

NAMESPACE: Final = "svclink"
A: Final = SecretKeyReference("a")


@define
class World:
    """The main cluster, and the Secrets that are read from it."""

    server: Server
    cluster: FakeApiServer
    secrets: SecretKubeconfigs = field(init=False)
    changes: list[str] = field(factory=list)

    def text(self, reference: SecretKeyReference = A) -> str:
        """The kubeconfig, or what is wrong; empty before the Secret was read."""
        content = self.secrets.look_up(reference)
        if isinstance(content, SecretNotRead):
            return ""
        if isinstance(content, Problem):
            assert content.reason is LinkReason.INVALID_KUBECONFIG
            return content.message
        return content

    async def has_text(self, *words: str, reference: SecretKeyReference = A) -> None:
        await eventually(lambda: all(word in self.text(reference) for word in words))


@asynccontextmanager
async def worlds() -> AsyncIterator[World]:
    cluster = FakeApiServer()
    async with serving(cluster) as server, connected(server.url) as client:
        world = World(server, cluster)
        world.secrets = SecretKubeconfigs(client, KnownNamespace(NAMESPACE), world.changes.append)
        try:
            yield world
        finally:
            await world.secrets.close()


async def test_secret_is_read_and_followed() -> None:
    """A kubeconfig is available once its Secret was read, and changes with the Secret."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        assert world.secrets.look_up(A) == SECRET_NOT_READ
        await world.has_text("b25l")
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "dHdv"})
        await world.has_text("dHdv")
        assert world.changes == ["a", "a"]


async def test_only_secrets_that_are_named_are_read() -> None:
    """Every request is for one Secret of the controller's namespace, by its name."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.cluster.put_secret(NAMESPACE, "b", {"kubeconfig": "dHdv"})
        world.secrets.require({"a"})
        await world.has_text("b25l")
        await eventually(lambda: bool(world.cluster.watchers))
        assert set(world.server.paths) == {f"/api/v1/namespaces/{NAMESPACE}/secrets"}
        selectors = {request.query["fieldSelector"] for request in world.server.requests}
        assert selectors == {"metadata.name=a"}
        assert world.secrets.look_up(SecretKeyReference("b")) == SECRET_NOT_READ


async def test_missing_secret_is_named() -> None:
    """The problem says which Secret to create; it is used once created, missing once deleted."""
    async with worlds() as world:
        world.secrets.require({"a"})
        await world.has_text("there is no Secret svclink/a", "kubeconfig")
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        await world.has_text("b25l")
        await eventually(lambda: bool(world.cluster.watchers))
        world.cluster.remove_key("secrets", NAMESPACE, "a")
        await world.has_text("there is no Secret svclink/a")


async def test_missing_key_is_named() -> None:
    """The problem says which key to add; two links may use two keys of one Secret."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        await world.has_text("b25l")
        other = SecretKeyReference("a", "other")
        await world.has_text("Secret svclink/a has no key other", reference=other)


async def test_secret_without_data_has_no_key() -> None:
    """An empty Secret is one without keys."""
    async with worlds() as world:
        world.cluster.objects["secrets", NAMESPACE, "a"] = {
            "metadata": {"name": "a", "namespace": NAMESPACE}
        }
        world.secrets.require({"a"})
        await world.has_text("Secret svclink/a has no key kubeconfig")


async def test_undecodable_secret_is_not_missing() -> None:
    """A Secret that cannot be decoded exists, and the problem says so."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": 5})
        world.secrets.require({"a"})
        await world.has_text("Secret svclink/a could not be decoded")


async def test_secret_that_may_not_be_read_is_a_problem() -> None:
    """Without permission the problem quotes the API server; with permission the Secret is used."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.cluster.fail(Refuse(403, "Forbidden", "secrets is forbidden"))
        world.secrets.require({"a"})
        await world.has_text("Secret svclink/a cannot be read", "secrets is forbidden")
        world.cluster.heal()
        await world.has_text("b25l")


async def test_secret_stays_valid_while_the_main_cluster_is_away() -> None:
    """A kubeconfig stays in use even if its Secret cannot be read for a while."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        await eventually(lambda: bool(world.cluster.watchers))
        world.cluster.fail(Refuse(503))
        asked = len(world.server.requests)
        world.cluster.hang_up()
        await eventually(lambda: len(world.server.requests) > asked + 1)
        assert world.text() == "b25l"
        assert world.changes == ["a"]


async def test_secret_that_is_no_longer_needed_is_forgotten() -> None:
    """When no link names a Secret, its watch ends and its content is dropped."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        await world.has_text("b25l")
        await eventually(lambda: bool(world.cluster.watchers))
        world.secrets.require(set())
        assert world.secrets.look_up(A) == SECRET_NOT_READ
        await eventually(lambda: not world.cluster.watchers)


async def test_repr_hides_the_content_of_a_secret() -> None:
    """The repr, which could be logged, does not show what a Secret holds."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "aHVzaA"})
        world.secrets.require({"a"})
        await world.has_text("aHVzaA")
        assert "aHVzaA" not in repr(world.secrets)


async def test_secret_in_an_assumed_namespace_names_the_flag() -> None:
    """The Secret may exist in another namespace, where the controller runs."""
    async with worlds() as world:
        world.secrets.home = AssumedNamespace(NAMESPACE, is_everything_seen=True)
        world.secrets.require({"a"})
        await world.has_text("there is no Secret svclink/a", "pass --controller-namespace")


async def test_secret_in_one_of_several_namespaces_is_not_read() -> None:
    """It is not guessed which one counts."""
    async with worlds() as world:
        world.secrets.home = AmbiguousNamespace(("a", "b"))
        world.secrets.require({"a"})
        assert "namespaces a, b: pass --controller-namespace" in world.text()
        assert world.server.requests == []
