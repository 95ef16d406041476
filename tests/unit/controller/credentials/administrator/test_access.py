"""The ServiceAccount of a Pod leads to its own cluster.

Real: files. Substituted: the directory that Kubernetes mounts.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from svclink_controller.credentials.administrator.access import AccessError, pod_access
from tests.unit.controller.credentials.kubeconfigs import CA_PEM

POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def account(tmp_path: Path) -> Path:
    """The files of a ServiceAccount."""
    (tmp_path / "ca.crt").write_bytes(CA_PEM)
    (tmp_path / "namespace").write_text("svclink-system", encoding="ascii")
    (tmp_path / "token").write_text("t", encoding="ascii")
    return tmp_path


def test_pod_reaches_its_own_cluster(account: Path) -> None:
    """Server, CA and namespace are the Pod's, and the token is read again and again."""
    access = pod_access(POD, account)
    assert access.credentials.server == "https://10.96.0.1:443"
    assert access.credentials.ca_data == CA_PEM.decode()
    assert (access.token_file, access.namespace) == (account / "token", "svclink-system")


def test_address_of_ipv6_is_bracketed(account: Path) -> None:
    """Clusters of IPv6 give the bare address."""
    access = pod_access(POD | {"KUBERNETES_SERVICE_HOST": "fd00::1"}, account)
    assert access.credentials.server == "https://[fd00::1]:443"


@pytest.mark.parametrize("environment", [{}, {"KUBERNETES_SERVICE_HOST": "10.96.0.1"}])
def test_outside_a_pod_there_is_no_account(account: Path, environment: dict[str, str]) -> None:
    """Kubernetes sets both variables in every container."""
    with pytest.raises(AccessError, match="KUBERNETES_SERVICE_HOST"):
        pod_access(environment, account)


@pytest.mark.parametrize("name", ["ca.crt", "namespace"])
def test_pod_without_an_account_is_one_sentence(account: Path, name: str) -> None:
    """`automountServiceAccountToken: false` leaves the files out."""
    (account / name).unlink()
    with pytest.raises(AccessError, match=f"{name} cannot be read: No such file"):
        pod_access(POD, account)
