"""How far people who stand lean in what comes out: `python benchmarks/lean.py --demo DEMO --clips VIDEO PICTURE …`.

DEMO is a demonstration of Pose2Sim, see benchmarks/multi_view.py: four calibrated cameras tell the true vertical and
the true lean. Other clips and pictures have no truth; there whoever is seen to stand should be upright. Everything is
analysed with the default settings.

Somebody stands in frames in which, in the picture, both knees are nearly straight, both ankles are beneath the hips and
the shoulders above them, and who is at least 75 pixels high; with four cameras the triangulated trunk is upright
besides. Whether they lean to the camera or away has no part in that, since a picture hardly shows it.

    whole    degrees, ankles' middle to shoulders' middle
    trunk    degrees, hips' middle to shoulders' middle
    towards  degrees by which the trunk leans to the camera, mean
    true     the same three of the truth
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from multi_view import _LIMBS, Camera, analysed, read_cameras, same_people, triangulated, up_error, views
from numpy.typing import NDArray

import sasmamba
from sasmamba.models.skeletons import COCO, H36M

#: What is asked of somebody who stands, in the picture: knees as straight, hips to ankles and to shoulders as upright.
_STRAIGHT_DEG, _UPRIGHT_DEG = 20.0, 10.0
_TRUE_DEG = 6.0
_LEAST_SCORE, _LEAST_PX = 0.3, 75.0
_NEEDED = [COCO[f"{side}_{j}"] for side in ("LEFT", "RIGHT") for j in ("SHOULDER", "HIP", "KNEE", "ANKLE")]
_SHOULDERS = [H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER]
_HIPS = [H36M.LEFT_HIP, H36M.RIGHT_HIP]


@dataclass(frozen=True)
class Leans:
    """Of somebody's standing frames, means in degrees."""

    frames: int
    whole: float
    trunk: float
    towards: float
    true: tuple[float, float, float] | None = None
    up: float | None = None


def _between(a: NDArray, b: NDArray) -> NDArray:
    """Degrees between vectors (..., D)."""
    cosine = (a * b).sum(-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)).clip(1e-9)
    return np.degrees(np.arccos(cosine.clip(-1, 1)))


def seen_standing(person: sasmamba.AnalysedPerson) -> NDArray:
    """(F,) bool, by the picture alone."""

    def middle(joint: str) -> NDArray:
        return 0.5 * (person.keypoints[:, COCO[f"LEFT_{joint}"]] + person.keypoints[:, COCO[f"RIGHT_{joint}"]])

    upwards = np.array([0, -1.0])
    stands = (person.score[:, _NEEDED] > _LEAST_SCORE).all(1)
    stands &= np.ptp(person.keypoints[:, _NEEDED, 1], axis=1) > _LEAST_PX
    for side in ("LEFT", "RIGHT"):
        hip, knee, ankle = (person.keypoints[:, COCO[f"{side}_{j}"]] for j in ("HIP", "KNEE", "ANKLE"))
        stands &= _between(hip - knee, knee - ankle) < _STRAIGHT_DEG
        stands &= _between(hip - ankle, upwards) < 2 * _UPRIGHT_DEG
    stands &= _between(middle("HIP") - middle("ANKLE"), upwards) < _UPRIGHT_DEG
    return np.asarray(stands & (_between(middle("SHOULDER") - middle("HIP"), upwards) < _UPRIGHT_DEG))


def _leaning(axis: NDArray, to_camera: NDArray) -> tuple[NDArray, NDArray]:
    """Degrees (F,) by which axes (F, 3), world, lean altogether, and towards the camera, to which `to_camera` leads."""
    to = to_camera * [1, 1, 0]
    to /= np.linalg.norm(to, axis=1, keepdims=True)
    return _between(axis, np.array([0, 0, 1.0])), np.degrees(np.arctan2((axis * to).sum(1), axis[:, 2]))


def leans(person: sasmamba.AnalysedPerson, rows: NDArray) -> Leans | None:
    """Of somebody in these of their rows; None without any."""
    if not len(rows):
        return None
    world = person.world_m[rows].astype(float)
    trunk, towards = _leaning(world[:, _SHOULDERS].mean(1) - world[:, _HIPS].mean(1), -world[:, 0])
    feet = world[:, [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]].mean(1)
    whole, _ = _leaning(world[:, _SHOULDERS].mean(1) - feet, -world[:, 0])
    return Leans(len(rows), float(whole.mean()), float(trunk.mean()), float(towards.mean()))


