"""The part of the page about what people measure: each with how sure it is, or why it cannot be measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.export.report.markup import (
    Cell,
    Column,
    more_on_page,
    plain,
    save_button,
    seek_button,
    table,
    term,
)
from sasmamba.app.export.report.paper import beyond
from sasmamba.app.export.report.words import WORDS
from sasmamba.app.motion.measure import DECIMALS, GROUPS, Group, Measure, Side, figure

_SIDES: Mapping[Side, str] = {"left": "Left", "right": "Right", "both": "Both"}
#: Told in the table of angles.
_ELSEWHERE: Group = "range_of_motion"


def in_figures(row: Measure) -> str:
    """A measure with its half-width and unit: "0.63 ± 0.04 m", "≈ 38 ± 12°" of an "about", "≤ 20°"; a dash for none."""
    decimals = DECIMALS[row.unit]
    if row.at_most is not None:
        return f"≤\N{NO-BREAK SPACE}{figure(row.at_most, decimals, row.unit)}"
    if row.value is None:
        return "–"
    about = "≈\N{NO-BREAK SPACE}" if row.about else ""
    if row.half_width is None:
        return about + figure(row.value, decimals, row.unit)
    return f"{about}{figure(row.value, decimals)} ± {figure(row.half_width, decimals, row.unit)}"


def what_signs_mean(rows: Iterable[Measure]) -> str:
    """One line for people, as HTML: what the signs beside these measures mean."""
    rows, told = list(rows), []
    if any(row.half_width is not None for row in rows):
        told.append(f"±: {term('95 % band', 'in 95 of 100 cases')} the truth is no farther away")
    if any(row.about for row in rows):
        told.append(f"≈: {term('About', 'about')}, which is less sure than most uses need")
    if any(row.at_most is not None for row in rows):
        told.append("≤: at most; what was seen may be none")
    if any(_is_mean(row) for row in rows):
        told.append("(5): the mean of 5")
    return ". ".join(told) + "." if told else ""


def rows_of(rows: Sequence[Measure]) -> list[dict[Side, Measure]]:
    """What is known of a group, row by row of its table: each with a measure for each side."""
    known = [row for row in rows if row.value is not None]
    found: dict[tuple[str, float], dict[Side, Measure]] = {}
    for row in known:  # one jump has the measures of the one before, at another time
        alone = sum(row.name == other.name and row.side == other.side for other in known) > 1
        found.setdefault((row.name, row.from_s if alone else -1), {})[row.side] = row
    return list(found.values())


def table_lengths(measured: Iterable[Sequence[Measure]]) -> tuple[dict[str, int], int]:
    """How long each group's table is of whoever has the longest, and how many reasons are told of whoever has most."""
    lengths: dict[str, int] = {}
    reasons = 0
    for own in measured:
        rows = [row for row in own if row.group != _ELSEWHERE]
        for group in GROUPS:
            length = len(rows_of([row for row in rows if row.group == group]))
            lengths[group] = max(lengths.get(group, 0), length)
        reasons = max(reasons, len({(row.group, row.sentence) for row in rows if row.why_not}))
    return lengths, reasons


def measure_tables(
    people: Sequence[PersonMotion], measured: Mapping[int, Sequence[Measure]], paper: Mapping[str, int]
) -> str:
    """Gait, jumps and standing up of everybody.

    Args:
        people: of the take.
        measured: everybody's measures, by track id.
        paper: so many rows of each group are printed.
    """
    if not any(row.group != _ELSEWHERE for rows in measured.values() for row in rows):
        return ""
    parts = ['<section class="measures" aria-label="Measures"><h2>Measures</h2>']
    for motion in people:
        own = measured[motion.track_id]
        groups = "".join(
            _group(group, rows, paper[group])
            for group in GROUPS
            if group != _ELSEWHERE and (rows := [row for row in own if row.group == group])
        )
        parts.append(
            f'<div class="of-person" data-person="{motion.track_id}"><h3>Person {motion.track_id}</h3>{groups}</div>'
        )
    rows = [row for own in measured.values() for row in own if row.group != _ELSEWHERE]
    save = save_button("measures", "measures")
    parts.append(f'<p class="fine">{what_signs_mean(rows)}</p><p class="choices">{save}</p></section>')
    return "\n".join(parts)


def _group(group: Group, rows: Sequence[Measure], printed: int) -> str:
    """What is measured of a group as a table, each measure a row with a column for each side; and one sentence for
    each reason for which others cannot be measured."""
    known = [row for row in rows if row.value is not None]
    sided = {side: head for side, head in _SIDES.items() if any(row.side == side for row in known)}
    columns = [
        Column(plain(GROUPS[group]), "measure"),
        *(Column(head if len(sided) > 1 else "Value", side, True) for side, head in sided.items()),
        Column("When", "when"),
    ]
    found = rows_of(rows)

    def cells() -> Iterator[tuple[str, list[Cell]]]:
        for k, sides in enumerate(found):
            one = next(iter(sides.values()))
            begin, end = min(row.from_s for row in sides.values()), max(row.to_s for row in sides.values())
            when = seek_button(begin, f"{begin:.1f}–{end:.1f} s")
            yield (
                beyond(k, printed),
                [Cell(_named(one.label)), *(Cell(_with_count(sides.get(side))) for side in sided), Cell(when)],
            )

    out = table(group, GROUPS[group], columns, cells()) + more_on_page(len(found) - printed) if found else ""
    for sentence in dict.fromkeys(row.sentence for row in rows if row.why_not):
        those = [row for row in rows if row.sentence == sentence]
        first, *others = dict.fromkeys(row.label for row in those)
        labels = "; ".join([first, *(label[0].lower() + label[1:] for label in others)])
        what = plain(labels if known else GROUPS[group])
        if len(those) == 1:
            what += f" ({seek_button(those[0].from_s, f'{those[0].from_s:.1f}–{those[0].to_s:.1f} s')})"
        out += f'<p class="fine">{what}: {plain(sentence)}.</p>'
    return out


def _named(label: str) -> str:
    """A measure's label, with its meaning where it is a term."""
    known = next((word for word in WORDS if label.lower().startswith(word.lower())), None)
    return plain(label) if known is None else term(known, label)


def _is_mean(row: Measure) -> bool:
    """Whether it is told of how many a measure is the mean."""
    return row.value is not None and row.group != _ELSEWHERE and bool(row.unit) and row.count > 1


def _with_count(row: Measure | None) -> str:
    if row is None:
        return ""
    count = f' <small title="mean of {row.count}">({row.count})</small>' if _is_mean(row) else ""
    return in_figures(row) + count
