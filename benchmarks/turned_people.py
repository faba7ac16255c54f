"""People who are not upright: `python benchmarks/turned_people.py --images DIR --annotations FILE`, and options below.

Annotated pictures (COCO's keypoints) are turned by quarters and shown for a while, as films that stand still, to
MoveNet as it runs by default on files; `--never` leaves every crop upright; `--top-down` shows them to the top-down
stage, in which MultiPose is the detector and Thunder the estimator, so that no weights need be fetched. People count
who show so many joints and are so large that turning is what makes them hard. The values in `app/pose2d/turned.py` were
chosen looking at coco128.

* recall: the share of people whom somebody found at the end is like by at least half (object keypoint similarity).
* OKS: the mean object keypoint similarity over people; somebody not found counts 0.
* strangers: people found at the end where nobody is annotated, in a picture.
* crop: the mean similarity in a crop around the annotated joints, as it is, whoever is found or not.
* points: of those crops, the share in which the joints tell within 45° which way the person points; the wrong way, by
  more than 90°; and the largest mean score of the latter.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from coco_keypoints import MOST_PEOPLE, Truth, matches, ranked, read_truths, similarity
from numpy.typing import NDArray

from sasmamba.app.pose2d import movenet, turned
from sasmamba.app.pose2d.crop_network import estimate
from sasmamba.app.pose2d.estimator import Joints
from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.movenet_networks import PoseNetwork, open_multipose, open_thunder
from sasmamba.app.pose2d.multipose import find_people
from sasmamba.app.pose2d.overlap import box_area, box_shared
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.pose2d.squares import Square
from sasmamba.app.pose2d.topdown import TopDownPose2D
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray
from sasmamba.common.closing import Closing

#: Of the people who count: joints annotated, and the outline in pixels.
JOINTS, AREA_PX = 12, 60 * 60
FPS = 10


class Upright(MoveNetPose2D):
    """The stage that turns nothing."""

    def _other_ways(self, now_s: float) -> Iterator[int]:
        return iter(())

    def _turn(self, *_: Any) -> None: ...

    def _look(
        self, bgr: NDArray[np.uint8], square: Square, fewest: int, now_s: float
    ) -> tuple[Person2D | None, int, bool]:
        return self._see(bgr, replace(square, turns=0), fewest), 0, False


class UprightTopDown(TopDownPose2D):
    """The top-down stage that turns nothing."""

    def _otherwise(self, *_: Any) -> None: ...

    def _other_ways(self, now_s: float) -> Iterator[int]:
        return iter(())


class Estimator(Closing):
    """Thunder as a joint estimator: a square around each box with a quarter more."""

    name = "thunder"

    def __init__(self, network: PoseNetwork) -> None:
        self._network = network

    def __call__(self, frame: Frame, boxes_px: FloatArray) -> Joints:
        joints = np.zeros((len(boxes_px), 17, 3), np.float32)
        for i, box in enumerate(boxes_px):
            square = Square.centred((box[:2] + box[2:]) / 2, 1.25 * float((box[2:] - box[:2]).max()))
            joints[i] = estimate(self._network, frame.bgr, square, mirror=True)
        return joints[..., :2] - np.float32(0.5), joints[..., 2]  # from the centre of the first pixel

    def close(self) -> None: ...


class Detector(Closing):
    """MultiPose as a detector."""

    def __init__(self) -> None:
        self._finder = open_multipose()

    def __call__(self, frame: Frame) -> FloatArray:
        found = find_people(self._finder, frame.bgr)
        return np.array([[*person.box_px, sure] for person, sure in found], np.float32).reshape(-1, 5)

    def close(self) -> None: ...


def rotated(truth: Truth, turns: int) -> Truth:
    """The picture and its people after so many quarter turns, anticlockwise."""
    bgr = np.ascontiguousarray(np.rot90(truth.bgr, turns))
    joints, boxes = truth.joints.copy(), truth.boxes.reshape(-1, 2, 2).copy()
    width = truth.bgr.shape[1]
    for k in range(turns):
        side = width if k % 2 == 0 else truth.bgr.shape[0]
        joints[..., :2] = np.stack([joints[..., 1], side - joints[..., 0]], -1)
        boxes = np.stack([boxes[..., 1], side - boxes[..., 0]], -1)
    joints[joints[..., 2] == 0] = 0
    return replace(truth, bgr=bgr, joints=joints, boxes=np.concatenate([boxes.min(1), boxes.max(1)], 1))


def counting(truth: Truth) -> list[int]:
    shown = (truth.joints[..., 2] > 0).sum(1)
    return [i for i in range(len(shown)) if not truth.crowd[i] and shown[i] >= JOINTS and truth.area[i] >= AREA_PX]


def of_crops(network: PoseNetwork, truths: list[Truth]) -> dict[str, float]:
    """What single crops show: the figures `crop` and `points`."""
    alike, errors, scores = [], [], []
    for truth in truths:
        for i in counting(truth):
            seen = (truth.joints[i, :, 2] > 0).astype(np.float32)
            square = Square.around(truth.joints[i, :, :2], seen)
            true = down(truth.boxes[i], truth.joints[i, :, :2], seen)
            if square is None or true is None:
                continue
            joints = estimate(network, truth.bgr, square, mirror=True)
            one = ranked(joints[None, :, :2], joints[None, :, 2])
            alike.append(float(similarity(one, truth)[0, i]))
            told = down(truth.boxes[i], joints[:, :2], np.where(joints[:, 2] >= movenet.FLOOR, joints[:, 2], 0))
            errors.append(180.0 if told is None else angle_deg(told, true))
            scores.append(0.0 if told is None else float(joints[:, 2].mean()))
    wrong = np.array(errors) > 90
    return {
        "crop": float(np.mean(alike)),
        "points": float((np.array(errors) < 45).mean()),
        "wrong": float(wrong.mean()),
        "surest": float(np.array(scores)[wrong].max(initial=0.0)),
    }


def down(box: FloatArray, joints_px: FloatArray, score: FloatArray) -> FloatArray | None:
    return turned.downwards(Person2D(None, box, joints_px, score))


def angle_deg(a: FloatArray, b: FloatArray) -> float:
    return float(np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1))))


def of_films(backend: Pose2D, truths: list[Truth], seconds: float) -> dict[str, float]:
    """What the whole stage finds: the figures `recall`, `OKS` and `strangers`."""
    people, recalled, alike, strangers = 0, 0, 0.0, 0
    for truth in truths:
        for i in range(max(1, round(seconds * FPS))):
            found = backend(Frame(i, Fraction(i, FPS), truth.bgr))
        joints = np.array([p.joints_px for p in found], np.float32).reshape(-1, 17, 2)
        answer = ranked(joints, np.array([p.score for p in found], np.float32).reshape(-1, 17))
        like = similarity(answer, truth)
        paired = matches(like, truth, 0.5)
        for i in counting(truth):
            people += 1
            recalled += int(i in paired)
            alike += float(like[:, i].max(initial=0.0))
        strangers += sum(all(box_shared(p.box_px, b) < 0.3 * box_area(p.box_px) for b in truth.boxes) for p in found)
    return {"people": people, "recall": recalled / people, "OKS": alike / people, "strangers": strangers / len(truths)}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="a folder of pictures")
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE", help="COCO's keypoints of them")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long each picture is shown")
    parser.add_argument("--never", action="store_true", help="leave every crop and every search upright")
    parser.add_argument("--top-down", action="store_true", help="the top-down stage instead of MoveNet's own")
    args = parser.parse_args()
    truths = [t for t in read_truths(args.images, args.annotations) if counting(t)]
    network = open_thunder()
    columns = ("people", "recall", "OKS", "strangers", "crop", "points", "wrong", "surest")
    print(f"{'turned':>8s}" + "".join(f"{c:>11s}" for c in columns))
    backend: TopDownPose2D | MoveNetPose2D
    if args.top_down:
        stage = UprightTopDown if args.never else TopDownPose2D
        backend = stage(Estimator(network), Detector(), max_people=MOST_PEOPLE)
    else:
        kind = Upright if args.never else MoveNetPose2D
        backend = kind(network, open_multipose(), max_people=MOST_PEOPLE, mirror=True)
    with backend:
        for turns in range(4):
            pictures = [rotated(truth, turns) for truth in truths]
            row = of_films(backend, pictures, args.seconds) | of_crops(network, pictures)
            print(f"{90 * turns:>7d}°" + "".join(f"{row[c]:11.2f}" for c in columns), flush=True)


if __name__ == "__main__":
    main()
