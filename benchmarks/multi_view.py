"""Real people filmed from four sides: `python benchmarks/multi_view.py DEMO`.

DEMO is a demonstration of Pose2Sim (BSD-3): calibration/*.qca.txt and videos/cam*.mp4, four calibrated cameras that run
together. `pip download pose2sim==0.10.49 --no-deps` and unzipping the wheel bring Pose2Sim/Demo_SinglePerson (somebody
who balances on one leg) and Demo_MultiPerson (the same with somebody drawn in).

Each video is analysed by itself with the default settings, as a stranger would. What the 2D stage saw in all of them is
triangulated, views that disagree left out: that is the truth, good to a centimetre or two, which no single camera has.

    2D     per cent of the person's height in the picture by which joints lie off, median and 90th percentile
    sides  per cent of frames in which ankles or wrists lie nearer to where those of the other side are
    N, P   mm, mean error of shoulders, elbows, wrists, hips, knees and ankles about the hips' middle, best scale (N) or
           best scale and turn (P)
    angle  degrees, mean absolute error of elbows, knees, hips and shoulders
    in 68, in 95  per cent of these joints' places, across the line of sight, that the stated interval holds
    up     degrees between the found vertical and the true one
    path   cm, mean error of the hips' middle on the floor, best turn, place and scale
    contact  per cent of planted feet that truly rest, and of resting feet that are planted, a frame to either side
           forgiven: footing.py's rule, of ankles that three views see alike

`--contact` draws when feet truly rest and when each view has them planted: # yes, - no, ? not known.
"""

from __future__ import annotations

import argparse
import itertools
import pickle
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import torch
from footing import hits, true_contact
from numpy.typing import NDArray

import sasmamba
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.axes import up_of
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.angles import joint_angles
from sasmamba.models.geometry import facing_rotation
from sasmamba.models.skeletons import COCO, H36M
from sasmamba.training.metrics import procrustes

_LIMBS = [
    f"{side}_{joint}" for joint in ("SHOULDER", "ELBOW", "WRIST", "HIP", "KNEE", "ANKLE") for side in ("LEFT", "RIGHT")
]
_COCO, _H36M = [COCO[name] for name in _LIMBS], [H36M[name] for name in _LIMBS]
_HIPS = [_LIMBS.index("LEFT_HIP"), _LIMBS.index("RIGHT_HIP")]
_OTHER_SIDE = [n ^ 1 for n in range(len(_LIMBS))]
_ENDS = [_LIMBS.index(name) for name in ("LEFT_WRIST", "LEFT_ANKLE")]
#: A view counts in which the joint lies within this share of the person's height of where the others have it.
_AGREES = 0.03
_LEAST_SCORE = 0.2
_ANKLES = [_LIMBS.index("LEFT_ANKLE"), _LIMBS.index("RIGHT_ANKLE")]
#: Motion of triangulated ankles within so long (Gaussian) is the detector's.
_JITTER_S = 0.03


@dataclass(frozen=True)
class Camera:
    """One calibrated camera: x_cam = R (x - centre), millimetres, world z up; OpenCV's axes and distortion."""

    K: NDArray
    distortion: NDArray
    R: NDArray
    centre: NDArray

    def rays(self, pixels: NDArray) -> NDArray:
        """(N, 3) directions in camera axes with z = 1 of pixels (N, 2)."""
        flat = cv2.undistortPoints(pixels.reshape(-1, 1, 2).astype(float), self.K, self.distortion)[:, 0]
        return np.column_stack([flat, np.ones(len(flat))])

    def pixels(self, points: NDArray) -> NDArray:
        """(N, 2) of world points (N, 3)."""
        at, _ = cv2.projectPoints(points, self.R, -self.R @ self.centre, self.K, self.distortion)
        return np.asarray(at[:, 0])


