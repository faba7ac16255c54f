"""People of whom the picture shows a part: `python benchmarks/half_seen.py --data h36m_train.npz [--subject S8]`.

Each motion of a subject is seen by the made camera of benchmarks/footing.py through MoveNet's noise,
then again as if ankles, legs, legs and hips, or the left side were never found: behind a desk, a lectern, in front of a
webcam, half out of the picture. A row for each:

    up       degrees between the found vertical and the true one, mean and worst of the clips; told: as it is stated
    trunk    degrees by which the trunk leans from the true vertical, found (by the found vertical) and true
    head     mm, mean error of head, shoulders, elbows and wrists about the base of the neck, camera axes
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import footing
import numpy as np
import torch
from numpy.typing import NDArray

from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.motion.axes import from_facing
from sasmamba.app.motion.placing import place
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.skeletons import COCO, H36M
from sasmamba.training.motion import load_motion

_LEGS = [j for j in COCO if j.name.endswith(("KNEE", "ANKLE"))]
_HIDDEN: dict[str, list[COCO]] = {
    "nothing": [],
    "ankles": [COCO.LEFT_ANKLE, COCO.RIGHT_ANKLE],
    "legs": _LEGS,
    "legs, hips": [COCO.LEFT_HIP, COCO.RIGHT_HIP, *_LEGS],
    "left side": [j for j in COCO if j.name.startswith("LEFT")],
}
_ABOVE = [j for j in H36M if j >= H36M.THORAX]


def without(take: Take, joints: list[COCO], lifter: Lifter) -> Take:
    """A take as if joints had never been found, lifted and smoothed."""
    out = Take(take.meta, take.model, times_s=take.times_s)

    def seen(person: Person2D) -> Person2D:
        score = person.score.copy()
        score[joints] = 0
        return replace(person, score=score)

    for frame in range(len(take.times_s)):
        people = [seen(person) for person in take.people_at(frame)]
        out.add_people(frame, [person for person in people if (person.score > 0).any()])
    lift_take(out, lifter, lambda *_: None)
    smooth_take(out)
    return out


def _lean_deg(world: NDArray) -> float:
    """Median angle of the trunk (F, 17, 3) to the vertical."""
    trunk = world[:, H36M.THORAX] - world[:, H36M.PELVIS]
    return float(np.degrees(np.median(np.arccos(trunk[:, 2] / np.linalg.norm(trunk, axis=1)))))


def figures(clip: footing.Clip) -> list[float]:
    """up, told, trunk found and true (degrees), head (mm)."""
    placed = place(clip.take, 60.0, intrinsics=clip.camera)
    track = next(iter(placed.poses))
    frames, world = placed.world(track)
    true = clip.world[frames]
    cam = (true - clip.position) @ clip.R_world_cam
    lifted = np.stack([clip.take.tracks[track].poses[f].joints for f in frames])
    found = from_facing(lifted, cam[:, 0])
    off = (found - found[:, [H36M.THORAX]]) - (cam - cam[:, [H36M.THORAX]])
    return [
        footing.up_off_deg(clip, placed),
        placed.shots[0].sd_deg,
        _lean_deg(world),
        _lean_deg(true),
        1000 * float(np.linalg.norm(off[:, _ABOVE], axis=-1).mean()),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--subject", default="S8")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lifter = Lifter.load(DEFAULT_LIFTER, torch.device("cpu"), True)
    motion = load_motion([args.data])
    rows: dict[str, list[list[float]]] = {name: [] for name in _HIDDEN}
    for c in range(motion.clips):
        if str(motion.subject[c]) == args.subject:
            clip = footing.seen_clip(motion, c, lifter, "", 1000 * c + 7)
            for name, joints in _HIDDEN.items():
                rows[name].append(figures(replace(clip, take=without(clip.take, joints, lifter))))
    print("| never found | clips | up off, °: mean (worst) | told | trunk leans, ° (true) | head and arms, mm |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, of in rows.items():
        up, told, lean, true, head = np.mean(of, 0)
        worst = max(row[0] for row in of)
        print(
            f"| {name} | {len(of)} | {up:.1f} ({worst:.1f}) | ±{told:.1f} | {lean:.1f} ({true:.1f}) | {head:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
