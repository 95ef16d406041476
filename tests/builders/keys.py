"""Keys of objects, as both forms of the builders accept them."""

from __future__ import annotations

from typing import Final, TypeAlias

from svclink_core import NamespacedName

Key: TypeAlias = NamespacedName | str

WEB: Final = NamespacedName("default", "web")


def key_of(key: Key) -> NamespacedName:
    """The key that `"name"`, in namespace default, or `"namespace/name"` stands for."""
    if isinstance(key, NamespacedName):
        return key
    namespace, _, name = key.rpartition("/")
    return NamespacedName(namespace or "default", name)
