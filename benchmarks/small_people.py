"""How small people may be: `python benchmarks/small_people.py --images DIR --annotations FILE [--heights 40 60 80]`.

Real people, whole and annotated (COCO's keypoints), are scaled to a height and set into pictures of 1920 × 1080 pixels,
six to a picture, whose backgrounds are the parts of the same folder's pictures that show nobody. What they stood in
front of goes with them and fades out around them. Every picture is shown for a while, as a film that stands still, to
MoveNet as it runs by default on files.

* recall: the share of people whom somebody found at the end is like by at least half (object keypoint similarity).
* found: the share for whom somebody was found at all, however well: half of the person's box is half of theirs.
* after: seconds until they were, on the average of those found.
* strangers: people found at the end where nobody is, in a picture; and in backgrounds with nobody.
* crops: people followed per frame, the work that is done for them.

Tune on the other half of the people: `--part even` and `--part odd` take every second one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
from coco_keypoints import MOST_PEOPLE, Truth, matches, ranked, read_truths, similarity
from numpy.typing import NDArray

from sasmamba.app.pose2d import tiles
from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.movenet_networks import open_multipose, open_thunder
from sasmamba.app.pose2d.overlap import box_area, box_shared
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.arrays import FloatArray

WIDTH, HEIGHT, A_PICTURE = 1920, 1080, 6
#: Of the people taken: joints annotated, height over width, and no more than so much larger than they were.
MOST_JOINTS, UPRIGHT, ENLARGED = 13, 1.2, 1.25
#: Of what is around a person, in their heights.
AROUND = 0.25
FPS = 15


@dataclass(frozen=True, slots=True)
class Cutout:
    """A person with what is around them.

    Attributes:
        bgr: the part of the picture.
        joints: (17, 3) in it, 0 where not annotated.
        box: (4,) x0, y0, x1, y1 of the person in it.
    """

    bgr: NDArray[np.uint8]
    joints: FloatArray
    box: FloatArray
    area: float


def cutouts(truths: list[Truth]) -> list[Cutout]:
    """Everybody who is upright and whole, with nobody else's middle in the picture."""
    out = []
    for truth in truths:
        middles = (truth.boxes[:, :2] + truth.boxes[:, 2:]) / 2
        for i, box in enumerate(truth.boxes):
            wide, high = box[2:] - box[:2]
            if truth.crowd[i] or (truth.joints[i, :, 2] > 0).sum() < MOST_JOINTS or high < UPRIGHT * wide:
                continue
            room = AROUND * high
            low = np.maximum(box[:2] - room, 0).astype(int)
            far = np.minimum(box[2:] + room, truth.bgr.shape[1::-1]).astype(int)
            inside = ((middles > box[:2]) & (middles < box[2:])).all(1)
            inside[i] = False
            if inside.any():
                continue
            joints = truth.joints[i].copy()
            joints[joints[:, 2] > 0, :2] -= low
            part = truth.bgr[low[1] : far[1], low[0] : far[0]]
            out.append(Cutout(part, joints, box - np.tile(low, 2), float(truth.area[i])))
    return out


def backgrounds(truths: list[Truth]) -> list[NDArray[np.uint8]]:
    """The largest part of each picture that shows nobody, enlarged to the whole size."""
    out = []
    for truth in truths:
        high, wide = truth.bgr.shape[:2]
        edges = [
            sorted({0, limit, *truth.boxes[:, axis::2].ravel().round().astype(int)})
            for axis, limit in ((0, wide), (1, high))
        ]
        best, where = 0, (0, 0, 0, 0)
        for i, x0 in enumerate(edges[0]):
            for x1 in edges[0][i + 1 :]:
                for j, y0 in enumerate(edges[1]):
                    for y1 in edges[1][j + 1 :]:
                        b = truth.boxes
                        free = ((b[:, 0] >= x1) | (b[:, 2] <= x0) | (b[:, 1] >= y1) | (b[:, 3] <= y0)).all()
                        size = min((x1 - x0) / WIDTH, (y1 - y0) / HEIGHT)
                        if free and size > best:
                            best, where = size, (x0, y0, x1, y1)
        if best * HEIGHT >= 100:
            x0, y0, x1, y1 = where
            part = truth.bgr[y0 : y0 + int(best * HEIGHT), x0 : x0 + int(best * WIDTH)]
            out.append(cv2.resize(part, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.uint8))
    return out


