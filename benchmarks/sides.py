"""How many exchanges of left and right are found and undone, and how many good frames are touched.

Motion capture is seen by cameras about it, a detector's noise is added, and in every clip the legs, the arms or the
whole body are exchanged for 3 to 30 frames. Exchanges whose limbs lie on each other cannot be told from none, and do
not matter: joints count that are apart by 3 % of the person's size.

    python benchmarks/sides.py MOTION.npz ... [--subject S8] [--clips 40] [--fps 30]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.pose2d.sides import GROUPS, decode_sides
from sasmamba.models.skeletons import COCO, COCO_MIRROR, H36M

#: What detectors exchange, as groups of `GROUPS`.
KINDS = {
    "legs with hips": ("hips", "legs"),
    "knees, ankles": ("legs",),
    "arms with shoulders": ("shoulders", "arms"),
    "elbows, wrists": ("arms",),
    "whole body": ("face", "shoulders", "arms", "hips", "legs"),
    "all but the face": ("shoulders", "arms", "hips", "legs"),
}
_APART = 0.03
_GROUP = np.array(
    [next((i for i, p in enumerate(GROUPS.values()) if j.name.rpartition("_")[2] in p), -1) for j in COCO]
)


@dataclass(frozen=True)
class Result:
    """What became of one kind of exchange, in joint-group frames.

    Attributes:
        exchanged: frames exchanged, their limbs apart.
        undone: of these, labelled as before the exchange.
        good: frames not exchanged.
        touched: of these, labelled otherwise, their limbs apart.
    """

    exchanged: int
    undone: int
    good: int
    touched: int


def coco_world(joints: NDArray) -> NDArray:
    """(T, 17, 3) H36M-17 in the world to COCO-17; eyes and ears are placed about the nose by the head's axes."""
    out = np.zeros_like(joints)
    for joint in COCO:
        if joint.name in H36M.__members__:
            out[:, joint] = joints[:, H36M[joint.name]]
    across = joints[:, H36M.LEFT_SHOULDER] - joints[:, H36M.RIGHT_SHOULDER]
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    up = joints[:, H36M.HEAD_TOP] - joints[:, H36M.NOSE]
    forward = np.cross(across, up) / np.linalg.norm(up, axis=-1, keepdims=True)
    for side, sign in (("LEFT", 1.0), ("RIGHT", -1.0)):
        out[:, COCO[f"{side}_EYE"]] = out[:, COCO.NOSE] + 0.3 * up + sign * 0.032 * across
        out[:, COCO[f"{side}_EAR"]] = out[:, COCO.NOSE] + 0.3 * up + sign * 0.07 * across - 0.09 * forward
    return out


def seen(world: NDArray, rng: np.random.Generator, fps: float, noise: float) -> tuple[NDArray, NDArray]:
    """One clip (T, 17, 3) as a detector sees it from a random camera: joints (T, 17, 2) px and scores (T, 17).

    noise 1 is that of a good detector: drift and jitter of 1 % of the person, bursts of outliers in 3 of 10 joints.
    """
    T = len(world)
    middle = world.mean((0, 1))
    azimuth, distance, height = rng.uniform(0, 2 * np.pi), rng.uniform(3.5, 7), rng.uniform(0.6, 2.2)
    position = np.array([*(middle[:2] - distance * np.array([np.cos(azimuth), np.sin(azimuth)])), height])
    forward = (middle - position) / np.linalg.norm(middle - position)
    right = np.cross(forward, [0, 0, 1.0])
    right /= np.linalg.norm(right)
    cam = world - position
    depth = np.maximum(cam @ forward, 0.3)[..., None]
    px = 1000 * np.stack([cam @ right, cam @ np.cross(forward, right)], -1) / depth + (640, 360)
    # the face of somebody who looks away is seen by nobody, and good detectors say so
    across = world[:, COCO.LEFT_SHOULDER] - world[:, COCO.RIGHT_SHOULDER]
    trunk = world[:, [COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER]] - world[:, [COCO.LEFT_HIP, COCO.RIGHT_HIP]]
    looks = np.cross(across, trunk.mean(1))
    away = (looks / np.linalg.norm(looks, axis=-1, keepdims=True)) @ forward > 0.3
    score = np.clip(rng.normal(0.8, 0.1, (T, 17)), 0.05, 1)
    score[away, :3] = np.clip(rng.normal(0.3, 0.15, (int(away.sum()), 3)), 0.05, 1)
    size = float(np.median(np.ptp(px, axis=1).max(-1)))
    keep = np.exp(-12 / fps)
    drift = rng.normal(size=px.shape)
    for t in range(1, T):
        drift[t] = keep * drift[t - 1] + np.sqrt(1 - keep**2) * drift[t]
    px = px + noise * size * (
        0.009 * drift + 0.0035 * rng.normal(size=px.shape) + 0.006 * rng.normal(size=(1, *px.shape[1:]))
    )
    for joint in np.flatnonzero(rng.random(17) < 0.3 * min(noise, 1)):
        start, length = rng.integers(T), rng.integers(3, 15)
        px[start : start + length, joint] += rng.normal(0, 0.1 * size, 2)
        score[start : start + length, joint] = rng.uniform(0.1, 0.6)
    return px.astype(np.float32), score.astype(np.float32)


