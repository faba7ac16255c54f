"""The part of the page about what people measure: each with how sure it is, or why it cannot be measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.export.report.markup import (
    Cell,
    Column,
    figure,
    more_on_page,
    plain,
    save_button,
    seek_button,
    table,
    term,
)
from sasmamba.app.motion.measure import GROUPS, Group, Measure

#: Decimals by unit: as many as mean something.
_DECIMALS = {"m": 2, "s": 2, "m/s": 2, "°": 0, "°/s": 0, "%": 0, "steps/min": 0, "": 0}
#: So many rows of a group are printed (see print.css); the page has all.
_PRINTED = 14
#: Told in the table of angles.
_ELSEWHERE: Group = "range_of_motion"


def in_figures(row: Measure) -> str:
    """A measure's value with its 95 % half-width and unit: "0.63 ± 0.04 m"; a dash where there is none."""
    return figure_of(row.value, row.half_width, row.unit)


def figure_of(value: float | None, half_width: float | None, unit: str) -> str:
    """A value with its 95 % half-width and unit."""
    if value is None:
        return "–"
    decimals = _DECIMALS.get(unit, 2)
    told = figure(value, decimals)
    if half_width is not None:
        told += f" ± {figure(half_width, decimals)}"
    return told + (unit if unit in ("", "°", "°/s") else f" {unit}")


def measures(people: Sequence[PersonMotion], measured: Mapping[int, Sequence[Measure]]) -> str:
    """Gait, jumps and standing up of everybody.

    Args:
        people: of the take.
        measured: everybody's measures, by track id.
    """
    if not any(row.group != _ELSEWHERE for rows in measured.values() for row in rows):
        return ""
    parts = ['<section class="measures" aria-label="Measures"><h2>Measures</h2>']
    for motion in people:
        own = measured[motion.track_id]
        groups = "".join(
            _group(group, rows)
            for group in GROUPS
            if group != _ELSEWHERE and (rows := [row for row in own if row.group == group])
        )
        parts.append(
            f'<div class="of-person" data-person="{motion.track_id}"><h3>Person {motion.track_id}</h3>{groups}</div>'
        )
    note = f"± is half the {term('95 % band')}; where there is none, it is not known how sure a figure is."
    parts.append(f'<p class="fine">{note}</p><p class="choices">{save_button("measures", "measures")}</p></section>')
    return "\n".join(parts)


def _group(group: Group, rows: Sequence[Measure]) -> str:
    reasons = {row.why_not for row in rows}
    if all(row.value is None for row in rows) and len(reasons) == 1:
        return f'<p class="fine">{plain(GROUPS[group])} {plain(rows[0].sentence)}.</p>'
    columns = [
        Column(plain(GROUPS[group]), "measure"),
        Column("Side", "side"),
        Column("Value", "value", True),
        Column("Mean of", "count", True),
        Column("When", "when"),
    ]

    def cells() -> Iterator[tuple[str, list[Cell]]]:
        for row in rows:
            told = in_figures(row) if row.value is not None else plain(row.sentence)
            when = seek_button(row.from_s, f"{row.from_s:.1f}–{row.to_s:.1f} s")
            count = str(row.count) if row.value is not None and row.unit else ""
            yield "", [Cell(plain(row.label)), Cell(row.side), Cell(told), Cell(count), Cell(when)]

    return table("of_group", GROUPS[group], columns, cells()) + more_on_page(len(rows) - _PRINTED)
