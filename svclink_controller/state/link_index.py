"""ClusterLinks by name and namespace.

The CRD of the Go release is namespaced, so several ClusterLinks may have the same name.
"""

from __future__ import annotations

from attrs import define, field

from svclink_controller.wire.messages import is_earlier
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.svclink_v1alpha1 import ClusterLink


@define
class LinkIndex:
    """Every ClusterLink that exists."""

    _by_name: dict[str, dict[str, ClusterLink]] = field(factory=dict)

    def of(self, name: str) -> tuple[ClusterLink, ...]:
        """All links with this name."""
        return tuple(self._by_name.get(name, {}).values())

    def get(self, key: NamespacedName) -> ClusterLink | None:
        """One link; None if it does not exist."""
        return self._by_name.get(key.name, {}).get(key.namespace)

    def __contains__(self, key: NamespacedName) -> bool:
        return key.namespace in self._by_name.get(key.name, {})

    def keys(self) -> set[NamespacedName]:
        """Namespace and name of every link."""
        return {
            NamespacedName(namespace, name)
            for name, links in self._by_name.items()
            for namespace in links
        }

    def put(self, link: ClusterLink, *, listed: bool) -> bool:
        """Add or replace a link, unless the held state is newer.

        Args:
            link: The link.
            listed: Whether it comes from a complete list, which counts even if the held state
                seems newer.

        Returns:
            Whether the link was taken.
        """
        links = self._by_name.setdefault(link.metadata.name, {})
        held = links.get(link.metadata.namespace)
        if held is not None and not listed and is_older(link.metadata, held.metadata):
            return False
        links[link.metadata.namespace] = link
        return True

    def remove(self, key: NamespacedName) -> bool:
        """Remove a link. Returns whether it existed."""
        links = self._by_name.get(key.name, {})
        is_removed = links.pop(key.namespace, None) is not None
        if is_removed and not links:
            del self._by_name[key.name]
        return is_removed


def is_older(new: ObjectMeta, held: ObjectMeta) -> bool:
    """Whether a state is older than the held one: a watch lags behind the responses to writes."""
    return new.uid == held.uid and is_earlier(new.resource_version, held.resource_version)
