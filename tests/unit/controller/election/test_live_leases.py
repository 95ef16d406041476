"""A controller that starts beside one that leads says so.

Real: the warning, the client, sockets and TLS. Substituted: the main API server, by a fake one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import define
from structlog.testing import capture_logs

from svclink_controller import clock
from svclink_controller.api.client import Client
from svclink_controller.election.leader import LeaseSpec
from svclink_controller.election.live_leases import (
    LiveLease,
    is_live,
    live_lease,
    live_leases,
    warn_about_other_leaders,
)
from svclink_controller.wire.messages import WireError
from svclink_core.codec import Json
from tests.unit.controller.fake_api_server import FakeApiServer
from tests.unit.controller.faults import Answer, Fault, Garbage, HangUp, Refuse, ends_with
from tests.unit.controller.http_server import connected, serving

RENEWED = "2026-01-01T00:00:00.000000Z"
RENEWED_AT = 1_767_225_600.0


@define
class Main:
    """A fake main cluster with Leases."""

    cluster: FakeApiServer
    client: Client

    def hold(self, namespace: str, holder: str = "pod", name: str = "svclink") -> None:
        """Another controller has just renewed its Lease."""
        spec = {"holderIdentity": holder, "leaseDurationSeconds": 3600}
        metadata = {"name": name, "namespace": namespace}
        lease = {"metadata": metadata, "spec": spec | {"renewTime": clock.micro_time()}}
        self.cluster.put_raw("leases", lease)

    async def warned_of(self, *, is_pod: bool = False) -> list[str]:
        """The Leases in the warnings of a controller in the namespace `svclink`."""
        with capture_logs() as logs:
            await warn_about_other_leaders(self.client, "svclink", "svclink", is_pod=is_pod)
        return [each["lease"] for each in logs if each["event"] == "another controller is leading"]


@asynccontextmanager
async def mains(*, may_list: bool = True) -> AsyncIterator[Main]:
    cluster = FakeApiServer()
    review: Json = {"status": {"allowed": may_list}}
    cluster.fail(Answer(review, 201), ends_with("/selfsubjectaccessreviews"))
    async with serving(cluster) as server, connected(server.url) as client:
        yield Main(cluster, client)


@pytest.mark.parametrize(
    ("changes", "now", "expected"),
    [
        ({}, RENEWED_AT + 14, True),
        ({}, RENEWED_AT + 15, False),
        ({}, RENEWED_AT - 5, True),
        ({"lease_duration_seconds": None}, RENEWED_AT + 14, True),
        ({"holder_identity": ""}, RENEWED_AT, False),
        ({"holder_identity": None}, RENEWED_AT, False),
        ({"renew_time": None}, RENEWED_AT, False),
        ({"renew_time": "yesterday"}, RENEWED_AT, False),
    ],
)
def test_lease_is_live_for_its_duration_after_a_renewal(
    changes: dict[str, Any], now: float, expected: bool
) -> None:
    """A Lease that was released or has expired is held by no controller."""
    spec: dict[str, Any] = {"holder_identity": "pod", "lease_duration_seconds": 15}
    spec |= {"renew_time": RENEWED}
    assert is_live(LeaseSpec(**(spec | changes)), now) is expected


async def test_leases_of_all_namespaces_are_found() -> None:
    """Only live ones of the name count."""
    async with mains() as main:
        main.hold("a", "pod-a")
        main.hold("b", "")
        main.hold("c", name="other")
        assert await live_leases(main.client, "svclink", ["b"]) == [
            LiveLease("a", "svclink", "pod-a")
        ]
        assert await live_lease(main.client, "svclink", "a") == [LiveLease("a", "svclink", "pod-a")]
        assert await live_lease(main.client, "svclink", "elsewhere") == []


async def test_only_the_own_namespace_is_read_without_the_permission() -> None:
    """No request is sent that the API server would deny."""
    async with mains(may_list=False) as main:
        main.hold("elsewhere")
        main.hold("svclink")
        assert await main.warned_of() == ["svclink/svclink"]
        assert not any(each.path.endswith("/leases") for each in main.cluster.requests)


async def test_answer_that_is_no_list_is_an_error() -> None:
    """A proxy's page does not say that no controller leads."""
    async with mains() as main:
        main.cluster.fail(Garbage(), ends_with("/leases"))
        with pytest.raises(WireError):
            await live_leases(main.client, "svclink", ["b"])


async def test_local_controller_is_warned_of_the_one_in_the_cluster() -> None:
    """With the permissions of a user every namespace is searched."""
    async with mains() as main:
        assert await main.warned_of() == []
        main.hold("elsewhere")
        main.hold("svclink")
        assert sorted(await main.warned_of()) == ["elsewhere/svclink", "svclink/svclink"]


async def test_pod_reads_only_the_lease_in_its_namespace() -> None:
    """Its ServiceAccount may read no other."""
    async with mains() as main:
        main.hold("elsewhere")
        main.hold("svclink")
        assert await main.warned_of(is_pod=True) == ["svclink/svclink"]
        paths = {each.path for each in main.cluster.requests} - {"/version"}
        assert paths == {"/apis/coordination.k8s.io/v1/namespaces/svclink/leases/svclink"}


@pytest.mark.parametrize("fault", [Refuse(403), HangUp(), Garbage()])
async def test_leases_that_cannot_be_read_do_not_stop_the_start(fault: Fault) -> None:
    """The warning is a help; without the permission there is none."""
    async with mains() as main:
        main.hold("svclink")
        main.cluster.fail(fault, lambda asked: "/leases" in asked.path)
        assert await main.warned_of() == []
        assert await main.warned_of(is_pod=True) == []
