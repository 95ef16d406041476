"""What import-linter cannot check: the core is pure, modules are small, a name means one thing.

The rules are allow-lists: a new import, builtin or exception needs an entry and a review.
"""

from __future__ import annotations

import ast
import builtins
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import pytest

import svclink_controller
import svclink_core

CORE: Final = Path(svclink_core.__file__).parent
CONTROLLER: Final = Path(svclink_controller.__file__).parent
MODULES: Final = sorted(CORE.rglob("*.py"))
ALL_MODULES: Final = [*MODULES, *sorted(CONTROLLER.rglob("*.py"))]

ALLOWED_IMPORTS: Final = {
    "__future__", "attrs", "bisect", "collections.abc", "enum", "functools", "hashlib",
    "ipaddress", "itertools", "re", "typing",
}  # fmt: skip
ALLOWED_IN_CODEC: Final = {"cattrs", "cattrs.cols", "cattrs.gen"}
ALLOWED_BUILTINS: Final = {
    "BaseException", "Ellipsis", "Exception", "IndexError", "KeyError", "TypeError", "ValueError",
    "any", "all", "bool", "bytes", "dict", "divmod", "enumerate", "float", "frozenset", "int",
    "isinstance", "len", "list", "map", "max", "min", "next", "object", "property", "range",
    "reversed", "set", "sorted", "str", "sum", "super", "tuple", "type", "zip",
}  # fmt: skip
ALLOWED_DUNDERS: Final = {"__all__", "__init__", "__name__", "__str__"}
MAX_BODY: Final = 30

TEXT_SUFFIXES: Final = {".go", ".json", ".md", ".py", ".sh", ".txt", ".yaml"}

# Spelled backwards, so that this file does not contain them.
FORBIDDEN_WORDS: Final = re.compile(
    rf"\b({'|'.join(word[::-1] for word in ('dnem', 'ydobon', 'ydobemos', 'reveohw'))})\b",
    re.IGNORECASE,
)

MAX_MODULES: Final = 14
"""Per folder of the controller. The core is one folder, ordered by layers in pyproject.toml."""

