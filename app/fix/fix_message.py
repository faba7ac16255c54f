"""What the page for corrections is told, as JSON: the video, everybody in 2D and in 3D; arrays in base64."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import FEET, JOINTS, PersonMotion, motions
from sasmamba.app.export.report.data import hex_of
from sasmamba.app.export.report.findings import sighted
from sasmamba.app.fix.applying import middle_px
from sasmamba.app.fix.corrections import JOINT_NAMES, time_of, told
from sasmamba.app.fix.desk import Desk, Work
from sasmamba.app.motion.placing import Placement
from sasmamba.app.render.palette import SIDE_COLORS, track_color
from sasmamba.app.render.scene import Scene
from sasmamba.app.take import Take, Track
from sasmamba.models.skeletons import COCO_EDGES, FOOT_EDGES, H36M_EDGES


def about(desk: Desk, video: str) -> dict[str, Any]:
    """What does not change: the video, its frames, and the joints and edges of 2D and 3D."""
    take = desk.original
    return {
        "video": video,
        "width": take.meta.width,
        "height": take.meta.height,
        "fps": float(take.meta.fps),
        "times": [round(float(t) + desk.start_s, 6) for t in take.times_s],
        "shots": [[shot.start, shot.stop] for shot in take.shots],
        "joints": JOINT_NAMES,
        "edges": [[edge.a, edge.b, edge.side] for edge in COCO_EDGES],
        "joints_3d": [*JOINTS, *FEET],
        "edges_3d": [[edge.a, edge.b, edge.side] for edge in (*H36M_EDGES, *FOOT_EDGES)],
        "sides": {side: hex_of(color) for side, color in SIDE_COLORS.items()},
    }


def state(desk: Desk, work: Work | None = None, note: str = "") -> dict[str, Any]:
    """What corrections have come to; `note` is a sentence for the user."""
    work = work or desk.work
    return {
        "note": note,
        "corrections": [{"told": told(one), "time_s": time_of(one)} for one in work.corrections],
        "can_undo": bool(work.corrections),
        "can_redo": desk.can_redo,
        "unsaved": desk.unsaved,
        "problems": list(work.problems),
        "windows": work.windows,
        "provisional": work.provisional,
        "cameras": [[shot.pitch_deg, shot.roll_deg] for shot in work.placement.shots],
        "scene": _scene(work.placement),
        "seen": [_seen(track) for _, track in sorted(work.take.tracks.items())],
        "people": [_placed(work.take, motion) for motion in motions(work.take, work.placement)],
    }


def _scene(placement: Placement) -> dict[str, Any]:
    roots = [np.stack(list(some.values())) for some in placement.roots.values() if some]
    scene = Scene.around(roots, placement.R_world_cam)
    return {"centre": list(scene.centre), "radius_m": scene.radius_m, "top_m": scene.top_m}


def _seen(track: Track) -> dict[str, Any]:
    """Somebody in 2D: `frames` int32 (n,); `joints` float32 (n, 17, 3) x px, y px, score; `middle_px` float64."""
    frames, people = zip(*sorted(track.people.items()), strict=True)
    joints = [np.concatenate([person.joints_px, person.score[:, None]], 1) for person in people]
    return {
        "id": track.track_id,
        "color": hex_of(track_color(track.track_id)),
        "frames": _packed(np.array(frames), "<i4"),
        "joints": _packed(np.stack(joints), "<f4"),
        "middle_px": _packed(np.array([middle_px(person) for person in people]), "<f8"),
    }


def _placed(take: Take, motion: PersonMotion) -> dict[str, Any]:
    """Somebody in 3D: `joints` float32 (n, 21, 3) world metres from frame `first` on, not a number where nothing is
    known; `seen` uint8 (n,) 0 no pose, 1 filled in, 2 seen; `states` uint8 (n, 21) `Certainty`."""
    return {
        "id": motion.track_id,
        "first": int(motion.frame[0]),
        "joints": _packed(motion.told(keep_inferred=True), "<f4"),
        "seen": _packed(np.where(motion.posed, 1 + sighted(take, motion), 0), "u1"),
        "states": _packed(motion.states, "u1"),
    }


def _packed(values: NDArray, dtype: str) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype).tobytes()).decode()
