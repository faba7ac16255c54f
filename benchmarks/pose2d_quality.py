"""How good and how fast the 2D backends are: `python benchmarks/pose2d_quality.py --images DIR --annotations FILE`.

Runs every backend that can run here on folders of pictures with COCO keypoint annotations (`person_keypoints_*.json`),
one picture at a time, nothing carried over, and on clips. MediaPipe and MoveNet find people by themselves. HRNet gets
the annotated boxes, the setting in which "ground truth boxes" are published, so its figures leave out what a detector
would miss. Where HRNet's weights are not here there is no quality to tell; its speed is that of the same network with
random weights. Rows of HRNet name what computed the heatmaps, ONNX Runtime or PyTorch; rows of MoveNet its network, the
precision, and "mirrored" where a look is averaged with that at the mirrored crop. MoveNet was trained on COCO's
training pictures, of which coco128 is a part.

* AP, AP50, AP75, AR: the COCO keypoint evaluation (https://cocodataset.org/#keypoints-eval), at most 20 people a
  picture, a person's score being the mean of their joints'. Of a few pictures these are a sketch.
* recall: the share of annotated people whom somebody found is like, by at least half (object keypoint similarity).
* OKS: the mean object keypoint similarity over annotated people; somebody not found counts 0.
* PCK: the share of annotated joints within a tenth of the longer side of the person's annotated box.
* sides: of the arms and legs annotated on both sides of people found, the share that lie where the other side's are.
* strangers: people found where nobody is annotated.

Of clips nothing is annotated; told are the people found in a frame on the average, identities that live for eight
frames or more, and turns: how often, in a thousand people seen, left and right of an arm, a leg or the torso change
places from a frame to the next.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
from pose2d_clips import SIDES, clip_row

from sasmamba.app import weights as app_weights
from sasmamba.app.cli.measuring import machine
from sasmamba.app.pose2d.mediapipe import MediaPipePose2D
from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.movenet_networks import PoseNetwork, open_lightning, open_multipose, open_thunder
from sasmamba.app.pose2d.overlap import COCO_SIGMAS
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.pose2d.topdown import HRNetPose2D
from sasmamba.app.types import Frame
from sasmamba.common import arrays
from sasmamba.common.arrays import FloatArray
from sasmamba.models import heatmap_codec
from sasmamba.models.hrnet import HRNET_W32, HRNET_W48, HRNet, load_hrnet

#: COCO looks at so many people of a picture, and at these similarities.
MOST_PEOPLE, THRESHOLDS = 20, np.arange(0.5, 0.96, 0.05)
#: PCK's tolerance, and the similarity below which somebody found is a stranger.
PCK_AT, STRANGER = 0.1, 0.1
MEDIAPIPE = "pose-landmarker-full"
MOVENET = "movenet"
HRNETS = {"hrnet-w32": HRNET_W32, "hrnet-w48": HRNET_W48}


@dataclass(frozen=True, slots=True)
class Truth:
    """Annotated people of one picture: joints (n, 17, 3) x, y and 0 where not annotated; boxes (n, 4) x0, y0, x1, y1;
    area (n,) of the outline in px²; crowd (n,); ignored (n,): a crowd, or nobody whose joints are known."""

    bgr: arrays.Picture
    joints: FloatArray
    boxes: FloatArray
    area: FloatArray
    crowd: np.ndarray
    ignored: np.ndarray


@dataclass(frozen=True, slots=True)
class Found:
    """People found in one picture, the surest first: joints_px (n, 17, 2), score (n,)."""

    joints_px: FloatArray
    score: FloatArray


Backend = Callable[[Truth], Found]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; quality is None where the weights are not here."""

    backend: str
    boxes: str
    weights: str
    quality: dict[str, float] | None
    ms_per_picture: float | None
    ms_per_person: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, action="append", default=[], metavar="DIR", help="a folder of pictures")
    parser.add_argument(
        "--annotations",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="COCO's person keypoints of those pictures, one for each --images",
    )
    parser.add_argument("--video", type=Path, action="append", default=[], metavar="FILE", help="a clip")
    parser.add_argument(
        "--hrnet",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="an HRNet checkpoint to measure, too; 384x288 in its name tells its input",
    )
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    if len(args.images) != len(args.annotations) or not (args.images or args.video):
        parser.error("want --video, or --images and --annotations in pairs")
    about = machine() | {"threads": args.threads}
    told = []
    for images, file in zip(args.images, args.annotations, strict=True):
        truths = read_truths(images, file)
        people = sum(int((~t.ignored).sum()) for t in truths)
        rows = [mediapipe_row(truths), *movenet_rows(truths, args.threads)]
        for name, config in HRNETS.items():
            path = located(name)
            rows += hrnet_rows(name, truths, path) if path else [speed_row(name, HRNet(config), truths)]
        for path in args.hrnet:
            rows += hrnet_rows(path.name, truths, path)
        told.append({"pictures": len(truths), "people": people, "of": str(images), "rows": rows})
    clips = [clip_row(name, opened, path) for path in args.video for name, opened in backends(args.threads).items()]
    if args.json:
        sets = [one | {"rows": [asdict(r) for r in one["rows"]]} for one in told]  # type: ignore[attr-defined]
        tells = {"machine": about, "date": time.strftime("%Y-%m-%d"), "sets": sets, "clips": [asdict(c) for c in clips]}
        print(json.dumps(tells, indent=2))
        return
    print(f"{about['processor']}, {args.threads} threads, {time.strftime('%Y-%m-%d')}")
    for one in told:
        print(f"\n{one['of']}: {one['pictures']} pictures, {one['people']} annotated people")
        print_rows(one["rows"])  # type: ignore[arg-type]
    if clips:
        print(f"\n{'':26s}{'backend':30s}{'frames':>8s}{'people':>8s}{'identities':>12s}{'turns':>8s}{'ms/frame':>10s}")
    for c in clips:
        print(f"{c.clip:26s}{c.backend:30s}{c.frames:8d}{c.people:8.2f}{c.identities:12d}{c.turns:8.1f}{c.ms:10.1f}")


