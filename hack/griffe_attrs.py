"""Shows the API reference the constructors of attrs classes, which exist only at run time.

An extension of griffe, with which mkdocstrings reads the code; mkdocs.yml names this file.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from griffe import (
    Attribute,
    Class,
    Expr,
    ExprCall,
    ExprKeyword,
    Extension,
    Function,
    Parameter,
    ParameterKind,
    Parameters,
)

DECORATORS = {"attrs.define", "attrs.frozen"}


class AttrsClasses(Extension):
    """Gives each attrs class the `__init__` that attrs generates."""

    def on_class(self, *, cls: Class, **_: Any) -> None:  # noqa: ANN401, D102 - those of griffe
        if any(each.callable_path in DECORATORS for each in cls.decorators):
            init = Function("__init__", parameters=Parameters(*parameters(cls)), returns="None")
            cls.set_member("__init__", init)


def parameters(cls: Class) -> Iterator[Parameter]:
    yield Parameter("self", kind=ParameterKind.positional_or_keyword)
    for attribute in cls.attributes.values():
        settings = field_settings(attribute)
        if is_field(attribute) and str(settings.get("init")) != "False":
            is_keyword = str(settings.get("kw_only")) == "True"
            yield Parameter(
                attribute.name.lstrip("_"),
                annotation=attribute.annotation,
                kind=ParameterKind.keyword_only
                if is_keyword
                else ParameterKind.positional_or_keyword,
                default=default_of(attribute, settings),
            )


def is_field(attribute: Attribute) -> bool:
    """Whether attrs makes a field of it: an annotated name in the body of the class."""
    is_class_variable = (
        "class-attribute" in attribute.labels and "instance-attribute" not in attribute.labels
    )
    return (
        attribute.annotation is not None
        and not is_class_variable
        and "property" not in attribute.labels
    )


def field_settings(attribute: Attribute) -> dict[str, str | Expr]:
    """The arguments of `field(...)`."""
    value = attribute.value
    if not isinstance(value, ExprCall) or value.canonical_path != "attrs.field":
        return {}
    return {each.name: each.value for each in value.arguments if isinstance(each, ExprKeyword)}


def default_of(attribute: Attribute, settings: dict[str, str | Expr]) -> str | Expr | None:
    """The default as it would be written in a signature."""
    if "factory" in settings:
        return f"{settings['factory']}()"
    value = attribute.value
    if isinstance(value, ExprCall) and value.canonical_path == "attrs.field":
        return settings.get("default")
    return value
