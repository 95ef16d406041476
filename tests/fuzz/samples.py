"""Kubeconfigs as the tools of clouds and distributions write them, with secrets to look for."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from svclink_controller.credentials.argo_clusters import argo_document
from tests.fuzz.canaries import CA_PEM, Canaries

Config: TypeAlias = dict[str, Any]


def encoded(content: bytes) -> str:
    """Base64, as in fields that end in `-data`."""
    return base64.b64encode(content).decode()


def kubeconfig(name: str, server: str, user: Config, **cluster: Any) -> Config:
    """A kubeconfig with one context; `__` in names of fields of the cluster stands for `-`."""
    fields = {key.replace("__", "-"): value for key, value in cluster.items()}
    fields.setdefault("certificate-authority-data", encoded(CA_PEM))
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": {"server": server, **fields}}],
        "users": [{"name": f"{name}-user", "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": f"{name}-user"}}],
        "current-context": name,
    }


def exec_user(command: str, *arguments: str, **fields: Any) -> Config:
    """A user whose credentials a program prints."""
    plugin: Config = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": command,
        "args": list(arguments),
        **fields,
    }
    return {"exec": plugin}


def certificate_user(secrets: Canaries) -> Config:
    """A user with a client certificate, as kubeadm and k3s write it."""
    return {
        "client-certificate-data": encoded(secrets.certificate),
        "client-key-data": encoded(secrets.key),
    }


def eks(_: Canaries) -> Config:
    """`aws eks update-kubeconfig`."""
    user = exec_user(
        "aws", "--region", "eu-west-1", "eks", "get-token", "--cluster-name", "shop", env=None
    )
    name = "arn:aws:eks:eu-west-1:123456789012:cluster/shop"
    return kubeconfig(name, "https://ABCDEF0123.gr7.eu-west-1.eks.amazonaws.com", user)


def gke(_: Canaries) -> Config:
    """`gcloud container clusters get-credentials`."""
    user = exec_user(
        "gke-gcloud-auth-plugin",
        installHint="Install gke-gcloud-auth-plugin",
        provideClusterInfo=True,
    )
    return kubeconfig("gke_project_europe-west1_shop", "https://203.0.113.7", user)


def old_gke(secrets: Canaries) -> Config:
    """The same, before plugins."""
    settings: Config = {"access-token": secrets.token, "cmd-path": "/usr/bin/gcloud"}
    user: Config = {"auth-provider": {"name": "gcp", "config": settings}}
    return kubeconfig("gke", "https://203.0.113.8", user)


def aks(secrets: Canaries) -> Config:
    """`az aks get-credentials --admin`."""
    user = certificate_user(secrets) | {"token": secrets.token * 3}
    return kubeconfig("shop-admin", "https://shop-dns-0123.hcp.westeurope.azmk8s.io:443", user)


def aks_entra(_: Canaries) -> Config:
    """`az aks get-credentials` with Entra ID."""
    user = exec_user("kubelogin", "get-token", "--login", "devicecode", "--server-id", "6dae42f8")
    return kubeconfig("shop", "https://shop-dns-0123.hcp.westeurope.azmk8s.io:443", user)


def kubeadm(secrets: Canaries) -> Config:
    """`/etc/kubernetes/admin.conf`."""
    config = kubeconfig("kubernetes", "https://10.0.0.1:6443", certificate_user(secrets))
    return config | {"preferences": {}}


def k3s(secrets: Canaries) -> Config:
    """`/etc/rancher/k3s/k3s.yaml`."""
    return kubeconfig("default", "https://127.0.0.1:6443", certificate_user(secrets))


def rancher(secrets: Canaries) -> Config:
    """The download of Rancher: a path in the server, and a public certificate."""
    user: Config = {"token": f"kubeconfig-user-abc:{secrets.token}"}
    server = "https://rancher.example.com/k8s/clusters/c-m-0123abcd"
    return kubeconfig("shop", server, user, certificate__authority__data=None)


def openshift(secrets: Canaries) -> Config:
    """`oc login`: slashes in names, and often no verification."""
    user: Config = {"token": f"sha256~{secrets.token}"}
    name = "default/api-shop-example-com:6443/kube:admin"
    server = "https://api.shop.example.com:6443"
    config = kubeconfig(name, server, user, insecure__skip__tls__verify=True)
    return config | {"preferences": {}}


def teleport(secrets: Canaries) -> Config:
    """`tsh kube login`: a plugin, and another TLS server name."""
    user = exec_user(
        "/usr/local/bin/tsh",
        "kube",
        "credentials",
        f"--identity={secrets.token}",
        interactiveMode="IfAvailable",
    )
    name = "kube-teleport-proxy-alpn.teleport.example.com"
    return kubeconfig("tele", "https://teleport.example.com:443", user, tls__server__name=name)


def vcluster(secrets: Canaries) -> Config:
    """`vcluster connect`: extensions, and a port on this machine."""
    extensions: list[Config] = [{"name": "vcluster", "extension": {"v": 1, "token": secrets.token}}]
    user = certificate_user(secrets)
    return kubeconfig("vcluster_shop", "https://localhost:11443", user, extensions=extensions)


def minikube(_: Canaries) -> Config:
    """Files instead of data."""
    user: Config = {
        "client-certificate": "/home/me/.minikube/profiles/minikube/client.crt",
        "client-key": "/home/me/.minikube/profiles/minikube/client.key",
    }
    config = kubeconfig("minikube", "https://192.168.49.2:8443", user)
    return config | {
        "clusters": [
            {
                "name": "minikube",
                "cluster": {
                    "certificate-authority": "/home/me/.minikube/ca.crt",
                    "server": "https://192.168.49.2:8443",
                },
            }
        ]
    }


def service_account(secrets: Canaries) -> Config:
    """What `svclink export-kubeconfig` prints."""
    return kubeconfig("remote", "https://remote.example:6443", {"token": secrets.jwt})


def everything(secrets: Canaries) -> Config:
    """Every field that Kubernetes knows, at once."""
    user: Config = {
        "token": secrets.jwt,
        "tokenFile": "token.txt",
        "username": "admin",
        "password": secrets.password,
        "as": "jane",
        "as-uid": "7",
        "as-groups": ["ops"],
        "as-user-extra": {"scopes": ["all"]},
        **certificate_user(secrets),
        **exec_user("plugin", "--password", secrets.password),
        "auth-provider": {"name": "oidc", "config": {"id-token": secrets.jwt}},
    }
    proxy = f"http://jane:{secrets.password}@proxy.example:3128"
    return kubeconfig(
        "all", "https://all.example", user, proxy__url=proxy, disable__compression=True
    )


def cluster_api(secrets: Canaries) -> Config:
    """The Secret `NAME-kubeconfig` of Cluster API."""
    config = kubeconfig("shop", "https://203.0.113.9:6443", certificate_user(secrets))
    return config | {"preferences": {}}


def argo_cd(secrets: Canaries) -> Config:
    """A cluster Secret of Argo CD, as one document."""
    tls = {
        "insecure": False,
        "serverName": "kubernetes.default",
        "caData": encoded(CA_PEM),
        "certData": encoded(secrets.certificate),
        "keyData": encoded(secrets.key),
    }
    config = json.dumps({"bearerToken": secrets.token, "tlsClientConfig": tls})
    document = argo_document(encoded(b"https://203.0.113.9"), encoded(config.encode()))
    found: Config = json.loads(base64.b64decode(document))
    return found


SAMPLES: Final[Mapping[str, Callable[[Canaries], Config]]] = {
    each.__name__: each
    for each in (
        eks,
        gke,
        old_gke,
        aks,
        aks_entra,
        kubeadm,
        k3s,
        rancher,
        openshift,
        teleport,
        vcluster,
        minikube,
        service_account,
        cluster_api,
        argo_cd,
        everything,
    )
}
