"""In how many per cent of frames the intervals of heels and toes hold the truth, by what the 2D is.

    python benchmarks/foot_bands.py --data-root ../shared/data/mocap            # held out: what is reported
    python benchmarks/foot_bands.py --data-root ../shared/data/mocap --take 1   # what certainty.FOOT_SHARE was set on

Reported are the second takes of Human3.6M's S8, whom no lifter was trained on: eight seconds of each action, seen by a
made camera of its own (benchmarks/footing.py). Of the sources of 2D "noisy", MediaPipe's noise, shows heels
and toes, "movenet" does not. Places are relative to the pelvis, in the camera's axes, as the intervals are; 68 % and
95 % are sought. Beside them stand the ankles, whose intervals those of the feet are made of.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from pathlib import Path

import numpy as np
from angle_bands import clips
from measures import _yaw, placed, windows
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import motions
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.certainty import FOOT_ANKLES
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import FOOT

_POINTS = {"ankle": FOOT_ANKLES[::2], "heel": [17 + FOOT.LEFT_HEEL, 17 + FOOT.RIGHT_HEEL]}
_POINTS["toe"] = [point + 1 for point in _POINTS["heel"]]
_WAYS = ("across", "along")


def held(root: Path, take: int, lifter: Lifter, source: str) -> dict[tuple[str, str], NDArray]:
    """Of each point and way, across or along the line of sight: error, 68 % and 95 % half-width (N, 3), metres."""
    out = defaultdict(list)
    some = [(file, name, starts[:1]) for file, name, starts in clips(root, take)]
    for recorded in windows(root, some, lifter, source):
        clip = recorded.clip
        placement = placed(recorded)
        for who in motions(clip.take, placement):
            frames = np.searchsorted(recorded.time, who.times_s - 1e-6)
            world = clip.world[frames]
            true = np.concatenate([world, recorded.feet[frames] @ _yaw(recorded).T], 1)
            # both in the camera's axes, in which which way is up plays no part
            off = (who.points - who.points[:, :1]) @ placement.R_world_cam - (true - true[:, :1]) @ clip.R_world_cam
            sight = who.sight @ placement.R_world_cam
            aside = unit(np.cross(sight, np.eye(3)[np.abs(np.nan_to_num(sight)).argmin(-1)]))
            for name, points in _POINTS.items():
                for axis, way in ((aside, 0), (np.cross(sight, aside), 0), (sight, 1)):
                    error = np.abs((off[:, points] * axis[:, None]).sum(-1))
                    half = who.point_half_widths_m[:, points, way]
                    rows = np.stack([error, half, half * who.wide[way]], -1).reshape(-1, 3)
                    out[name, _WAYS[way]].append(rows[np.isfinite(rows).all(1)])
    return {key: np.concatenate(parts) for key, parts in out.items()}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="folder of motion files")
    parser.add_argument("--take", type=int, choices=[1, 2], default=2, help="S8's first or second takes")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    args = parser.parse_args()
    lifter = Lifter.load(args.lifter, threads=1)
    if not lifter.unsure:
        parser.error(f"{args.lifter} does not say how sure it is: it has no intervals")
    print(f"{'2D':8} {'point':6} {'way':7} {'frames':>7} {'68 %':>6} {'95 %':>6} {'|error|':>8} {'±95 %':>7}")
    for source in ("movenet", "noisy"):
        for (point, way), rows in held(args.data_root, args.take, lifter, source).items():
            error, usual, wide = rows.T
            print(
                f"{source:8} {point:6} {way:7} {len(rows):>7} {(error <= usual).mean():>6.0%} "
                f"{(error <= wide).mean():>6.0%} {100 * error.mean():>5.1f} cm {100 * wide.mean():>4.1f} cm"
            )


if __name__ == "__main__":
    main()
