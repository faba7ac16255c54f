"""Measures as files: one tidy table, and the same as JSON."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path

from sasmamba.app.motion.measure import Measure
from sasmamba.common.files import atomic_path

COLUMNS = (
    "person",
    "group",
    "measure",
    "side",
    "value",
    "unit",
    "half_width_95",
    "at_most",
    "told_as",
    "from_s",
    "to_s",
    "count",
    "why_not",
    "in_words",
)
FORMAT = "sasmamba-measures/1"


def write_measures(table: Path, whole: Path, measures: Iterable[Measure]) -> None:
    """Writes everybody's measures, see `motion.measures.measures`.

    table: CSV, one row per measure: `COLUMNS`; value and half_width_95 are empty where there is none, and why_not says
    why there is no value. told_as is "value", "about", "at most" or "not given", and in_words tells all of
    it in a sentence.

    whole: JSON, an object of `format` and `measures`: a list of objects with the same keys, and `label` for people;
    what there is not is null.

    Raises:
        UserError: the disk refuses.
    """
    rows = [measure.plain() for measure in measures]
    with atomic_path(table) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    with atomic_path(whole) as temporary:
        temporary.write_text(f'{{"format": "{FORMAT}",\n"measures": [\n{lines}\n]}}\n', encoding="utf-8")
