"""Unit tests run without the parts of the Kubernetes client that the image does not have."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

SCRIPT = Path(__file__).parents[2] / "hack" / "slim_environment.py"


@contextmanager
def whole_client() -> Iterator[None]:
    """Everything can be imported meanwhile, as in programs that use svclink as a library."""
    finders = [each for each in sys.meta_path if isinstance(each, NotInTheImage)]
    for each in finders:
        sys.meta_path.remove(each)
    yield
    sys.meta_path[:0] = finders


class NotInTheImage(MetaPathFinder):
    """Refuses to import what `hack/slim_environment.py` removes."""

    def __init__(self) -> None:
        self._never_imported = runpy.run_path(str(SCRIPT))["NEVER_IMPORTED"]

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Leave every other module to the next finder."""
        del path, target
        if self._never_imported.fullmatch(f"{fullname.replace('.', '/')}.py"):
            raise ModuleNotFoundError(
                f"{fullname} is not in the image: hack/slim_environment.py removes it"
            )
        return None
