"""Where the kubeconfig of a link is kept, and the command that replaces it there.

A kubeconfig holds credentials. One in a Secret is replaced in that Secret: `spec` can be read by
everyone who can read ClusterLinks.
"""

from __future__ import annotations

from typing import Final, TypeAlias, assert_never

from attrs import frozen

from svclink_core.controller_namespace import (
    AmbiguousNamespace,
    AssumedNamespace,
    ControllerNamespace,
    KnownNamespace,
)
from svclink_core.link_identity import Problem, SecretFault
from svclink_core.link_reasons import LinkReason
from svclink_core.svclink_v1alpha1 import ClusterLink, SecretKeyReference


@frozen
class InSpec:
    """In `spec.kubeconfig` of the link."""

    def __str__(self) -> str:
        return "spec.kubeconfig"


@frozen
class InSecret:
    """In one key of a Secret in the controller's namespace."""

    namespace: str
    name: str
    key: str

    @property
    def may_be_of_others(self) -> bool:
        """Whether Cluster API or Argo CD may have written the Secret, and would write it again.

        A kubeconfig in it would keep Argo CD from using the cluster.
        """
        is_of_cluster_api = self.key == "value" and self.name.endswith("-kubeconfig")
        return is_of_cluster_api or self.key == "config"

    def __str__(self) -> str:
        return f"key {self.key} of Secret {self.namespace}/{self.name}"


KubeconfigPlace: TypeAlias = InSpec | InSecret

UNKNOWN_NAMESPACE: Final = "NAMESPACE_OF_SVCLINK"
"""Stands in commands for a namespace that their user has to fill in."""

CURED_BY_REPLACEMENT: Final = frozenset(
    {
        LinkReason.INVALID_KUBECONFIG,
        LinkReason.INSECURE_KUBECONFIG,
        LinkReason.UNAUTHORIZED,
        LinkReason.FORBIDDEN,
        LinkReason.CERTIFICATE_INVALID,
    }
)
"""The problems that a new kubeconfig solves; exporting one grants what its link reads, too."""


def kubeconfig_place(link: ClusterLink, home: ControllerNamespace) -> KubeconfigPlace:
    """Where a link keeps its kubeconfig.

    Args:
        link: The link.
        home: The namespace of the controller.
    """
    reference = link.spec.kubeconfig_secret_ref
    if reference is None:
        return InSpec()
    return InSecret(_name_of(home), reference.name, reference.key)


def replacing_command(
    link: ClusterLink, home: ControllerNamespace, *, is_secret_missing: bool = False
) -> str:
    """The command that exports a new kubeconfig, and puts it where the link keeps the old one.

    Nothing else of the link or Secret changes. A Secret that another program may have written stays
    as it is, and the link gets one of its own. The credentials pass through pipes only: no file,
    no argument of a program and no other object gets them.

    Args:
        link: The link.
        home: The namespace of the controller.
        is_secret_missing: Whether the Secret has to be created.
    """
    exported = _exporting_command(link)
    match kubeconfig_place(link, home):
        case InSpec():
            return _patching_command(exported, "spec", "kubeconfig", _target(link))
        case InSecret() as place if place.may_be_of_others:
            own = SecretKeyReference(f"{link.metadata.name}-svclink")
            patch = (
                f'{{"spec":{{"kubeconfigSecretRef":{{"name":"{own.name}","key":"{own.key}"}}}}}}'
            )
            created = _creating_command(exported, InSecret(place.namespace, own.name, own.key))
            return f"{created} && kubectl patch {_target(link)} -p '{patch}'"
        case InSecret() as place if is_secret_missing:
            return _creating_command(exported, place)
        case InSecret(namespace, name, key):
            target = f"secret {name} --namespace {namespace}"
            return _patching_command(exported, "data", key, target)
        case unexpected:
            assert_never(unexpected)


def replacement_advice(problem: Problem, link: ClusterLink, home: ControllerNamespace) -> str:
    """The command that solves a problem by a new kubeconfig; empty if that would not solve it."""
    fault = problem.secret_fault
    if problem.reason not in CURED_BY_REPLACEMENT or fault is SecretFault.UNREADABLE:
        return ""
    return replacing_command(link, home, is_secret_missing=fault is SecretFault.MISSING)


def _exporting_command(link: ClusterLink) -> str:
    """The command that prints a new kubeconfig in base64, with permissions for what is read."""
    context = f"CONTEXT_OF_{link.metadata.name.upper().replace('-', '_')}"
    included = ",".join(link.spec.included_namespaces)
    limit = f" --namespaces {included}" if included else ""
    selecting = "" if link.spec.namespace_selector is None else " --list-namespaces"
    return f"svclink export-kubeconfig {context}{limit}{selecting}"


def _target(link: ClusterLink) -> str:
    """The arguments of `kubectl patch` for a link."""
    namespace = link.metadata.namespace  # The CRD of the Go release is namespaced.
    scope = f" --namespace {namespace}" if namespace else ""
    return f"clusterlink {link.metadata.name}{scope} --type merge"


def _creating_command(exported: str, place: InSecret) -> str:
    """The command that creates a Secret with what another command prints in base64."""
    target = f"{place.name} --namespace {place.namespace} --from-file {place.key}=/dev/stdin"
    return f"{exported} | base64 --decode | kubectl create secret generic {target}"


def _patching_command(exported: str, field: str, key: str, target: str) -> str:
    """The command that sets one key of an object to what another command prints in base64."""
    patch = f'{{"{field}":{{"{key}":"&"}}}}'
    return f"{exported} | sed 's|.*|{patch}|' | kubectl patch {target} --patch-file /dev/stdin"


def _name_of(home: ControllerNamespace) -> str:
    match home:
        case KnownNamespace(name) | AssumedNamespace(name):
            return name
        case AmbiguousNamespace():
            return UNKNOWN_NAMESPACE
        case unexpected:
            assert_never(unexpected)
