"""What a page's script is told, as JSON: times, poses and angles packed, so that an hour stays a few megabytes."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.contacts import contacts, strides
from sasmamba.app.export.motion_table import FEET, JOINTS, PersonMotion, nearest_known
from sasmamba.app.export.report.events import KINDS, Event
from sasmamba.app.export.report.findings import sighted
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.steps import Step
from sasmamba.app.render.palette import SIDE_COLORS, Color, track_color
from sasmamba.app.render.scene import Scene
from sasmamba.app.take import Take
from sasmamba.models.angles import ANGLES
from sasmamba.models.skeletons import FOOT_EDGES, H36M, H36M_EDGES

#: Stands for "no number" among whole numbers of 16 bits.
MISSING = -32768
_MOST = 32767
#: Which way somebody faces is told by the hips over so long: a view that goes along with them is not to tremble.
_FACING_S = 0.5


def payload(
    take: Take,
    placement: Placement,
    people: list[PersonMotion],
    events: Sequence[Event] = (),
    steps: Mapping[int, Sequence[Step]] | None = None,
) -> dict[str, Any]:
    """Times, the scene, and everybody's motion.

    `times`: base64 of float64 (F,) seconds, little-endian. `events`: [kind, person or null, from_s, to_s, text] each.
    `people`: `id`, `color`, `first` frame; `joints` int16 (n, 21, 3), heels and toes last, times `unit_m` metres in
    world axes, -32768 without a pose and where legs are left out; `seen` uint8 (n,) 0 no pose, 1 filled in, 2 seen;
    `states` uint8 (n, 21) `Certainty` of each joint; `angles` int16 (n,) tenths of degrees by the names of
    `joint_angles`, -32768 for none; `facing` int16 (n,) tenths of degrees, see `facing`; `floor` int16 (n,), of what
    they stand on, times `unit_m`; `strides`: [side, from_s, to_s] each. The arrays of people are `packed`.
    """
    roots = [np.stack(list(some.values())) for some in placement.roots.values() if some]
    scene = Scene.around(roots, placement.R_world_cam)
    return {
        "format": "sasmamba-report/2",
        "times": _base64(take.seconds().astype("<f8").tobytes()),
        "fps": float(take.meta.fps),
        "joints": [*JOINTS, *FEET],
        "edges": [[e.a, e.b, e.side] for e in (*H36M_EDGES, *FOOT_EDGES)],
        "sides": {side: hex_of(color) for side, color in SIDE_COLORS.items()},
        "angles": [{"label": angle.label, "series": list(angle.series)} for angle in ANGLES],
        "scene": {"centre": list(scene.centre), "radius_m": scene.radius_m, "top_m": scene.top_m},
        "kinds": dict(KINDS),
        "events": [[e.kind, e.person, round(e.from_s, 4), round(e.to_s, 4), e.text] for e in events],
        "people": [_person(take, placement, motion, (steps or {}).get(motion.track_id, ())) for motion in people],
    }


def _person(take: Take, placement: Placement, motion: PersonMotion, steps: Sequence[Step]) -> dict[str, Any]:
    pose = motion.posed
    # millimetres, or coarser where somebody is farther away than 16 bits of them reach
    unit_m = max(0.001, float(np.abs(motion.points[pose]).max(initial=0)) / _MOST)
    floor_m = placement.floor_m.get(motion.track_id, {})
    floor = np.array([floor_m.get(int(f), 0.0) for f in motion.frame])
    return {
        "id": motion.track_id,
        "color": hex_of(track_color(motion.track_id)),
        "first": int(motion.frame[0]),
        "unit_m": unit_m,
        "joints": packed(_whole(motion.told(keep_inferred=True) / unit_m)),
        "seen": packed(np.where(pose, 1 + sighted(take, motion), 0).astype("u1")),
        "states": packed(motion.states.astype("u1")),
        "angles": {name: packed(_whole(10 * values)) for name, values in motion.angles().items()},
        "facing": packed(_whole(10 * facing(motion, float(take.meta.fps)))),
        "floor": packed(_whole(floor / unit_m)),
        "strides": [[s.side, round(s.from_s, 4), round(s.to_s, 4)] for s in strides(steps, contacts(motion))],
    }


def facing(motion: PersonMotion, fps: float) -> NDArray[np.float64]:
    """(F,) degrees in which somebody faces over the floor, from x towards y, -180 to 180, smoothed over half a second;
    where nothing tells it, in particular without a pose, as in the nearest frame in which something does, and 0 if
    there is none."""
    across = (motion.joints[:, H36M.LEFT_HIP] - motion.joints[:, H36M.RIGHT_HIP])[:, :2].astype(np.float64)
    ahead = np.stack([across[:, 1], -across[:, 0]], 1)
    length = np.linalg.norm(ahead, axis=1, keepdims=True)
    ahead = np.where(length > 0.01, ahead / np.where(length > 0.01, length, 1), 0)
    half = np.ones(2 * round(_FACING_S / 2 * fps) + 1)
    reach = len(half) // 2
    mean = np.stack([np.convolve(ahead[:, k], half)[reach : reach + len(ahead)] for k in range(2)], 1)
    told = np.flatnonzero(np.linalg.norm(mean, axis=1) > 0.1)
    if not len(told):
        return np.zeros(len(ahead))
    nearest = told[nearest_known(told, np.arange(len(ahead)))]
    return np.asarray(np.degrees(np.arctan2(mean[nearest, 1], mean[nearest, 0])))


def _whole(values: NDArray) -> NDArray[np.int16]:
    known = np.isfinite(values)
    whole = np.where(known, np.rint(np.where(known, values, 0)).clip(-_MOST, _MOST), MISSING)
    return np.asarray(whole.astype("<i2"))


def packed(values: NDArray) -> str:
    """Whole numbers (n, ...) of one or two bytes as text: column by column the difference to the row before (the first
    to 0, two bytes wrap around), the low bytes of all before the high ones, deflated (zlib, RFC 1950), base64."""
    columns = values.reshape(len(values), -1)
    steps = np.diff(columns, axis=0, prepend=np.zeros((1, columns.shape[1]), values.dtype)).T
    parts = np.ascontiguousarray(steps).view("u1").reshape(-1, values.dtype.itemsize).T
    return _base64(zlib.compress(parts.tobytes(), 9))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def hex_of(color: Color) -> str:
    """BGR as #rrggbb."""
    blue, green, red = (round(c) for c in color)
    return f"#{red:02x}{green:02x}{blue:02x}"


def script_safe(value: Any) -> str:
    """JSON that no HTML parser takes for the end of a script."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
