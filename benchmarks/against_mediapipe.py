"""The lifter beside MediaPipe's own 3D on a real video: `python benchmarks/against_mediapipe.py VIDEO`.

Nobody knows the true poses of a video, but some things are known of every body: its bones keep their lengths, left and
right are alike, and seen from the camera it covers its own picture. For every person of the clip, both from the same
detection of MediaPipe's landmarker in video mode, with its own smoothing: once its 2D through the lifter, once the
world landmarks it gives beside them. The lifter's answer is taken as it comes: refining it (models/refining.py)
improves just what is measured here, and would say nothing.

    bones        how much each limb's length varies over time, standard deviation over mean, averaged over limbs
    sides        how much left and right limbs differ, over their mean
    shake        mean second difference of the joints relative to the pelvis, mm per frame²
    reprojected  distance of the pose, where and as large as it fits best, from the detected 2D, over the body's height
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sasmamba.app.cli.measuring import machine
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.pipeline import analyse
from sasmamba.app.pose2d.landmarker import Landmarker
from sasmamba.app.pose2d.mediapipe import MediaPipePose2D
from sasmamba.app.take import Take
from sasmamba.app.types import Frame, Person2D
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings
from sasmamba.models.skeletons import COCO_TO_H36M, H36M_MIRROR, H36M_PARENTS, coco17_to_h36m17, mediapipe33_to_coco17

#: Bones of limbs, by the joint at their end: those of the head and the trunk are derived differently in both.
LIMBS = [1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16]


class Recording(MediaPipePose2D):
    """The 2D stage, which also keeps the world landmarks that came with each person's joints.

    Attributes:
        world: (17, 3) H36M-17 metres from the pelvis, by the identity of the person's `joints_px`.
    """

    def __init__(self, max_people: int) -> None:
        super().__init__(max_people=max_people)
        self.world: dict[int, tuple[NDArray, NDArray]] = {}

    def __call__(self, frame: Frame) -> tuple[Person2D, ...]:
        people = super().__call__(frame)
        for follower in self._followers:
            if follower.missed == 0:
                points = np.array([(p.x, p.y, p.z) for p in follower.landmarker.world[0]], np.float32)
                # the conversion picks joints, and takes two coordinates at a time
                xy, zz = (
                    mediapipe33_to_coco17(points[:, axes], np.ones(33, np.float32))[0] for axes in ([0, 1], [2, 2])
                )
                joints = COCO_TO_H36M @ np.concatenate([xy, zz[:, :1]], 1)
                # the array is kept, or another might get its identity
                self.world[id(follower.person.joints_px)] = joints - joints[:1], follower.person.joints_px
        return people


def keep_world_landmarks() -> None:
    """Makes the 2D stage's landmarkers keep the world landmarks of their last result, as `world`."""

    def detect(landmarker: Any, image: Any) -> list[Any]:
        task, video = landmarker._task, landmarker._video
        result = task.detect_for_video(image, landmarker._clock_ms) if video else task.detect(image)
        landmarker.world = result.pose_world_landmarks
        return result.pose_landmarks

    Landmarker._detect = detect  # type: ignore[method-assign]


def figures(poses: dict[int, NDArray], track: int, take: Take) -> dict[str, float]:
    """The four figures of one person's poses by frame."""
    frames = sorted(poses)
    p = np.stack([poses[f] for f in frames])
    bones = np.linalg.norm(p - p[:, list(H36M_PARENTS)], axis=-1)[:, LIMBS]
    mirrored = np.linalg.norm(p - p[:, list(H36M_PARENTS)], axis=-1)[:, list(H36M_MIRROR)][:, LIMBS]
    shake = [
        np.linalg.norm(poses[f - 1] - 2 * poses[f] + poses[f + 1], axis=-1)[1:].mean()
        for f in frames
        if f - 1 in poses and f + 1 in poses
    ]
    off = []
    for f in frames:
        person = take.tracks[track].people[f]
        seen, score = coco17_to_h36m17(person.joints_px, person.score)
        sure = score > 0.5
        if sure.sum() < 8:
            continue
        a, b = poses[f][sure, :2] - poses[f][sure, :2].mean(0), seen[sure] - seen[sure].mean(0)
        scale = (a * b).sum() / (a * a).sum()
        off.append(np.linalg.norm(scale * a - b, axis=-1).mean() / np.ptp(seen[sure, 1]))
    return {
        "frames": len(frames),
        "bones %": 100 * float((bones.std(0) / bones.mean(0)).mean()),
        "sides %": 100 * float((np.abs(bones - mirrored) / (0.5 * (bones + mirrored))).mean()),
        "shake mm": 1000 * float(np.mean(shake)),
        "reprojected %": 100 * float(np.mean(off)),
    }


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path)
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    torch.set_num_threads(1)
    keep_world_landmarks()
    lifter = Lifter.load(args.lifter, refine=False, detected=True)
    with VideoFile(args.video) as video, Recording(max_people=4) as pose2d:
        take = analyse(
            video, pose2d, lifter, every=1, max_people=4, timings=Timings(), stop=Stop(), progress=lambda *_: None
        )
    results = {}
    for i, track in take.tracks.items():
        theirs = {f: pose2d.world[id(p.joints_px)][0] for f, p in track.people.items()}
        ours = {f: track.poses[f].joints for f in theirs}
        results[f"#{i}"] = {"lifter": figures(ours, i, take), "mediapipe": figures(theirs, i, take)}
    if args.json:
        print(json.dumps({"about": machine(), "people": results}, indent=1))
        return
    for who, rows in results.items():
        for name, row in rows.items():
            print(f"{who:5}{name:12}" + "".join(f"{k} {v:8.2f}   " for k, v in row.items()))
    print(f"{args.video.name}, {lifter.name}, {time.strftime('%Y-%m-%d')}")


if __name__ == "__main__":
    main()