def print_rows(rows: list[Row]) -> None:
    columns = ("AP", "AP50", "AP75", "AR", "recall", "OKS", "PCK", "sides", "strangers")
    print(f"{'':40s}{'boxes':>11s}" + "".join(f"{c:>10s}" for c in (*columns, "ms/pict.", "ms/person")))
    for row in rows:
        figures = [f"{row.quality[c]:10.3g}" for c in columns] if row.quality else [f"{'–':>10s}"] * len(columns)
        figures += [f"{'–':>10s}" if ms is None else f"{ms:10.1f}" for ms in (row.ms_per_picture, row.ms_per_person)]
        note = "" if row.weights == "here" else f"  {row.weights}"
        print(f"{row.backend:40s}{row.boxes:>11s}" + "".join(figures) + note)


def located(name: str) -> Path | None:
    """The file of a manifest's entry if it is here; nothing is fetched."""
    return app_weights.locate(name) if name in {entry.name for entry in app_weights.entries()} else None


def mediapipe_row(truths: list[Truth]) -> Row:
    path = located(MEDIAPIPE)
    if path is None:
        return Row("mediapipe", "its own", f"weights not here: sasmamba-demo weights fetch {MEDIAPIPE}", *[None] * 3)
    with MediaPipePose2D(path, max_people=MOST_PEOPLE) as backend:
        return measured("mediapipe", "its own", by_itself(backend), truths)


def movenet_rows(truths: list[Truth], threads: int) -> list[Row]:
    if located(MOVENET) is None:
        return [Row("movenet", "its own", f"weights not here: sasmamba-demo weights fetch {MOVENET}", *[None] * 3)]
    opened = {name: open_it for name, open_it in backends(threads).items() if name.startswith("movenet")}
    return [measured(name, "its own", by_itself(open_it()), truths) for name, open_it in opened.items()]


def backends(threads: int) -> dict[str, Callable[[], Pose2D]]:
    """What finds people by itself and can run here, by what the table calls it."""
    here: dict[str, Callable[[], Pose2D]] = {}
    if located(MEDIAPIPE) is not None:
        here["mediapipe"] = lambda: MediaPipePose2D(max_people=MOST_PEOPLE)
    if located(MOVENET) is None:
        return here
    for name, open_it in (("thunder", open_thunder), ("lightning", open_lightning)):
        for precision in ("float", "int8"):
            for mirror in (False, True):
                here[f"movenet {name}, {precision}{', mirrored' if mirror else ''}"] = partial(
                    _movenet, partial(open_it, threads, precision), threads, mirror
                )
    return here


def _movenet(open_it: Callable[[], PoseNetwork], threads: int, mirror: bool) -> MoveNetPose2D:
    return MoveNetPose2D(open_it(), open_multipose(threads), max_people=MOST_PEOPLE, mirror=mirror)


