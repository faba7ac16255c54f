"""People of different sizes on one floor, against the truth: `python benchmarks/one_floor.py --data-root DATA`.

Made scenes: three to five people of motion capture, each scaled to a stature of their own, stand and walk about on one
plane before one camera, 1 to 6 m above it, that looks down by 0 to 30°, field of view 45 to 70°. They are seen through
MoveNet's noise, lifted, smoothed and placed as offline runs do; the focal length is told, nothing else. Each kind of
scene is placed twice, with everybody as large as the lifter makes them and with sizes told by the floor:

    size     per cent, mean error of statures, and share within 10 %; on: of those who stand on the floor alone
    away     per cent of their distance from the camera, mean error of people's places relative to the camera
    apart    metres, mean error of the distances between people
    floor    cm, of planted feet above or below what they truly stand on: median, and 95th percentile
    levels   of those who stand on something else: share whose floor of their own is found within 25 cm of the truth, or
             a fifth; of those who step up there, whose step is
    told     findings of floating or sinking, a scene
    up       degrees, mean error of the vertical

Thresholds were chosen on `--set tune` (S1 and S6, other seeds).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from footing import META, SETS, chosen, true_contact
from numpy.typing import NDArray

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.motion.axes import level
from sasmamba.app.motion.bones import stature_of
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.footing import ANKLE_HEIGHT_M, ANKLES
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.motion.self_checks import self_checks
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D, VideoMeta
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.training.cameras import camera_rotation
from sasmamba.training.motion import Motion, load_motion
from sasmamba.training.noise import detect, measured_movenet
from sasmamba.training.occlusion import hidden
from sasmamba.training.simulate import coco_points

FPS, SECONDS = 25, 4.0
#: Kinds of scenes: what statures are drawn from, how high what the last one stands on is, and when they step up there,
#: as a share of the scene.
KINDS: dict[str, tuple[str, tuple[float, float], float]] = {
    "adults": ("adults", (0, 0), 0),
    "adults and a child": ("child", (0, 0), 0),
    "1.0 to 2.0 m": ("any", (0, 0), 0),
    "one on a box": ("adults", (0.4, 0.8), 0),
    "one on a roof": ("adults", (2.5, 4.0), 0),
    "one steps on a box": ("adults", (0.4, 0.8), 0.5),
    "one soon steps on a box": ("adults", (0.4, 0.8), 0.25),
}
#: Stepping up takes so long.
_STEP_UP_S = 0.5
#: People are placed so far from the camera.
_NEAREST_M, _FARTHEST_M = 3.0, 20.0


@dataclass(frozen=True)
class Scene:
    """A made scene and its truth.

    Attributes:
        take: seen and lifted; track ids are 1 and so on.
        camera: its intrinsics.
        up: (3,) the true vertical in camera axes.
        cam: track id to (F, 17, 3) true joints in camera axes.
        world: track id to (F, 17, 3) true joints, the floor at z = 0.
        levels: track id to the height of what they stand on (F,).
    """

    take: Take
    camera: Intrinsics
    up: NDArray
    cam: dict[int, NDArray]
    world: dict[int, NDArray]
    levels: dict[int, NDArray]


def statures(how: str, count: int, rng: np.random.Generator) -> list[float]:
    """Metres, one for each person."""
    if how == "any":
        return rng.uniform(1.0, 2.0, count).tolist()
    grown = [rng.normal(1.63 if rng.random() < 0.5 else 1.76, 0.07) for _ in range(count)]
    return [*grown[1:], rng.uniform(1.0, 1.45)] if how == "child" else grown


def made_scene(motion: Motion, clips: list[int], kind: str, lifter: Lifter, seed: int) -> Scene:
    """A scene drawn by the seed."""
    rng, g = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    how, (low, high), when = KINDS[kind]
    frames = round(SECONDS * FPS)
    x = ((np.arange(frames) / FPS - when * SECONDS) / _STEP_UP_S).clip(0, 1) if when else np.ones(frames)
    up = x * x * (3 - 2 * x)
    sizes = statures(how, int(rng.integers(3, 6)), rng)
    while True:
        height, pitch, roll = rng.uniform(1, 6), np.radians(rng.uniform(0, 30)), np.radians(rng.normal(0, 1.5))
        focal = 0.5 * META.width / np.tan(np.radians(rng.uniform(45, 70)) / 2)
        R = camera_rotation(torch.tensor([pitch]).float(), torch.tensor([roll]).float())[0].numpy()
        tops = [0.0] * (len(sizes) - 1) + [float(rng.uniform(low, high))]
        people = [
            _somewhere(motion, clips, size, top * up, height, R, focal, rng)
            for size, top in zip(sizes, tops, strict=True)
        ]
        if all(person is not None for person in people):
            break
    take = Take(VideoMeta(META.width, META.height, Fraction(FPS), frames), lifter.name)
    take.times_s = [Fraction(f, FPS) for f in range(frames)]
    seen: list[list[Person2D]] = [[] for _ in range(frames)]
    worlds, cams = {}, {}
    for i, world in enumerate(people, 1):
        assert world is not None
        worlds[i] = world
        cams[i] = (world - [0, 0, height]) @ R.T
        for f, person in enumerate(_detected(cams[i], focal, i, g)):
            if person is not None:
                seen[f].append(person)
    for f, here in enumerate(seen):
        take.add_people(f, here)
    lift_take(take, lifter, lambda *_: None)
    smooth_take(take)
    camera = Intrinsics(focal, focal, META.width / 2, META.height / 2)
    return Scene(take, camera, R[:, 2], cams, worlds, {i: top * up for i, top in enumerate(tops, 1)})


def _pixels(cam: NDArray, focal: float) -> NDArray:
    return cam[..., :2] / cam[..., 2:] * focal + [META.width / 2, META.height / 2]


def _somewhere(
    motion: Motion,
    clips: list[int],
    size: float,
    top: NDArray,
    height: float,
    R: NDArray,
    focal: float,
    rng: np.random.Generator,
) -> NDArray | None:
    """(F, 17, 3) somebody of that size on something so high (F,), all in the picture; None if no try is."""
    for _ in range(40):
        c, turn = int(rng.choice(clips)), rng.uniform(0, 2 * np.pi)
        step = float(motion.fps[c]) / FPS
        begin = rng.uniform(0, max(0.0, int(motion.length[c]) - 1 - SECONDS * FPS * step))
        at = torch.tensor(begin + np.arange(round(SECONDS * FPS)) * step).float()[None]
        joints, root = (x[0].numpy() for x in motion.at(torch.tensor([c]), at))
        world = joints + root[:, None]
        world = world * (size / stature_of(joints))
        c_, s_ = np.cos(turn), np.sin(turn)
        world = world @ np.array([[c_, s_, 0], [-s_, c_, 0], [0, 0, 1]])
        away, across = rng.uniform(_NEAREST_M, _FARTHEST_M), rng.uniform(-0.6, 0.6)
        world = world - [*world[:, 0, :2].mean(0), 0] + [across * away, away, 0] + top[:, None, None] * [0, 0, 1]
        cam = (world - [0, 0, height]) @ R.T
        xy = _pixels(cam, focal)
        inside = cam[..., 2].min() > 1 and (xy > 10).all() and (xy < [META.width - 10, META.height - 10]).all()
        if inside and np.ptp(xy[..., 1], axis=1).min() > 60:
            return np.asarray(world)
    return None


def _detected(cam: NDArray, focal: float, track_id: int, g: torch.Generator) -> Iterator[Person2D | None]:
    """Somebody at (F, 17, 3), camera axes, as MoveNet finds them."""
    points = coco_points(torch.tensor(cam).float())
    xy = torch.tensor(_pixels(points.numpy(), focal)).float()
    box = (xy[..., 1].amax(1) - xy[..., 1].amin(1)).median().clamp(min=1)[None]
    time = (torch.arange(len(cam)) * (60 / FPS))[None]
    nobody = torch.zeros(1, len(cam), 17, dtype=torch.bool)
    out_of_sight = hidden(torch.tensor(cam).float()[None], points[None])
    for person in detect(xy[None], time, box, nobody, measured_movenet(1), g, out_of_sight)[0].numpy():
        found = person[:, 2] > 0
        if not found.any():
            yield None
            continue
        corners = np.concatenate([person[found, :2].min(0), person[found, :2].max(0)]).astype(np.float32)
        yield Person2D(track_id, corners, person[:, :2].astype(np.float32), person[:, 2].astype(np.float32))


@dataclass(frozen=True)
class Errors:
    """What a table's row is made of, of one scene placed one way."""

    size: list[float]
    away: list[float]
    apart: list[float]
    floor_cm: list[float]
    levels: list[bool]
    told: int
    up_deg: float


