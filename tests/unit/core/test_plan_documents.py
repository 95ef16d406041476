"""Plans as plain data."""

from __future__ import annotations

from attrs import evolve

from svclink_core import (
    ClusterTraffic,
    LinkReason,
    NamespacedName,
    Options,
    Plan,
    Problem,
    Reason,
    Snapshot,
    plan,
)
from svclink_core.diffing import Delete, Precondition
from svclink_core.plan_documents import change_data, change_text, object_of, plan_data, traffic_data
from svclink_core.snapshot import main_cluster
from tests.builders.keys import WEB
from tests.builders.values import (
    cluster,
    mirrored_slice,
    namespace,
    remote_slice,
    service,
    snapshot_of,
    traffic_policy,
)

DELETION = Delete(mirrored_slice(), Precondition("uid", "1"), Reason.LINK_GONE)
CREATING = Options(sync_services=True)


def steered() -> Snapshot:
    """A Service with a policy, whose mirror does not exist yet."""
    found = snapshot_of(cluster("c1", remote_slice()))
    policies = {WEB: traffic_policy(ClusterTraffic("c1", share=100))}
    return evolve(found, main=evolve(found.main, traffic_policies=policies))


def test_plan_is_complete() -> None:
    """Changes, decisions, findings and traffic, each with its reason."""
    data = plan_data(plan(steered(), 0), {})
    assert data["changes"] == [
        {
            "change": "create",
            "kind": "EndpointSlice",
            "name": "default/web-c1",
            "cluster": "c1",
            "reason": "SourceAdded",
            "message": Reason.SOURCE_ADDED.sentence,
            "object": change_data(plan(steered(), 0).changes[0])["object"],
        }
    ]
    assert data["decisions"] == [
        {
            "service": "default/web",
            "cluster": "c1",
            "outcome": "Mirrored",
            "reason": "Mirrored",
            "message": Reason.MIRRORED.sentence,
            "slices": 1,
            "endpoints": 1,
            "reference": None,
        }
    ]
    (traffic,) = plan(steered(), 0).traffic
    assert data["traffic"] == [traffic_data(traffic)]
    assert (traffic_data(traffic)["policy"], traffic_data(traffic)["activeTier"]) == ("web", 0)
    assert (data["findings"], data["problems"]) == ([], [])


def test_findings_and_problems() -> None:
    """What could not be mirrored, and which clusters could not be read."""
    remotes = [cluster(name, remote_slice()) for name in ("c1", "c2")]
    problem = Problem(LinkReason.UNAUTHORIZED, "401")
    planned = plan(snapshot_of(*remotes), 0)
    data = plan_data(planned, {"c3": problem})
    assert data["problems"] == [{"cluster": "c3", "reason": "Unauthorized", "message": "401"}]
    assert data["findings"] == [
        {
            "service": "default/web",
            "cluster": each.cluster,
            "reason": "AddressConflict",
            "message": Reason.ADDRESS_CONFLICT.sentence,
            "details": [*each.details],
        }
        for each in planned.findings
    ]
    assert planned.findings


def test_text_of_a_change() -> None:
    """A slice that is written has active endpoints; one that is deleted has none to speak of."""
    (creation,) = plan(steered(), 0).changes
    assert change_text(creation) == (
        "create EndpointSlice default/web-c1 (1 of 1 endpoints active):"
        f" {Reason.SOURCE_ADDED.sentence}"
    )
    text = f"delete EndpointSlice default/web-c1: {Reason.LINK_GONE.sentence}"
    assert change_text(DELETION) == text
    assert change_data(DELETION)["object"] is None


def test_created_service_and_namespace() -> None:
    """Both have names of their own kind."""
    remote = cluster("c1", remote_slice())
    main = main_cluster([], [], [namespace("kube-system")])
    planned: Plan = plan(evolve(snapshot_of(remote), main=main, options=CREATING), 0)
    assert [change_text(each) for each in planned.changes] == [
        f"create Namespace default: {Reason.NAMESPACE_CREATED.sentence}",
        f"create Service default/web: {Reason.SERVICE_CREATED.sentence}",
    ]
    assert [object_of(each).metadata.key for each in planned.changes] == [
        NamespacedName("", "default"),
        service().metadata.key,
    ]