def by_itself(backend: Pose2D) -> Backend:
    def run(truth: Truth) -> Found:
        people = backend(Frame(0, Fraction(0), truth.bgr))  # no later than the last: a new video
        joints = np.array([p.joints_px for p in people], np.float32).reshape(-1, 17, 2)
        return ranked(joints, np.array([p.score for p in people], np.float32).reshape(-1, 17))

    return run


def hrnet_rows(name: str, truths: list[Truth], path: Path) -> list[Row]:
    network = load_hrnet(path)
    input_px = (288, 384) if "384x288" in path.name else (192, 256)
    ways: list[tuple[heatmap_codec.Decode, bool]] = [("quarter", False), ("dark", False), ("dark", True)]
    rows = []
    for decode, flip in ways:
        backend = HRNetPose2D(network, NoDetector(), input_px=input_px, decode=decode, flip=flip)
        how = f"{name}, {decode}{', flip test' if flip else ''}, {backend.runtime}"
        rows.append(measured(how, "annotated", given_boxes(backend), truths))
    return rows


def speed_row(name: str, network: HRNet, truths: list[Truth]) -> Row:
    backend = HRNetPose2D(network, NoDetector())
    row = measured(f"{name}, dark, {backend.runtime}", "annotated", given_boxes(backend), truths)
    return Row(
        row.backend, row.boxes, "weights not here; speed with random ones", None, row.ms_per_picture, row.ms_per_person
    )


class NoDetector:
    """For boxes that are given."""

    def __call__(self, frame: Frame) -> FloatArray:
        return np.zeros((0, 5), np.float32)

    def close(self) -> None: ...


def given_boxes(backend: HRNetPose2D) -> Backend:
    def run(truth: Truth) -> Found:
        return ranked(*backend.joints_in(truth.bgr, truth.boxes[~truth.ignored]))

    return run


def ranked(joints_px: FloatArray, score: FloatArray) -> Found:
    mean = score.mean(1) if len(score) else np.zeros(0, np.float32)
    order = np.argsort(-mean, kind="stable")[:MOST_PEOPLE]
    return Found(joints_px[order], mean[order])


def measured(name: str, boxes: str, run: Backend, truths: list[Truth]) -> Row:
    run(truths[0])  # the first run of a network is not like the others
    found, seconds = [], 0.0
    for truth in truths:
        start = time.perf_counter()
        found.append(run(truth))
        seconds += time.perf_counter() - start
    people = sum(len(f.score) for f in found)
    return Row(
        name,
        boxes,
        "here",
        quality(truths, found),
        1000 * seconds / len(truths),
        1000 * seconds / people if people else None,
    )


def read_truths(images: Path, annotations: Path) -> list[Truth]:
    """Every annotated picture that is in the folder, under its COCO name or one that ends with it."""
    data = json.loads(annotations.read_text())
    truths = []
    for image in data["images"]:
        path = next(iter(sorted(images.glob(f"*{image['file_name']}"))), None)
        if path is None:
            continue
        bgr = cv2.imread(str(path))
        if bgr is None:
            raise SystemExit(f"{path} is not a picture")
        people = [a for a in data["annotations"] if a["image_id"] == image["id"]]
        xywh = np.array([a["bbox"] for a in people], np.float32).reshape(-1, 4)
        truths.append(
            Truth(
                bgr.astype(np.uint8, copy=False),
                np.array([a["keypoints"] for a in people], np.float32).reshape(-1, 17, 3),
                np.hstack([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]]),
                np.array([a["area"] for a in people], np.float32),
                np.array([a["iscrowd"] for a in people], bool),
                np.array([a["iscrowd"] or not a["num_keypoints"] for a in people], bool),
            )
        )
    if not truths:
        raise SystemExit(f"None of the annotated pictures is in {images}.")
    return truths


def similarity(found: Found, truth: Truth) -> FloatArray:
    """(found, annotated) object keypoint similarity. Somebody without annotated joints is like everybody whose joints
    lie within their box or one box beside it, as COCO has it."""
    x0, y0, x1, y1 = truth.boxes.T
    wide, high = x1 - x0, y1 - y0
    out = np.zeros((len(found.score), len(truth.area)), np.float32)
    for g, joints in enumerate(truth.joints):
        known = joints[:, 2] > 0
        if known.any():
            away = (found.joints_px - joints[:, :2])[:, known]
        else:
            low, top = (x0[g] - wide[g], y0[g] - high[g]), (x1[g] + wide[g], y1[g] + high[g])
            away = np.maximum(low - found.joints_px, 0) + np.maximum(found.joints_px - top, 0)
            known[:] = True
        spread = 2 * np.square(2 * COCO_SIGMAS[known]) * max(truth.area[g], 1e-6)
        out[:, g] = np.exp(-np.square(away).sum(-1) / spread).mean(1)
    return out


