"""ClusterLinks whose kubeconfig is in a Secret of the controller's namespace."""

from __future__ import annotations

import json
from typing import Final

import pytest
import yaml

from tests.builders.manifests import cluster_link, encoded, secret

from .control_planes import CONTROLLER_NAMESPACE
from .polling import eventually
from .world import World

# The Secret to which the link `c1` refers.
SECRET: Final = f"{CONTROLLER_NAMESPACE}/c1"


def link_to_secret(world: World, name: str) -> None:
    reference = {"name": name, "key": "kubeconfig"}
    world.main.api.create(cluster_link(name, kubeconfigSecretRef=reference))


@pytest.fixture
def in_secret(world: World) -> World:
    """The Service `web` is in c1, whose link refers to a Secret that does not exist yet."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.controller.start()
    link_to_secret(world, "c1")
    world.delete_at_end("secrets", "c1", CONTROLLER_NAMESPACE)
    return world


def test_link_follows_its_secret(in_secret: World) -> None:
    """The link uses what its Secret gets; a kubeconfig of another cluster waits for an edit."""
    in_secret.links.await_condition("c1", "False", "InvalidKubeconfig")
    assert f"{CONTROLLER_NAMESPACE}/c1" in in_secret.links.condition("c1")["message"]

    in_secret.main.api.create(secret(SECRET, kubeconfig=in_secret.c1.remote_kubeconfig()))
    in_secret.links.await_ready("c1")
    in_secret.await_mirrored("web", c1=["10.1.0.1"])

    in_secret.publish(in_secret.c2, "web", "10.2.0.1")
    rotated = {"data": {"kubeconfig": encoded(in_secret.c2.remote_kubeconfig())}}
    in_secret.main.api.patch("secrets", "c1", CONTROLLER_NAMESPACE, rotated)
    in_secret.links.await_condition("c1", "False", "ClusterChanged")
    in_secret.assert_mirrored("web", c1=["10.1.0.1"])

    in_secret.links.edit("c1", excludedServiceNames=["other"])
    in_secret.await_mirrored("web", c1=["10.2.0.1"])


def test_token_that_expires_soon_is_warned_of_until_it_is_renewed(in_secret: World) -> None:
    """Condition, status and Event say when the token ends. A new token clears them."""
    main, links = in_secret.main, in_secret.links

    def kubeconfig(seconds: int) -> str:
        return in_secret.c1.kubeconfig({"token": in_secret.c1.token(seconds=seconds)})

    main.api.create(secret(SECRET, kubeconfig=kubeconfig(86_400)))
    expiring = links.await_condition(
        "c1", "True", "CredentialsExpireSoon", kind="CredentialsExpiring"
    )
    first = links.status("c1")["credentialsExpire"]
    assert expiring["message"].startswith(f"the token expires at {first}: ")
    in_secret.await_mirrored("web", c1=["10.1.0.1"])

    renewed = {"data": {"kubeconfig": encoded(kubeconfig(30 * 86_400))}}
    main.api.patch("secrets", "c1", CONTROLLER_NAMESPACE, renewed)
    links.await_condition("c1", "False", "CredentialsValid", kind="CredentialsExpiring")
    assert links.status("c1")["credentialsExpire"] > first
    assert links.condition("c1")["reason"] == "ClusterReady"

    def events_are_complete() -> None:
        uid = main.api.get("clusterlinks", "c1")["metadata"]["uid"]
        of_link = [
            (each["type"], each["reason"])
            for each in main.api.find("events", "default")
            if each["involvedObject"]["uid"] == uid and each["reason"].startswith("Credentials")
        ]
        assert sorted(of_link) == [
            ("Normal", "CredentialsValid"),
            ("Warning", "CredentialsExpireSoon"),
        ]

    eventually(events_are_complete)


def test_removed_kubeconfig_keeps_the_connection(in_secret: World) -> None:
    """If the key disappears from the Secret, the old credentials stay in use."""
    in_secret.main.api.create(secret(SECRET, kubeconfig=in_secret.c1.remote_kubeconfig()))
    in_secret.links.await_ready("c1")

    in_secret.main.api.patch(
        "secrets", "c1", CONTROLLER_NAMESPACE, {"data": {"kubeconfig": None, "other": encoded("x")}}
    )

    in_secret.links.await_condition("c1", "False", "InvalidKubeconfig")
    in_secret.set_addresses(in_secret.c1, "web", "10.1.0.2")
    in_secret.await_mirrored("web", c1=["10.1.0.2"])


@pytest.mark.parametrize("writer", ["Cluster API", "Argo CD"])
def test_link_uses_the_secret_of_another_program(world: World, writer: str) -> None:
    """A kubeconfig in `value`, or the URL in `server` and JSON in `config`."""
    world.declare("web")
    world.publish(world.c1, "web", "10.1.0.1")
    world.controller.start()
    config = yaml.safe_load(world.c1.remote_kubeconfig())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    tls = {"insecure": False, "caData": cluster["certificate-authority-data"]}
    argo = {"bearerToken": user["token"], "tlsClientConfig": tls}
    data = {"name": "c1", "server": cluster["server"], "config": json.dumps(argo)}
    name = "c1-kubeconfig" if writer == "Cluster API" else "c1-argo"
    if writer == "Cluster API":
        data = {"value": world.c1.remote_kubeconfig()}
    world.main.api.create(secret(f"{CONTROLLER_NAMESPACE}/{name}", **data))
    world.delete_at_end("secrets", name, CONTROLLER_NAMESPACE)

    reference = {"name": name, "key": "value" if writer == "Cluster API" else "config"}
    world.main.api.create(cluster_link("c1", kubeconfigSecretRef=reference))

    world.links.await_ready("c1")
    world.await_mirrored("web", c1=["10.1.0.1"])
