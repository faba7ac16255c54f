"""What the live page is made of: files of this folder, and the report's 3D view."""

from __future__ import annotations

import html
from functools import cache
from importlib.resources import files

_LIVE, _REPORT = "sasmamba.app.live", "sasmamba.app.export.report"
#: By path: the package a file lies in, its name and its kind.
PARTS = {
    "/view.js": (_REPORT, "view.js", "text/javascript"),
    "/page.js": (_LIVE, "page.js", "text/javascript"),
    "/page.css": (_LIVE, "page.css", "text/css"),
}


@cache
def _text(package: str, name: str) -> str:
    return (files(package) / name).read_text(encoding="utf-8")


def part(path: str) -> tuple[str, str]:
    """Kind and text of one of PARTS."""
    package, name, kind = PARTS[path]
    return kind, _text(package, name)


def page(query: str) -> str:
    """The page's HTML; every address of it needs the query."""
    return _text(_LIVE, "page.html").replace("{{QUERY}}", html.escape(query))
