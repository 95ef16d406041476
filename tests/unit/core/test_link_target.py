"""What a ClusterLink asks to be read."""

from __future__ import annotations

import pytest
from attrs import evolve

from svclink_core import ClusterLinkSpec, LinkReason, Options, Problem
from svclink_core.cidrs import parse_cidr
from svclink_core.label_selector import parse_selector
from svclink_core.link_target import (
    LINK_DISABLED,
    SECRET_NOT_READ,
    LinkRequest,
    LinkTarget,
    SecretContent,
    goes_on_without,
    link_kubeconfig,
    link_target,
    reading_part,
)
from svclink_core.meta_v1 import LabelSelector
from svclink_core.svclink_v1alpha1 import SecretKeyReference
from tests.builders.values import link

IN_SECRET = ClusterLinkSpec(kubeconfig_secret_ref=SecretKeyReference("credentials"))
NO_SECRET = Problem(LinkReason.INVALID_KUBECONFIG, "there is no Secret")


def test_disabled_link_asks_for_nothing() -> None:
    """A disabled link is not read, whatever else its spec says."""
    disabled = link("a", ClusterLinkSpec(enabled=False, kubeconfig="abc"))
    assert link_target(disabled, Options()) == LINK_DISABLED


def test_only_some_fields_decide_what_is_read() -> None:
    """A link that is drained, or excludes more, has the same objects listed; others do not."""
    spec = ClusterLinkSpec(kubeconfig="abc", service_selector=LabelSelector((("a", "b"),)))
    edited = evolve(spec, drained=True, opt_in=True, excluded_services=("default/web",))
    assert reading_part(edited) == reading_part(spec)
    for other in (
        evolve(spec, kubeconfig="other"),
        evolve(spec, kubeconfig=None, kubeconfig_secret_ref=SecretKeyReference("credentials")),
        evolve(spec, service_selector=None),
        evolve(spec, namespace_selector=LabelSelector((("a", "b"),))),
        evolve(spec, cluster_id="1"),
    ):
        assert reading_part(other) != reading_part(spec)


def test_kubeconfig_of_disabled_link_can_be_examined() -> None:
    """`svclink check` looks at the credentials of a disabled link too."""
    disabled = link("a", ClusterLinkSpec(enabled=False, kubeconfig="abc"))
    assert link_kubeconfig(disabled) == "abc"


def test_undecodable_link_has_a_problem() -> None:
    """The problem names the field, not those that are empty because the link was not decoded."""
    broken = evolve(link("a"), undecodable="$.spec.kubeconfig: must be a string but is a number")
    assert link_target(broken, Options()) == Problem(
        LinkReason.INVALID_SPEC,
        "the ClusterLink could not be decoded: $.spec.kubeconfig: must be a string but is a number",
    )


def test_link_without_kubeconfig_has_a_problem() -> None:
    """The problem names the field and the fix."""
    problem = link_target(link("a"), Options())
    assert isinstance(problem, Problem)
    assert problem.reason is LinkReason.INVALID_KUBECONFIG
    assert problem.message.startswith("spec.kubeconfig is missing: ")


def test_link_with_an_invalid_field_has_a_problem() -> None:
    """One sentence names the field, what is wrong in it, and the fix."""
    allowed = tuple(map(parse_cidr, ("10.0.0.0/8", "10.0/8", "10.0.0.1/8")))
    problem = link_target(
        link("a", ClusterLinkSpec(kubeconfig="abc", allowed_cidrs=allowed)), Options()
    )
    assert problem == Problem(
        LinkReason.INVALID_SPEC,
        "spec.allowedCIDRs has entries that are not CIDRs (10.0/8, 10.0.0.1/8): "
        "use the form 10.0.0.0/16 or fd00::/64, with no bits set after the prefix",
    )


