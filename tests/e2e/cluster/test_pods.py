"""What holds for svclink in a Pod: limits, Pod security, logs and Events."""

from __future__ import annotations

import pytest

from tests.e2e.api_client import ApiError
from tests.e2e.polling import eventually
from tests.e2e.world import Kubectl

from . import workloads
from .cgroups import memory_limit
from .shop import SVCLINK_NAMESPACE, Shop


def test_memory_limit_is_that_of_the_manifests(shop: Shop) -> None:
    """The kernel limits the memory of each container of svclink to 512 MiB."""
    for container in shop.svclink_containers().values():
        assert memory_limit(container.removeprefix("containerd://")) == 512 * 2**20


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