def errors(scene: Scene, placed: Placement) -> Errors:
    """The errors of a scene."""
    shot, truth = placed.shots[0], level(scene.up)
    up = float(np.degrees(np.arccos(np.clip(placed.R_world_cam[2] @ scene.up, -1, 1))))
    size, away, floor_cm, levels = [], [], [], []
    places: dict[int, tuple[NDArray, NDArray]] = {}
    for i, cam in scene.cam.items():
        if not placed.roots.get(i):
            continue
        frames, world = placed.world(i)
        found, true = world[:, 0] - [0, 0, shot.height_m], cam[frames, 0] @ truth.T
        places[i] = found.mean(0), true.mean(0)
        away.append(100 * float((np.linalg.norm(found - true, axis=1) / np.linalg.norm(true, axis=1)).mean()))
        on = scene.levels[i][frames]
        if not on[0]:
            true_size = stature_of(cam - cam[:, :1])
            size.append(100 * abs(placed.assumptions["people"][str(i)]["height_m"] / true_size - 1))
        ankles = scene.world[i][:, ANKLES] - scene.levels[i][:, None, None] * [0, 0, 1]
        rest = true_contact(ankles, np.arange(len(cam)) / FPS)[frames]
        height = world[:, ANKLES, 2] - ANKLE_HEIGHT_M
        floor_cm += [] if on.any() else (100 * np.abs(height[rest])).tolist()
        if (high := rest & (on == on.max())[:, None]).any() and on.any():
            off = float(np.median(height[high])) - on.max()
            if (low := rest & (on == 0)[:, None]).any():
                off -= float(np.median(height[low]))
            levels.append(abs(off) < max(0.25, 0.2 * on.max()))
    pairs = [(a, b) for a in places for b in places if a < b]
    apart = [
        abs(float(np.linalg.norm(places[a][0] - places[b][0]) - np.linalg.norm(places[a][1] - places[b][1])))
        for a, b in pairs
    ]
    told = sum(finding.kind in ("floating", "sunk") for finding in self_checks(scene.take, placed))
    return Errors(size, away, apart, floor_cm, levels, told, up)