def read_cameras(path: Path) -> list[Camera]:
    """The cameras of a Qualisys calibration: lengths of the sensor in 64ths of a pixel, the camera looks along -z."""
    cameras = []
    for camera in ElementTree.parse(path).getroot().iter("camera"):
        told: dict[str, float] = {}
        for part in ("transform", "intrinsic", "fov_video"):
            told |= {k: float(v) for k, v in camera.find(part).attrib.items()}  # type: ignore[union-attr] # always there
        u, v = told["centerPointU"] / 64 - told["left"], told["centerPointV"] / 64 - told["top"]
        K = np.array([[told["focalLengthU"] / 64, 0, u], [0, told["focalLengthV"] / 64, v], [0, 0, 1]])
        names = ("radialDistortion1", "radialDistortion2", "tangentalDistortion1", "tangentalDistortion2")
        rows = np.array([[told[f"r{i}{j}"] for j in (1, 2, 3)] for i in (1, 2, 3)])
        R = np.diag([1, -1, -1]) @ rows
        cameras.append(Camera(K, np.array([told[n] for n in names]) / 64, R, np.array([told[c] for c in "xyz"])))
    return cameras


def triangulated(cameras: list[Camera], seen: list[NDArray], height_px: list[float]) -> NDArray:
    """(N, 3) mm from joints (N, 3) x, y, score in each view; NaN where fewer than three views agree."""
    rays = [camera.rays(joints[:, :2]) @ camera.R for camera, joints in zip(cameras, seen, strict=True)]
    out = np.full((len(seen[0]), 3), np.nan)
    for n in range(len(out)):
        use = [k for k, joints in enumerate(seen) if joints[n, 2] >= _LEAST_SCORE]
        while len(use) >= 3:
            A, b = np.zeros((3, 3)), np.zeros(3)
            for k in use:
                d = rays[k][n] / np.linalg.norm(rays[k][n])
                across = np.eye(3) - np.outer(d, d)
                A, b = A + across, b + across @ cameras[k].centre
            point = np.linalg.solve(A, b)
            off = [np.linalg.norm(cameras[k].pixels(point[None])[0] - seen[k][n, :2]) / height_px[k] for k in use]
            if max(off) <= _AGREES:
                out[n] = point
                break
            use.pop(int(np.argmax(off)))
    return out


def turned_onto(found: NDArray, truth: NDArray) -> NDArray:
    """`found` (..., N, D) turned, scaled and shifted onto `truth`."""
    return procrustes(torch.from_numpy(found), torch.from_numpy(truth)).numpy()


def analysed(video: Path, keep: Path | None, frames: int | None = None) -> sasmamba.Analysis:
    """What the product makes of so many frames of a video; from the last time, if it was kept."""
    kept = keep / f"{video.parent.parent.name}_{video.stem}.pickle" if keep else None
    if kept and kept.exists():
        return pickle.loads(kept.read_bytes())  # type: ignore[no-any-return] # our own file
    found = sasmamba.analyse(video, max_frames=frames)
    if kept:
        kept.write_bytes(pickle.dumps(found))
    return found


def same_people(cameras: list[Camera], takes: list[sasmamba.Analysis]) -> Iterator[tuple[int, ...]]:
    """Track ids of one person in every view, best agreement first, nobody twice."""
    scores = []
    for ids in itertools.product(*(take.people for take in takes)):
        people = [take.people[i] for take, i in zip(takes, ids, strict=True)]
        agree = []
        for f in range(0, len(takes[0].times_s), 10):
            if (seen := views(people, f)) is not None:
                agree.append(np.isfinite(triangulated(cameras, *seen)).all(1).mean())
        if agree and np.mean(agree) > 0.5:
            scores.append((float(np.mean(agree)), ids))
    taken: set[tuple[int, int]] = set()
    for _, ids in sorted(scores, reverse=True):
        if taken.isdisjoint(enumerate(ids)):
            taken |= set(enumerate(ids))
            yield ids


