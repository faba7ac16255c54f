"""What a page's script is told, as JSON: times, poses and angles in base64, so that an hour stays a few megabytes."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import FEET, JOINTS, PersonMotion
from sasmamba.app.export.report.findings import sighted
from sasmamba.app.motion.placing import Placement
from sasmamba.app.render.palette import SIDE_COLORS, Color, track_color
from sasmamba.app.render.scene import Scene
from sasmamba.app.take import Take
from sasmamba.models.angles import ANGLES
from sasmamba.models.skeletons import FOOT_EDGES, H36M_EDGES

#: Stands for "no number" among whole numbers of 16 bits.
MISSING = -32768
_MOST = 32767


def payload(take: Take, placement: Placement, people: list[PersonMotion]) -> dict[str, Any]:
    """Times, the scene, and everybody's motion; arrays are base64 of little-endian numbers.

    `times`: float64 (F,) seconds. `people`: `id`, `color`, `first` frame; `joints` int16 (n, 21, 3), heels and toes
    last, times `unit_m` metres in world axes, -32768 without a pose and where legs are left out; `seen` uint8 (n,) 0 no
    pose, 1 carried, 2 seen; `states` uint8 (n, 21) `Certainty` of each joint; `angles` int16 (n,) tenths of degrees by
    the names of `joint_angles`, -32768 for none.
    """
    roots = [np.stack(list(some.values())) for some in placement.roots.values() if some]
    scene = Scene.around(roots, placement.R_world_cam)
    return {
        "format": "sasmamba-report/1",
        "times": _packed(np.array([float(t) for t in take.times_s]), "<f8"),
        "fps": float(take.meta.fps),
        "joints": [*JOINTS, *FEET],
        "edges": [[e.a, e.b, e.side] for e in (*H36M_EDGES, *FOOT_EDGES)],
        "sides": {side: hex_of(color) for side, color in SIDE_COLORS.items()},
        "angles": [{"label": angle.label, "series": list(angle.series)} for angle in ANGLES],
        "scene": {"centre": list(scene.centre), "radius_m": scene.radius_m, "top_m": scene.top_m},
        "people": [_person(take, motion) for motion in people],
    }


def _person(take: Take, motion: PersonMotion) -> dict[str, Any]:
    pose = motion.posed
    # millimetres, or coarser where somebody is farther away than 16 bits of them reach
    unit_m = max(0.001, float(np.abs(motion.points[pose]).max(initial=0)) / _MOST)
    return {
        "id": motion.track_id,
        "color": hex_of(track_color(motion.track_id)),
        "first": int(motion.frame[0]),
        "unit_m": unit_m,
        "joints": _whole(motion.told(keep_inferred=True) / unit_m),
        "seen": _packed(np.where(pose, 1 + sighted(take, motion), 0), "u1"),
        "states": _packed(motion.states, "u1"),
        "angles": {name: _whole(10 * values) for name, values in motion.angles().items()},
    }


def _whole(values: NDArray) -> str:
    known = np.isfinite(values)
    return _packed(np.where(known, np.rint(np.where(known, values, 0)).clip(-_MOST, _MOST), MISSING), "<i2")


def _packed(values: NDArray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()


def hex_of(color: Color) -> str:
    """BGR as #rrggbb."""
    blue, green, red = (round(c) for c in color)
    return f"#{red:02x}{green:02x}{blue:02x}"


def script_safe(value: Any) -> str:
    """JSON that no HTML parser takes for the end of a script."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
