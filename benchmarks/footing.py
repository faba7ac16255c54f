"""Upright, floor, contact and flight against motion capture: `python benchmarks/footing.py --data-root DATA`.

Clips that no lifter of ours was trained on (S8, acrobatics, jumps to grab something; `--set tune` takes others, on
which the thresholds were chosen) are seen by a made camera through a detector's noise, lifted, smoothed and placed as
offline runs do. The camera's focal length is told, nothing else. Each row is one kind of motion:

    up       degrees between the found vertical and the true one, mean of the clips; told: the uncertainty it states
    lean     degrees by which ankles to head and pelvis to thorax of people who truly stand upright lean, mean, found
             and true
    pose     mm, mean joint error about the pelvis in world axes, with the same heading as the true one
    ahead    cm by which the pelvis of these lies ahead of the line from the ankles to the thorax, found and true
    contact  precision and recall of planted feet, a frame to either side forgiven
    slide    mm a frame of planted feet, median, 95th percentile, share of at most 2; on: share of soles within 1 cm of
             the floor
    flight   the pelvis's downward acceleration over true flights as a share of g: median, and how many within 20 %
    path     per cent, mean error of the pelvis's path, best fit removed, of its length; only of those who go 2 m
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pelvis_ahead import ahead_cm

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.lifting.offline import lift_tracks
from sasmamba.app.motion.axes import level
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.feet import TIP
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D, VideoMeta
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import COCO, FOOT, H36M
from sasmamba.training.cameras import camera_rotation
from sasmamba.training.evaluation import KIND_NOISE
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.noise import detect
from sasmamba.training.occlusion import hidden
from sasmamba.training.simulate import coco_points

META = VideoMeta(1280, 960, Fraction(50), None)
_ANKLES = [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]
_G = 9.81
#: name: (file, words of which one is in the clip's name or subject)
SETS: dict[str, dict[str, tuple[str, tuple[str, ...]]]] = {
    "held out": {
        "S8, standing and walking": ("h36m_train", ("S8",)),
        "acrobatics": ("deepmimic", ("spinkick", "sideflip", "roll")),
        "jumps to grab": ("cmu_more", ("013_10", "014_07", "014_08")),
    },
    "tune": {
        "S1, standing and walking": ("h36m_train", ("S1",)),
        "S6, standing and walking": ("h36m_train", ("S6",)),
        "kicks and spins": ("deepmimic", ("dance_spin", "kick", "sie_run_left14", "walk")),
        "jumps": ("cmu_more", ("013_11", "013_13", "013_19", "013_32", "013_39", "013_41", "001_01", "013_30")),
    },
}
#: Human3.6M's actions on the feet; what sits on the floor tells nothing of standing.
_ON_FEET = (
    "directions",
    "discussion",
    "greeting",
    "posing",
    "purchases",
    "waiting",
    "walking",
    "walkdog",
    "walktogether",
)
_LONGEST_S = 8.0


@dataclass(frozen=True)
class Clip:
    """One seen clip and its truth.

    Attributes:
        take: people seen and lifted.
        camera: the made camera's intrinsics.
        world: (F, 17, 3) metres, the floor at z = 0. up: (3,) the true vertical in camera axes.
        position: (3,) of the camera, world axes.
    """

    kind: str
    name: str
    take: Take
    camera: Intrinsics
    world: NDArray
    R_world_cam: NDArray
    position: NDArray


def chosen(motion: Motion, words: tuple[str, ...]) -> list[int]:
    """Clips of whom a word is in the subject or the name."""
    out = []
    for c in range(motion.clips):
        name, subject, action = str(motion.name[c]), str(motion.subject[c]), str(motion.action[c])
        if subject in words or any(name == word or name.startswith(f"{word}_") for word in words):
            plain = action.lower().replace(" ", "").replace("_", "")
            if not subject.startswith("S") or any(plain.startswith(word) for word in _ON_FEET):
                out.append(c)
    return out


def seen_clip(
    motion: Motion,
    c: int,
    lifter: Lifter,
    kind: str,
    seed: int,
    source: str = "movenet",
    feet: torch.Tensor | None = None,
    *,
    pitch_deg: float | None = None,
) -> Clip:
    """A clip as a camera drawn by the seed, or of that pitch, sees it, lifted and smoothed.

    Args:
        source: what the 2D is, one of `evaluation.KINDS`.
        feet: (N, 4, 3) recorded heels and balls of the feet relative to the pelvis, row by row those of the motion:
            the 2D stage sees them, too, and errs there as it does in ankles.
    """
    g = torch.Generator().manual_seed(seed)
    rng = np.random.default_rng(seed)
    fps = float(motion.fps[c])
    rate = fps if fps >= 24 else 2 * fps
    frames = int(min(_LONGEST_S, (int(motion.length[c]) - 1) / fps) * rate)
    first = max(0.0, (int(motion.length[c]) - 1 - frames / rate * fps) * 0.3)
    joints, root = motion.at(torch.tensor([c]), (first + torch.arange(frames) * fps / rate)[None])
    world = joints[0] + root[0][:, None]
    drawn, roll, yaw = rng.uniform(-3, 18), rng.normal(0, 2), rng.uniform(0, 360)
    pitch = drawn if pitch_deg is None else pitch_deg
    turn = torch.tensor(
        [
            [np.cos(np.radians(yaw)), -np.sin(np.radians(yaw)), 0],
            [np.sin(np.radians(yaw)), np.cos(np.radians(yaw)), 0],
            [0, 0, 1],
        ],
        dtype=torch.float32,
    )
    world = world @ turn.T
    R = camera_rotation(torch.tensor([np.radians(pitch)]).float(), torch.tensor([np.radians(roll)]).float())[0]
    fov = rng.uniform(45, 70)
    focal = 0.5 * META.width / np.tan(np.radians(fov) / 2)
    # far enough to see all of it
    middle = (world.flatten(0, 1).amax(0) + world.flatten(0, 1).amin(0)) / 2
    for distance in np.arange(2.5, 30, 0.25):
        position = middle - R.T @ torch.tensor([0, 0, float(distance)])
        cam = (world - position) @ R.T
        xy = cam[..., :2] / cam[..., 2:] * focal + torch.tensor([META.width / 2, META.height / 2])
        inside = (xy > 20).all() and (xy < torch.tensor([META.width - 20, META.height - 20])).all()
        if cam[..., 2].min() > 1 and inside:
            break
    points = (coco_points(world) - position) @ R.T
    noise, time = KIND_NOISE[source](1, None), (torch.arange(frames) * (60 / rate))[None]

    def pixels(cam: torch.Tensor) -> torch.Tensor:
        return cam[..., :2] / cam[..., 2:] * focal + torch.tensor([META.width / 2, META.height / 2])

    def found(xy: torch.Tensor) -> torch.Tensor:
        box = (xy[..., 1].amax(1) - xy[..., 1].amin(1)).median().clamp(min=1)[None]
        outside, behind = torch.zeros(1, frames, 17, dtype=torch.bool), hidden(cam[None], points[None])
        seen = detect(xy[None], time, box, outside, noise, g, behind)[0]
        if source in ("true", "coco"):  # `detect` varies scores even where it moves nothing
            seen[..., 2] = (seen[..., 2] > 0).to(seen)
        return seen

    xyc, ends = found(pixels(points)).numpy(), np.zeros((frames, 4, 3), np.float32)
    if feet is not None:
        row = int(motion.start[c]) + (first + torch.arange(frames) * fps / rate).round().long()
        heel_ball = ((feet[row] + motion.root[row][:, None]) @ turn.T - position) @ R.T
        for k, point in enumerate(FOOT):
            heel, ball = heel_ball[:, k - k % 2], heel_ball[:, k - k % 2 + 1]
            with_it = points.clone()
            with_it[:, COCO.LEFT_ANKLE] = heel + TIP * (ball - heel) if point.name.endswith("TOE") else heel
            ends[:, k] = found(pixels(with_it))[:, COCO.LEFT_ANKLE].numpy()
    meta = VideoMeta(META.width, META.height, Fraction(rate).limit_denominator(1000), frames)
    take = Take(meta, lifter.name)
    take.times_s = [Fraction(f) / meta.fps for f in range(frames)]
    for f, (person, foot) in enumerate(zip(xyc, ends, strict=True)):
        there = person[:, 2] > 0
        people = []
        if there.any():
            box_px = np.concatenate([person[there, :2].min(0), person[there, :2].max(0)]).astype(np.float32)
            shown = None if feet is None else foot
            people.append(Person2D(1, box_px, person[:, :2].astype(np.float32), person[:, 2].astype(np.float32), shown))
        take.add_people(f, people)
    if source == "true":
        joints = torch.cat([pixels(cam), torch.ones(frames, 17, 1)], -1).numpy()
        take.wide = lifter.wide or take.wide
        take.add_poses(lift_tracks(lifter, {1: dict(enumerate(joints))}, fps=float(meta.fps)))
    else:
        lift_take(take, lifter, lambda *_: None)
    smooth_take(take)
    name = f"{motion.subject[c]} {motion.name[c]}"
    camera = Intrinsics(focal, focal, META.width / 2, META.height / 2)
    return Clip(kind, name, take, camera, world.numpy(), R.T.numpy(), position.numpy())


def clips(root: Path, which: str, lifter: Lifter) -> Iterator[Clip]:
    """The clips of a set, seen."""
    for kind, (file, words) in SETS[which].items():
        motion = load_motion([root / f"{file}.npz"])
        for n, c in enumerate(chosen(motion, words)):
            yield seen_clip(motion, c, lifter, kind, 1000 * n + 7)


@dataclass(frozen=True)
class Figures:
    """What the table is made of, of one clip; lists have an entry a frame or a flight."""

    up_deg: float
    told_deg: float
    lean_deg: list[tuple[float, float]]
    pose_mm: float
    ahead_cm: list[tuple[float, float]]
    contact: tuple[int, int, int, int]
    slide_mm: list[float]
    off_floor_cm: list[float]
    flight: list[float]
    path: float


def true_contact(ankles: NDArray, times: NDArray) -> NDArray:
    """(F, 2) bool: ankles (F, 2, 3) that truly rest: slower than 0.4 m/s, and as low as they are when they do."""
    speed = np.linalg.norm(np.gradient(ankles, times, axis=0), axis=-1)
    slow = speed < 0.4
    rest = np.quantile(ankles[..., 2][slow], 0.3) if slow.any() else 0.08
    return np.asarray(slow & (ankles[..., 2] < rest + 0.06))


def standing(world: NDArray, times: NDArray) -> NDArray:
    """(F,) bool: legs straight, trunk upright, feet beneath, hardly moving."""

    def unit(v: NDArray) -> NDArray:
        return v / np.linalg.norm(v, axis=-1, keepdims=True).clip(1e-6)

    straight = np.ones(len(world), bool)
    for side in ("LEFT", "RIGHT"):
        hip, knee, ankle = (world[:, H36M[f"{side}_{j}"]] for j in ("HIP", "KNEE", "ANKLE"))
        straight &= (unit(knee - hip) * unit(ankle - knee)).sum(-1) > np.cos(np.radians(25))
    middle = world[:, _ANKLES].mean(1)
    whole = unit(world[:, H36M.HEAD_TOP] - middle)[:, 2] > np.cos(np.radians(6))
    trunk = unit(world[:, H36M.THORAX] - world[:, H36M.PELVIS])[:, 2] > np.cos(np.radians(8))
    slow = np.linalg.norm(np.gradient(world[:, 0], times, axis=0), axis=-1) < 0.4
    return np.asarray(straight & whole & trunk & slow)


def _tilts(world: NDArray) -> NDArray:
    """(F,) degrees: the mean lean of ankles to head and of pelvis to thorax."""
    out = []
    for a, b in ((world[:, _ANKLES].mean(1), world[:, H36M.HEAD_TOP]), (world[:, 0], world[:, H36M.THORAX])):
        axis = b - a
        out.append(np.degrees(np.arctan2(np.linalg.norm(axis[:, :2], axis=1), axis[:, 2])))
    return np.asarray(np.mean(out, 0))


def hits(found: NDArray, true: NDArray) -> tuple[int, int, int, int]:
    """Found and right, found, true and found, true; a frame to either side forgiven."""

    def wide(flags: NDArray) -> NDArray:
        out = flags.copy()
        out[1:] |= flags[:-1]
        out[:-1] |= flags[1:]
        return out

    return int((found & wide(true)).sum()), int(found.sum()), int((true & wide(found)).sum()), int(true.sum())


def _fall(times: NDArray, height: NDArray) -> float:
    """Downward acceleration of heights (n,): of the parabola that fits best."""
    return float(-2 * np.polyfit(times - times.mean(), height, 2)[0])


def flights(world: NDArray, times: NDArray) -> list[tuple[int, int]]:
    """Where nothing touches the floor and the pelvis truly falls freely, within a tenth of g, for 0.2 s or more."""
    lift = world[:, _ANKLES, 2].min(1) - np.quantile(world[:, _ANKLES, 2], 0.1)
    out = []
    for begin, end in runs(lift > 0.10):
        if times[end - 1] - times[begin] >= 0.2 and abs(_fall(times[begin:end], world[begin:end, 0, 2]) / _G - 1) < 0.1:
            out.append((int(begin), int(end)))
    return out


def up_off_deg(clip: Clip, placed: Placement) -> float:
    """Degrees between the found vertical and the true one."""
    return float(np.degrees(np.arccos(np.clip(placed.R_world_cam[2] @ clip.R_world_cam[2], -1, 1))))


def figures(clip: Clip, placed: Placement) -> Figures | None:
    """A clip's figures; None where nobody was placed."""
    if not placed.poses:
        return None
    track = next(iter(placed.poses))
    frames, world = placed.world(track)
    true, times = clip.world[frames], clip.take.seconds(frames)
    still = standing(true, times)
    # the true pose in axes that are level and head where the camera looks, as the found ones do
    level_true = (true - true[:, :1]) @ clip.R_world_cam @ level(clip.R_world_cam[2]).T
    planted = np.stack([placed.planted[track][f] for f in frames])
    held = planted[1:] & planted[:-1]
    ankles = world[:, _ANKLES]
    slide = 1000 * np.linalg.norm(np.diff(ankles[..., :2], axis=0), axis=-1)[held]
    # a sole is on the floor where its ankle is as high as that ankle is on the whole
    off = [
        100 * np.abs(z[on] - np.median(z[on])) for z, on in zip(ankles[..., 2].T, planted.T, strict=True) if on.any()
    ]
    falls = [_fall(times[a:b], world[a:b, 0, 2].astype(float)) / _G for a, b in flights(true, times)]
    path = float("nan")
    length = np.linalg.norm(np.diff(true[::5, 0, :2], axis=0), axis=1).sum()
    if length > 2:
        a, b = world[:, 0] - world[:, 0].mean(0), true[:, 0] - true[:, 0].mean(0)
        u, _, vt = np.linalg.svd(a[:, :2].T @ b[:, :2])
        turn = u @ np.diag([1, np.sign(np.linalg.det(u @ vt))]) @ vt
        path = 100 * float(np.linalg.norm(a[:, :2] @ turn - b[:, :2], axis=1).mean()) / length
    return Figures(
        up_deg=up_off_deg(clip, placed),
        told_deg=placed.shots[0].sd_deg,
        lean_deg=list(zip(_tilts(world)[still].tolist(), _tilts(true)[still].tolist(), strict=True)),
        pose_mm=1000 * float(np.linalg.norm(world - world[:, :1] - level_true, axis=-1)[:, 1:].mean()),
        ahead_cm=list(zip(ahead_cm(world)[still].tolist(), ahead_cm(true)[still].tolist(), strict=True)),
        contact=hits(planted, true_contact(true[:, _ANKLES], times)),
        slide_mm=slide.tolist(),
        off_floor_cm=[v for foot in off for v in foot.tolist()],
        flight=falls,
        path=path,
    )