def views(people: list[sasmamba.AnalysedPerson], frame: int) -> tuple[list[NDArray], list[float]] | None:
    """Every view's joints and the person's height in it, in pixels; None if a view does not have them."""
    seen = [found for person in people if (found := view(person, frame)) is not None]
    if len(seen) < len(people):
        return None
    return [joints for joints, _ in seen], [height for _, height in seen]


def view(person: sasmamba.AnalysedPerson, frame: int) -> tuple[NDArray, float] | None:
    """One view's joints (12, 3) x, y, score, and the person's height in it, pixels; None if it does not have them."""
    at = frame - int(person.frame[0])
    if not 0 <= at < len(person.frame) or not person.observed[at]:
        return None
    joints = np.column_stack([person.keypoints[at], person.score[at]])[_COCO]
    return joints, float(np.ptp(person.keypoints[at][:, 1]))


def resting(cameras: list[Camera], people: list[sasmamba.AnalysedPerson], times: NDArray) -> tuple[NDArray, NDArray]:
    """(T, 2) bool of one person's left and right ankle: truly at rest, and whether three views see it alike."""
    ankles = np.full((len(times), 2, 3), np.nan)
    for f in range(len(times)):
        seen = [(camera, found) for camera, person in zip(cameras, people, strict=True) if (found := view(person, f))]
        joints, heights = [found[0][_ANKLES] for _, found in seen], [found[1] for _, found in seen]
        ankles[f] = triangulated([camera for camera, _ in seen], joints, heights) / 1000 if seen else np.nan
    known = np.isfinite(ankles[..., 0])
    for k in range(2):
        if known[:, k].any():
            ankles[:, k] = np.stack([np.interp(times, times[known[:, k]], x[known[:, k]]) for x in ankles[:, k].T], 1)
    return true_contact(zero_phase(times, ankles, _JITTER_S, degree=1), times) & known, known


def contact(person: sasmamba.AnalysedPerson, rests: NDArray, known: NDArray) -> tuple[NDArray, str]:
    """When a view has feet planted (T, 2), and precision and recall of that in per cent, as two cells."""
    planted = np.zeros_like(rests)
    planted[person.frame] = person.planted
    right, found, back, true = hits(planted & known, rests)
    return planted, f"{100 * right / max(found, 1):6.0f}{100 * back / max(true, 1):5.0f}"


def figures(
    camera: Camera,
    person: sasmamba.AnalysedPerson,
    truth: dict[int, NDArray],
    take: sasmamba.Analysis,
    wide: float,
) -> str:
    """One view's figures as a line of the table; 95 % intervals are `wide` times as wide as those of 68 %."""
    rows = np.array(list(truth)) - int(person.frame[0])
    points = np.stack(list(truth.values()))
    pixels = np.stack([camera.pixels(p) for p in points])
    seen = person.keypoints[rows][:, _COCO]
    off = np.linalg.norm(seen - pixels, axis=-1)
    crossed = np.linalg.norm(seen - pixels[:, _OTHER_SIDE], axis=-1)
    exchanged = [(crossed[:, [n, n + 1]].sum(1) < off[:, [n, n + 1]].sum(1)) for n in _ENDS]
    in_camera = (points - camera.centre) @ camera.R.T
    true = about_hips(in_camera @ facing_rotation(in_camera[:, _HIPS].mean(1)).swapaxes(1, 2))
    found = about_hips(person.joints3d[rows][:, _H36M].astype(float) * 1000)
    scaled = found * ((found * true).sum((1, 2)) / (found * found).sum((1, 2)))[:, None, None]
    turned = turned_onto(found, true)
    width = person.half_width_m[rows][:, _H36M, :1] * 1000
    known = np.isfinite(width[..., 0])
    inside = [100 * np.mean((np.abs(scaled - true)[..., :2] <= k * width)[known]) for k in (1, wide)]
    walk = points[:, _HIPS].mean(1)[:, :2] / 10
    walked = turned_onto(100 * person.world_m[rows][:, _H36M][:, _HIPS, :2].mean(1).astype(float), walk)
    path = np.linalg.norm(walked - walk, axis=1).mean()
    size = np.ptp(person.keypoints[rows][..., 1], axis=1)[:, None] / 100
    return (
        f"{np.median(off / size):7.1f}{np.percentile(off / size, 90):6.1f}{100 * np.mean(exchanged):7.1f}"
        f"{np.linalg.norm(scaled - true, axis=-1).mean():7.1f}{np.linalg.norm(turned - true, axis=-1).mean():6.1f}"
        f"{angle_error(found, true):7.1f}{inside[0]:7.0f}{inside[1]:7.0f}{up_error(camera, take):6.1f}{path:6.1f}"
    )