def scene(people: list[Cutout], height: int, background: NDArray[np.uint8], rng: np.random.Generator) -> Truth:
    """These people, each of that height, in the six fields of a picture."""
    picture = background.astype(np.float32)
    joints, boxes, area = [], [], []
    for field, person in enumerate(people):
        scale = height / float(person.box[3] - person.box[1])
        high, wide = (max(1, round(scale * n)) for n in person.bgr.shape[:2])
        small = cv2.resize(person.bgr, (wide, high), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
        fade = np.zeros((high, wide), np.float32)
        x0, y0, x1, y1 = (scale * person.box).round().astype(int)
        fade[y0:y1, x0:x1] = 1
        reach = scale * AROUND * float(person.box[3] - person.box[1])
        fade = np.clip(1 - cv2.distanceTransform((fade == 0).astype(np.uint8), cv2.DIST_L2, 3) / reach, 0, 1)[..., None]
        left = field % 3 * WIDTH // 3 + int(rng.integers(0, max(1, WIDTH // 3 - wide)))
        top = field // 3 * HEIGHT // 2 + int(rng.integers(0, max(1, HEIGHT // 2 - high)))
        part = picture[top : top + high, left : left + wide]
        high, wide = part.shape[:2]
        part[:] = fade[:high, :wide] * small[:high, :wide] + (1 - fade[:high, :wide]) * part
        placed = person.joints.copy()
        placed[:, :2] = placed[:, :2] * scale + (left, top)
        placed[placed[:, 2] == 0] = 0
        joints.append(placed)
        boxes.append(scale * person.box + np.array([left, top] * 2))
        area.append(person.area * scale**2)
    none = np.zeros(len(people), bool)
    return Truth(
        picture.round().clip(0, 255).astype(np.uint8),
        np.array(joints, np.float32).reshape(-1, 17, 3),
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(area, np.float32),
        none,
        none,
    )


def scenes(people: list[Cutout], height: int, grounds: list[NDArray[np.uint8]], seed: int) -> list[Truth]:
    """Everybody who is not enlarged too much, in as many pictures as it takes."""
    rng = np.random.default_rng(seed)
    able = [p for p in people if height <= ENLARGED * (p.box[3] - p.box[1])]
    groups = [able[i : i + A_PICTURE] for i in range(0, len(able), A_PICTURE)]
    return [scene(group, height, grounds[i % len(grounds)], rng) for i, group in enumerate(groups)]


def shown(backend: MoveNetPose2D, bgr: NDArray[np.uint8], seconds: float) -> list[tuple[Person2D, ...]]:
    """Who is found in each frame of a film that stands still."""
    return [backend(Frame(i, Fraction(i, FPS), bgr)) for i in range(max(1, round(seconds * FPS)))]


def row(backend: MoveNetPose2D, truths: list[Truth], seconds: float) -> dict[str, float]:
    """The figures of one height."""
    recalled, found, after, strangers, crops, frames = 0, 0, [], 0, 0, 0
    for truth in truths:
        seen = shown(backend, truth.bgr, seconds)
        frames, crops = frames + len(seen), crops + sum(map(len, seen))
        last = seen[-1]
        joints = np.array([p.joints_px for p in last], np.float32).reshape(-1, 17, 2)
        answer = ranked(joints, np.array([p.score for p in last], np.float32).reshape(-1, 17))
        recalled += int((matches(similarity(answer, truth), truth, 0.5) >= 0).sum())
        for box in truth.boxes:
            first = next((i for i, people in enumerate(seen) if any(_same(p.box_px, box) for p in people)), None)
            if first is not None:
                found += 1
                after.append(first / FPS)
        strangers += sum(all(box_shared(p.box_px, b) < 0.3 * box_area(p.box_px) for b in truth.boxes) for p in last)
    people = sum(len(t.boxes) for t in truths)
    return {
        "people": people,
        "recall": recalled / max(people, 1),
        "found": found / max(people, 1),
        "after": float(np.mean(after)) if after else float("nan"),
        "strangers": strangers / max(len(truths), 1),
        "crops": crops / max(frames, 1),
    }


def _same(found: FloatArray, box: FloatArray) -> bool:
    return box_shared(found, box) > 0.5 * max(box_area(found), box_area(box))


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, required=True, metavar="DIR", help="a folder of pictures")
    parser.add_argument("--annotations", type=Path, required=True, metavar="FILE", help="COCO's keypoints of them")
    parser.add_argument("--heights", type=int, nargs="+", default=[40, 60, 80, 120, 160, 200], metavar="PX")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each picture is shown")
    parser.add_argument("--part", choices=("all", "even", "odd"), default="all", help="of the people")
    parser.add_argument("--whole", action="store_true", help="search in whole pictures only, not in their parts")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.whole:
        tiles.FINE = 0.0
    truths = read_truths(args.images, args.annotations)
    people, grounds = cutouts(truths), backgrounds(truths)
    people = {"all": people, "even": people[::2], "odd": people[1::2]}[args.part]
    backend = MoveNetPose2D(open_thunder(), open_multipose(), max_people=MOST_PEOPLE, mirror=True, threads=args.threads)
    print(f"{len(people)} people, {len(grounds)} backgrounds, {args.seconds:g} s each")
    columns = ("people", "recall", "found", "after", "strangers", "crops")
    print(f"{'height':>10s}" + "".join(f"{c:>11s}" for c in columns) + f"{'ms/frame':>11s}")
    with backend:
        for height in (*args.heights, 0):
            pictures = scenes(people, height, grounds, height) if height else [scene([], 1, g, None) for g in grounds]
            begin = time.perf_counter()
            figures = row(backend, pictures, args.seconds)
            ms = 1000 * (time.perf_counter() - begin) / len(pictures) / max(1, round(args.seconds * FPS))
            cells = "".join(f"{figures[c]:11.2f}" for c in columns) + f"{ms:11.0f}"
            print(f"{f'{height} px' if height else 'nobody':>10s}{cells}", flush=True)


if __name__ == "__main__":
    main()
