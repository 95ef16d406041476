"""A remote that is restored, compacted or moved, or whose CA, permissions or tokens change."""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Iterable

import pytest
import yaml

from tests.builders.manifests import Manifest

from . import rbac
from .api_client import ApiError
from .control_planes import READER_USER, Cluster
from .fault_proxy import FaultProxy, ProxyTo
from .faults import Hanging, Refusing, Shortening
from .isolated_cluster import IsolatedCluster
from .polling import eventually
from .world import World

ACCOUNT = "narrow"


@pytest.fixture
def mirroring(linked: World, c3: IsolatedCluster) -> World:
    """The Service `web` is mirrored from the isolated remote and from another."""
    linked.link(c3)
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    return linked


@pytest.mark.real_servers("the embedded server has no etcd to restore")
def test_remote_restored_from_a_backup_is_mirrored_again(
    mirroring: World, c3: IsolatedCluster
) -> None:
    """Mirrors follow a restored remote, although its resourceVersions went backwards."""
    mirroring.declare("young")
    c3.back_up()
    mirroring.publish(c3, "young", "10.3.9.1")
    mirroring.set_addresses(c3, "web", "10.3.0.2")
    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.2"])
    mirroring.await_mirrored("young", c3=["10.3.9.1"])
    others = mirroring.versions("web", "c1")

    c3.restore()

    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    mirroring.await_mirrored("young")
    mirroring.set_addresses(c3, "web", "10.3.0.3")
    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.3"])
    mirroring.links.await_ready("c3")
    assert mirroring.versions("web", "c1") == others


@pytest.mark.real_servers("the embedded server has no etcd to compact")
def test_compacted_remote_is_listed_again(
    linked: World, c3: IsolatedCluster, proxy_to: ProxyTo
) -> None:
    """A watch that cannot resume is replaced by a list on the same connection."""
    proxy, mark = proxy_to(c3, terminates_tls=True), c3.audit_mark()
    proxy.fail(Shortening(2))
    linked.links.add("c3", c3.kubeconfig({"token": c3.token()}, **proxy.cluster_entry))
    linked.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.1"])
    ready = linked.links.await_condition("c3", "True", "ClusterReady")

    proxy.fail(Hanging())
    eventually(lambda: assert_watches_have_ended(c3, mark))
    linked.publish(c3, "other", "10.3.1.1")
    linked.withdraw(c3, "web")
    c3.compact()
    mark = c3.audit_mark()
    proxy.heal()

    linked.await_mirrored("web", c1=["10.1.0.1"])
    assert "list" in {event.verb for event in c3.audit_events(mark, READER_USER)}
    assert linked.links.condition("c3") == ready


def assert_watches_have_ended(cluster: Cluster, mark: int) -> None:
    """Assert that there were watches, and that all of them have ended."""
    stages = [
        event.stage for event in cluster.audit_events(mark, READER_USER) if event.verb == "watch"
    ]
    counts = Counter(stages)
    assert counts["ResponseStarted"] == counts["ResponseComplete"] > 0, f"watches: {counts}"


def test_remote_with_a_new_ca_keeps_its_slices_until_the_link_trusts_it(
    mirroring: World, c3: IsolatedCluster
) -> None:
    """The link is CertificateInvalid and its slices stay, until its kubeconfig has the new CA."""
    kept = mirroring.versions("web", "c3")

    c3.rotate_authority()
    mirroring.links.await_condition("c3", "False", "CertificateInvalid")
    mirroring.set_addresses(c3, "web", "10.3.0.2")
    mirroring.set_addresses(mirroring.c1, "web", "10.1.0.2")
    mirroring.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.1"])
    assert mirroring.versions("web", "c3") == kept

    mirroring.links.replace_kubeconfig("c3", c3.remote_kubeconfig())
    mirroring.await_mirrored("web", c1=["10.1.0.2"], c3=["10.3.0.2"])
    mirroring.links.await_ready("c3")


def test_moved_remote_keeps_its_slices_until_the_link_is_edited(
    mirroring: World, c3: IsolatedCluster
) -> None:
    """The link is Unreachable and its slices stay, until its kubeconfig has the new address."""
    kept = mirroring.versions("web", "c3")

    c3.move()
    mirroring.links.await_condition("c3", "False", "Unreachable")
    assert mirroring.versions("web", "c3") == kept

    mirroring.links.replace_kubeconfig("c3", c3.remote_kubeconfig())
    mirroring.links.await_ready("c3")
    assert mirroring.versions("web", "c3") == kept
    mirroring.set_addresses(c3, "web", "10.3.0.2")
    mirroring.await_mirrored("web", c1=["10.1.0.1"], c3=["10.3.0.2"])


