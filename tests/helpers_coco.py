"""Pictures of COCO with the people annotated in them, and how like them somebody found is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from sasmamba.app.pose2d.overlap import joint_similarity
from sasmamba.app.types import Person2D

#: A picture and the people annotated in it who show at least eight joints.
Annotated = tuple[np.ndarray, list[Person2D]]


def annotated_pictures(images: Path) -> list[Annotated]:
    """All pictures of a folder that its coco_keypoints.json tells of; the first is of one skier."""
    data = json.loads((images / "coco_keypoints.json").read_text())
    out = []
    for image in data["images"]:
        people = []
        for a in data["annotations"]:
            if a["image_id"] == image["id"] and a["num_keypoints"] >= 8:
                joints = np.array(a["keypoints"], np.float32).reshape(17, 3)
                x, y, w, h = a["bbox"]
                box = np.array([x, y, x + w, y + h], np.float32)
                people.append(Person2D(None, box, joints[:, :2], (joints[:, 2] > 0).astype(np.float32)))
        bgr = cv2.imread(str(images / f"coco_{image['file_name']}"))
        assert bgr is not None, image["file_name"]
        out.append((bgr, people))
    return out


def like(found: Person2D, truth: Person2D) -> float:
    """The COCO measure: over the annotated joints, with the annotated size."""
    return joint_similarity(replace(found, score=np.ones(17, np.float32), box_px=truth.box_px), truth)
