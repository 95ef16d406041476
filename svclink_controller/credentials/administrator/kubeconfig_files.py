"""Reads the administrator's kubeconfig. It is trusted, and means what it means to kubectl.

The rules are those of client-go (tools/clientcmd: loader.go, merge.go, validation.go). Fields that
are unknown, and entries that are not used, are ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final

import yaml
from attrs import evolve, frozen

from svclink_controller.credentials.administrator.access import Access, AccessError
from svclink_controller.credentials.administrator.cluster import read_cluster
from svclink_controller.credentials.administrator.entries import AdminEntry
from svclink_controller.credentials.administrator.user import read_user
from svclink_controller.credentials.kubeconfig_yaml import DEFAULT_LOADER

_ANONYMOUS: Final = AdminEntry.of("user", {}, Path())


class _KubeconfigLoader(DEFAULT_LOADER):  # type: ignore[misc, valid-type]
    """Reads dates as text, as Kubernetes does: a context may have one as its name."""

    yaml_implicit_resolvers: ClassVar = {
        first: [each for each in resolvers if each[0] != "tag:yaml.org,2002:timestamp"]
        for first, resolvers in DEFAULT_LOADER.yaml_implicit_resolvers.items()
    }


_STRUCTURE: Final = "it does not have the structure that `kubectl config view` shows"


def read_admin_kubeconfig(files: Sequence[Path], context: str | None) -> Access:
    """How to reach the cluster that a context names.

    Args:
        files: The files that exist of those in $KUBECONFIG; an entry of an earlier file wins.
        context: The context; None for the current one.

    Raises:
        AccessError: A file or the context cannot be used.
    """
    documents = [_Document.read(file) for file in files]
    contexts = _merged(documents, "contexts", "context")
    chosen = contexts[_context_name(documents, contexts, context)]
    cluster = _named(_merged(documents, "clusters", "cluster"), chosen, "cluster")
    users = _merged(documents, "users", "user")
    # Without a user, requests are anonymous.
    user = _ANONYMOUS if chosen.text("user") is None else _named(users, chosen, "user")
    credentials = read_cluster(cluster)
    access = read_user(user, cluster, credentials)
    if not credentials.server.startswith("https://"):
        access = Access(credentials)  # kubectl sends nothing of a user unencrypted.
    return evolve(access, namespace=chosen.text("namespace") or access.namespace)


@frozen
class _Document:
    """One file, and the directory that its relative paths start from."""

    content: dict[str, object]
    directory: Path

    @classmethod
    def read(cls, file: Path) -> _Document:
        try:
            text = file.read_bytes().decode("utf-8-sig")
            # Like kubectl, ignore further documents.
            content = next(yaml.load_all(text, Loader=_KubeconfigLoader), None)
        except UnicodeDecodeError:
            raise AccessError("it is not UTF-8 text") from None
        except RecursionError:
            raise AccessError(_STRUCTURE) from None
        except OSError as error:
            raise AccessError(f"it cannot be read: {error.strerror}") from error
        except yaml.YAMLError as error:
            raise AccessError(_position(error)) from None
        except Exception:  # noqa: BLE001 - a value fails in any way to be what its tag says
            raise AccessError(
                "it contains a value of the wrong type or a number that is too large"
            ) from None
        if content is None:
            raise AccessError("it is empty")
        if not isinstance(content, dict):
            raise AccessError(_STRUCTURE)
        for key, expected in (("apiVersion", "v1"), ("kind", "Config")):
            if content.get(key) not in (None, "", expected):
                raise AccessError(f"its {key} is not {expected}")
        return cls(content, file.absolute().parent)

    def entries(self, key: str, kind: str) -> dict[str, AdminEntry]:
        """The entries of a list by name."""
        items = self.content.get(key) or []
        if not isinstance(items, list):
            raise AccessError(_STRUCTURE)
        found: dict[str, AdminEntry] = {}
        for item in items:
            name = item.get("name") if isinstance(item, dict) else None
            fields = (item.get(kind) or {}) if isinstance(item, dict) else None
            if not isinstance(name, str) or not isinstance(fields, dict):
                raise AccessError(_STRUCTURE)
            if name in found:
                raise AccessError(f"{key} has two entries named {name!r}; rename or remove one")
            found[name] = AdminEntry.of(f"{key}[{name}].{kind}", fields, self.directory)
        return found


def _merged(documents: Sequence[_Document], key: str, kind: str) -> dict[str, AdminEntry]:
    """The entries of all files: an entry of an earlier file wins."""
    merged: dict[str, AdminEntry] = {}
    for document in reversed(documents):
        merged |= document.entries(key, kind)
    return merged


def _context_name(
    documents: Sequence[_Document], contexts: dict[str, AdminEntry], given: str | None
) -> str:
    """The context to use: the given one, else the first current one."""
    current = (document.content.get("current-context") for document in documents)
    name = given or next(filter(None, current), None)
    known = ", ".join(sorted(contexts))
    if not contexts:
        wanted = "one" if name is None else f"the context {name!r}"
        raise AccessError(f"it has no contexts: use a kubeconfig with {wanted}")
    if name is None:
        raise AccessError(f"it has no current-context; pass --context with one of: {known}")
    if not isinstance(name, str) or name not in contexts:
        raise AccessError(f"it has no context named {name!r}; its contexts are: {known}")
    return name


def _named(entries: dict[str, AdminEntry], by: AdminEntry, key: str) -> AdminEntry:
    """The entry that a context names."""
    name = by.required(key, by.text(key))
    if name not in entries:
        raise AccessError(f"{by.path} names the {key} {name!r}, which does not exist")
    return entries[name]


def _position(error: yaml.YAMLError) -> str:
    """Where the YAML is broken, without the text around it, which may be a secret."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    where = "" if mark is None else f" at line {mark.line + 1}, column {mark.column + 1}"
    return f"it is not YAML: {problem}{where}"