# A link to one namespace only, through a proxy that can make the controller reconnect


@pytest.fixture
def proxy(world: World, proxy_to: ProxyTo) -> FaultProxy:
    return proxy_to(world.c1)


@pytest.fixture
def narrow(world: World, proxy: FaultProxy) -> World:
    """The first remote is linked for one namespace, and `web` is mirrored from both remotes."""
    world.controller.start()
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.publish(world.c2, "web", "10.2.0.1")
    world.c1.create_reader_account(ACCOUNT, world.namespace)
    world.links.add("c1", narrow_kubeconfig(world, proxy), includedNamespaces=[world.namespace])
    world.link(world.c2)
    world.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.1"])
    world.links.await_ready("c1")
    return world


def narrow_kubeconfig(world: World, proxy: FaultProxy) -> str:
    return world.c1.kubeconfig(
        {"token": world.c1.token(ACCOUNT, world.namespace)}, **proxy.cluster_entry
    )


@pytest.mark.parametrize("revoked", ["everything", "endpointslices", "services"])
def test_revoked_permissions_keep_the_slices(
    narrow: World, proxy: FaultProxy, revoked: str
) -> None:
    """Slices stay while svclink may not read their source, and are updated afterwards."""
    kept = narrow.versions("web", "c1")
    role = narrow.c1.api.get("roles", ACCOUNT, narrow.namespace)
    remaining = [
        rule
        for rule in role["rules"]
        if revoked != "everything" and revoked not in rule["resources"]
    ]

    narrow.c1.api.patch("roles", ACCOUNT, narrow.namespace, {"rules": remaining})
    sources = ("endpointslices", "services") if revoked == "everything" else (revoked,)
    eventually(lambda: assert_forbidden(narrow, sources))
    proxy.reset_connections()
    narrow.links.await_condition("c1", "False", "Forbidden")
    narrow.withdraw(narrow.c1, "web")
    narrow.set_addresses(narrow.c2, "web", "10.2.0.2")
    narrow.await_mirrored("web", c1=["10.1.0.1"], c2=["10.2.0.2"])
    assert narrow.versions("web", "c1") == kept

    narrow.c1.api.patch("roles", ACCOUNT, narrow.namespace, {"rules": role["rules"]})
    narrow.await_mirrored("web", c2=["10.2.0.2"])
    narrow.links.await_ready("c1")


def assert_forbidden(narrow: World, resources: Iterable[str]) -> None:
    """Assert that the link's user may list none of these.

    A controller that reconnects before the API server has seen the changed role keeps its watches.
    """
    user = f"system:serviceaccount:{narrow.namespace}:{ACCOUNT}"
    for resource in resources:
        assert not rbac.may(narrow.c1.api, user, "list", resource, narrow.namespace), resource


def test_invalid_token_keeps_the_slices_until_it_is_replaced(
    narrow: World, proxy: FaultProxy
) -> None:
    """The link is Unauthorized and its slices stay, until it has a new token."""
    kept = narrow.versions("web", "c1")
    token = token_of(narrow.main.api.get("clusterlinks", "c1"))

    proxy.fail(Refusing())
    proxy.reset_connections()
    narrow.c1.api.delete("serviceaccounts", ACCOUNT, narrow.namespace)
    # An API server caches valid tokens for some seconds.
    eventually(lambda: assert_rejected(narrow.c1, token))
    proxy.heal()
    narrow.links.await_condition("c1", "False", "Unauthorized")
    narrow.set_addresses(narrow.c1, "web", "10.1.0.2")
    assert narrow.versions("web", "c1") == kept

    narrow.c1.create_service_account(ACCOUNT, narrow.namespace)
    narrow.links.replace_kubeconfig("c1", narrow_kubeconfig(narrow, proxy))
    narrow.await_mirrored("web", c1=["10.1.0.2"], c2=["10.2.0.1"])
    narrow.links.await_ready("c1")


def token_of(link: Manifest) -> str:
    kubeconfig = yaml.safe_load(base64.b64decode(link["spec"]["kubeconfig"]))
    return str(kubeconfig["users"][0]["user"]["token"])


def assert_rejected(cluster: Cluster, token: str) -> None:
    api = cluster.api_with_token(token)
    try:
        api.request("GET", "/version")
    except ApiError as error:
        assert error.status == 401  # noqa: PT017 - any other error is a failure too
    else:
        raise AssertionError("the token is still valid")
    finally:
        api.close()
