"""How good and how fast the 2D backends are: `python benchmarks/pose2d_quality.py --images DIR --annotations FILE`.

Runs every backend that can run here on folders of pictures with COCO keypoint annotations (`person_keypoints_*.json`),
one picture at a time, nothing carried over, and on clips. MediaPipe and MoveNet find people by themselves. HRNet gets
the annotated boxes, the setting in which "ground truth boxes" are published, so its figures leave out what a detector
would miss. Where HRNet's weights are not here there is no quality to tell; its speed is that of the same network with
random weights. Rows of HRNet name what computed the heatmaps, ONNX Runtime or PyTorch; rows of MoveNet its network, the
precision, and "mirrored" where a crop's joints are averaged with those of the mirrored crop. MoveNet was trained on
COCO's training pictures, of which coco128 is a part.

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

import numpy as np
import torch
from coco_keypoints import MOST_PEOPLE, Found, Truth, quality, ranked, read_truths
from pose2d_clips import clip_row

from sasmamba.app import weights as app_weights
from sasmamba.app.cli.measuring import machine
from sasmamba.app.pose2d.hrnet_estimator import HRNetEstimator
from sasmamba.app.pose2d.mediapipe import MediaPipePose2D
from sasmamba.app.pose2d.movenet import MoveNetPose2D
from sasmamba.app.pose2d.movenet_networks import PoseNetwork, open_lightning, open_multipose, open_thunder
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.types import Frame
from sasmamba.models import heatmap_codec
from sasmamba.models.hrnet import HRNET_W32, HRNET_W48, HRNet, load_hrnet

MEDIAPIPE = "pose-landmarker-full"
MOVENET = "movenet"
HRNETS = {"hrnet-w32": HRNET_W32, "hrnet-w48": HRNET_W48}


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
    networks: dict[str, Callable[[], PoseNetwork]] = {
        "thunder, float": partial(open_thunder, threads, "float"),
        "thunder, int8": partial(open_thunder, threads, "int8"),
        "lightning, float": partial(open_lightning, threads),
    }
    for name, open_it in networks.items():
        for mirror in (False, True):
            here[f"movenet {name}{', mirrored' if mirror else ''}"] = partial(_movenet, open_it, threads, mirror)
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
        estimator = HRNetEstimator(network, input_px=input_px, decode=decode, flip=flip)
        how = f"{name}, {decode}{', flip test' if flip else ''}, {estimator.runtime}"
        rows.append(measured(how, "annotated", given_boxes(estimator), truths))
    return rows


def speed_row(name: str, network: HRNet, truths: list[Truth]) -> Row:
    estimator = HRNetEstimator(network)
    row = measured(f"{name}, dark, {estimator.runtime}", "annotated", given_boxes(estimator), truths)
    return Row(
        row.backend, row.boxes, "weights not here; speed with random ones", None, row.ms_per_picture, row.ms_per_person
    )


def given_boxes(estimator: HRNetEstimator) -> Backend:
    def run(truth: Truth) -> Found:
        return ranked(*estimator(Frame(0, Fraction(0), truth.bgr), truth.boxes[~truth.ignored]))

    return run


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


if __name__ == "__main__":
    main()
