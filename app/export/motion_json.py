"""JSON: everything that is known, for programs of one's own."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from sasmamba.app.export.contacts import contacts, strides
from sasmamba.app.export.motion_table import JOINTS, PersonMotion, rounded_rows
from sasmamba.app.export.options import Footage
from sasmamba.app.motion.performance import View
from sasmamba.app.motion.steps import steps_of
from sasmamba.common.files import atomic_path
from sasmamba.models.skeletons import H36M_PARENTS


def write_json(path: Path, people: Sequence[PersonMotion], footage: Footage) -> None:
    """Writes one object: what `motion_table.about` tells (units metres; axes x right, y away from the camera, z up,
    floor at z = 0; joint names; assumptions), `parents` of the joints, and `people`, each with `track_id`, `contacts`:
    a list of {side, from_s, to_s, begun}, see `Contact`, `strides`: a list of {side, from_s, to_s}, see `Stride`, and
    `frames`: a list of {frame, time_s, observed, joints: 17 × [x, y, z], score: 17 × 0..1 of the 2D joints, feet: 4 ×
    [x, y, z] by the names of `foot_points`, feet_seen and planted: [left, right], states: 21 × index into
    `certainty.states` of joints, then heels and toes, half_width_m: 21 × [across, along the line of sight] of
    68 % intervals, angles: degrees by the names of `joint_angles`}. What is not known is null.

    Times are the video's own; frames without a pose are left out. One line per frame, written as it goes: memory does
    not grow with the video.

    Raises:
        UserError: the disk refuses.
    """
    head = json.dumps({"format": "sasmamba-motion/1", **footage.notes, "parents": list(H36M_PARENTS)}, indent=1)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as out:
        out.write(head.removesuffix("\n}") + ',\n "people": [')
        for p, person in enumerate(people):
            rests = contacts(person)
            walked = strides(steps_of(person.performance(View(), banded=False)), rests)
            whole = {"contacts": list(map(asdict, rests)), "strides": list(map(asdict, walked))}
            out.write(
                ("," if p else "") + f'\n  {{"track_id": {person.track_id}, {json.dumps(whole)[1:-1]}, "frames": ['
            )
            points, widths = person.told(footage.options.keep_inferred), person.point_half_widths_m
            angles = person.angles(footage.options.keep_inferred)
            for k, f in enumerate(np.flatnonzero(person.posed).tolist()):
                row = {
                    "frame": int(person.frame[f]),
                    "time_s": round(float(person.times_s[f]), 6),
                    "observed": bool(person.observed[f]),
                    "joints": rounded_rows(points[f, : len(JOINTS)]),
                    "score": np.round(person.score[f].astype(float), 3).tolist(),
                    "feet": rounded_rows(points[f, len(JOINTS) :]),
                    "feet_seen": person.feet_seen[f].tolist(),
                    "planted": person.planted[f].tolist(),
                    "states": person.states[f].tolist(),
                    "half_width_m": rounded_rows(widths[f]),
                    "angles": {name: _degrees(values[f]) for name, values in angles.items()},
                }
                out.write((",\n   " if k else "\n   ") + json.dumps(row))
            out.write("]}")
        out.write("]\n}\n")


def _degrees(value: float) -> float | None:
    return round(float(value), 2) if math.isfinite(value) else None
