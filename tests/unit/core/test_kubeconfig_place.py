"""Where a kubeconfig is kept, and that advice leaves it there."""

from __future__ import annotations

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from svclink_core import ClusterLink, ClusterLinkSpec, LinkReason, Problem
from svclink_core.controller_namespace import (
    AmbiguousNamespace,
    AssumedNamespace,
    ControllerNamespace,
    KnownNamespace,
)
from svclink_core.kubeconfig_place import (
    InSecret,
    InSpec,
    kubeconfig_place,
    replacement_advice,
    replacing_command,
)
from svclink_core.link_identity import SecretFault
from svclink_core.meta_v1 import LabelSelector
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.values import link
from tests.unit.core.strategies.statuses import cluster_links, controller_namespaces

HOME = KnownNamespace("cloudpilot")
IN_SPEC = link("c-1", ClusterLinkSpec(kubeconfig="abc"))
IN_SECRET = link("c-1", ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference("s", "k")))


@pytest.mark.parametrize(
    ("home", "namespace"),
    [
        (HOME, "cloudpilot"),
        (AssumedNamespace("default", is_everything_seen=True), "default"),
        (AmbiguousNamespace(("a", "b")), "NAMESPACE_OF_SVCLINK"),
    ],
)
def test_place_names_secret_namespace_and_key(home: ControllerNamespace, namespace: str) -> None:
    """A namespace that is not known is left to the reader, not guessed."""
    place = kubeconfig_place(IN_SECRET, home)
    assert place == InSecret(namespace, "s", "k")
    assert str(place) == f"key k of Secret {namespace}/s"


def test_place_in_spec_is_the_field() -> None:
    """The kubeconfig of other links is in their spec."""
    assert kubeconfig_place(IN_SPEC, HOME) == InSpec()
    assert str(InSpec()) == "spec.kubeconfig"


def test_kubeconfig_in_spec_is_replaced_there() -> None:
    """Only that field changes: applying a whole ClusterLink would remove others."""
    assert replacing_command(IN_SPEC, HOME) == (
        """svclink export-kubeconfig CONTEXT_OF_C_1 | sed 's|.*|{"spec":{"kubeconfig":"&"}}|'"""
        " | kubectl patch clusterlink c-1 --type merge --patch-file /dev/stdin"
    )


def test_link_in_a_namespace_is_found_there() -> None:
    """The CRD of the Go release is namespaced."""
    there = evolve(IN_SPEC, metadata=evolve(IN_SPEC.metadata, namespace="ops"))
    assert "patch clusterlink c-1 --namespace ops --type merge" in replacing_command(there, HOME)


def test_kubeconfig_in_a_secret_is_replaced_there() -> None:
    """Other keys of the Secret stay as they are."""
    assert replacing_command(IN_SECRET, HOME) == (
        """svclink export-kubeconfig CONTEXT_OF_C_1 | sed 's|.*|{"data":{"k":"&"}}|'"""
        " | kubectl patch secret s --namespace cloudpilot --patch-file /dev/stdin"
    )


@pytest.mark.parametrize(("name", "key"), [("c-1-kubeconfig", "value"), ("cluster-a.b", "config")])
@pytest.mark.parametrize("is_missing", [True, False])
def test_secret_of_another_program_stays_as_it_is(name: str, key: str, is_missing: bool) -> None:
    """Cluster API and Argo CD would write it again, or fail: the link gets a Secret of its own."""
    spec = ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference(name, key))
    assert replacing_command(link("c-1", spec), HOME, is_secret_missing=is_missing) == (
        "svclink export-kubeconfig CONTEXT_OF_C_1 | base64 --decode"
        " | kubectl create secret generic c-1-svclink --namespace cloudpilot"
        " --from-file kubeconfig=/dev/stdin && kubectl patch clusterlink c-1 --type merge -p"
        """ '{"spec":{"kubeconfigSecretRef":{"name":"c-1-svclink","key":"kubeconfig"}}}'"""
    )


@pytest.mark.parametrize(("name", "key"), [("c-1-kubeconfig", "kubeconfig"), ("c-1", "value")])
def test_secret_with_another_name_or_key_is_the_users_own(name: str, key: str) -> None:
    """Only both together are Cluster API's."""
    spec = ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference(name, key))
    assert f"kubectl patch secret {name}" in replacing_command(link("c-1", spec), HOME)


def test_missing_secret_is_created() -> None:
    """A Secret that does not exist cannot be patched."""
    assert replacing_command(IN_SECRET, HOME, is_secret_missing=True) == (
        "svclink export-kubeconfig CONTEXT_OF_C_1 | base64 --decode"
        " | kubectl create secret generic s --namespace cloudpilot --from-file k=/dev/stdin"
    )


def test_permissions_are_exported_for_what_is_read() -> None:
    """A link that includes some namespaces needs permissions in these only."""
    spec = evolve(IN_SECRET.spec, included_namespaces=("a", "b"))
    assert "CONTEXT_OF_C_1 --namespaces a,b |" in replacing_command(link("c-1", spec), HOME)


def test_exported_kubeconfig_may_list_namespaces_where_the_link_selects_them() -> None:
    """A link that selects namespaces by their labels needs to list them."""
    selector = LabelSelector(match_labels=(("team", "shop"),))
    spec = evolve(IN_SECRET.spec, namespace_selector=selector)
    assert "CONTEXT_OF_C_1 --list-namespaces |" in replacing_command(link("c-1", spec), HOME)


@pytest.mark.parametrize(
    ("reason", "fault", "words"),
    [
        (LinkReason.UNAUTHORIZED, None, "kubectl patch secret"),
        (LinkReason.INVALID_KUBECONFIG, None, "kubectl patch secret"),
        (LinkReason.INVALID_KUBECONFIG, SecretFault.MISSING, "kubectl create secret"),
        (LinkReason.INVALID_KUBECONFIG, SecretFault.UNREADABLE, ""),
        (LinkReason.UNREACHABLE, None, ""),
        (LinkReason.SELF_LINK, None, ""),
    ],
)
def test_advice_is_for_problems_that_a_new_kubeconfig_solves(
    reason: LinkReason, fault: SecretFault | None, words: str
) -> None:
    """A Secret that cannot be read may hold a good kubeconfig: it is not replaced."""
    advice = replacement_advice(Problem(reason, "", secret_fault=fault), IN_SECRET, HOME)
    assert advice.startswith("svclink export-kubeconfig") is bool(words)
    assert words in advice


@given(cluster_links, controller_namespaces, st.booleans())
def test_advice_keeps_a_secret_in_its_secret(
    kept: ClusterLink, home: ControllerNamespace, is_secret_missing: bool
) -> None:
    """No command moves a kubeconfig from a Secret to the spec, or from the spec to a Secret."""
    command = replacing_command(kept, home, is_secret_missing=is_secret_missing)
    reference = kept.spec.kubeconfig_secret_ref
    if reference is None:
        assert " secret " not in command
    else:
        assert "clusterlink" not in command
        assert f" {reference.name} --namespace " in command
        assert reference.key in command