def of_four_cameras(demo: Path, keep: Path | None) -> list[tuple[str, Leans]]:
    """Everybody who stands, in every view."""
    cameras = read_cameras(next((demo / "calibration").glob("*.qca.txt")))
    videos = sorted((demo / "videos").glob("cam*.mp4"))
    takes, out = [analysed(video, keep) for video in videos], []
    for n, ids in enumerate(same_people(cameras, takes), 1):
        people = [take.people[i] for take, i in zip(takes, ids, strict=True)]
        truth = {}
        for f in range(len(takes[0].times_s)):
            if (seen := views(people, f)) is not None and np.isfinite(points := triangulated(cameras, *seen)).all():
                truth[f] = points / 1000
        for video, camera, person, take in zip(videos, cameras, people, takes, strict=True):
            if (found := _beside_truth(camera, person, truth, up_error(camera, take))) is not None:
                out.append((f"{demo.name}, {video.stem}, person {n}", found))
    return out


def _beside_truth(
    camera: Camera, person: sasmamba.AnalysedPerson, truth: dict[int, NDArray], up: float
) -> Leans | None:
    points = {name: np.array([p[_LIMBS.index(name)] for p in truth.values()]) for name in _LIMBS}
    hips, shoulders, ankles = (0.5 * (points[f"LEFT_{j}"] + points[f"RIGHT_{j}"]) for j in ("HIP", "SHOULDER", "ANKLE"))
    to_camera = camera.centre / 1000 - hips
    lean, towards = _leaning(shoulders - hips, to_camera)
    stands = (lean < _TRUE_DEG) & (_leaning(hips - ankles, to_camera)[0] < _TRUE_DEG)
    for side in ("LEFT", "RIGHT"):
        hip, knee, ankle = (points[f"{side}_{j}"] for j in ("HIP", "KNEE", "ANKLE"))
        stands &= _between(hip - knee, knee - ankle) < _STRAIGHT_DEG
    rows = np.array(list(truth))[stands] - int(person.frame[0])
    found = leans(person, rows)
    if found is None:
        return None
    whole = _leaning(shoulders - ankles, to_camera)[0]
    true = float(whole[stands].mean()), float(lean[stands].mean()), float(towards[stands].mean())
    return Leans(found.frames, found.whole, found.trunk, found.towards, true, up)


def of_clip(clip: Path, keep: Path | None) -> list[tuple[str, Leans]]:
    """Everybody who is seen to stand."""
    out = []
    for i, person in sorted(analysed(clip, keep).people.items()):
        rows = np.flatnonzero(seen_standing(person) & np.isfinite(person.world_m).all((1, 2)))
        if (found := leans(person, rows)) is not None:
            out.append((f"{clip.name}, person {i}", found))
    return out


def print_table(name: str, some: list[tuple[str, Leans]]) -> None:
    """A line for everybody, and their means."""
    print(f"| {name} | frames | whole | trunk | towards | true | up off |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for who, one in some:
        true = "–" if one.true is None else f"{one.true[0]:.1f}, {one.true[1]:.1f}, {one.true[2]:+.1f}"
        up = "–" if one.up is None else f"{one.up:.1f}"
        print(f"| {who} | {one.frames} | {one.whole:.1f} | {one.trunk:.1f} | {one.towards:+.1f} | {true} | {up} |")
    means = [np.mean([getattr(one, of) for _, one in some]) for of in ("whole", "trunk", "towards")]
    print(f"| mean of {len(some)} | | {means[0]:.1f} | {means[1]:.1f} | {means[2]:+.1f} | | |", flush=True)


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, nargs="*", default=[])
    parser.add_argument("--clips", type=Path, nargs="*", default=[], help="videos and pictures")
    parser.add_argument("--keep", type=Path, help="folder for what was found, to measure it again")
    args = parser.parse_args()
    if some := [one for demo in args.demo for one in of_four_cameras(demo, args.keep)]:
        print_table("four cameras", some)
    if some := [one for clip in args.clips for one in of_clip(clip, args.keep)]:
        print_table("clips", some)


if __name__ == "__main__":
    main()
