"""Writes the page: one HTML file that holds everything it shows and asks for nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

from sasmamba.app.export.motion_table import Outcome, PersonMotion
from sasmamba.app.export.report import sections
from sasmamba.app.export.report.angle_section import angles
from sasmamba.app.export.report.compare_section import comparison
from sasmamba.app.export.report.data import payload, script_safe
from sasmamba.app.export.report.events import events
from sasmamba.app.export.report.markup import plain
from sasmamba.app.export.report.measure_section import measure_tables, table_lengths
from sasmamba.app.export.report.paper import printed
from sasmamba.app.motion.measures import measures
from sasmamba.app.motion.performance import view_of
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.steps import steps_of
from sasmamba.app.take import Take
from sasmamba.common.files import atomic_path

#: A render up to this size is part of the page; base64 makes it a third larger. A larger one stays beside the page.
EMBED_AT_MOST = 32_000_000
#: So many bytes are turned into base64 at a time; a multiple of three, so that the pieces join.
_CHUNK = 3 << 18
#: In the order in which they build on each other.
_SCRIPTS = (
    "view.js",
    "person.js",
    "planes.js",
    "player.js",
    "plots.js",
    "tables.js",
    "other_take.js",
    "compare.js",
    "start.js",
)
_STYLES = ("page.css", "print.css")


@dataclass(frozen=True, slots=True)
class _Render:
    """The render as the page has it: nothing, or a file that is part of the page or lies beside it."""

    path: Path | None
    inside: bool

    @classmethod
    def of(cls, outcome: Outcome, embed_at_most: int) -> _Render:
        path = outcome.render if outcome.written else None
        return cls(path, path is not None and path.stat().st_size <= embed_at_most)

    @property
    def moving_picture(self) -> bool:
        """A gif, which no script can hold still."""
        return self.path is not None and self.path.suffix.lower() == ".gif"

    @property
    def link(self) -> str:
        return quote(self.path.name.encode("utf-8", "surrogateescape")) if self.path is not None else ""

    def write_to(self, out: TextIO) -> None:
        """Writes the file in base64."""
        assert self.path is not None
        with self.path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                out.write(base64.b64encode(chunk).decode())


def write_page(
    path: Path,
    take: Take,
    placement: Placement,
    people: list[PersonMotion],
    outcome: Outcome,
    embed_at_most: int = EMBED_AT_MOST,
) -> None:
    """Writes one page about a take.

    Args:
        people: as `motion_table.motions` gives them.
        outcome: of the run; without a render the page has the 3D view alone.
        embed_at_most: bytes of a render that becomes part of the page.

    Raises:
        UserError: the disk refuses; nothing half-written is left.
    """
    render = _Render.of(outcome, embed_at_most)
    script = "\n" + "".join(map(_part, _SCRIPTS))
    beside = "" if render.inside or render.path is None else f", save the render, {plain(render.path.name)}"
    performed = {motion.track_id: motion.performance(view_of(take, placement, motion.track_id)) for motion in people}
    measured = {person: measures(performance) for person, performance in performed.items()}
    steps = {person: steps_of(performance) for person, performance in performed.items()}
    told = payload(take, placement, people, events(take, people, outcome.findings, steps), steps)
    # only names that a reader sees: the page is passed on
    told |= {"title": outcome.title, "name": path.stem}
    told["measures"] = [row.plain() for rows in measured.values() for row in rows]
    doubts = sections.warning_items(take, placement, people, outcome)
    lengths, reasons = table_lengths(measured.values())
    paper = printed({**lengths, "people": len(people), "warnings": len(doubts)}, reasons)
    texts = {
        "POLICY": _policy(script, render),
        "TITLE": plain(outcome.title),
        "STYLE": "".join(map(_part, _STYLES)),
        "SUBTITLE": sections.subtitle(take, people, outcome),
        "SCRIPT": script.removeprefix("\n"),
        "EXCEPT": beside,
        "WARNINGS": sections.warning_list(doubts, paper["warnings"]),
        "PEOPLE": sections.people_table(take, people, paper["people"]),
        "ABOUT": sections.about_run(take, placement, people, outcome),
        "MEASURES": measure_tables(people, measured, paper),
        "ANGLES": angles(take, people, performed, measured),
        "COMPARISON": comparison(people),
        "WORDS": sections.words(),
        "DATA": script_safe(told),
    }
    written: dict[str, Callable[[TextIO], None]] = {
        "RENDER": lambda out: _write_player(out, take, render, outcome.written),
        "VIDEO": lambda out: _write_video(out, render),
    }
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as out,
    ):
        for i, piece in enumerate(re.split(r"\{\{([A-Z]+)\}\}", _part("page.html"))):
            if i % 2 == 0:
                out.write(piece)
            elif piece in written:
                written[piece](out)
            else:
                out.write(texts[piece])


def _part(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _policy(script: str, render: _Render) -> str:
    """What a browser is to allow this page: its own script, style and pictures, and nothing else from anywhere."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    media = "blob:" if render.inside else "file: 'self'"
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src data:; "
        f"media-src {media}; base-uri 'none'; form-action 'none'"
    )


def _write_player(out: TextIO, take: Take, render: _Render, written: int) -> None:
    """The render as an element of the page, and a note on what is special about it."""
    note = ""
    if render.path is None:
        note = "There is no render to show."
    elif render.moving_picture and render.inside:
        note = "A gif plays by itself and cannot keep step with the 3D view; a render as .mp4 can."
        out.write('<details><summary class="help">Show the render</summary><img class="still" alt="The render" src="')
        out.write("data:image/gif;base64,")
        render.write_to(out)
        out.write('"></details>\n')
    elif render.moving_picture:
        note = f'The render is too large for this page: <a href="{render.link}">{plain(render.path.name)}</a>.'
    else:
        source = "" if render.inside else f' src="{render.link}"'
        out.write(f'<video id="render" data-frames="{written}" playsinline preload="auto"{source} tabindex="-1"')
        out.write(' aria-label="The video with 2D skeletons, and beside it the people in 3D"></video>\n')
        if not render.inside:
            note = f"The render is too large for this page and lies beside it: {plain(render.path.name)}."
    if render.path is not None and written < take.frames:
        note += f" Drawing was stopped early: the render has {written} of {take.frames} frames."
    out.write(f'<p id="render-note" class="note" role="status"{"" if note else " hidden"}>{note.strip()}</p>')


def _write_video(out: TextIO, render: _Render) -> None:
    """The render's bytes, of which the page's script makes a video: some browsers play none from a data address."""
    if render.inside and not render.moving_picture:
        out.write('<script type="text/plain" id="video-data">')
        render.write_to(out)
        out.write("</script>")
