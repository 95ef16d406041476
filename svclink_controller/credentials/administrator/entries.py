"""Fields of the administrator's kubeconfig: typed values, and files beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, cast

from attrs import field, frozen

from svclink_controller.credentials.administrator.access import shown_path, why_unread
from svclink_controller.credentials.allowed_fields import KubeconfigMapping, present_fields
from svclink_controller.credentials.kubeconfig_yaml import YamlValue
from svclink_controller.credentials.pem import MAX_PEM, PemField


@frozen
class AdminEntry(KubeconfigMapping):
    """A cluster, user or context.

    Args:
        directory: That of the file it comes from, where relative paths start.
    """

    directory: Path = field(kw_only=True)

    @classmethod
    def of(cls, path: str, fields: Mapping[str, object], directory: Path) -> AdminEntry:
        """An entry whose fields are checked when they are read."""
        # YAML holds numbers and dates too; the checks of each type refuse them.
        values = cast("Mapping[str, YamlValue]", fields)
        return cls(path, present_fields(values), directory=directory)

    def inner(self, key: str) -> AdminEntry | None:
        """A field that must be a mapping if it is present."""
        value = self.fields.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.invalid(key, "is not a mapping; see `kubectl config view`")
        return AdminEntry.of(self.where(key), value, self.directory)

    def inner_list(self, key: str) -> list[AdminEntry]:
        """A field that must be a list of mappings if it is present."""
        return [
            AdminEntry.of(f"{self.where(key)}[{index}]", item, self.directory)
            if isinstance(item, dict)
            else self._raise(key, "is not a list of mappings; see `kubectl config view`")
            for index, item in enumerate(self._items(key))
        ]

    def texts(self, key: str) -> tuple[str, ...]:
        """A field that must be a list of strings if it is present."""
        return tuple(
            item
            if isinstance(item, str)
            else self._raise(key, "must be a list of strings; correct it")
            for item in self._items(key)
        )

    def file(self, key: str) -> Path | None:
        """A field that names a file."""
        name = self.text(key)
        return None if name is None else self.directory / name

    def pem(self, key: str) -> PemField:
        """The bytes of a field that is a file, or base64 under the name with `-data`."""
        inline = f"{key}-data"
        data, file = self.data(inline, MAX_PEM), self.file(key)
        if data is not None and file is not None:
            raise self.invalid(key, f"is set together with {inline}; remove one of them")
        if file is None:
            return PemField(inline, data)
        try:
            return PemField(key, file.read_bytes())
        except (OSError, ValueError) as error:
            raise self.invalid(
                key, f"names {shown_path(file)}, which cannot be read: {why_unread(error)}"
            ) from None

    def _items(self, key: str) -> list[YamlValue]:
        value = self.fields.get(key, [])
        return value if isinstance(value, list) else self._raise(key, "must be a list; correct it")

    def _raise(self, key: str, problem: str) -> NoReturn:
        raise self.invalid(key, problem)
