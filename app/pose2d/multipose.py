"""MoveNet MultiPose as a detector: everybody in a picture at once, small, seated and cut off, by rough joints."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.detectors import people_in
from sasmamba.app.pose2d.overlap import joint_similarity
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray

#: MultiPose gets about so many pixels, whatever the picture's shape: 512 × 288 of a wide film.
MULTIPOSE_PIXELS = 512 * 288
#: What MultiPose is less sure of is nobody. The network's authors publish no threshold; at 0.25, which others use, it
#: misses more people than it spares strangers.
PERSON_SCORE = 0.15
#: Rough joints count from this score on.
JOINT_SCORE = 0.1
#: Two answers this alike (object keypoint similarity) are one person.
SAME_PERSON = 0.5


class Finder(Protocol):
    """What `movenet_networks.MultiPoseNetwork` does: BGR (H, W, 3) uint8 to people, each joints (17, 3) x px, y px,
    score; box (4,) x0, y0, x1, y1 in pixels; and a score of 0..1."""

    def __call__(self, bgr: NDArray[np.uint8], /) -> list[tuple[FloatArray, FloatArray, float]]: ...


def find_people(network: Finder, bgr: NDArray[np.uint8]) -> list[tuple[Person2D, float]]:
    """Everybody once, the surest first, with how sure the network is that they are a person."""
    if not bgr.size:
        return []
    height, width = bgr.shape[:2]
    found: list[tuple[Person2D, float]] = []
    for joints, box, sure in sorted(network(bgr), key=lambda f: -f[2]):
        score = np.where(joints[:, 2] >= JOINT_SCORE, joints[:, 2], 0).astype(np.float32)
        inside = np.clip(box, 0, [width, height, width, height]).astype(np.float32)
        if sure < PERSON_SCORE or (inside[2:] - inside[:2] < 1).any():
            continue
        person = Person2D(None, inside, joints[:, :2].astype(np.float32), score)
        if all(joint_similarity(person, p, min_score=JOINT_SCORE) < SAME_PERSON for p, _ in found):
            found.append((person, float(sure)))
    return found


class MultiPoseDetector:
    """MultiPose's boxes for backends that want to be told where people are; see `detectors.Detector`.

    Args:
        network: from `movenet_networks.open_multipose`.
    """

    def __init__(self, network: Finder) -> None:
        self._network = network

    def __call__(self, frame: Frame) -> FloatArray:
        """See `Detector`."""
        found = find_people(self._network, frame.bgr)
        boxes = np.array([p.box_px for p, _ in found], np.float32).reshape(-1, 4)
        score = np.array([sure for _, sure in found], np.float32)
        return people_in(boxes, score, frame.bgr.shape[1], frame.bgr.shape[0])

    def close(self) -> None:
        """ONNX Runtime frees the model with the last reference to it."""
