"""What administrators and accidents do to a remote: set back, moved, its keys changed, permissions taken away."""

from __future__ import annotations

import base64
from collections import Counter

import pytest
import yaml

from .api_client import ApiError, Object
from .control_planes import READER_USER, Cluster
from .fault_proxy import FaultProxy, Hanging, ProxyTo, Refusing, Shortening
from .isolated_cluster import FragileCluster
from .polling import eventually
from .world import World

ACCOUNT = "narrow"


@pytest.fixture
def mirroring(linked: World, c3: FragileCluster) -> World:
    """The Service `web` mirrored from the fragile remote and from another."""
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    return linked


@pytest.mark.real_servers("the embedded server has no etcd that could be restored")
def test_a_remote_restored_from_a_backup_is_followed(mirroring: World, c3: FragileCluster) -> None:
    """What it has again is mirrored again, what it has no more is not, though its resourceVersions went backwards."""
    mirroring.declare("young")
    c3.back_up()
    mirroring.publish(c3, "young", "10.3.9.1")
    mirroring.rewrite(c3, "web", "10.3.0.2")
    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.2"])
    mirroring.await_mirrored("young", c3=["10.3.9.1"])
    others = mirroring.versions("web", "c1")

    c3.restore()

    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    mirroring.await_mirrored("young")
    mirroring.rewrite(c3, "web", "10.3.0.3")
    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.3"])
    mirroring.links.await_ready("c3")
    assert mirroring.versions("web", "c1") == others


@pytest.mark.real_servers("the embedded server has no etcd that could be compacted")
def test_what_a_compacted_remote_forgot_is_listed(
    linked: World, c3: FragileCluster, proxy_to: ProxyTo
) -> None:
    """A watch that cannot be continued from before a compaction is made up for by a list, on the same connection."""
    proxy, mark = proxy_to(c3, terminates_tls=True), c3.audit_mark()
    proxy.fail(Shortening(2))
    linked.links.add("c3", c3.kubeconfig({"token": c3.token()}, **proxy.access))
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    ready = linked.links.await_condition("c3", "True", "ClusterReady")

    proxy.fail(Hanging())
    eventually(lambda: assert_watches_have_ended(c3, mark))
    linked.publish(c3, "other", "10.3.1.1")
    linked.withdraw(c3, "web")
    c3.compact()
    mark = c3.audit_mark()
    proxy.work()

    linked.await_mirrored("web", c1=["10.1.0.1"])
    assert "list" in {event.verb for event in c3.audit_events(mark, READER_USER)}
    assert linked.links.condition("c3") == ready


def assert_watches_have_ended(cluster: Cluster, mark: int) -> None:
    """There were some, and every one has come to its end."""
    stages = [
        event.stage for event in cluster.audit_events(mark, READER_USER) if event.verb == "watch"
    ]
    counts = Counter(stages)
    assert counts["ResponseStarted"] == counts["ResponseComplete"] > 0, f"watches: {counts}"


def test_a_remote_with_a_new_certificate_authority_waits_for_it(
    mirroring: World, c3: FragileCluster
) -> None:
    """Its certificate is not accepted and its slices stay, until the link has the new CA; nothing is missed."""
    kept = mirroring.versions("web", "c3")

    c3.rotate_authority()
    mirroring.links.await_condition("c3", "False", "CertificateInvalid")
    mirroring.rewrite(c3, "web", "10.3.0.2")
    mirroring.rewrite(mirroring.c1, "web", "10.1.0.2")
    mirroring.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.1"])
    assert mirroring.versions("web", "c3") == kept

    mirroring.links.replace_kubeconfig("c3", c3.remote_kubeconfig())
    mirroring.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.2"])
    mirroring.links.await_ready("c3")


