"""Objects with which a main cluster refuses writes: admission policies and quotas."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.builders.manifests import Manifest, endpoint_slice

from .api_client import Api, ApiError, path_of

ADMISSION: Final = "admissionregistration.k8s.io/v1"
POLICY: Final = "e2e-no-mirrors"
DENIED: Final = "mirrors are frozen"
QUOTA: Final = "no-slices"
SLICES: Final = "count/endpointslices.discovery.k8s.io"


@dataclass
class WriteBan:
    """A ValidatingAdmissionPolicy that denies a user every write of an EndpointSlice.

    The policy always exists; its binding decides whether it is in force.
    """

    api: Api
    user: str
    said = f"'{POLICY}'"

    def create(self) -> None:
        """Create the policy, which is not in force."""
        self.api.create(_policy(self.user))

    def impose(self) -> None:
        with contextlib.suppress(ApiError):  # It exists already.
            self.api.create(_binding())

    def lift(self) -> None:
        with contextlib.suppress(ApiError):  # It does not exist.
            self.api.delete("validatingadmissionpolicybindings", POLICY)

    def delete(self) -> None:
        self.lift()
        self.api.delete("validatingadmissionpolicies", POLICY)


@contextlib.contextmanager
def write_ban(api: Api, user: str) -> Iterator[WriteBan]:
    """A `WriteBan` that exists for a while, and is not in force yet."""
    ban = WriteBan(api, user)
    ban.create()
    yield ban
    ban.delete()


@dataclass
class SliceQuota:
    """A ResourceQuota that allows no EndpointSlice in a namespace."""

    api: Api
    namespace: str
    said = "exceeded quota"

    def impose(self) -> None:
        metadata = {"name": QUOTA, "namespace": self.namespace}
        spec = {"hard": {SLICES: "0"}}
        self.api.create(
            {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": spec}
        )
        # No controller counts what is used: this one does not run in the tests.
        status = {"status": spec | {"used": {SLICES: "0"}}}
        self.api.patch("resourcequotas", QUOTA, self.namespace, status, "status")

    def lift(self) -> None:
        self.api.delete("resourcequotas", QUOTA, self.namespace)


def assert_refused(api: Api, namespace: str) -> None:
    """Assert that main refuses this user an EndpointSlice, without creating it."""
    path = path_of("endpointslices", None, namespace)
    try:
        api.request("POST", f"{path}?dryRun=All", endpoint_slice(key=f"{namespace}/web"))
    except ApiError:
        return
    raise AssertionError("the EndpointSlice was accepted")


def _policy(user: str) -> Manifest:
    rule = {
        "apiGroups": ["discovery.k8s.io"],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["endpointslices"],
    }
    validation = {"expression": f"request.userInfo.username != '{user}'", "message": DENIED}
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": POLICY},
        "spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]},
    }


def _binding() -> Manifest:
    return {
        "apiVersion": ADMISSION,
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": POLICY},
        "spec": {"policyName": POLICY, "validationActions": ["Deny"]},
    }
