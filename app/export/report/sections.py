"""The parts of a page that need no script: what was done, what is assumed, what to doubt, what words mean."""

from __future__ import annotations

from collections.abc import Sequence

from sasmamba.app.export.motion_table import Outcome, PersonMotion
from sasmamba.app.export.report.assumed import assumed
from sasmamba.app.export.report.data import hex_of
from sasmamba.app.export.report.findings import figures, warnings
from sasmamba.app.export.report.markup import (
    Cell,
    Column,
    more_on_page,
    plain,
    save_button,
    seek_button,
    slug,
    table,
    term,
    unbroken,
)
from sasmamba.app.export.report.paper import beyond
from sasmamba.app.export.report.words import WORDS
from sasmamba.app.motion.camera_decision import in_words
from sasmamba.app.motion.checks import CheckFinding, grouped
from sasmamba.app.motion.measure import figure
from sasmamba.app.motion.placing import Placement
from sasmamba.app.render.palette import track_color
from sasmamba.app.take import Take, cut_list


def subtitle(take: Take, people: list[PersonMotion], outcome: Outcome) -> str:
    """One line under the title."""
    count = {0: "nobody", 1: "one person"}.get(len(people), f"{len(people)} people")
    seconds = float(take.times_s[-1]) + 1 / float(take.meta.fps)
    frames = "one frame" if take.frames == 1 else f"{take.frames} frames"
    return plain(f"{count}, {frames}, {seconds:.1f} s; 2D by {outcome.pose2d}, 3D by {take.model}")


def warning_items(take: Take, placement: Placement, people: list[PersonMotion], outcome: Outcome) -> list[str]:
    """What went wrong in the run, and what the data give cause to doubt, each as HTML."""
    sentences = [*outcome.problems, *warnings(take, placement, people)]
    if take.cut_short:
        sentences.insert(0, f"The analysis was stopped early: the page is about the first {take.frames} frames.")
    if not people:
        sentences.append("Nobody was found: there is no motion to show.")
    found = [_found(group) for group in grouped(outcome.findings)]
    return [*found, *(unbroken(plain(sentence)) for sentence in sentences)]


def warning_list(items: Sequence[str], printed: int) -> str:
    """The warnings, as `warning_items` has them, of which so many are printed."""
    if not items:
        return '<section class="checks"><h2>Warnings</h2><p class="fine">No check found cause for one.</p></section>'
    listed = "\n".join(f"<li{beyond(k, printed)}>{sentence}</li>" for k, sentence in enumerate(items))
    more = more_on_page(len(items) - printed)
    return f'<section class="warnings"><h2>Warnings</h2><ul>\n{listed}\n</ul>{more}</section>'


def _found(group: list[CheckFinding]) -> str:
    """A kind of findings about one person, with times to go to."""
    worst = max(group, key=lambda finding: abs(finding.value - finding.threshold))
    times = ", ".join(seek_button(finding.from_s, finding.when) for finding in group)
    return f"{plain(worst.who)} {plain(worst.told)}: {times}: {plain(worst.reason)}"


def about_run(take: Take, placement: Placement, people: list[PersonMotion], outcome: Outcome) -> str:
    """How the motion was found, and what was assumed."""
    meta = take.meta
    every = "every frame" if take.pose2d_every == 1 else f"one frame in {take.pose2d_every} and in the last"
    run = {
        "Video": f"{meta.width}×{meta.height} pixels, {float(meta.fps):g} frames/s on average",
        "Frames": f"{take.frames} analysed, {outcome.written} drawn; joints detected in {every}",
        "Models": f"2D {outcome.pose2d}, 3D {take.model}",
        "Camera": in_words(take.camera_motion),
    }
    if take.cuts:
        run["Cuts"] = f"{cut_list(take.cuts)}; whoever is seen in two shots is two people here"
    if outcome.stage_ms:
        stages = ", ".join(f"{stage} {ms:.1f}" for stage, ms in outcome.stage_ms.items())
        run["Time it took"] = f"{outcome.fps:.1f} frames/s; milliseconds per frame: {stages}"
    parts = ['<section class="summary"><h2>How it was measured</h2>', _list(run)]
    if people:
        parts += ["<div><h3>Assumed</h3>", _list(assumed(take, placement)), "</div>"]
    return "\n".join([*parts, "</section>"])


def people_table(take: Take, people: list[PersonMotion], printed: int) -> str:
    """Everybody in figures; so many are printed."""
    if not people:
        return ""
    columns = [
        Column("Person", "person"),
        Column("Frames seen", "frames_seen", True),
        Column(term("Filled in"), "frames_filled_in", True),
        Column(term("No pose"), "frames_without_pose", True),
        Column(term("2D score"), "score_2d", True),
        Column(term("Height in picture"), "height_px", True),
        Column("Walked", "walked_m", True),
        Column("Mean speed", "mean_speed_m_s", True),
        Column("Fastest ½ s", "fastest_m_s", True),
    ]
    rows: list[tuple[str, list[Cell]]] = []
    for motion in people:
        f = figures(take, motion)
        chip = f'<span class="chip" style="background:{hex_of(track_color(motion.track_id))}">#{motion.track_id}</span>'
        told = [
            (float(f.seen), 0, ""),
            (float(f.filled_in), 0, ""),
            (float(f.missing), 0, ""),
            (f.score, 2, ""),
            (f.height_px, 0, "px"),
            (f.path_m, 1, "m"),
            (f.speed_m_s, 2, "m/s"),
            (f.top_m_s, 2, "m/s"),
        ]
        cells = [Cell(figure(*one), "" if one[0] != one[0] else f"{one[0]:.{one[1]}f}") for one in told]
        rows.append((beyond(len(rows), printed), [Cell(chip, str(motion.track_id)), *cells]))
    return (
        f'<section class="summary"><h2>People</h2>{table("people", "People in figures", columns, rows)}'
        f"{more_on_page(len(people) - printed)}"
        '<p class="fine">Speeds are of the pelvis over the floor, each over half a second; they depend on what is '
        f"assumed below, joint angles hardly do.</p>{save_button('people', 'this table')}</section>"
    )


def words() -> str:
    """What the page's terms mean."""
    rows = "".join(
        f'<dt id="word-{slug(name)}">{plain(name)}</dt><dd>{plain(meaning)}</dd>' for name, meaning in WORDS.items()
    )
    return f'<section class="words"><h2>Words used here</h2><dl>{rows}</dl></section>'


def _list(rows: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{plain(name)}</dt><dd>{plain(text)}</dd>" for name, text in rows.items()) + "</dl>"
