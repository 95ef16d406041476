"""The namespaces in which controllers run are found from outside the cluster.

Real: the search, the client, sockets and TLS. Substituted: the main API server, by a fake one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from attrs import define

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.api.errors import ApiError
from svclink_controller.election.running_controllers import (
    find_controller_namespace,
    find_until_answered,
)
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json
from svclink_core.controller_namespace import (
    AmbiguousNamespace,
    AssumedNamespace,
    ControllerNamespace,
    KnownNamespace,
)
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Answer, Garbage, Predicate, Refuse, ends_with
from tests.unit.controller.http_server import connected, serving


def asks_for(resource: str) -> Predicate:
    """Access reviews about a resource."""
    return lambda asked: asked.path.endswith("reviews") and resource in asked.body.decode()


@define
class Main:
    """A main cluster, with controllers in some namespaces."""

    cluster: FakeApiServer
    client: Client

    def deploy(self, namespace: str) -> None:
        """The manifests were applied in a namespace."""
        labels: Json = {"app.kubernetes.io/name": "svclink"}
        metadata: Json = {"name": "svclink", "namespace": namespace, "labels": labels}
        self.cluster.put_raw("deployments", {"metadata": metadata})

    def lead(self, namespace: str) -> None:
        """A controller holds its Lease in a namespace."""
        spec: Json = {
            "holderIdentity": "pod",
            "leaseDurationSeconds": 3600,
            "renewTime": clock.micro_time(),
        }
        metadata: Json = {"name": "svclink", "namespace": namespace}
        self.cluster.put_raw("leases", {"metadata": metadata, "spec": spec})

    def deny(self, *resources: str) -> None:
        """The user may not list these in all namespaces."""
        review: Json = {"status": {"allowed": False}}
        for resource in resources:
            self.cluster.fail(Answer(review, 201), asks_for(resource))
            self.cluster.fail(Refuse(403, "Forbidden"), ends_with(f"/{resource}"))

    async def found(self) -> ControllerNamespace:
        return await find_controller_namespace(self.client, "svclink", "shop")

    def paths(self) -> set[str]:
        """What was requested besides access reviews."""
        return {each.path.rsplit("/", 1)[-1] for each in self.cluster.requests} - {
            "selfsubjectaccessreviews",
            "version",
        }


@asynccontextmanager
async def mains() -> AsyncIterator[Main]:
    cluster = FakeApiServer()
    async with serving(cluster) as server, connected(server.url) as client:
        yield Main(cluster, client)


async def test_deployment_tells_where_the_controller_is() -> None:
    """Its namespace counts, whatever else runs there, and no Lease is read."""
    async with mains() as main:
        main.deploy("cloudpilot")
        main.lead("elsewhere")
        assert await main.found() == KnownNamespace("cloudpilot")
        assert main.paths() == {"deployments"}


async def test_lease_tells_it_where_there_is_no_deployment() -> None:
    """A controller outside the cluster has a Lease only."""
    async with mains() as main:
        main.lead("ops")
        assert await main.found() == KnownNamespace("ops")


async def test_lease_tells_it_where_deployments_may_not_be_listed() -> None:
    """What the user may not list is not requested."""
    async with mains() as main:
        main.deploy("cloudpilot")
        main.lead("ops")
        main.deny("deployments")
        assert await main.found() == KnownNamespace("ops")
        assert main.paths() == {"leases"}


async def test_several_namespaces_are_named() -> None:
    """Controllers with disjoint links may run in different namespaces; the context may choose."""
    async with mains() as main:
        main.deploy("b")
        main.deploy("a")
        assert await main.found() == AmbiguousNamespace(("a", "b"))
        main.deploy("shop")
        assert await main.found() == KnownNamespace("shop")


async def test_nothing_found_is_not_nothing_seen() -> None:
    """Without the permissions, as those of the ServiceAccount, the context's namespace is used."""
    async with mains() as main:
        assert await main.found() == AssumedNamespace("shop", is_everything_seen=True)
        main.deny("deployments", "leases")
        main.cluster.requests.clear()
        assert await main.found() == AssumedNamespace("shop", is_everything_seen=False)
        assert main.paths() == set()


async def test_cluster_without_deployments_is_searched_for_leases() -> None:
    """The API server of `svclink demo` has no Deployments."""
    async with mains() as main:
        main.cluster.fail(Refuse(404, "NotFound"), ends_with("/deployments"))
        main.lead("ops")
        assert await main.found() == KnownNamespace("ops")


async def test_failed_search_is_not_an_empty_one() -> None:
    """An API server that fails, or a page of a proxy, does not say that there is no controller."""
    async with mains() as main:
        rule = main.cluster.fail(Refuse(503), ends_with("/deployments"), times=1)
        with pytest.raises(ApiError):
            await main.found()
        assert rule.hits == 1
        main.cluster.fail(Garbage(), ends_with("/deployments"), times=1)
        with pytest.raises(WireError):
            await main.found()
        main.deploy("cloudpilot")
        main.cluster.fail(Refuse(503), ends_with("/deployments"), times=1)
        found = await find_until_answered(main.client, "svclink", "shop")
        assert found == KnownNamespace("cloudpilot")