MAX_LINES: Final = 400
MIN_LINES: Final = 30
LONG_MODULES: Final[dict[str, str]] = {}
SHORT_MODULES: Final = {
    "errors": "the base classes of all errors, which have no other home",
    "wire/bounded_arrays": "one trick, which needs an explanation of its own",
    "monitoring/listen_address": "flags name an address without importing the HTTP server",
}
"""Modules with fewer lines than `MIN_LINES`, besides `__init__` and `__main__`: why they stay."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef


def violations(source: str, module: str = "planning") -> list[str]:
    """The violations in the source of a core module, each with its line."""
    tree = ast.parse(source)
    found = [
        *undocumented(tree),
        *(complaint for node in ast.walk(tree) for complaint in complaints(node, module)),
    ]
    return [f"{line}: {complaint}" for line, complaint in sorted(found)]


Complaint: TypeAlias = tuple[int, str]


def complaints(node: ast.AST, module: str) -> Iterator[Complaint]:
    """The violations of one node."""
    match node:
        case ast.Import():
            yield from imported(node, [alias.name for alias in node.names], module)
        case ast.ImportFrom():
            yield from imported(node, [node.module or "."] if node.level == 0 else ["."], module)
            yield from ((node.lineno, "Any") for alias in node.names if alias.name in ("Any", "*"))
        case ast.Name():
            yield from named(node)
        case ast.Attribute() if is_dunder(node.attr) or node.attr == "Any":
            yield node.lineno, node.attr
        case ast.Constant(value=str()):
            yield from quoted(node)
        case ast.AsyncFunctionDef() | ast.AsyncFor() | ast.AsyncWith() | ast.Await():
            yield node.lineno, "async"
        case ast.comprehension() if node.is_async:
            yield node.target.lineno, "async"
        case ast.Global() | ast.Nonlocal():
            yield node.lineno, "global state"
        case _:
            pass
    if isinstance(node, Function) and length_of(node) > MAX_BODY:
        yield node.lineno, f"{node.name} has {length_of(node)} lines"


def imported(
    node: ast.Import | ast.ImportFrom, names: Sequence[str], module: str
) -> Iterator[Complaint]:
    """Imports that are not on the allow-list."""
    for name in names:
        is_own = name.split(".")[0] == "svclink_core"
        if not (
            is_own or name in ALLOWED_IMPORTS or (module == "codec" and name in ALLOWED_IN_CODEC)
        ):
            yield node.lineno, f"import of {name}"


def named(node: ast.Name) -> Iterator[Complaint]:
    """Builtins that are not on the allow-list, and `Any`."""
    is_builtin = hasattr(builtins, node.id) and node.id not in ALLOWED_BUILTINS
    if is_builtin or is_dunder(node.id) or node.id == "Any":
        yield node.lineno, node.id


def quoted(node: ast.Constant) -> Iterator[Complaint]:
    """`Any` in a quoted type."""
    try:
        inner = ast.parse(str(node.value).strip(), mode="eval")
    except (SyntaxError, ValueError):
        return
    if any(isinstance(each, ast.Name) and each.id == "Any" for each in ast.walk(inner)):
        yield node.lineno, "Any"


def is_dunder(name: str) -> bool:
    """Whether a name is a dunder that is not on the allow-list."""
    return name.startswith("__") and name.endswith("__") and name not in ALLOWED_DUNDERS


def length_of(function: Function) -> int:
    """Lines of a function body without its docstring."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def undocumented(tree: ast.Module) -> Iterator[Complaint]:
    """Public functions and classes without a docstring."""
    for node in tree.body:
        if (
            isinstance(node, Function | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
        ):
            yield node.lineno, f"{node.name} has no docstring"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_core_is_pure(path: Path) -> None:
    """No module of the core violates a rule."""
    assert violations(path.read_text(encoding="utf-8"), path.stem) == []


def test_modules_of_the_core_are_found() -> None:
    """The test above reads the package, not an empty folder."""
    assert {"__init__", "codec", "planning", "status"} <= {path.stem for path in MODULES}


def body(lines: int) -> str:
    """A function body with this many lines."""
    return "\n    ".join(["x = 1"] * lines)


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("import os", "import of os"),
        ("import os.path", "import of os.path"),
        ("import typing, random", "import of random"),
        ("import collections", "import of collections"),
        ("from time import time", "import of time"),
        ("from datetime import datetime as d", "import of datetime"),
        (
            "from svclink_controller.state.store import Store",
            "import of svclink_controller.state.store",
        ),
        ("from svclink_corex import x", "import of svclink_corex"),
        ("from . import clock", "import of ."),
        ("from .clock import now", "import of ."),
        ("import cattrs", "import of cattrs"),
        ("if 1:\n    import socket", "import of socket"),
        ("from typing import Any", "Any"),
        ("from typing import *", "Any"),
        ("import typing\nx: typing.Any = 1", "Any"),
        ("x: list['dict[str, Any]'] = []", "Any"),
        ("x = cast(' Any ', y)", "Any"),
        ("open('/etc/passwd')", "open"),
        ("print('x')", "print"),
        ("input()", "input"),
        ("eval('1')", "eval"),
        ("exec('1')", "exec"),
        ("compile('1', '', 'eval')", "compile"),
        ("globals()['x'] = 1", "globals"),
        ("vars()", "vars"),
        ("getattr(x, 'y')", "getattr"),
        ("f = open", "open"),
        ("breakpoint()", "breakpoint"),
        ("hash('x')", "hash"),
        ("id(x)", "id"),
        ("__import__('os')", "__import__"),
        ("__builtins__['open']", "__builtins__"),
        ("().__class__.__bases__", "__class__"),
        ("f.__globals__", "__globals__"),
        ("async def _f(): pass", "async"),
        ("def _f():\n    async with x: pass", "async"),
        ("def _f():\n    async for y in x: pass", "async"),
        ("async def _f():\n    await x", "async"),
        ("def _f():\n    return [y async for y in x]", "async"),
        ("def _f():\n    global x\n    x = 1", "global state"),
        ("def _f():\n    def g():\n        nonlocal x\n", "global state"),
        (f"def _f():\n    {body(31)}", "_f has 31 lines"),
        (f"def _f():\n    '''A fact.'''\n    {body(31)}", "_f has 31 lines"),
        (f"class _C:\n  def g():\n    {body(31)}", "g has 31 lines"),
        ("def f():\n    return 1", "f has no docstring"),
        ("class C:\n    x = 1", "C has no docstring"),
    ],
)
def test_bad_source_is_refused(source: str, complaint: str) -> None:
    """Each of these is a violation."""
    assert complaint in {found.partition(": ")[2] for found in violations(source)}


