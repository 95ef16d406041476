"""The narrator, on a console that is a terminal."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from svclink_controller.demo.narrator import Narrator


async def test_terminal_highlights_changed_endpoints() -> None:
    """Color shows which endpoints are ready; bold shows which have changed."""
    shown = StringIO()
    console = Console(file=shown, force_terminal=True, color_system="standard", highlight=False)
    narrator = Narrator(console, chapter_pause=0)

    await narrator.chapter("A Pod comes.")
    with narrator.waiting("a Pod"):
        narrator.endpoints(
            {"b": {"10.2.0.1": False}, "main": {"10.0.0.1": True}}, {"main": {"10.0.0.1": True}}
        )
    narrator.verified("it is there", 0.0123)

    printed = shown.getvalue()
    assert "\x1b[1mA Pod comes.\x1b[0m" in printed
    assert printed.index("\x1b[32m10.0.0.1 ready") < printed.index("\x1b[1;33m10.2.0.1 NOT READY")
    assert ", after 12 ms" in printed
