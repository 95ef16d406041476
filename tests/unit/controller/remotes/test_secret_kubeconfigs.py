"""Only the Secrets that links name are read, each is followed, and what is wrong with one is said.

Real: the watches, reflector, client, sockets and TLS. Substituted: the main API server, by a small one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web
from attrs import define, field

from svclink_controller.remotes.secret_kubeconfigs import SecretKubeconfigs
from svclink_core import LinkReason
from svclink_core.link_identity import Problem
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.unit.controller.servers import Cluster, Server, connected, eventually, refusal, serving

NAMESPACE = "svclink"
A = SecretKeyReference("a")


@define
class World:
    """The main cluster, and the Secrets read of it."""

    server: Server
    cluster: Cluster
    secrets: SecretKubeconfigs = field(init=False)
    told: list[str] = field(factory=list)

    def text(self, reference: SecretKeyReference = A) -> str | None:
        """The kubeconfig, or what is wrong."""
        found = self.secrets.look_up(reference)
        if isinstance(found, Problem):
            assert found.reason is LinkReason.INVALID_KUBECONFIG
            return found.message
        return found

    async def says(self, *words: str, reference: SecretKeyReference = A) -> None:
        await eventually(lambda: all(word in (self.text(reference) or "") for word in words))


@asynccontextmanager
async def worlds() -> AsyncIterator[World]:
    cluster = Cluster()
    async with serving(cluster) as server, connected(server.url) as client:
        world = World(server, cluster)
        world.secrets = SecretKubeconfigs(client, NAMESPACE, world.told.append)
        try:
            yield world
        finally:
            await world.secrets.close()


async def test_secret_is_read_and_followed() -> None:
    """A kubeconfig is there when its Secret was read, and another one when the Secret changes."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        assert world.secrets.look_up(A) is None
        await world.says("b25l")
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "dHdv"})
        await world.says("dHdv")
        assert world.told == ["a", "a"]


async def test_only_secrets_that_are_named_are_read() -> None:
    """Every request is for one Secret of the controller's namespace, by its name."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.cluster.put_secret(NAMESPACE, "b", {"kubeconfig": "dHdv"})
        world.secrets.require({"a"})
        await world.says("b25l")
        await eventually(lambda: bool(world.cluster.watchers))
        assert set(world.server.paths) == {f"/api/v1/namespaces/{NAMESPACE}/secrets"}
        assert {request.query["fieldSelector"] for request in world.server.requests} == {
            "metadata.name=a"
        }
        assert world.secrets.look_up(SecretKeyReference("b")) is None


async def test_secret_that_is_missing_is_named() -> None:
    """Where there is no Secret, the problem says which to create; created, it is used; deleted, it is missing."""
    async with worlds() as world:
        world.secrets.require({"a"})
        await world.says("there is no Secret svclink/a", "kubeconfig")
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        await world.says("b25l")
        world.cluster.remove_key("secrets", NAMESPACE, "a")
        await world.says("there is no Secret svclink/a")


async def test_key_that_is_missing_is_named() -> None:
    """A Secret without the key says which key to put there; two links may use two keys of one Secret."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        await world.says("b25l")
        await world.says(
            "Secret svclink/a has no key other", reference=SecretKeyReference("a", "other")
        )


async def test_secret_without_data_has_no_key() -> None:
    """An empty Secret is one without keys."""
    async with worlds() as world:
        world.cluster.objects["secrets", NAMESPACE, "a"] = {
            "metadata": {"name": "a", "namespace": NAMESPACE}
        }
        world.secrets.require({"a"})
        await world.says("Secret svclink/a has no key kubeconfig")


async def test_secret_that_makes_no_sense_is_not_taken_for_missing() -> None:
    """A Secret nobody understands is there, and the problem says so."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": 5})
        world.secrets.require({"a"})
        await world.says("Secret svclink/a is not understood")


async def test_secret_that_may_not_be_read_is_a_problem() -> None:
    """Without the permission, the problem carries the refusal; granted, the Secret is used."""
    async with worlds() as world:

        async def refuse(_: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(403, "Forbidden", "secrets is forbidden")

        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.cluster.override = refuse
        world.secrets.require({"a"})
        await world.says("Secret svclink/a cannot be read", "secrets is forbidden")
        world.cluster.override = None
        await world.says("b25l")


async def test_what_was_read_stays_good_while_the_main_cluster_is_away() -> None:
    """A kubeconfig is not given up because its Secret cannot be read just now."""
    async with worlds() as world:

        async def refuse(_: web.BaseRequest) -> web.StreamResponse | None:
            return refusal(503)

        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        await eventually(lambda: bool(world.cluster.watchers))
        world.cluster.override = refuse
        asked = len(world.server.requests)
        world.cluster.hang_up()
        await eventually(lambda: len(world.server.requests) > asked)
        assert world.text() == "b25l"
        assert world.told == ["a"]


async def test_secret_that_is_not_needed_any_more_is_forgotten() -> None:
    """When no link names a Secret, its watch ends and its content is dropped."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "b25l"})
        world.secrets.require({"a"})
        await world.says("b25l")
        await eventually(lambda: bool(world.cluster.watchers))
        world.secrets.require(set())
        assert world.secrets.look_up(A) is None
        await eventually(lambda: not world.cluster.watchers)


async def test_content_of_a_secret_is_in_no_representation() -> None:
    """Nothing that could be logged shows what a Secret holds."""
    async with worlds() as world:
        world.cluster.put_secret(NAMESPACE, "a", {"kubeconfig": "aHVzaA"})
        world.secrets.require({"a"})
        await world.says("aHVzaA")
        assert "aHVzaA" not in repr(world.secrets)