@pytest.mark.parametrize(
    "source",
    [
        "import re\nfrom collections.abc import Mapping\nfrom svclink_core.errors import Problem",
        "from svclink_core import plan",
        "def f():\n    '''Opens nothing: Any text is fine in a docstring.'''\n    return sorted(x)",
        "def _f():\n    return 1",
        f"def _f():\n    {body(30)}",
        "x = 'print(1)'",
        "def f(x):\n    '''A fact.'''\n    return type(x).__name__",
        "class C:\n    '''A fact.'''\n    def __init__(self):\n        super().__init__()",
    ],
)
def test_good_source_is_accepted(source: str) -> None:
    """Code in the style of the core is not a violation."""
    assert violations(source) == []


def test_violations_are_sorted_by_line() -> None:
    """Each violation starts with its line."""
    assert violations("x = 1\nprint(open)") == ["2: open", "2: print"]


def test_only_the_codec_imports_cattrs() -> None:
    """Only the codec may import the library that converts objects."""
    assert violations("from cattrs.gen import override", "codec") == []
    assert violations("from cattrs.gen import override", "status") == ["1: import of cattrs.gen"]


@pytest.mark.parametrize("module", ["svclink_core", "svclink_core.codec"])
def test_core_imports_no_module_with_io(module: str) -> None:
    """The core and its dependencies import no network, event loop or logging."""
    program = f"import sys, {module}; print(*sorted(sys.modules))"
    loaded = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.split()
    assert module in loaded
    assert not {
        "asyncio",
        "http",
        "kubernetes",
        "logging",
        "msgspec",
        "socket",
        "ssl",
        "yaml",
    } & set(loaded)


# Both packages


def module_name(path: Path) -> str:
    """A module as `folder/module` in its package."""
    package = CORE if path.is_relative_to(CORE) else CONTROLLER
    return path.relative_to(package).with_suffix("").as_posix()


def public_names(path: Path) -> Iterator[str]:
    """The public top-level names of a module, except type variables and loggers."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = [node.name]
            case ast.Assign(value=ast.Call(func=ast.Name(id="TypeVar"))):
                names = []
            case ast.Assign():
                names = [target.id for target in node.targets if isinstance(target, ast.Name)]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from (name for name in names if not name.startswith("_") and name != "log")


def test_public_name_has_one_definition() -> None:
    """One public name means one thing in both packages."""
    modules: dict[str, list[str]] = {}
    for path in ALL_MODULES:
        for name in set(public_names(path)):
            modules.setdefault(name, []).append(path.as_posix())
    assert {name: paths for name, paths in modules.items() if len(paths) > 1} == {}


def test_folders_are_small() -> None:
    """A folder of the controller can be read at a glance."""
    counts = Counter(path.parent.relative_to(CONTROLLER) for path in CONTROLLER.rglob("*.py"))
    assert {str(folder): count for folder, count in counts.items() if count > MAX_MODULES} == {}


def test_modules_are_of_a_readable_size() -> None:
    """A module has 30 to 400 lines, unless there is a reason."""
    lines = {
        module_name(path): len(path.read_text(encoding="utf-8").splitlines())
        for path in ALL_MODULES
        if path.stem not in ("__init__", "__main__")
    }
    assert {name for name, count in lines.items() if count > MAX_LINES} <= LONG_MODULES.keys()
    assert {name for name, count in lines.items() if count < MIN_LINES} <= SHORT_MODULES.keys()


# Words


def test_forbidden_words_do_not_occur() -> None:
    """Texts name the actor and use the usual word, for example `fix`."""
    root = Path(__file__).parents[2]
    folders = [CORE, CONTROLLER, root / "tests", root / "hack"]
    assert [
        f"{path}:{number}: {match[0]}"
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in TEXT_SUFFIXES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for match in FORBIDDEN_WORDS.finditer(line)
    ] == []
