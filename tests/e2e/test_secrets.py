"""Kubeconfigs kept in Secrets of the controller's namespace."""

from __future__ import annotations

import pytest

from .api_client import Object
from .control_planes import CONTROLLER_NAMESPACE
from .objects import cluster_link, encoded
from .world import World


def secret(name: str, **data: str) -> Object:
    meta = {"name": name, "namespace": CONTROLLER_NAMESPACE}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": meta,
        "data": {key: encoded(data[key]) for key in data},
    }


def link_to_secret(world: World, name: str) -> None:
    link = cluster_link(name, "")
    link["spec"] = {"kubeconfigSecretRef": {"name": name, "key": "kubeconfig"}}
    world.main.api.create(link)


@pytest.fixture
def in_secret(world: World) -> World:
    """`web` is in c1, which is linked by a Secret that does not exist yet."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.controller.start()
    link_to_secret(world, "c1")
    world.goes_at_the_end("secrets", "c1", CONTROLLER_NAMESPACE)
    return world


def test_a_link_follows_the_secret_it_names(in_secret: World) -> None:
    """The status says that the Secret is missing; created, it is used; rotated, the new kubeconfig takes over."""
    in_secret.links.await_condition("c1", "False", "InvalidKubeconfig")
    assert f"{CONTROLLER_NAMESPACE}/c1" in in_secret.links.condition("c1")["message"]

    in_secret.main.api.create(secret("c1", kubeconfig=in_secret.c1.remote_kubeconfig()))
    in_secret.links.await_ready("c1")
    in_secret.await_mirrored("web", c1=["10.1.0.1"])

    in_secret.publish(in_secret.c2, "web", "10.2.0.1")
    rotated = {"data": {"kubeconfig": encoded(in_secret.c2.remote_kubeconfig())}}
    in_secret.main.api.patch("secrets", "c1", CONTROLLER_NAMESPACE, rotated)
    in_secret.await_mirrored("web", c1=["10.2.0.1"])


def test_a_secret_that_goes_leaves_its_kubeconfig_in_use(in_secret: World) -> None:
    """Credentials that work are not given up for none; the status says what is missing."""
    in_secret.main.api.create(secret("c1", kubeconfig=in_secret.c1.remote_kubeconfig()))
    in_secret.links.await_ready("c1")

    in_secret.main.api.patch(
        "secrets", "c1", CONTROLLER_NAMESPACE, {"data": {"kubeconfig": None, "other": encoded("x")}}
    )

    in_secret.links.await_condition("c1", "False", "InvalidKubeconfig")
    in_secret.rewrite(in_secret.c1, "web", "10.1.0.2")
    in_secret.await_mirrored("web", c1=["10.1.0.2"])
