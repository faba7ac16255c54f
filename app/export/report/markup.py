"""Pieces of HTML: text made harmless, tables, terms that are explained, buttons that save and seek."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from sasmamba.app.export.report.words import WORDS


def plain(text: str) -> str:
    """Text as HTML; what cannot be printed, or would turn the reading direction, is spelled out."""
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def unbroken(text: str) -> str:
    """Text whose numbers stay on a line with their units."""
    return re.sub(r"(?<=\d) (?=(?:s|m|px|pixels|cm/s|m/s)\b)", "\N{NO-BREAK SPACE}", text)


def term(name: str, shown: str = "") -> str:
    """A word of `WORDS`: its meaning appears under the pointer, and a click goes to it."""
    return f'<a class="term" href="#word-{slug(name)}" title="{plain(WORDS[name])}">{plain(shown or name)}</a>'


def slug(name: str) -> str:
    """A word as part of an address."""
    return "".join(c if c.isalnum() else "-" for c in name.lower())


def seek_button(seconds: float, text: str) -> str:
    """A time that one can go to."""
    return f'<button type="button" class="time" data-seek="{seconds:.6f}">{plain(text)}</button>'


def save_button(kind: str, what: str) -> str:
    """Saves a table as a file; `kind` as the script knows it."""
    return f'<button type="button" data-save="{kind}">Save {plain(what)} as CSV</button>'


def more_on_page(count: int) -> str:
    """Says on paper that the page has more."""
    return f'<p class="printed">And {count} more: see the page.</p>' if count > 0 else ""


@dataclass(frozen=True, slots=True)
class Column:
    """Of a table: its heading, as HTML, and its name in a file; figures stand to the right."""

    head: str
    name: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """Of a table: its text, as HTML, what it is in a file, what the script calls it, and its half-width in a file."""

    text: str
    value: str | None = None
    what: str = ""
    half_width: str = ""


def table(kind: str, label: str, columns: Sequence[Column], rows: Iterable[tuple[str, Sequence[Cell]]]) -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        kind: as the script knows it.
        label: for those who listen to the page.
        columns: of the table.
        rows: of each its attributes, as HTML, and its cells; the first heads the row.
    """

    def attributes(cell: Cell, column: Column) -> str:
        value = "" if cell.value is None else f' data-value="{plain(cell.value)}"'
        what = f' data-what="{cell.what}" data-half-width="{cell.half_width}"' if cell.what else ""
        return _align(column) + value + what

    head = "".join(f'<th scope="col"{_align(c)} data-name="{c.name}">{c.head}</th>' for c in columns)
    body = []
    for own, cells in rows:
        parts = []
        for k, (cell, column) in enumerate(zip(cells, columns, strict=True)):
            tag, scope = ("td", "") if k else ("th", ' scope="row"')
            parts.append(f"<{tag}{scope}{attributes(cell, column)}>{cell.text}</{tag}>")
        body.append(f"<tr{own}>{''.join(parts)}</tr>")
    return (
        f'<div class="table" role="region" aria-label="{plain(label)}" tabindex="0"><table data-table="{kind}">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _align(column: Column) -> str:
    return ' class="number"' if column.number else ""
