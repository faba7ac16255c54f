"""How the command's first words are read: a file means `run`, a camera or a stream `live`, a slip is pointed out."""

from __future__ import annotations

import difflib
import os
from typing import Any

import typer
from typer.core import TyperGroup

from sasmamba.app.cli import console
from sasmamba.app.cli.options import LIVE_FLAGS
from sasmamba.app.cli.panels import put_under_headings
from sasmamba.app.io.source_names import is_live
from sasmamba.common.errors import UserError

_GLOBAL_FLAGS = {"--help", "-h", "--version"}


class CommandGroup(TyperGroup):
    """Lets `sasmamba-demo video.mp4 …` mean `run video.mp4 …`, and a camera, a stream or --live `live …`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        put_under_headings(self.commands)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Puts in the command that was left out."""
        if args and args[0] not in self.commands and args[0] not in _GLOBAL_FLAGS:
            self._check_spelling(args[0])
            args = ["live" if is_live(args[0]) else "run", *args]
        if args and args[0] in ("run", "live"):
            end = args.index("--") if "--" in args else len(args)  # what follows are names, whatever they start with
            options = [a for a in args[:end] if a not in LIVE_FLAGS]
            args = [*(["live", *options[1:]] if len(options) < end else options), *args[end:]]
        return super().parse_args(ctx, args)

    def _check_spelling(self, word: str) -> None:
        """Raises UserError for what is neither a command nor a file, but nearly a command."""
        plain = word.replace("-", "").isalpha() and not word.startswith("-")
        close = difflib.get_close_matches(word.lower(), list(self.commands), 1) if plain else []
        if close and not os.path.exists(word):
            raise UserError(
                f"There is neither a command nor a file {word!r}; did you mean `sasmamba-demo {close[0]}`?", exit_code=2
            )

    def invoke(self, ctx: Any) -> Any:
        """Runs the command; Ctrl-C that it did not take itself ends it with a sentence."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            console.note("Stopped; nothing half-written is left.")
            raise typer.Exit(130) from None