def row(name: str, some: list[Errors]) -> str:
    """A line of the table."""

    def joined(what: str) -> NDArray:
        return np.array([value for one in some for value in getattr(one, what)])

    size, floor, levels = joined("size"), joined("floor_cm"), joined("levels")
    cells = [
        name,
        f"{size.mean():.1f}, {(size < 10).mean():.0%}",
        f"{joined('away').mean():.1f}",
        f"{joined('apart').mean():.2f}",
        f"{np.median(floor):.1f}, {np.quantile(floor, 0.95):.1f}",
        f"{levels.mean():.0%}" if len(levels) else "–",
        f"{np.mean([one.told for one in some]):.2f}",
        f"{np.mean([one.up_deg for one in some]):.1f}",
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="folder of motion files")
    parser.add_argument("--set", choices=list(SETS), default="held out", help="whose motion")
    parser.add_argument("--scenes", type=int, default=12, help="of each kind")
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    args = parser.parse_args()
    torch.set_num_threads(1)
    subjects = tuple(word for file, words in SETS[args.set].values() if file == "h36m_train" for word in words)
    motion, lifter = load_motion([args.data_root / "h36m_train.npz"]), Lifter.load(args.lifter)
    clips = chosen(motion, subjects)
    print(
        "| kind, sizes | size, %; within 10 % | away, % | apart, m | floor, cm: median, 95 % | levels | told | up, ° |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for kind in args.kinds:
        before, after = list[Errors](), list[Errors]()
        for n in range(args.scenes):
            seed = 1000 * n + 10 * list(KINDS).index(kind) + (5 if args.set == "tune" else 0)
            scene = made_scene(motion, clips, kind, lifter, seed)
            before.append(errors(scene, place(scene.take, 60, intrinsics=scene.camera, one_floor=False)))
            after.append(errors(scene, place(scene.take, 60, intrinsics=scene.camera)))
        print(row(f"{kind}, as lifted", before), flush=True)
        print(row(f"{kind}, by the floor", after), flush=True)


if __name__ == "__main__":
    main()
