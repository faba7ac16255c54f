"""The parts of a page that need no script: what was done, what is assumed, what to doubt, the angles over time."""

from __future__ import annotations

import math
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import Outcome, PersonMotion
from sasmamba.app.export.report.data import hex_of
from sasmamba.app.export.report.findings import figures, sighted, warnings
from sasmamba.app.export.report.plots import BOX, Curves, angle_plots
from sasmamba.app.motion.angle_bands import angle_states
from sasmamba.app.motion.camera_decision import in_words
from sasmamba.app.motion.certainty import Certainty
from sasmamba.app.motion.checks import CheckFinding, grouped
from sasmamba.app.motion.placing import Placement
from sasmamba.app.render.palette import track_color
from sasmamba.app.take import Take, cut_list
from sasmamba.models.angles import ANGLES

#: Plots of more people than this begin folded.
_OPEN_PEOPLE = 3


def plain(text: str) -> str:
    """Text as HTML; what cannot be printed, or would turn the reading direction, is spelled out."""
    return escape("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text))


def subtitle(take: Take, people: list[PersonMotion], outcome: Outcome) -> str:
    """One line under the title."""
    count = {0: "nobody", 1: "one person"}.get(len(people), f"{len(people)} people")
    seconds = float(take.times_s[-1]) + 1 / float(take.meta.fps)
    frames = "one frame" if take.frames == 1 else f"{take.frames} frames"
    return plain(f"{count}, {frames}, {seconds:.1f} s; 2D by {outcome.pose2d}, 3D by {take.model}")


def warning_list(take: Take, placement: Placement, people: list[PersonMotion], outcome: Outcome) -> str:
    """What went wrong in the run, and what the data give cause to doubt."""
    sentences = [*outcome.problems, *warnings(take, placement, people)]
    if take.cut_short:
        sentences.insert(0, f"The analysis was stopped early: the page is about the first {take.frames} frames.")
    if not people:
        sentences.append("Nobody was found: there is no motion to show.")
    found = [_found(group) for group in grouped(outcome.findings)]
    if not sentences and not found:
        return (
            '<section class="checks"><h2>Warnings</h2><p class="fine">None of the checks found cause to.</p></section>'
        )
    items = "\n".join(f"<li>{sentence}</li>" for sentence in [*map(plain, sentences), *found])
    return f'<section class="warnings"><h2>Warnings</h2><ul>\n{items}\n</ul></section>'


def _found(group: list[CheckFinding]) -> str:
    """A kind of findings about one person, with times to go to."""
    worst = max(group, key=lambda finding: abs(finding.value - finding.threshold))
    times = ", ".join(
        f'<button type="button" class="time" data-seek="{finding.from_s:.6f}">{plain(finding.when)}</button>'
        for finding in group
    )
    return f"{plain(worst.who)} {plain(worst.told)}: {times}: {plain(worst.reason)}"


def summary(take: Take, placement: Placement, people: list[PersonMotion], outcome: Outcome) -> str:
    """The run, everybody in figures, and what was assumed."""
    meta = take.meta
    every = "every frame" if take.pose2d_every == 1 else f"one frame in {take.pose2d_every} and in the last"
    run = {
        "Video": f"{meta.width}×{meta.height}, {float(meta.fps):g} frames/s on average",
        "Frames": f"{take.frames} analysed, {outcome.written} drawn; joints detected in {every}",
        "Models": f"2D {outcome.pose2d}, 3D {take.model}",
        "Speed": f"{outcome.fps:.1f} frames/s; milliseconds per frame: "
        + ", ".join(f"{stage} {ms:.1f}" for stage, ms in outcome.stage_ms.items()),
    }
    run["Camera"] = in_words(take.camera_motion)
    if take.cuts:
        run["Cuts"] = f"{cut_list(take.cuts)}; whoever is seen in two shots is two people here"
    parts = ['<section class="summary"><h2>Summary</h2>', _list(run)]
    if people:
        parts += [_people(take, people), "<div><h3>Assumed</h3>", _list(_assumed(placement)), "</div>"]
    return "\n".join([*parts, "</section>"])


def _people(take: Take, people: list[PersonMotion]) -> str:
    heads = [
        "Person",
        "Frames seen",
        "Carried",
        "Missing",
        "2D score",
        "Height in picture",
        "Walked",
        "Mean speed",
        "Fastest ½ s",
    ]
    rows = []
    for motion in people:
        f = figures(take, motion)
        cells = [
            str(f.seen),
            str(f.carried),
            str(f.missing),
            _number(f.score, ".2f"),
            _number(f.height_px, ".0f", "px"),
            _number(f.path_m, ".1f", "m"),
            _number(f.speed_m_s, ".2f", "m/s"),
            _number(f.top_m_s, ".2f", "m/s"),
        ]
        chip = f'<span class="chip" style="background:{hex_of(track_color(motion.track_id))}">#{motion.track_id}</span>'
        rows.append(f'<tr><th scope="row">{chip}</th>' + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f'<th scope="col">{name}</th>' for name in heads)
    return (
        '<div class="table" role="region" aria-label="People in figures" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        '<p class="fine">Carried: not seen, the pose comes from the frames around. Speeds are of the pelvis over the '
        "floor, each over half a second; they depend on the assumptions below, joint angles hardly do.</p>"
    )


def _number(value: float, form: str, unit: str = "") -> str:
    return "–" if math.isnan(value) else f"{value:{form}} {unit}".strip()


def _assumed(placement: Placement) -> dict[str, str]:
    """The placement's assumptions as rows of text, whatever they are, and how feet stand."""
    rows = {name.capitalize().replace("_", " "): _in_words(value) for name, value in placement.assumptions.items()}
    before, after = placement.before, placement.after
    rows["Planted feet"] = (
        f"in {after.planted:.0%} of the frames; they slide by {after.skate_cm_s:.1f} cm/s ({before.skate_cm_s:.1f} "
        "before they were held)"
    )
    return rows


def _in_words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(_named(str(name), part) for name, part in value.items())
    if isinstance(value, list):
        return "; ".join(map(_in_words, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _named(name: str, value: Any) -> str:
    """A fact of an assumption: fov_deg 60.0 as "fov 60 deg", given False as "given: no"."""
    what, _, unit = name.rpartition("_")
    if what and unit in ("px", "m", "deg", "s"):
        return f"{what.replace('_', ' ')} {_in_words(value)} {unit}"
    return f"{name.replace('_', ' ')}: {_in_words(value)}"


def _list(rows: dict[str, str]) -> str:
    return "<dl>" + "".join(f"<dt>{plain(name)}</dt><dd>{plain(text)}</dd>" for name, text in rows.items()) + "</dl>"


#: Said where there are no ankle angles.
_FEET_UNSEEN = (
    '<p class="fine">Ankle angles: none. The 2D stage saw no heels and toes; the feet that are drawn follow from the '
    "legs, contact and the floor, which tells how people stand and not how an ankle bends.</p>"
)


def _curves(take: Take, motion: PersonMotion, time: NDArray, until_s: float) -> Curves:
    def whole(values: NDArray, empty: float | bool) -> NDArray:
        out = np.full(take.frames, empty)
        out[motion.frame] = values
        return out

    angles = {name: whole(values, np.nan) for name, values in motion.angles().items()}
    bands = {name: whole(values, np.nan) for name, values in motion.angle_bands().items()}
    inferred = {name: whole(s == Certainty.INFERRED, False) for name, s in angle_states(motion.states).items()}
    missing, carried = whole(~motion.posed, True), whole(~sighted(take, motion), False)
    name = f"person {motion.track_id}"
    return Curves(time, angles, bands, inferred, missing, carried & ~missing, until_s, name)


def plots(take: Take, people: list[PersonMotion], name: str) -> str:
    """The joint angles of everybody over time, and a button that saves them."""
    if not people:
        return ""
    until_s = float(take.times_s[-1]) + 1 / float(take.meta.fps)
    time = np.array([float(t) for t in take.times_s])
    banded = any(np.isfinite(motion.half_width_m).any() for motion in people)
    legend = "".join(
        f'<span><i class="{kind}" style="{style}"></i>{text}</span>'
        for kind, style, text in (
            ("stroke", "border-color:var(--left)", "left"),
            ("stroke", "border-color:var(--right)", "right"),
            ("stroke", "border-top-style:dashed", "a joint of it was not seen"),
            *([("", "background:currentColor;opacity:.22", "holds the truth in 95 of 100 cases")] if banded else []),
            ("", "background:var(--carried)", "not seen, carried by the frames around"),
            ("", "background:var(--gap)", "no pose"),
        )
    )
    box = ",".join(map(str, BOX))
    parts = [f'<section><h2>Joint angles</h2><p class="legend">{legend}</p>']
    for motion in people:
        # over the whole clip, so that everybody's plots have one time axis
        drawn = angle_plots(_curves(take, motion, time, until_s))
        figure = "\n".join(
            f'<figure data-person="{motion.track_id}" data-angle="{i}"><figcaption><h3>{angle.label}</h3>'
            f'<output></output></figcaption><div class="plot" data-box="{box}" data-until="{until_s:.6f}">'
            f'{drawn[angle.name]}</div><p class="definition">{plain(angle.definition)}</p></figure>'
            for i, angle in enumerate(ANGLES)
            if angle.name != "ankle_dorsiflexion" or motion.feet_seen.any()
        )
        unseen = "" if motion.feet_seen.any() else _FEET_UNSEEN
        shown = " open" if len(people) <= _OPEN_PEOPLE else ""
        parts.append(
            f'<details{shown}><summary>Person {motion.track_id}</summary><div class="plots">{figure}</div>{unseen}'
            "</details>"
        )
    parts.append(
        f'<button id="save" type="button" data-name="{plain(name)}_angles.csv">Save angles as CSV</button></section>'
    )
    return "\n".join(parts)
