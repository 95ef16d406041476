"""What click says about invalid arguments, as one sentence with the fix."""

from __future__ import annotations

from typing import Final

import click

_EXTRA: Final = ("Got unexpected extra argument (", "Got unexpected extra arguments (")
"""How click's error for too many arguments begins, which has no class of its own."""


def sentence_of(error: click.ClickException) -> str:
    """The sentence that names the argument and the fix, which only click's own errors lack."""
    message = error.format_message().removesuffix(".")
    context = error.ctx if isinstance(error, click.UsageError) else None
    match error:
        case click.MissingParameter(param=click.Option() as option) if context is not None:
            return f"{message}: pass {option.opts[0]} {option.make_metavar(context)}"
        case click.MissingParameter() if context is not None:
            return f"Missing argument: use {_usage(context)}"
        case click.NoSuchOption(possibilities=None | []) | click.BadOptionUsage():
            # click does not say to which command a flag without its value belongs.
            return f"{message}: see {'' if context is None else f'{context.command_path} '}--help"
        case _ if context is not None and message.startswith(_EXTRA):
            names = message.partition("(")[2].removesuffix(")")
            noun = "arguments" if " " in names else "argument"
            return f"Unexpected {noun} {names}: use {_usage(context)}"
        case _:
            return message


def _usage(context: click.Context) -> str:
    return " ".join([context.command_path, *context.command.collect_usage_pieces(context)])