def row(kind: str, all_figures: list[Figures]) -> str:
    """A line of the table."""

    def joined(name: str) -> NDArray:
        return np.array([v for f in all_figures for v in getattr(f, name)])

    def share(flags: NDArray) -> str:
        return f"{flags.mean():.0%}" if len(flags) else "–"

    def mean(values: NDArray, form: str = ".1f") -> str:
        values = values[np.isfinite(values)]
        return f"{values.mean():{form}}" if len(values) else "–"

    right, found, back, true = np.sum([f.contact for f in all_figures], 0)
    slide, fall, ahead = joined("slide_mm"), joined("flight"), joined("ahead_cm").reshape(-1, 2)
    lean = joined("lean_deg").reshape(-1, 2)
    up, told = np.array([f.up_deg for f in all_figures]), np.array([f.told_deg for f in all_figures])
    cells = [
        f"{kind:26}",
        f"{len(all_figures):3} clips",
        f"up {mean(up)} (worst {up.max():.1f}, told {mean(told)})",
        f"lean {mean(lean[:, 0])} true {mean(lean[:, 1])}",
        f"pose {mean(np.array([f.pose_mm for f in all_figures]), '.0f')}",
        f"ahead {mean(ahead[:, 0])} true {mean(ahead[:, 1])}",
        f"contact {right / max(found, 1):.0%} {back / max(true, 1):.0%}",
        f"slide {np.median(slide):.2f} {np.quantile(slide, 0.95):.2f} {share(slide <= 2)}" if len(slide) else "slide –",
        f"on {share(joined('off_floor_cm') < 1)}",
        f"flight {np.median(fall):.2f} {share(np.abs(fall - 1) < 0.2)} of {len(fall)}" if len(fall) else "flight –",
        f"path {mean(np.array([f.path for f in all_figures]))}",
    ]
    return " | ".join(cells)


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="folder of motion files")
    parser.add_argument("--set", choices=list(SETS), default="held out", help="which clips")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--as-they-came", action="store_true", help="without holding planted feet")
    args = parser.parse_args()
    torch.set_num_threads(1)
    kinds: dict[str, list[Figures]] = {kind: [] for kind in SETS[args.set]}
    for clip in clips(args.data_root, args.set, Lifter.load(args.lifter)):
        placed = place(clip.take, 60, intrinsics=clip.camera, steady_feet=not args.as_they_came)
        if (of := figures(clip, placed)) is not None:
            kinds[clip.kind].append(of)
    for kind, some in kinds.items():
        if some:
            print(row(kind, some), flush=True)


if __name__ == "__main__":
    main()
