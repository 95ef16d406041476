"""ClusterLinks by name and namespace: the CRD of the Go release is namespaced, so several may have one name."""

from __future__ import annotations

from attrs import define, field

from svclink_controller.wire.messages import is_earlier
from svclink_core.meta_v1 import NamespacedName, ObjectMeta
from svclink_core.svclink_v1alpha1 import ClusterLink


@define
class LinkIndex:
    """Every ClusterLink there is."""

    _by_name: dict[str, dict[str, ClusterLink]] = field(factory=dict)

    def of(self, name: str) -> tuple[ClusterLink, ...]:
        """All links of a name."""
        return tuple(self._by_name.get(name, {}).values())

    def names(self) -> set[NamespacedName]:
        """Namespace and name of every link."""
        return {
            NamespacedName(namespace, name)
            for name, found in self._by_name.items()
            for namespace in found
        }

    def put(self, link: ClusterLink, *, listed: bool) -> bool:
        """Hold a link, unless what is held is newer, which a complete list overrules. Returns whether it is held."""
        held = self._by_name.setdefault(link.metadata.name, {})
        old = held.get(link.metadata.namespace)
        if old is not None and not listed and is_older(link.metadata, old.metadata):
            return False
        held[link.metadata.namespace] = link
        return True

    def remove(self, key: NamespacedName) -> bool:
        """Hold a link no longer. Returns whether it was held."""
        held = self._by_name.get(key.name, {})
        removed = held.pop(key.namespace, None) is not None
        if removed and not held:
            del self._by_name[key.name]
        return removed


def is_older(new: ObjectMeta, held: ObjectMeta) -> bool:
    """Whether a state comes from before the one held: a watch lags behind the answers to our own writes."""
    return new.uid == held.uid and is_earlier(new.resource_version, held.resource_version)
