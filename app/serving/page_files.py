"""What a page is made of: an HTML file and the styles and scripts that it asks for, all from packages of ours."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

#: The 3D view that every page has.
VIEW = ("sasmamba.app.export.report", "view.js")
_KINDS = {"js": "text/javascript", "css": "text/css"}


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The files of one page, each as the package that it lies in and its name.

    Attributes:
        page: the HTML; in it {{QUERY}} stands for what every address needs.
        parts: by path.
    """

    page: tuple[str, str]
    parts: Mapping[str, tuple[str, str]]

    def html(self, query: str) -> tuple[str, bytes]:
        """The page's kind and content, for addresses that need this query."""
        return "text/html; charset=utf-8", _text(*self.page).replace("{{QUERY}}", html.escape(query)).encode()

    def part(self, path: str) -> tuple[str, bytes]:
        """Kind and content of one of `parts`."""
        package, name = self.parts[path]
        return f"{_KINDS[name.rpartition('.')[2]]}; charset=utf-8", _text(package, name).encode()


@cache
def _text(package: str, name: str) -> str:
    return (files(package) / name).read_text(encoding="utf-8")
