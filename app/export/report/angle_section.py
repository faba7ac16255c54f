"""The part of the page about joint angles: how far each goes, and how it goes over time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.export.report.findings import sighted
from sasmamba.app.export.report.markup import Cell, Column, plain, save_button, table, term
from sasmamba.app.export.report.measure_section import in_figures, what_signs_mean
from sasmamba.app.export.report.plots import BOX, Curves, angle_plots
from sasmamba.app.export.report.words import WORDS
from sasmamba.app.motion.angle_bands import angle_states
from sasmamba.app.motion.certainty import Certainty
from sasmamba.app.motion.measure import Measure, Side
from sasmamba.app.motion.performance import Performance
from sasmamba.app.take import Take
from sasmamba.models.angles import ANGLES, Angle

#: Said where there are no ankle angles.
_FEET_UNSEEN = (
    '<p class="fine">Ankle angles: none. The 2D stage saw no heels and toes; the feet that are drawn follow from the '
    "legs, contact and the floor, which tells how people stand and not how an ankle bends.</p>"
)


def angles(
    take: Take,
    people: list[PersonMotion],
    performed: Mapping[int, Performance],
    measured: Mapping[int, Sequence[Measure]],
) -> str:
    """The joint angles of everybody, as a table and over time, and buttons that save them.

    Args:
        take: what they are of.
        people: of the take.
        performed: everybody's angles and their bands, by track id.
        measured: everybody's measures, by track id.
    """
    if not people:
        return ""
    until_s = float(take.times_s[-1]) + 1 / float(take.meta.fps)
    time, box = take.seconds(), ",".join(map(str, BOX))
    parts = [
        '<section class="angles" aria-label="Joint angles"><h2>Joint angles</h2>'
        '<fieldset class="choices" id="angle-stretch"><legend>Table over this time</legend></fieldset>'
        '<p class="fine" id="angle-part" hidden>Over a part of the time: as seen, without ±, and hardly surer than '
        "over all of it.</p>"
    ]
    for motion in people:
        # over the whole clip, so that everybody's plots have one time axis
        drawn = angle_plots(_curves(take, motion, performed[motion.track_id], time, until_s))
        shown = [a for a in ANGLES if a.name != "ankle_dorsiflexion" or motion.feet_seen.any()]
        plots = "\n".join(
            f'<figure data-person="{motion.track_id}" data-angle="{ANGLES.index(angle)}"><figcaption>'
            f'<h3>{angle.label}</h3><output></output></figcaption><div class="plot" data-box="{box}" '
            f'data-until="{until_s:.6f}">{drawn[angle.name]}</div><p class="definition">{plain(angle.definition)}</p>'
            "</figure>"
            for angle in shown
        )
        parts.append(
            f'<div class="of-person" data-person="{motion.track_id}"><h3>Person {motion.track_id}</h3>'
            f"{_ranges(motion.track_id, shown, measured[motion.track_id])}{_legend(motion)}"
            f'<div class="plots">{plots}</div>'
            f"{'' if motion.feet_seen.any() else _FEET_UNSEEN}</div>"
        )
    save = f"{save_button('angle_ranges', 'the table')}{save_button('angles', 'angles of every frame')}"
    return "\n".join([*parts, f'<p class="choices">{save}</p></section>'])


def _ranges(person: int, shown: list[Angle], measured: Sequence[Measure]) -> str:
    columns = [Column("Angle", "angle"), Column("Side", "side")]
    columns += [
        Column(term(head) if head in WORDS else head, what, True)
        for what, head in (
            ("min", "Least"),
            ("max", "Greatest"),
            ("range", "Range"),
            ("mean", "Mean"),
            ("peak_velocity", "Peak speed"),
        )
    ]
    whats = [column.name for column in columns[2:]]
    known = {(row.name, row.side): row for row in measured if row.group == "range_of_motion"}

    def rows() -> Iterator[tuple[str, list[Cell]]]:
        for angle in shown:
            for series in angle.series:
                side: Side = "both" if not angle.sides else "left" if series.startswith("left") else "right"
                found = [known[f"{angle.name}_{what}", side] for what in whats]
                cells = [Cell(angle.label), Cell(side if angle.sides else "–")]
                cells += [
                    Cell(in_figures(row), _in_file(row.value), what, _in_file(row.half_width))
                    for row, what in zip(found, whats, strict=True)
                ]
                why = f' title="{plain(found[0].sentence)}"' if found[0].why_not else ""
                yield f' data-person="{person}" data-series="{series}"{why}', cells

    without: dict[str, list[str]] = {}
    for angle in shown:
        own = [row for row in known.values() if row.name == f"{angle.name}_min"]
        for sentence in dict.fromkeys(row.sentence for row in own if row.why_not):
            sides = [row.side for row in own if row.sentence == sentence]
            without.setdefault(sentence, []).append(
                angle.label if len(sides) == len(own) else f"{angle.label}, {sides[0]}"
            )
    reasons = [f"{'; '.join(labels)}: {sentence}." for sentence, labels in without.items()]
    told = "".join(f'<p class="fine">{plain(reason)}</p>' for reason in reasons)
    note = f'<p class="fine">{what_signs_mean(known.values())}</p>'
    return table("angle_ranges", f"Joint angles of person {person}, in degrees", columns, rows()) + note + told


def _in_file(number: float | None) -> str:
    return "" if number is None else f"{number:.1f}"


def _legend(motion: PersonMotion) -> str:
    banded = np.isfinite(motion.half_width_m).any()
    legend = "".join(
        f'<span><i class="{kind}" style="{style}"></i>{text}</span>'
        for kind, style, text in (
            ("stroke", "border-color:var(--left)", "left"),
            ("stroke", "border-color:var(--right)", "right"),
            ("stroke", "border-top-style:dashed", "a joint of it was not seen"),
            *([("", "background:currentColor;opacity:.22", term("95 % band"))] if banded else []),
            ("", "background:var(--filled)", term("Filled in")),
            ("", "background:var(--gap)", term("No pose")),
        )
    )
    return f'<p class="legend">{legend}</p>'


def _curves(take: Take, motion: PersonMotion, performed: Performance, time: NDArray, until_s: float) -> Curves:
    def whole(values: NDArray, empty: float | bool) -> NDArray:
        out = np.full(take.frames, empty)
        out[motion.frame] = values
        return out

    angles = {name: whole(values, np.nan) for name, values in performed.angles.items()}
    bands = {name: whole(values, np.nan) for name, values in performed.bands.items()}
    inferred = {name: whole(s == Certainty.INFERRED, False) for name, s in angle_states(motion.states).items()}
    missing, filled = whole(~motion.posed, True), whole(~sighted(take, motion), False)
    name = f"person {motion.track_id}"
    return Curves(time, angles, bands, inferred, missing, filled & ~missing, until_s, name)
