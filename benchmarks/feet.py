"""Feet against motion capture that has them: how far heels and toes are off, and how the feet point.

    python benchmarks/feet.py --data ../shared/data/mocap          # the table
    python benchmarks/feet.py --data ../shared/data/mocap --fit    # the constants of app/motion/feet.py
    python benchmarks/feet.py --data ../shared/data/mocap --lifted # the table of poses that were lifted

The constants are fitted on Human3.6M's S1, S5, S6 and S7, on CMU's and the adults' marker data; the table is of people
who are not among them: Human3.6M's S8 and Bandai's actors. Joints are the recorded ones, so it is the feet alone that
err; "with 2D" shows heel and toe tip to a simulated camera at chest height, 4 m away, with 2 px of noise at 1000 px.
Bandai's skeleton has feet of 14 cm, 9 before the ankle: "own size" is the toe's error with feet as long as recorded.
--lifted shows S8's standing and walking clips to benchmarks/footing.py's made cameras with a detector's noise, lifts
and places them as offline runs do, and compares in axes that are level and head the same way: the toe about its own
ankle, and about the pelvis, with all the lifter's error in it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion import feet as model
from sasmamba.app.motion.footing import Body, planted_feet
from sasmamba.models.skeletons import H36M

FIT = (("h36m_train", "h36m_train_feet", 2), ("cmu_more", "cmu_more", 1), ("adults", "adults", 1))
HELD_OUT = {"Human3.6M S8": ("h36m_train", "h36m_train_feet", 1), "Bandai": ("bandai", "bandai_feet", 2)}
RATE = 30
_ANKLES = [H36M.LEFT_ANKLE, H36M.RIGHT_ANKLE]


def clips(data: Path, name: str, feet: str, every: int, held_out: bool) -> Iterator[tuple[NDArray, NDArray, NDArray]]:
    """Seconds (F,), joints (F, 17, 3) and heels and toes (F, 4, 3), world metres, of every so many clips."""
    motion = np.load(data / f"{name}.npz")
    joints, root, known = motion["joints"], motion["root"], np.load(data / f"{feet}.npz")["feet"]
    ends = np.append(motion["clip_start"][1:], len(root))
    wanted = (motion["clip_subject"] == "S8") == held_out if name == "h36m_train" else np.ones(len(ends), bool)
    for i in np.flatnonzero(wanted)[::every]:
        at = slice(motion["clip_start"][i], ends[i], max(1, round(float(motion["clip_fps"][i]) / RATE)))
        time = np.arange(at.start, at.stop, at.step) / float(motion["clip_fps"][i])
        yield time, joints[at] / 1e4 + root[at, None], known[at] / 1e4 + root[at, None]


def at_rest(time: NDArray, joints: NDArray) -> NDArray:
    return planted_feet(Body(time, joints - joints[:, :1], joints[:, 0]))


def shown(joints: NDArray, feet: NDArray, rng: np.random.Generator) -> NDArray:
    """Directions (F, 2, 3) as a camera sees them from 4 m, at 1 m height, that looks along +y."""
    eye = np.array([0, -4.0, 1.0])
    axes = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], float)
    ends = feet.reshape(-1, 2, 2, 3).copy()
    ends -= joints[:, None, None, 0] * [1, 1, 0]
    tip = ends[:, :, 0] + model.TIP * (ends[:, :, 1] - ends[:, :, 0])
    seen = np.stack([ends[:, :, 0], tip], 2) - eye
    cam = seen @ axes.T
    rays = cam[..., :2] / cam[..., 2:] + rng.normal(0, 2 / 1000, (*cam.shape[:-1], 2))
    shank = np.linalg.norm(joints[:, _ANKLES] - joints[:, [H36M.LEFT_KNEE, H36M.RIGHT_KNEE]], axis=-1)
    length = model.TIP * (model.TOE + model.HEEL) * shank
    across = (rays[:, :, 1] - rays[:, :, 0]) * 4.0 / length[..., None]
    prior = model.by_leg(joints) @ axes.T
    return model.combined(prior, across, rays.mean(2)) @ axes


def report(data: Path) -> None:
    print(
        "Who            feet      planted  toe cm: median  mean  90 %  own size  heel: median  direction: median  90 %"
    )
    for who, (name, feet, every) in HELD_OUT.items():
        for how in ("by leg", "with 2D"):
            rng, toe, size, heel, angle, rest = np.random.default_rng(8), [], [], [], [], []
            for time, joints, truth in clips(data, name, feet, every, True):
                planted = at_rest(time, joints)
                seen = shown(joints, truth, rng) if how == "with 2D" else None
                flags = None if seen is None else np.ones(planted.shape, bool)
                found = model.foot_points(time, joints, planted, seen, flags)
                off = np.linalg.norm(found - truth, axis=-1).reshape(-1, 2, 2)
                a, b = (np.diff(x.reshape(-1, 2, 2, 3), axis=2)[:, :, 0] for x in (found, truth))
                a, b = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b))
                cosine, ankles = (a * b).sum(-1), joints[:, _ANKLES]
                ahead = [((x[:, 1::2] - ankles) * y).sum(-1) for x, y in ((found, a), (truth, b))]
                longer = (np.median(ahead[1]) - np.median(ahead[0])) * a
                size.append(np.linalg.norm(found[:, 1::2] + longer - truth[:, 1::2], axis=-1))
                heel.append(off[..., 0]), toe.append(off[..., 1]), rest.append(planted)
                angle.append(np.degrees(np.arccos(cosine.clip(-1, 1))))
            planted = np.concatenate(rest)
            for what, where in (("yes", planted), ("no", ~planted)):
                t, s, h, a = (np.concatenate(x)[where] for x in (toe, size, heel, angle))
                print(
                    f"{who:14} {how:9} {what:7} {100 * np.median(t):14.1f} {100 * t.mean():6.1f} "
                    f"{100 * np.quantile(t, 0.9):5.1f} {100 * np.median(s):9.1f} {100 * np.median(h):13.1f} "
                    f"{np.median(a):17.1f}° {np.quantile(a, 0.9):4.0f}°"
                )


def lifted(data: Path) -> None:
    """Prints the figures of every third clip of S8, from poses that were lifted and placed."""
    import torch
    from footing import SETS, chosen, seen_clip

    from sasmamba.app.lifting.lifter import Lifter
    from sasmamba.app.motion.axes import level
    from sasmamba.app.motion.placing import place
    from sasmamba.app.weights.lifters import DEFAULT_LIFTER
    from sasmamba.training.motion import load_motion

    lifter = Lifter.load(DEFAULT_LIFTER, torch.device("cpu"), True, refine=True)
    motion, known = load_motion([data / "h36m_train.npz"]), np.load(data / "h36m_train_feet.npz")
    starts, raw = known["clip_start"], np.load(data / "h36m_train.npz")
    names = raw["clip_name"].tolist()
    by_ankle, by_pelvis, angle = [], [], []
    for c in chosen(motion, SETS["held out"]["S8, standing and walking"][1])[::3]:
        clip = seen_clip(motion, c, lifter, "", 7)
        placed = place(clip.take, 60, intrinsics=clip.camera)
        begin = starts[names.index(str(motion.name[c]))]
        first = begin + _nearest_first(clip.world, raw, begin, int(motion.length[c]))
        at = slice(first, first + len(clip.world))
        joints = raw["joints"][at] / 1e4
        feet = known["feet"][at] / 1e4
        ((i, found),) = model.find_feet(clip.take, placed).items()
        frames, world = placed.world(i)
        # the recorded clip to the made camera's world, and that to axes that are level and head as the found ones do
        turn = np.linalg.lstsq(joints.reshape(-1, 3), (clip.world - clip.world[:, :1]).reshape(-1, 3), rcond=None)[0]
        to_level = turn @ clip.R_world_cam @ level(clip.R_world_cam[2]).T
        truth, true_joints = feet[frames] @ to_level, joints[frames] @ to_level
        mine, my_joints = found.points - world[:, :1], world - world[:, :1]
        on = at_rest(clip.take.seconds(frames), clip.world[frames])
        own = (mine[:, 1::2] - my_joints[:, _ANKLES]) - (truth[:, 1::2] - true_joints[:, _ANKLES])
        by_ankle.append(np.linalg.norm(own, axis=-1)[on])
        by_pelvis.append(np.linalg.norm(mine[:, 1::2] - truth[:, 1::2], axis=-1)[on])
        a, b = (np.diff(x.reshape(-1, 2, 2, 3), axis=2)[:, :, 0] for x in (mine, truth))
        cosine = (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)
        angle.append(np.degrees(np.arccos(cosine.clip(-1, 1)))[on])
    ankle, pelvis, off = (np.concatenate(x) for x in (by_ankle, by_pelvis, angle))
    print(
        f"S8, lifted, {len(off)} planted feet of {len(angle)} clips: "
        f"toe about its ankle {100 * np.median(ankle):.1f} cm, "
        f"about the pelvis {100 * np.median(pelvis):.1f} cm, direction {np.median(off):.1f}° (medians)"
    )


def _nearest_first(world: NDArray, raw: Any, begin: int, length: int) -> int:
    """The frame of a recorded clip that a part of it begins with: the one whose pose is the same but for a turn."""
    want = np.linalg.norm(world[0] - world[0, :1], axis=-1), (world[0] - world[0, :1])[:, 2]
    joints = raw["joints"][begin : begin + length] / 1e4
    off = np.abs(np.linalg.norm(joints, axis=-1) - want[0]).sum(1) + np.abs(joints[..., 2] - want[1]).sum(1)
    return int(off.argmin())


def fit(data: Path) -> None:
    """Prints the constants: mean direction in the axes of the shank, median lengths in shanks."""
    direction, ahead, behind = [], [], []
    for name, feet, every in FIT:
        for time, joints, truth in clips(data, name, feet, every, False):
            planted = at_rest(time, joints)
            ends = truth.reshape(-1, 2, 2, 3)
            along = ends[:, :, 1] - ends[:, :, 0]
            along /= np.linalg.norm(along, axis=-1, keepdims=True)
            direction.append(np.einsum("fkij,fkj->fki", model.leg_axes(joints), along)[planted])
            if name == "h36m_train":  # the lifter speaks of Human3.6M's joints
                shank = np.linalg.norm(joints[:, _ANKLES] - joints[:, [H36M.LEFT_KNEE, H36M.RIGHT_KNEE]], axis=-1)
                ankle = joints[:, _ANKLES]
                ahead.append((((ends[:, :, 1] - ankle) * along).sum(-1) / shank)[planted])
                behind.append((((ankle - ends[:, :, 0]) * along).sum(-1) / shank)[planted])
    d = np.concatenate(direction)
    mean = d.mean(0) / np.linalg.norm(d.mean(0))
    off = np.degrees(np.arccos((d @ mean).clip(-1, 1)))
    print(f"TOE, HEEL = {np.median(np.concatenate(ahead)):.3f}, {np.median(np.concatenate(behind)):.3f}")
    print(f"_DIRECTION = ({', '.join(f'{x:.3f}' for x in mean)})  # median {np.median(off):.1f}° off where fitted")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of motion capture files with feet")
    parser.add_argument("--fit", action="store_true", help="print the model's constants")
    parser.add_argument("--lifted", action="store_true", help="measure feet of lifted poses")
    arguments = parser.parse_args()
    (fit if arguments.fit else lifted if arguments.lifted else report)(arguments.data)


if __name__ == "__main__":
    main()
