"""The output of kubectl for ClusterLinks."""

from __future__ import annotations

from .polling import eventually
from .world import Kubectl, World


def test_kubectl_get_prints_the_documented_columns(linked: World, kubectl: Kubectl) -> None:
    """`kubectl get clusterlinks` prints NAME, ENABLED, VERSION, STATUS and AGE, in this order."""
    header, *rows = kubectl("get", "clusterlinks").splitlines()

    assert header.split() == ["NAME", "ENABLED", "VERSION", "STATUS", "AGE"]
    assert [row.split()[:-1] for row in rows] == [
        ["c1", "true", linked.c1.version(), "Ready"],
        ["c2", "true", linked.c2.version(), "Ready"],
    ]
    assert all(row.split()[-1].endswith("s") for row in rows)


def test_kubectl_get_shows_disabled_and_broken_links(linked: World, kubectl: Kubectl) -> None:
    """ENABLED and STATUS show which links are disabled or broken."""
    linked.links.edit("c1", enabled=False)
    linked.links.add("broken", "not a kubeconfig")

    def shown() -> None:
        lines = kubectl("get", "clusterlinks", "--no-headers").splitlines()
        fields = {line.split()[0]: line.split()[1:] for line in lines}
        assert (fields["c1"][0], fields["c1"][-2]) == ("false", "Disabled")
        assert (fields["c2"][0], fields["c2"][-2]) == ("true", "Ready")
        assert (fields["broken"][0], fields["broken"][-2]) == ("true", "NotReady")

    eventually(shown)


def test_kubectl_describe_shows_transitions_as_events(linked: World, kubectl: Kubectl) -> None:
    """A link has an Event for each transition, such as ClusterReady or Unauthorized."""
    linked.links.replace_kubeconfig("c1", linked.c1.kubeconfig({"token": "stale"}))
    linked.links.await_condition("c1", "False", "Unauthorized")
    linked.links.replace_kubeconfig("c1", linked.c1.remote_kubeconfig())
    linked.links.await_ready("c1")

    def events_are_complete() -> None:
        _, events = kubectl("describe", "clusterlink", "c1").split("Events:")
        lines = [line.split() for line in events.splitlines() if "svclink" in line]
        assert {tuple(line[:2]) for line in lines} == {
            ("Normal", "ClusterReady"),
            ("Warning", "Unauthorized"),
        }

    eventually(events_are_complete)