def exchange(px: NDArray, score: NDArray, groups: tuple[str, ...], start: int, end: int) -> tuple[NDArray, NDArray]:
    """The same clip with some groups' sides exchanged in frames start .. end - 1."""
    order = np.arange(17)
    for joint in np.flatnonzero(np.isin(_GROUP, [list(GROUPS).index(g) for g in groups])):
        order[joint] = COCO_MIRROR[joint]
    px, score = px.copy(), score.copy()
    px[start:end], score[start:end] = px[start:end, order], score[start:end, order]
    return px, score


def measure(clips: list[NDArray], fps: float, noise: float, seed: int) -> dict[str, Result]:
    """Each clip (T, 17, 3) H36M-17 metres once untouched ("none") and once with every kind of exchange."""
    rng = np.random.default_rng(seed)
    counts = {kind: np.zeros(4, int) for kind in ("none", *KINDS)}
    for clip in clips:
        px, score = seen(coco_world(clip), rng, fps, noise)
        T, times = len(px), np.arange(len(px)) / fps
        size = np.median(np.ptp(px, axis=1).max(-1))
        apart = np.linalg.norm(px - px[:, list(COCO_MIRROR)], axis=-1) > _APART * size
        matters = np.stack([apart[:, g == _GROUP].any(1) for g in range(len(GROUPS))], 1)
        for kind, groups in (("none", ()), *KINDS.items()):
            length = int(rng.integers(3, 31)) if groups else 0
            start = int(rng.integers(2, T - length - 2))
            truth = np.zeros((T, len(GROUPS)), bool)
            truth[start : start + length] = [name in groups for name in GROUPS]
            got = decode_sides(*exchange(px, score, groups, start, start + length), times)
            wrong, inside = ((got != truth) & matters).any(1), truth.any(1)
            there = (truth & matters).any(1)
            counts[kind] += (there.sum(), (there & ~wrong).sum(), (~inside).sum(), (wrong & ~inside).sum())
    return {kind: Result(*map(int, row)) for kind, row in counts.items()}


def _clips(
    path: Path, subjects: list[str], count: int, seconds: float, fps: float, rng: np.random.Generator
) -> list[NDArray]:
    with np.load(path, allow_pickle=False) as file:
        z = {k: file[k] for k in ("joints", "root", "clip_start", "clip_fps", "clip_subject")}
    ends = np.append(z["clip_start"][1:], len(z["root"]))
    lasts = (ends - z["clip_start"] - 1) / z["clip_fps"]
    able = np.flatnonzero((lasts > 2) & (np.isin(z["clip_subject"], subjects) if subjects else True))
    out = []
    for i in rng.permutation(able)[:count]:
        world = z["joints"][z["clip_start"][i] : ends[i]] / 1e4 + z["root"][z["clip_start"][i] : ends[i], None]
        lasting = min(seconds, float(lasts[i]))
        at = (rng.uniform(0, lasts[i] - lasting) + np.arange(int(lasting * fps)) / fps) * z["clip_fps"][i]
        below = np.minimum(at.astype(int), len(world) - 2)
        part = (at - below)[:, None, None]
        out.append((1 - part) * world[below] + part * world[below + 1])
    return out


def main() -> None:
    """Prints a table for clean and for noisy 2D."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("motion", nargs="+", type=Path)
    parser.add_argument("--subject", action="append", default=[], help="only these (may be given more than once)")
    parser.add_argument("--clips", type=int, default=40, help="of each file")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each clip, at most")
    parser.add_argument("--fps", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    rng = np.random.default_rng(args.seed)
    clips = [c for path in args.motion for c in _clips(path, args.subject, args.clips, args.seconds, args.fps, rng)]
    print(f"{len(clips)} clips, {args.fps:g} frames per second, seed {args.seed}")
    for name, noise in (("clean", 0.0), ("noisy", 1.0)):
        results = measure(clips, args.fps, noise, args.seed)
        for kind, r in results.items():
            undone = f"{100 * r.undone / r.exchanged:6.2f} % of {r.exchanged} undone" if r.exchanged else " " * 24
            print(f"{name}  {kind:20s} {undone}   good frames touched {100 * r.touched / r.good:.3f} %")
        kinds = [r for kind, r in results.items() if kind != "none"]
        share = sum(r.undone for r in kinds) / sum(r.exchanged for r in kinds)
        print(f"{name}  {'all kinds':20s} {100 * share:6.2f} % undone")


if __name__ == "__main__":
    main()
