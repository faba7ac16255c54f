"""What is known of a live frame as data, and as the JSON that the WebSocket sends: the schema stands here.

The WebSocket of `--ws` and of the page sends text messages, each one JSON object on one line. The first says what the
others mean:

    type: "about"
    format: "sasmamba-motion/1"
    units, axes: metres; x right, y away from the camera, z up, floor at z = 0
    joints: the names of the 21 points, 17 joints, then heels and toes
    edges: [from, to, "left" | "right" | "middle"] of the bones between them
    angles: the names of joint angles, degrees
    fps, width, height: of the source

then one comes for every frame that went through the chain, the newest last:

    type: "motion"
    number: counts these messages from 0; a gap is what this client was too slow for, or came before it
    frame, time_s: of the source, on its own clock
    captured_unix_s: when the picture was captured, seconds since 1970 by this machine's clock
    delay_ms: from then until this message was made
    people: one object each:
        track_id: the same from frame to frame
        observed: whether they were seen in this frame; else the frames before carry them
        body: "full", or "upper" where legs are not shown
        joints: 21 x [x, y, z]; null for a point that is left out
        score: 17 x 0..1 of the 2D joints, 0 where not found
        half_width_m: 21 x [across, along] the line of sight, of intervals that hold the point's place relative to the
            pelvis in 68 of 100 cases; null where the lifter does not say
        angles: degrees by name; null where a joint of it is missing
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import AXES, FEET, JOINTS, rounded_rows
from sasmamba.app.live.session import Shown
from sasmamba.app.motion.axes import camera_to_world
from sasmamba.app.motion.body import left_out
from sasmamba.app.motion.certainty import point_half_widths
from sasmamba.app.motion.feet import feet_now
from sasmamba.app.types import Pose3D, VideoMeta
from sasmamba.common.arrays import FloatArray
from sasmamba.models.angles import ANGLES, joint_angles
from sasmamba.models.skeletons import FOOT_EDGES, H36M_EDGES, coco17_to_h36m17

FORMAT = "sasmamba-motion/1"
#: Joint angles that are told: those at ankles need a foot that was seen, and live feet follow from the shank.
_ANGLES = tuple(name for angle in ANGLES if angle.name != "ankle_dorsiflexion" for name in angle.series)


@dataclass(frozen=True, slots=True)
class PersonNow:
    """One person in one frame.

    Attributes:
        track_id: the same from frame to frame.
        observed: whether they were seen in this frame.
        upper: legs are left out.
        points: (21, 3) joints, then heels and toes, world axes, metres; NaN for what is left out.
        score: (17,) of the 2D joints, 0 where not found.
        half_width_m: (21, 2) of the points, see `point_half_widths`; None where the lifter does not say.
    """

    track_id: int
    observed: bool
    upper: bool
    points: FloatArray
    score: FloatArray
    half_width_m: FloatArray | None


@dataclass(frozen=True, slots=True)
class MotionNow:
    """Everybody in one frame.

    Attributes:
        frame: of the source.
        time_s: on the source's own clock.
        captured_s: `time.monotonic()` when its picture was captured.
        captured_unix_s: the same, seconds since 1970.
    """

    frame: int
    time_s: float
    captured_s: float
    captured_unix_s: float
    people: tuple[PersonNow, ...]


def motion_now(shown: Shown, unix_minus_monotonic_s: float) -> MotionNow:
    """What a result tells, in world axes.

    Args:
        unix_minus_monotonic_s: what the system's clock is ahead of `time.monotonic()`.
    """
    scores = {p.track_id: coco17_to_h36m17(p.joints_px, p.score)[1] for p in shown.people}
    people = []
    for pose in shown.poses:
        joints = camera_to_world(pose.joints) + shown.roots[pose.track_id]
        if np.isfinite(joints).all():  # a pose that is not a number says nothing
            people.append(_person(pose, joints, pose.track_id in shown.upper, scores.get(pose.track_id)))
    live = shown.live
    return MotionNow(
        live.frame.index,
        float(live.frame.time_s),
        live.captured_s,
        live.captured_s + unix_minus_monotonic_s,
        tuple(people),
    )


def _person(pose: Pose3D, joints: FloatArray, upper: bool, score: NDArray | None) -> PersonNow:
    points = np.concatenate([joints, feet_now(joints)]).astype(np.float32)
    points[left_out(upper)] = np.nan
    seen = np.zeros(len(JOINTS), np.float32) if score is None else score
    widths = None if pose.half_width_m is None else point_half_widths(joints, pose.half_width_m)
    return PersonNow(pose.track_id, pose.observed, upper, points, seen, widths)


def about_json(meta: VideoMeta) -> str:
    """The first message."""
    return _line(
        {
            "type": "about",
            "format": FORMAT,
            "units": "metres",
            "axes": AXES,
            "joints": [*JOINTS, *FEET],
            "edges": [[e.a, e.b, e.side] for e in (*H36M_EDGES, *FOOT_EDGES)],
            "angles": list(_ANGLES),
            "fps": float(meta.fps),
            "width": meta.width,
            "height": meta.height,
        }
    )


def motion_json(motion: MotionNow, number: int, now_s: float) -> str:
    """The message of one frame.

    Args:
        number: of the message.
        now_s: `time.monotonic()`.
    """
    return _line(
        {
            "type": "motion",
            "number": number,
            "frame": motion.frame,
            "time_s": round(motion.time_s, 6),
            "captured_unix_s": round(motion.captured_unix_s, 6),
            "delay_ms": round(1000 * (now_s - motion.captured_s), 1),
            "people": [_plain(person) for person in motion.people],
        }
    )


def _plain(person: PersonNow) -> dict[str, Any]:
    angles = {name: value.item() for name, value in joint_angles(person.points[None, : len(JOINTS)]).items()}
    widths = person.half_width_m
    return {
        "track_id": person.track_id,
        "observed": person.observed,
        "body": "upper" if person.upper else "full",
        "joints": rounded_rows(person.points),
        "score": np.round(person.score.astype(float), 3).tolist(),
        "half_width_m": None if widths is None else rounded_rows(widths),
        "angles": {name: round(angles[name], 1) if np.isfinite(angles[name]) else None for name in _ANGLES},
    }


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)