def about_hips(limbs: NDArray) -> NDArray:
    """(F, 12, 3) with the hips' middle at the origin."""
    return np.asarray(limbs - limbs[:, _HIPS].mean(1, keepdims=True))


def angle_error(found: NDArray, true: NDArray) -> float:
    """Degrees, mean absolute, over elbows, knees, hips and shoulders of limbs (F, 12, 3)."""
    a, b = (joint_angles(whole(limbs)) for limbs in (found, true))
    names = [n for n in a if n.endswith(("knee_flexion", "elbow_flexion", "hip_flexion", "shoulder_elevation"))]
    return float(np.mean([np.mean(np.abs((a[n] - b[n] + 180) % 360 - 180)) for n in names]))


def whole(limbs: NDArray) -> NDArray:
    """(F, 17, 3) H36M joints from limbs, the trunk from the middle of the hips to that of the shoulders."""
    out = np.zeros((len(limbs), 17, 3))
    out[:, _H36M], out[:, H36M.THORAX] = limbs, limbs[:, :2].mean(1)
    return out


def up_error(camera: Camera, take: sasmamba.Analysis) -> float:
    """Degrees between the vertical that was found and the calibration's."""
    shot = take.assumptions["shots"][0]
    up = up_of(np.radians(shot["pitch_deg"]), np.radians(shot["roll_deg"]))
    return float(np.degrees(np.arccos(np.clip(up @ camera.R[:, 2], -1, 1))))


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("demo", type=Path)
    parser.add_argument("--contact", action="store_true", help="print when feet rest, too")
    parser.add_argument("--keep", type=Path, help="folder for what was found, to measure it again")
    args = parser.parse_args()
    cameras = read_cameras(next((args.demo / "calibration").glob("*.qca.txt")))
    videos = sorted((args.demo / "videos").glob("cam*.mp4"))
    takes = [analysed(video, args.keep) for video in videos]
    wide = Lifter.load(DEFAULT_LIFTER).wide
    assert wide is not None, "the default lifter tells how sure it is"
    print("found", *(f"{v.stem}: {len(t.people)}" for v, t in zip(videos, takes, strict=True)))
    print("person view   2D %  90 %  sides      N     P  angle  in 68  in 95    up  path contact")
    for n, ids in enumerate(same_people(cameras, takes), 1):
        people = [take.people[i] for take, i in zip(takes, ids, strict=True)]
        truth = {}
        for f in range(len(takes[0].times_s)):
            if (seen := views(people, f)) is not None and np.isfinite(points := triangulated(cameras, *seen)).all():
                truth[f] = points
        rests, known = resting(cameras, people, takes[0].times_s)
        for video, camera, person, take in zip(videos, cameras, people, takes, strict=True):
            planted, cells = contact(person, rests, known)
            row = figures(camera, person, truth, take, wide[0]) + cells
            print(f"{n:6} {video.stem:5}" + row, f"  ({len(truth)} frames, feet {known.sum() / 2:.0f})")
            for k, side in enumerate(("left", "right") if args.contact else ()):
                print(f"{side:>12}, true ", "".join(np.where(known[:, k], np.where(rests[:, k], "#", "-"), "?")))
                print(f"{side:>12}, found", "".join(np.where(planted[:, k], "#", "-")))


if __name__ == "__main__":
    main()