def matches(alike: FloatArray, truth: Truth, threshold: float) -> np.ndarray:
    """(found,) whom each is, -1 for nobody: the surest chooses first, and ignored people only where no other fits.

    Only a crowd can be several.
    """
    free = np.ones(alike.shape[1], bool)
    out = np.full(len(alike), -1)
    for d, row in enumerate(alike):
        for kind in (~truth.ignored, truth.ignored):
            fits = free & kind & (row >= threshold)
            if fits.any():
                out[d] = int(np.argmax(np.where(fits, row, -1)))
                free[out[d]] = truth.crowd[out[d]]
                break
    return out


def quality(truths: list[Truth], found: list[Found]) -> dict[str, float]:
    alike = [similarity(f, t) for f, t in zip(found, truths, strict=True)]
    people = sum(int((~t.ignored).sum()) for t in truths)
    precision, recall = zip(*(precision_recall(truths, found, alike, float(t)) for t in THRESHOLDS), strict=True)
    oks, near, joints, strangers, limbs, exchanged = 0.0, 0, 0, 0, 0, 0
    for f, t, a in zip(found, truths, alike, strict=True):
        who = matches(a, t, 0.0)
        for d, g in enumerate(who):
            if g >= 0 and not t.ignored[g]:
                oks += float(a[d, g])
                off = np.linalg.norm(f.joints_px[d] - t.joints[g, :, :2], axis=-1)[t.joints[g, :, 2] > 0]
                both, wrong = exchanged_limbs(f.joints_px[d], t.joints[g])
                limbs, exchanged = limbs + both, exchanged + wrong
                near += int((off < PCK_AT * max(t.boxes[g, 2:] - t.boxes[g, :2])).sum())
        joints += int((t.joints[~t.ignored, :, 2] > 0).sum())
        strangers += int((a.max(1, initial=0) < STRANGER).sum())
    return {
        "AP": float(np.mean(precision)),
        "AP50": precision[0],
        "AP75": precision[5],
        "AR": float(np.mean(recall)),
        "recall": recall[0],
        "sides": exchanged / max(limbs, 1),
        "OKS": oks / max(people, 1),
        "PCK": near / max(joints, 1),
        "strangers": strangers,
    }


def exchanged_limbs(found: FloatArray, truth: FloatArray) -> tuple[int, int]:
    """How many arms and legs are annotated on both sides, apart, and how many of those lie on the other side."""
    both, wrong = 0, 0
    for left, right in SIDES:
        known = [(a, b) for a, b in zip(left, right, strict=True) if min(truth[a, 2], truth[b, 2]) > 0]
        if not known:
            continue
        there, other = [j for pair in known for j in pair], [j for a, b in known for j in (b, a)]
        apart = np.linalg.norm(truth[there, :2] - truth[other, :2], axis=-1).mean()
        off = np.linalg.norm(found[there] - truth[there, :2], axis=-1).mean()
        off_other = np.linalg.norm(found[there] - truth[other, :2], axis=-1).mean()
        both += 1
        wrong += bool(off_other < 0.5 * off and off_other < apart)
    return both, wrong


def precision_recall(
    truths: list[Truth], found: list[Found], alike: list[FloatArray], threshold: float
) -> tuple[float, float]:
    """COCO's average precision (mean over 101 recalls of the best precision from there on) and the highest recall."""
    score, right = [], []
    for f, t, a in zip(found, truths, alike, strict=True):
        who = matches(a, t, threshold)
        counts = (who < 0) | ~t.ignored[who]  # neither right nor wrong: who is one of the ignored
        score.append(f.score[counts])
        right.append(who[counts] >= 0)
    people = sum(int((~t.ignored).sum()) for t in truths)
    hits = np.concatenate(right)[np.argsort(-np.concatenate(score), kind="stable")].cumsum()
    if not len(hits) or not people:
        return 0.0, 0.0
    precision = np.maximum.accumulate((hits / np.arange(1, len(hits) + 1))[::-1])[::-1]
    at = np.searchsorted(hits / people, np.linspace(0, 1, 101))
    return float(np.append(precision, 0)[at].mean()), float(hits[-1] / people)


if __name__ == "__main__":
    main()
