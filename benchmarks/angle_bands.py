"""In how many per cent of frames the 95 % bands of joint angles hold the truth, by what the 2D is.

    python benchmarks/angle_bands.py --data-root ../shared/data/mocap        # held out: what is reported
    python benchmarks/angle_bands.py --data-root ../shared/data/mocap --fit  # constants of app/motion/angle_bands.py

Reported are the second takes of all actions of Human3.6M's S8, whom no lifter was trained on, in windows of eight
seconds, each seen by a made camera of its own (benchmarks/footing.py); the constants are fitted on the first takes. Of
the sources of 2D, "true" are the lifter's own 17 joints, "coco" joints derived from true COCO points, "noisy" these
with MediaPipe's noise, "movenet" with MoveNet's and what the body hides; the last sees no heels and toes, so that there
are no ankle angles. People's heights are given. --fit tries what a band is made of, see `angle_bands.Width`, on a grid:
sought is 95 % with each source, and in each third of the frames, from those with narrow bands to those with wide ones.
"""

from __future__ import annotations

import argparse
import itertools
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from measures import Recorded, placed, true_angles, windows
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import PersonMotion, motions
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.angle_bands import WIDTHS, angle_half_widths
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.models.angles import ANGLES
from sasmamba.training.evaluation import KINDS

#: Windows begin at this second of a clip and then so often.
_FIRST_S, _EVERY_S, _LONG_S = 2.0, 12.0, 8.0
#: What `--fit` tries of each part of a band.
_JOINTS, _LEAST, _UP = np.arange(0.1, 1.5, 0.05), np.arange(0, 20, 0.5), (1.0, 1.5, 1.96)
#: Of errors in a row so many are alike.
_THINNED = 9


def clips(root: Path, take: int) -> list[tuple[str, str, tuple[float, ...]]]:
    """The windows of S8's first or second takes."""
    raw = np.load(root / "h36m_train.npz")
    frames = np.diff(np.append(raw["clip_start"], len(raw["root"])))
    return [
        ("h36m_train", str(name), tuple(np.arange(_FIRST_S, count / fps - _LONG_S, _EVERY_S).tolist()))
        for name, count, fps in zip(raw["clip_name"], frames, raw["clip_fps"], strict=True)
        if str(name).startswith("S8/") and str(name).endswith(f"_{take}")
    ]


def lifted(recorded: Recorded) -> Iterator[PersonMotion]:
    """Somebody as an offline run has them; nobody who was not found."""
    yield from motions(recorded.clip.take, placed(recorded))


def seen(root: Path, take: int, lifter: Lifter, source: str) -> dict[str, NDArray]:
    """Of each angle rows of how far off it is, its band, what its joints' intervals make of that, and how unsure up is.

    All degrees.
    """
    out = defaultdict(list)
    for recorded in windows(root, clips(root, take), lifter, source):
        true = true_angles(recorded)
        for who in lifted(recorded):
            told, bands = who.angles(), who.angle_bands
            joints = angle_half_widths(who.told()[:, :17], who.half_width_m * np.array(who.wide), who.sight)
            frames = np.searchsorted(recorded.time, who.times_s - 1e-6)
            for angle in ANGLES:
                for series in angle.series:
                    off = np.abs((told[series] - true[series][frames] + 180) % 360 - 180)
                    own = joints[series.replace("ankle_dorsiflexion", "shank_inclination")]
                    known = np.isfinite(off) & np.isfinite(bands[series])
                    out[angle.name].append(np.stack([off, bands[series], own, who.up_sd_deg], 1)[known])
    return {name: np.concatenate(parts) for name, parts in out.items()}


def fitted(found: dict[str, NDArray], up: bool) -> str:
    """The best `Width` for an angle's rows by source, see `seen`."""
    parts = [rows[::_THINNED] for rows in found.values() if len(rows)]
    edges = [np.quantile(rows[:, 2], [1 / 3, 2 / 3]) for rows in parts]
    best = (np.inf, "")
    for joints, least, ups in itertools.product(_JOINTS, _LEAST, _UP if up else (0.0,)):
        cost = 0.0
        for rows, cuts in zip(parts, edges, strict=True):
            inside = rows[:, 0] <= np.sqrt((joints * rows[:, 2]) ** 2 + least**2 + (ups * rows[:, 3]) ** 2)
            third = np.searchsorted(cuts, rows[:, 2])
            cost += 3 * (inside.mean() - 0.95) ** 2
            cost += 0.5 * sum((inside[third == k].mean() - 0.95) ** 2 for k in range(3) if (third == k).any())
        best = min(best, (cost, f"Width({joints:.2f}, {least:.1f}, {ups})"))
    return best[1]


def main() -> None:
    """Prints the table, or the constants."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="folder of motion files")
    parser.add_argument("--fit", action="store_true", help="print the constants that first takes ask for")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--sources", nargs="*", choices=KINDS, default=KINDS)
    args = parser.parse_args()
    lifter = Lifter.load(args.lifter, threads=1)
    if not lifter.unsure:
        parser.error(f"{args.lifter} does not say how sure it is: it has no bands")
    sources = [kind for kind in args.sources if kind != "true" or not args.fit]
    found = {source: seen(args.data_root, 1 if args.fit else 2, lifter, source) for source in sources}
    if args.fit:
        for name, width in WIDTHS.items():
            print(f'"{name}": {fitted({s: rows[name] for s, rows in found.items()}, width.up > 0)},')
        return
    print(f"{'angle':20} " + " ".join(f"{source:>8} |error| ±95 %" for source in sources))
    for angle in ANGLES:
        cells = []
        for source in sources:
            if len(rows := found[source][angle.name]):
                off, band = rows[:, 0], rows[:, 1]
                cells.append(f"{100 * (off <= band).mean():7.1f}% {off.mean():6.1f}° {band.mean():4.1f}°")
            else:
                cells.append(f"{'–':>8} {'–':>7} {'–':>5}")
        print(f"{angle.name:20} " + " ".join(cells))


if __name__ == "__main__":
    main()
