"""What holds for svclink in a Pod: limits, Pod security, logs and Events."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pytest

from tests.builders.manifests import service
from tests.e2e.api_client import Api, ApiError
from tests.e2e.polling import eventually
from tests.e2e.world import Kubectl

from . import workloads
from .cgroups import memory_limit
from .shop import NAMESPACE, SVCLINK_NAMESPACE, Shop

LARGE_LIST: Final = tuple([f"{NAMESPACE}/large-{n}" for n in range(275)])
LARGE_ANNOTATION: Final = "x" * 128 * 2**10
LISTS: Final = 4
"""Enough to last longer than the period of kubelet's probes."""


@pytest.fixture
def large_remote(shop: Shop) -> Iterator[str]:
    """The link to a remote whose Services make a list of 35 MB; none of them is in main."""
    api = shop.clusters["c2"].api
    for key in LARGE_LIST:
        api.create(service(key, annotations={"example.com/large": LARGE_ANNOTATION}))
    yield "c2"
    for key in LARGE_LIST:
        api.delete("services", key.partition("/")[2], NAMESPACE)


def failed_probes(api: Api) -> int:
    """How often kubelet has reported a failed probe of a Pod of svclink."""
    events = api.find("events", SVCLINK_NAMESPACE)
    return sum(event.get("count") or 1 for event in events if event["reason"] == "Unhealthy")


def test_memory_limit_is_that_of_the_manifests(shop: Shop) -> None:
    """The kernel limits the memory of each container of svclink to 512 MiB."""
    for container in shop.svclink_containers().values():
        assert memory_limit(container) == 512 * 2**20


def test_leader_killed_for_its_memory(shop: Shop) -> None:
    """When the kernel kills the leader for its memory, it restarts, and a replica takes over."""
    leader, holder = eventually(shop.leader), shop.holder()
    with shop.under_load() as load:
        shop.exhaust_memory(leader)
        eventually(lambda: shop.assert_terminated(leader, "OOMKilled"), workloads.POD_SECONDS)
        eventually(lambda: shop.assert_other_holder(holder), workloads.POD_SECONDS)
        shop.change_remote()

    shop.await_svclink()
    assert not load.failures, load.table()


def test_probes_succeed_while_a_large_list_arrives(shop: Shop, large_remote: str) -> None:
    """No probe of kubelet fails, and nothing restarts, while svclink lists 35 MB several times."""
    api, containers = shop.main.api, shop.svclink_containers()
    failed = failed_probes(api)
    for _ in range(LISTS):
        shop.links.edit(large_remote, enabled=False)
        shop.links.await_condition(large_remote, "False", "Disabled")
        shop.links.edit(large_remote, enabled=None)
        shop.links.await_condition(large_remote, "True", "Synced", kind="Synced")

    assert failed_probes(api) == failed
    assert shop.svclink_containers() == containers


def test_pod_security_is_enforced(shop: Shop) -> None:
    """The namespace of svclink refuses Pods that are not restricted."""
    container = {"name": "privileged", "image": workloads.IMAGE}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "privileged", "namespace": SVCLINK_NAMESPACE},
        "spec": {"containers": [container | {"securityContext": {"privileged": True}}]},
    }
    with pytest.raises(ApiError, match="PodSecurity"):
        shop.main.api.create(pod)


def test_logs_and_events_are_readable(shop: Shop, kubectl: Kubectl) -> None:
    """`kubectl logs` shows the log of the leader, and `kubectl get events` Events of the links."""
    leader = eventually(shop.leader)
    log = kubectl("logs", "--namespace", SVCLINK_NAMESPACE, leader)
    assert "leading" in log
    events = kubectl("get", "events", "--namespace", "default")
    assert "clusterlink/c1" in events
