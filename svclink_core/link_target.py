"""What a ClusterLink asks to be read: with which kubeconfig, and which namespaces."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final, TypeAlias, assert_never

from attrs import evolve, field, frozen

from svclink_core.cidrs import invalid_cidrs
from svclink_core.label_selector import EVERYTHING, Selector, selector_of, why_invalid
from svclink_core.link_identity import Problem
from svclink_core.link_reasons import LinkReason
from svclink_core.meta_v1 import LabelSelector
from svclink_core.omissions import some_of
from svclink_core.snapshot import Options
from svclink_core.svclink_v1alpha1 import ClusterLink, ClusterLinkSpec


@frozen
class LinkTarget:
    """How to read a cluster, and which parts of it.

    Args:
        kubeconfig: The base64-encoded kubeconfig.
        namespaces: The namespaces; empty means all.
        service_selector: Selects Services by their labels.
        namespace_selector: Selects namespaces by their labels, out of `namespaces`.
    """

    kubeconfig: str = field(repr=False)
    namespaces: tuple[str, ...] = ()
    service_selector: Selector = EVERYTHING
    namespace_selector: Selector = EVERYTHING

    def reads_as(self, other: LinkTarget) -> bool:
        """Whether both request the same objects, provided that they point to the same cluster."""
        return evolve(self, kubeconfig="") == evolve(other, kubeconfig="")


def reading_part(spec: ClusterLinkSpec) -> ClusterLinkSpec:
    """The fields of a link on which it depends which objects of which cluster a list has.

    An edit of other fields changes what is mirrored without a new list, or nothing. What a list
    lacks is then the cluster's own doing.
    """
    return ClusterLinkSpec(
        kubeconfig=spec.kubeconfig,
        kubeconfig_secret_ref=spec.kubeconfig_secret_ref,
        service_selector=spec.service_selector,
        namespace_selector=spec.namespace_selector,
        cluster_id=spec.cluster_id,
    )


@frozen
class LinkDisabled:
    """`spec.enabled` is false: the cluster is not read."""


@frozen
class SecretNotRead:
    """The Secret that holds the kubeconfig has not been read yet: decide again once it has."""


NAMESPACE_REFUSALS: Final = frozenset({403, 404})
"""The codes with which an API server, or a proxy of one, refuses to list one namespace."""

LINK_DISABLED: Final = LinkDisabled()
SECRET_NOT_READ: Final = SecretNotRead()

SecretContent: TypeAlias = str | Problem | SecretNotRead
"""What the Secret of a link holds: a kubeconfig in base64, the reason why not, or not read yet."""

LinkRequest: TypeAlias = LinkTarget | Problem | LinkDisabled | SecretNotRead
"""What to read for a link, or why nothing is read."""


def link_target(
    link: ClusterLink,
    options: Options,
    secret: SecretContent = SECRET_NOT_READ,
    namespace: str = "",
) -> LinkRequest:
    """Return what to read for a link, or why nothing is read.

    Args:
        link: The link.
        options: Settings of the controller; `included_namespaces` overrides the link's own list.
        secret: Content of the Secret that the link refers to. Ignored if the link refers to no
            Secret.
        namespace: Read only this namespace, if the link reads it at all. Empty for no restriction.
    """
    if not link.spec.enabled:
        return LINK_DISABLED
    if (problem := invalid_spec(link)) is not None:
        return problem
    match link_kubeconfig(link, secret):
        case str(kubeconfig):
            return LinkTarget(
                kubeconfig,
                namespaces_to_read(link, options, namespace),
                service_selector(link, options),
                namespace_selector(link),
            )
        case (Problem() | SecretNotRead()) as obstacle:
            return obstacle
        case unexpected:
            assert_never(unexpected)


def invalid_spec(link: ClusterLink) -> Problem | None:
    """What is invalid in a link besides its kubeconfig; None if it is valid.

    The CRD refuses it, but the CRD of the main cluster may be an older one.
    """
    if link.undecodable:
        undecodable = f"the ClusterLink could not be decoded: {link.undecodable}"
        return Problem(LinkReason.INVALID_SPEC, undecodable)
    spec = link.spec
    if (message := _invalid_selector(spec)) is not None:
        return Problem(LinkReason.INVALID_SPEC, message)
    if not (invalid := invalid_cidrs(spec.allowed_cidrs)):
        return None
    fix = "use the form 10.0.0.0/16 or fd00::/64, with no bits set after the prefix"
    message = f"spec.allowedCIDRs has entries that are not CIDRs ({some_of(invalid)}): {fix}"
    return Problem(LinkReason.INVALID_SPEC, message)


def _invalid_selector(spec: ClusterLinkSpec) -> str | None:
    selectors = {
        "serviceSelector": spec.service_selector,
        "namespaceSelector": spec.namespace_selector,
    }
    for name, selector in selectors.items():
        if selector is not None and (problem := why_invalid(selector)) is not None:
            return f"spec.{name} {problem}"
    return None


def service_selector(link: ClusterLink, options: Options) -> Selector:
    """Selects the Services that a link mirrors: its own selector and that of all links."""
    own = _selector(link.spec.service_selector)
    return Selector(own.requirements + options.service_selector.requirements)


def namespace_selector(link: ClusterLink) -> Selector:
    """Selects the namespaces that a link mirrors."""
    return _selector(link.spec.namespace_selector)


def _selector(given: LabelSelector | None) -> Selector:
    return EVERYTHING if given is None else selector_of(given)


def link_kubeconfig(link: ClusterLink, secret: SecretContent = SECRET_NOT_READ) -> SecretContent:
    """The kubeconfig of a link in base64, or why there is none. The link may be disabled.

    The CRD requires exactly one of `kubeconfig` and `kubeconfigSecretRef`.
    """
    if link.spec.kubeconfig_secret_ref is not None:
        return secret
    if link.spec.kubeconfig is None:
        message = "spec.kubeconfig is missing: set it to a base64-encoded kubeconfig"
        return Problem(LinkReason.INVALID_KUBECONFIG, message)
    return link.spec.kubeconfig


def goes_on_without(namespaces: Collection[str], missing: Collection[str], code: int) -> bool:
    """Whether a link is read without the namespaces that cannot be read.

    A namespace without a Role, or one that was deleted together with its RoleBinding, is forbidden.
    It says nothing about the others. A link of which nothing can be read has a problem instead.

    Args:
        namespaces: The namespaces that the link reads.
        missing: The namespaces that cannot be read.
        code: The HTTP status code with which the API server refused the last of them.
    """
    return code in NAMESPACE_REFUSALS and not set(missing).issuperset(namespaces)


def namespaces_to_read(link: ClusterLink, options: Options, namespace: str = "") -> tuple[str, ...]:
    """The namespaces to list and watch in a remote cluster, sorted; empty means all.

    Only what can be mirrored is read, so namespaced Roles suffice where namespaces are listed.
    `namespace` is the only one to read, unless the others given exclude it.
    """
    included = options.included_namespaces or link.spec.included_namespaces
    if namespace and (not included or namespace in included):
        return (namespace,)
    return tuple(sorted(included))