def test_a_remote_that_moved_is_found_where_the_link_says(
    mirroring: World, c3: FragileCluster
) -> None:
    """Where nobody answers any more its slices stay; an edited link leads to the new address of the same cluster."""
    kept = mirroring.versions("web", "c3")

    c3.move()
    mirroring.links.await_condition("c3", "False", "Unreachable")
    assert mirroring.versions("web", "c3") == kept

    mirroring.links.replace_kubeconfig("c3", c3.remote_kubeconfig())
    mirroring.links.await_ready("c3")
    assert mirroring.versions("web", "c3") == kept
    mirroring.rewrite(c3, "web", "10.3.0.2")
    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.2"])


# With less than the whole cluster, through a proxy that makes the controller connect again at once


@pytest.fixture
def proxy(world: World, proxy_to: ProxyTo) -> FaultProxy:
    return proxy_to(world.c1)


@pytest.fixture
def narrow(world: World, proxy: FaultProxy) -> World:
    """The first remote linked with the rights of one namespace, and `web` mirrored from both remotes."""
    world.controller.start()
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.c1.create_account(ACCOUNT, world.namespace)
    world.links.add("c1", narrow_kubeconfig(world, proxy), includedNamespaces=[world.namespace])
    world.link(world.c2)
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    world.links.await_ready("c1")
    return world


def narrow_kubeconfig(world: World, proxy: FaultProxy) -> str:
    return world.c1.kubeconfig({"token": world.c1.token(ACCOUNT, world.namespace)}, **proxy.access)


@pytest.mark.parametrize("lost", ["everything", "endpointslices", "services"])
def test_permissions_that_are_withdrawn_leave_the_slices(
    narrow: World, proxy: FaultProxy, lost: str
) -> None:
    """What may not be read is unknown, be it one resource or all; granted again, it is followed again."""
    kept = narrow.versions("web", "c1")
    role = narrow.c1.api.get("roles", ACCOUNT, narrow.namespace)
    left = [
        rule for rule in role["rules"] if lost != "everything" and lost not in rule["resources"]
    ]

    narrow.c1.api.patch("roles", ACCOUNT, narrow.namespace, {"rules": left})
    proxy.cut()
    narrow.links.await_condition("c1", "False", "Forbidden")
    narrow.withdraw(narrow.c1, "web")
    narrow.rewrite(narrow.c2, "web", "10.2.0.2")
    narrow.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.2"])
    assert narrow.versions("web", "c1") == kept

    narrow.c1.api.patch("roles", ACCOUNT, narrow.namespace, {"rules": role["rules"]})
    narrow.await_mirrored("web", c2=["10.2.0.2"])
    narrow.links.await_ready("c1")


def test_a_token_that_counts_no_more_is_replaced_in_the_link(
    narrow: World, proxy: FaultProxy
) -> None:
    """Its owner is gone: the slices stay and the status says so, until the link has the token of another."""
    kept = narrow.versions("web", "c1")
    token = token_of(narrow.main.api.get("clusterlinks", "c1"))

    proxy.fail(Refusing())
    proxy.cut()
    narrow.c1.api.delete("serviceaccounts", ACCOUNT, narrow.namespace)
    eventually(
        lambda: assert_refused(narrow.c1, token)
    )  # An API server remembers tokens for some seconds.
    proxy.work()
    narrow.links.await_condition("c1", "False", "Unauthorized")
    narrow.rewrite(narrow.c1, "web", "10.1.0.2")
    assert narrow.versions("web", "c1") == kept

    meta = {"name": ACCOUNT, "namespace": narrow.namespace}
    narrow.c1.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
    narrow.links.replace_kubeconfig("c1", narrow_kubeconfig(narrow, proxy))
    narrow.await_mirrored("web", c1=["10.1.0.2"], c2=["10.2.0.1"])
    narrow.links.await_ready("c1")


def token_of(link: Object) -> str:
    kubeconfig = yaml.safe_load(base64.b64decode(link["spec"]["kubeconfig"]))
    return str(kubeconfig["users"][0]["user"]["token"])


def assert_refused(cluster: Cluster, token: str) -> None:
    api = cluster.api_of(token)
    try:
        api.request("GET", "/version")
    except ApiError as error:
        assert error.status == 401  # noqa: PT017 - any other refusal is as wrong as none
    else:
        raise AssertionError("the token still counts")
    finally:
        api.close()
