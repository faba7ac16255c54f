"""A take's poses in one NPZ file, the format that `lift` reads and writes, too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.body import left_out
from sasmamba.app.motion.certainty import NAMES, Certainty, joint_states
from sasmamba.app.take import Take
from sasmamba.common.files import write_npz
from sasmamba.models.skeletons import FOOT, coco17_to_h36m17


def save_poses(
    take: Take, path: Path, more: Mapping[str, NDArray] | None = None, *, keep_inferred: bool = False
) -> None:
    """Writes the take's poses in the format of `lift`, which reads and writes it too.

    joints3d float32 (P, F, 17, 3) metres, relative to the pelvis, x right, y down, z forward in the axes of a camera
    that looks straight at the person (`axes` = "facing"), NaN where there is no pose, or a joint's place is unknown;
    half_width_m float32 (P, F, 17, 2), half-widths of their 68 % intervals across and along the line of sight, NaN
    where not known, half_width_95 float64 (2,) by how much 95 % intervals are wider; state uint8 (P, F, 17) index into
    states str (3,), unknown where there is no pose, see `certainty.joint_states`;
    keypoints float32 (P, F, 17, 3) H36M-17 x px, y px, score (0 where not found); observed bool (P, F), who was seen in
    which frame; track_id int64 (P,); times_s float64 (F,); fps float64; width, height int64; pose2d_every int64: the 2D
    stage ran in every so many frames and in a shot's first and last, nobody was observed in the others; cut_frame int64
    (C,) the first frames of new shots, cut_kind str (C,) what made them so, "cut", "fade" or "gap"; skeleton, axes,
    model str.

    And what the poses were lifted from and are placed by, all that `read_take` needs: keypoints_coco17 float32
    (P, F, 17, 3) x px, y px, score as the 2D stage gave them; keypoints_feet float32 (P, F, 4, 3) heels and toes, NaN
    where the 2D stage does not see feet; box_px float32 (P, F, 4) x0, y0, x1, y1; detection_frame int64 (D,); settings
    str, JSON of `Settings.kept`; marks str, JSON of what was marked by hand; camera_kind str and, unless it is "still",
    camera_given bool, camera_R_first_cam (F, 3, 3), camera_zoom (F,), camera_confidence (F,), see `CameraMotion`;
    line_frame int64 (L,), line_ends_px float32 (L, 2, 2), see `SceneLines`.

    Args:
        more: arrays to add.
        keep_inferred: write joints, too, whose place is unknown, but no legs that are left out.
    """
    tracks = sorted(take.tracks.values(), key=lambda t: t.track_id)
    P, F = len(tracks), take.frames
    joints3d = np.full((P, F, 17, 3), np.nan, np.float32)
    keypoints = np.zeros((P, F, 17, 3), np.float32)
    observed = np.zeros((P, F), bool)
    half_width = np.full((P, F, 17, 2), np.nan, np.float32)
    state = np.zeros((P, F, 17), np.uint8)
    coco, box = np.zeros((P, F, 17, 3), np.float32), np.zeros((P, F, 4), np.float32)
    feet = np.full((P, F, len(FOOT), 3), np.nan, np.float32)
    for p, track in enumerate(tracks):
        frames, states = joint_states(take, track)
        state[p, frames] = states
        for f, pose in track.poses.items():
            joints3d[p, f] = pose.joints
            if not keep_inferred:
                joints3d[p, f, state[p, f] == Certainty.UNKNOWN] = np.nan
            joints3d[p, f, left_out(track.track_id in take.upper)[:17]] = np.nan
            if pose.half_width_m is not None:
                half_width[p, f] = pose.half_width_m
        for f, person in track.people.items():
            joints, score = coco17_to_h36m17(person.joints_px, person.score)
            keypoints[p, f] = np.concatenate([joints, score[:, None]], 1)
            observed[p, f] = True
            coco[p, f] = np.concatenate([person.joints_px, person.score[:, None]], 1)
            box[p, f] = person.box_px
            if person.feet is not None:
                feet[p, f] = person.feet
    write_npz(
        path,
        {
            "joints3d": joints3d,
            "keypoints": keypoints,
            "observed": observed,
            "half_width_m": half_width,
            "half_width_95": np.array(take.wide, np.float64),
            "state": state,
            "states": np.array(NAMES),
            "track_id": np.array([t.track_id for t in tracks], np.int64),
            "times_s": take.seconds(),
            "fps": np.array(float(take.meta.fps)),
            "width": np.array(take.meta.width),
            "height": np.array(take.meta.height),
            "pose2d_every": np.array(take.pose2d_every),
            "cut_frame": np.array([cut.frame for cut in take.cuts], np.int64),
            "cut_kind": np.array([cut.kind for cut in take.cuts], np.str_),
            "skeleton": np.array("h36m17"),
            "axes": np.array("facing"),
            "model": np.array(take.model),
            "keypoints_coco17": coco,
            "keypoints_feet": feet,
            "box_px": box,
            "detection_frame": np.array(take.detection_frames, np.int64),
            "settings": np.array(json.dumps(take.settings)),
            "marks": np.array(json.dumps(_marks(take))),
            **_camera(take),
            "line_frame": take.scene_lines.frame,
            "line_ends_px": take.scene_lines.ends_px,
            **(more or {}),
        },
    )


def _marks(take: Take) -> dict[str, list[dict[str, Any]]]:
    marks: dict[str, Sequence[Any]] = {"floor": take.floor_marks, "upright": take.upright_marks, "held": take.held}
    return {name: [asdict(mark) for mark in some] for name, some in marks.items()}


def _camera(take: Take) -> dict[str, NDArray]:
    moves = take.camera_motion
    if moves is None:
        return {"camera_kind": np.array("still")}
    return {
        "camera_kind": np.array(moves.kind),
        "camera_given": np.array(moves.given),
        "camera_R_first_cam": moves.R_first_cam,
        "camera_zoom": moves.zoom,
        "camera_confidence": moves.confidence,
    }
