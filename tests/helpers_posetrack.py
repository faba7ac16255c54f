"""Annotation files in PoseTrack's layout, with their pictures, that tests write themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

#: The seventeen names of PoseTrack 2018's own files, in their order.
NAMES17 = [
    "nose",
    "head_bottom",
    "head_top",
    "left_ear",
    "right_ear",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
]
#: A person who stands, 100 pixels high, feet at (0, 0); the same order.
STANDING = [
    (2, -92),
    (0, -84),
    (0, -100),
    (0, 0),
    (0, 0),
    (10, -80),
    (-10, -80),
    (15, -65),
    (-15, -65),
    (18, -50),
    (-18, -50),
    (6, -48),
    (-6, -48),
    (7, -25),
    (-7, -25),
    (8, 0),
    (-8, 0),
]


def keypoints(x: float, y: float, scale: float = 1.0) -> list[float]:
    """Seventeen times x, y, v of somebody who stands with the feet at (x, y); the ears are not labelled."""
    out: list[float] = []
    for name, (dx, dy) in zip(NAMES17, STANDING, strict=True):
        out += [0, 0, 0] if name.endswith("ear") else [x + scale * dx, y + scale * dy, 1]
    return out


def annotation(image_id: int, track: int, x: float, y: float, scale: float = 1.0) -> dict[str, Any]:
    """One person's entry."""
    return {
        "id": image_id * 100 + track,
        "image_id": image_id,
        "track_id": track,
        "category_id": 1,
        "scores": [],
        "keypoints": keypoints(x, y, scale),
        "bbox": [x - 20 * scale, y - 102 * scale, 40 * scale, 105 * scale],
        "bbox_head": [x - 6 * scale, y - 100 * scale, 12 * scale, 16 * scale],
    }


def video(number: int, frames: int = 7, labelled: tuple[int, ...] = (2, 3, 4), people: int = 1) -> dict[str, Any]:
    """The content of one video's file: people who walk to the right, 3 pixels per frame."""
    name = f"{number:06d}_bonn_train"
    base = 10000000000 + number * 10000
    return {
        "images": [
            {
                "has_no_densepose": True,
                "is_labeled": k in labelled,
                "file_name": f"images/train/{name}/{k:06d}.jpg",
                "nframes": frames,
                "frame_id": base + k,
                "vid_id": f"{number:06d}",
                "id": base + k,
            }
            for k in range(frames)
        ],
        "annotations": [annotation(base + k, p, 60 + 3 * k + 45 * p, 120) for k in labelled for p in range(people)],
        "categories": [
            {"supercategory": "person", "id": 1, "name": "person", "keypoints": NAMES17, "skeleton": [[16, 14]]}
        ],
    }


def write_posetrack(folder: Path, videos: int = 2, **kind: Any) -> Path:
    """Writes annotations/train/*.json and the pictures they name; people are bright spots at their joints."""
    rng = np.random.default_rng(0)
    (folder / "annotations/train").mkdir(parents=True)
    for number in range(1, videos + 1):
        content = video(number, **kind)
        (folder / f"annotations/train/{number:06d}_bonn_train.json").write_text(json.dumps(content))
        for k, image in enumerate(content["images"]):
            path = folder / image["file_name"]
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = rng.integers(0, 60, (140, 200, 3), np.uint8)
            joints = np.array(keypoints(60 + 3 * k, 120)).reshape(17, 3)
            for i, (x, y, v) in enumerate(joints):
                if v:
                    cv2.circle(picture, (round(x), round(y)), 3, (80 + 10 * i, 250 - 10 * i, 200), -1)
            cv2.imwrite(str(path), picture)
    return folder
