"""What commands print with: two consoles, tables and JSON, the package's messages, and streams."""

from __future__ import annotations

import io
import json
import logging
import os
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from rich.console import Console
from rich.markup import escape
from rich.table import Table

out = Console()
err = Console(stderr=True)

#: What names may hold and a terminal must not get: line ends, and what it would take for commands.
_CONTROLS = {code: chr(code).encode("unicode_escape").decode() for code in (*range(32), *range(127, 160))}


def say(sentence: str) -> None:
    """Prints a sentence of any length and any characters, as one line."""
    out.print(line(sentence), highlight=False, soft_wrap=True)


def note(sentence: str) -> None:
    """As `say`, on standard error."""
    err.print(line(sentence), highlight=False, soft_wrap=True)


def problem(sentence: str) -> None:
    """Tells on standard error of something that did not stop the command."""
    err.print(f"[yellow]Note:[/] {line(sentence)}", highlight=False, soft_wrap=True)


def fail(sentence: str, exit_code: int) -> NoReturn:
    """Ends the process with a sentence."""
    err.print(f"[red]Error:[/] {line(sentence)}", highlight=False, soft_wrap=True)
    sys.exit(exit_code)


def line(text: str) -> str:
    """Any text as it is put between markup: one line, no markup of its own, nothing that a terminal would obey."""
    return escape(text.translate(_CONTROLS))


def table(*headers: str) -> Table:
    """A table without lines, of two columns where none is named, whose long words are broken and never cut off."""
    made = Table(show_header=any(headers), box=None, padding=(0, 2, 0, 0))
    for header in headers or ("", ""):
        made.add_column(header, overflow="fold")
    return made


def print_json(value: dict[str, Any]) -> None:
    """Prints JSON for other programs."""
    sys.stdout.write(json.dumps(value, indent=2) + "\n")


def print_files(files: Iterable[str]) -> None:
    """Prints what was written; outside a table, which would cut a long name to the terminal's width."""
    for file in files:
        say(f"written    {file}")


class _Messages(logging.Handler):
    """What the package tells while it works (a file being fetched, say) goes to standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        note(record.getMessage())


def show_messages(quiet: bool) -> None:
    """Shows what the package tells while it works; quiet: only its warnings."""
    logger = logging.getLogger("sasmamba")
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.handlers = [_Messages()]


def settle_streams() -> None:
    """Makes sure that there is something to print to, and that no name is impossible to print."""
    for number in range(3):  # a closed stream would lend its number to the next file opened, the video perhaps
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115 (lives to the end)
    sys.stderr = sys.stderr or open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")