@pytest.mark.parametrize(
    ("secret", "expected"),
    [("abc", LinkTarget("abc")), (NO_SECRET, NO_SECRET), (SECRET_NOT_READ, SECRET_NOT_READ)],
)
def test_kubeconfig_comes_from_the_secret(secret: SecretContent, expected: LinkRequest) -> None:
    """A link that refers to a Secret asks for nothing before the Secret is read."""
    assert link_target(link("a", IN_SECRET), Options(), secret) == expected


@pytest.mark.parametrize(
    ("of_link", "of_flag", "asked", "expected"),
    [
        ((), (), "", ()),
        (("b", "a"), (), "", ("a", "b")),
        (("b", "a"), ("z", "y"), "", ("y", "z")),
        ((), ("z",), "", ("z",)),
        ((), (), "a", ("a",)),
        (("b", "a"), (), "a", ("a",)),
        (("b",), (), "a", ("b",)),
        (("a",), ("z",), "a", ("z",)),
    ],
)
def test_namespaces_to_read(
    of_link: tuple[str, ...], of_flag: tuple[str, ...], asked: str, expected: tuple[str, ...]
) -> None:
    """The flag overrides the link's list; a command may ask for one namespace of these."""
    asking = link("a", ClusterLinkSpec(kubeconfig="abc", included_namespaces=of_link))
    target = link_target(asking, Options(frozenset(of_flag)), namespace=asked)
    assert target == LinkTarget("abc", expected)


@pytest.mark.parametrize(
    ("asked", "missing", "code", "expected"),
    [
        (("a", "b"), {"a"}, 403, True),
        (("a", "b"), {"a"}, 404, True),
        (("a", "b"), {"a", "b"}, 403, False),
        (("a",), {"a"}, 403, False),
        ((), {""}, 403, False),
        (("a", "b"), {"a"}, 401, False),
        (("a", "b"), {"a"}, 500, False),
    ],
)
def test_link_goes_on_while_one_namespace_can_be_read(
    asked: tuple[str, ...], missing: set[str], code: int, *, expected: bool
) -> None:
    """A namespace without a Role is missing; credentials that expired concern all namespaces."""
    assert goes_on_without(asked or ("",), missing, code) is expected


def test_repr_hides_credentials() -> None:
    """The repr of a target does not contain its kubeconfig."""
    assert "abc" not in repr(LinkTarget("abc"))


TIER, TEAM = LabelSelector((("tier", "gold"),)), LabelSelector((("team", "a"),))


def test_selectors_of_a_link_and_of_all_links() -> None:
    """The selector of the flag must match too; each selector of a link has its own objects."""
    spec = ClusterLinkSpec(kubeconfig="abc", service_selector=TIER, namespace_selector=TEAM)
    options = Options(service_selector=parse_selector("!old"))
    target = link_target(link("a", spec), options)
    assert target == LinkTarget(
        "abc", (), parse_selector("tier=gold,!old"), parse_selector("team=a")
    )
    of_all = link_target(link("a", ClusterLinkSpec(kubeconfig="abc")), options)
    assert of_all == LinkTarget("abc", (), parse_selector("!old"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (ClusterLinkSpec(service_selector=LabelSelector()), "spec.serviceSelector is empty and "),
        (
            ClusterLinkSpec(namespace_selector=LabelSelector()),
            "spec.namespaceSelector is empty and ",
        ),
    ],
)
def test_a_link_with_an_invalid_selector_is_not_read(spec: ClusterLinkSpec, message: str) -> None:
    """The problem names the field and the fix."""
    problem = link_target(link("a", evolve(spec, kubeconfig="abc")), Options())
    assert isinstance(problem, Problem)
    assert problem.reason is LinkReason.INVALID_SPEC
    assert problem.message.startswith(message)


def test_targets_that_read_the_same() -> None:
    """New credentials read the same objects; other selectors or namespaces do not."""
    target = LinkTarget("abc", ("a",), parse_selector("tier=gold"))
    assert target.reads_as(LinkTarget("def", ("a",), parse_selector("tier=gold")))
    assert not target.reads_as(LinkTarget("abc", ("a",)))
    assert not target.reads_as(LinkTarget("abc", (), parse_selector("tier=gold")))
