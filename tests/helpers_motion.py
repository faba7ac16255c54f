"""Small motion files and cameras that tests write themselves."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.models.skeletons import H36M


def walker(frames: int, fps: float = 50.0, phase: float = 0.0) -> tuple[NDArray, NDArray]:
    """Somebody who walks along +x: joints (T, 17, 3) relative to the pelvis and root (T, 3), metres, z up."""
    t = np.arange(frames) / fps
    joints = np.zeros((frames, 17, 3))

    def limb(start: NDArray, angle: NDArray, length: float) -> NDArray:
        return start + length * np.stack([np.sin(angle), 0 * angle, -np.cos(angle)], -1)

    for side, sign in (("LEFT", 1.0), ("RIGHT", -1.0)):
        swing = 2 * math.pi * 0.9 * t + phase + (0 if sign > 0 else math.pi)
        hip, shoulder = np.array([0, 0.13 * sign, 0]), np.array([0.0, 0.16 * sign, 0.45])
        thigh = 0.45 * np.sin(swing)
        knee = limb(hip, thigh, 0.45)
        arm = -0.4 * np.sin(swing)
        elbow = limb(shoulder, arm, 0.28)
        joints[:, H36M[f"{side}_HIP"]] = hip
        joints[:, H36M[f"{side}_KNEE"]] = knee
        joints[:, H36M[f"{side}_ANKLE"]] = limb(knee, thigh - 0.35 * (1 + np.cos(swing)), 0.44)
        joints[:, H36M[f"{side}_SHOULDER"]] = shoulder
        joints[:, H36M[f"{side}_ELBOW"]] = elbow
        joints[:, H36M[f"{side}_WRIST"]] = limb(elbow, arm + 0.4, 0.25)
    for joint, place in (
        ("SPINE", (0, 0, 0.23)),
        ("THORAX", (0, 0, 0.48)),
        ("NOSE", (0.06, 0, 0.59)),
        ("HEAD_TOP", (0, 0, 0.7)),
    ):
        joints[:, H36M[joint]] = place
    root = np.stack([1.1 * t, 0.05 * np.sin(3 * t), 0.93 + 0.02 * np.sin(11 * t)], -1)
    root[:, :2] -= root[:, :2].mean(0)
    return joints, root


def motion_arrays(clips: list[tuple[str, str, int]], fps: float = 50.0) -> dict[str, NDArray]:
    """The NPZ schema's arrays for clips (subject, action, frames) of walking."""
    parts = [walker(n, fps, phase=float(i)) for i, (_, _, n) in enumerate(clips)]
    joints = np.concatenate([j for j, _ in parts])
    return {
        "joints": np.round(joints * 1e4).astype(np.int16),
        "root": np.concatenate([r for _, r in parts]).astype(np.float32),
        "clip_start": np.cumsum([0, *(n for _, _, n in clips[:-1])]).astype(np.int32),
        "clip_fps": np.full(len(clips), fps, np.float32),
        "clip_name": np.array([f"{s}/{a}_{i}" for i, (s, a, _) in enumerate(clips)]),
        "clip_subject": np.array([s for s, _, _ in clips]),
        "clip_action": np.array([a for _, a, _ in clips]),
        "license": np.array("free"),
        "source": np.array("made up"),
    }


def write_motion(path: Path, clips: list[tuple[str, str, int]], fps: float = 50.0) -> Path:
    """A motion file of walking clips (subject, action, frames)."""
    np.savez_compressed(path, **motion_arrays(clips, fps))  # type: ignore[arg-type]
    return path


def write_rig(path: Path, subjects: list[str]) -> Path:
    """Four cameras round the room at chest height, 5 m away, with a little lens distortion."""
    ids = ["54138969", "55011271", "58860488", "60457274"]
    extrinsics = []
    for i in range(4):
        angle = math.pi / 4 + i * math.pi / 2
        # camera axes in the world: z forward points to the middle, y down
        forward = np.array([-math.cos(angle), -math.sin(angle), 0.0])
        right = np.cross(forward, [0, 0, 1])
        R_cam_world = np.stack([right, np.array([0, 0, -1.0]), forward], 1)
        extrinsics.append(
            {"id": ids[i], "rotation": _quaternion(R_cam_world), "translation": [*(-5 * forward[:2]).tolist(), 1.5]}
        )
    intrinsics = [
        {
            "id": i,
            "fx": 1145.0,
            "fy": 1143.0,
            "cx": 512.0,
            "cy": 515.0,
            "radial": [-0.2, 0.24, -0.003],
            "tangential": [-0.0014, -0.001],
            "width": 1000,
            "height": 1002,
        }
        for i in ids
    ]
    path.write_text(json.dumps({"intrinsics": intrinsics, "extrinsics": dict.fromkeys(subjects, extrinsics)}))
    return path


def _quaternion(R: NDArray) -> list[float]:
    """w, x, y, z of a rotation: the eigenvector that the rotation's symmetric 4×4 form has for its largest value."""
    (a, b, c), (d, e, f), (g, h, i) = R
    K = np.array(
        [
            [a - e - i, b + d, c + g, h - f],
            [b + d, e - a - i, f + h, c - g],
            [c + g, f + h, i - a - e, d - b],
            [h - f, c - g, d - b, a + e + i],
        ]
    )
    x, y, z, w = np.linalg.eigh(K)[1][:, -1]
    return [float(w), float(x), float(y), float(z)]
