"""What people measure, against motion capture: from true 3D, and through a lifter from a detector's noisy 2D.

    python benchmarks/measures.py --data-root ../shared/data/mocap              # held out: what is reported
    python benchmarks/measures.py --data-root ../shared/data/mocap --kind coco  # the lifter's part of the errors alone
    python benchmarks/measures.py --data-root ../shared/data/mocap --set tune   # what constants were set on

Held out are the second takes of Human3.6M's S8 (the first ones set these measures' half-widths) and the jumps of CMU's
subject 14, none of which a lifter was trained on. Standing up is on two takes of S8 and, trained on, on CMU 14. Clips
are eight seconds, seen by benchmarks/footing.py's made cameras; people's heights are given. The 2D has MoveNet's noise,
or is of another --kind, as `evaluate` has them: "true" are the lifter's own joints, "coco" joints derived from true
COCO points, "noisy" these with MediaPipe's noise; these three see heels and toes, too. Truth: steps from recorded heels
and toes (near the floor and at rest; a step's length is between heels at rest), flights from when the lowest of them is
25 mm above where it stands, angles from recorded joints, standing up by the same rule on recorded joints, counted by
hand.

Of every measure: how many are given, of these how many as "about", since their intervals are wider than what people
need (`measure.NEEDED`), how many as "at most" (and of how many that is so), and how many not at all, since the view
does not tell them; mean error, mean of its absolute value, how many are as near to the truth as they have to be, and in
how many of 100 cases the truth is within the 95 % half-width.
Bands of angles have a benchmark of their own, angle_bands.py.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from footing import Clip, seen_clip
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import PersonMotion, motions
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.angle_range import peak_velocity
from sasmamba.app.motion.bones import stature_of
from sasmamba.app.motion.foot_passing import facing
from sasmamba.app.motion.footing import Body, planted_feet
from sasmamba.app.motion.measure import Measure, needed
from sasmamba.app.motion.measures import measures
from sasmamba.app.motion.performance import Performance, View, view_of
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.app.motion.standing_up import rises_of
from sasmamba.app.motion.steps import steps_of
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.runs import runs
from sasmamba.models.angles import joint_angles
from sasmamba.training.evaluation import KINDS
from sasmamba.training.motion import Motion, load_motion

_LONGEST_S = 8.0
_WALKS = ("walking", "walkingtogether", "walkingdog")
_MOVES = ("directions", "discussion", "eating", "greeting", "phoning", "posing", "purchases", "sitting", "waiting")
#: Clips: file, name, and seconds at which windows begin.
SETS: dict[str, dict[str, list[tuple[str, str, tuple[float, ...]]]]] = {
    "held out": {
        "gait": [("h36m_train", f"S8/{a}_2", (2, 11, 20, 29, 38, 47, 56, 65)) for a in _WALKS],
        "jump": [("cmu_more", "014_07", (5, 10)), ("cmu_more", "014_08", (0, 4.5, 12))],
        "sit_to_stand": [
            ("h36m_train", "S8/eating_2", (24,)),
            ("cmu_more", "014_27", (4,)),
            ("cmu_more", "014_28", (2, 10)),
            ("cmu_more", "014_31", (4, 10)),
            ("cmu_more", "014_32", (3, 12)),
        ],
        "range_of_motion": [("h36m_train", f"S8/{a}_2", (2, 14)) for a in (*_WALKS, *_MOVES)],
    },
    "tune": {
        "gait": [("h36m_train", f"{s}/{a}_1", (2, 11, 20, 29, 38, 47, 56)) for s in ("S8", "S7", "S1") for a in _WALKS],
        "jump": [
            *(("cmu_more", f"013_{n}", (0.0,)) for n in (11, 13, 19, 32, 39, 40, 41, 42)),
            ("cmu_more", "001_01", (0, 4.5, 9, 14)),
        ],
        "sit_to_stand": [
            ("h36m_train", "S8/eating_1", (23,)),
            *(("adults", f"adult02/{n}", (0.0, 5.0)) for n in ("sit_to_stand_1", "squats_1")),
            ("cmu_more", "013_01", (4, 11)),
        ],
        "range_of_motion": [("h36m_train", f"S8/{a}_1", (2, 14)) for a in (*_WALKS, *_MOVES)],
    },
}


@dataclass(frozen=True)
class Recorded:
    """A window of a clip: as it was seen and lifted, and the recorded feet (F, 4, 3) on the same frames."""

    clip: Clip
    feet: NDArray
    time: NDArray


def windows(
    root: Path, clips: Iterable[tuple[str, str, tuple[float, ...]]], lifter: Lifter, source: str = "movenet"
) -> Iterator[Recorded]:
    """The windows of clips as `SETS` has them, seen and lifted; all sources of 2D but MoveNet see heels and toes."""
    loaded: dict[str, tuple[Motion, NDArray]] = {}
    for file, name, starts in clips:
        if file not in loaded:
            own = root / f"{file}_feet.npz"
            feet = np.load(own if own.exists() else root / f"{file}.npz")["feet"]
            loaded[file] = load_motion([root / f"{file}.npz"]), feet
        motion, feet = loaded[file]
        c = int(np.flatnonzero(motion.name == name)[0])
        fps, start, length = float(motion.fps[c]), int(motion.start[c]), int(motion.length[c])
        for second in starts:
            begin = start + int(second * fps)
            count = min(int(_LONGEST_S * fps), start + length - begin)
            if count < 2 * fps:
                continue
            part = replace(motion, start=motion.start.clone(), length=motion.length.clone())
            part.start[c], part.length[c] = begin, count
            known = None if source == "movenet" else torch.from_numpy(feet.astype(np.float32) / 1e4)
            clip = seen_clip(part, c, lifter, file, sum(map(ord, name)) + 7 * int(second), source, known)
            frames = clip.take.frames
            rows = slice(begin, begin + frames)
            heels = feet[rows] / 1e4 + motion.root[rows].numpy()[:, None]
            yield Recorded(clip, heels, clip.take.seconds())


def placed(recorded: Recorded) -> Placement:
    """Where an offline run puts somebody whose height is given."""
    clip = recorded.clip
    return place(clip.take, 60, intrinsics=clip.camera, height_m=stature_of(clip.world - clip.world[:, :1]))


def lifted(recorded: Recorded) -> tuple[PersonMotion, list[Measure], list[tuple[float, float]]] | None:
    """Somebody as an offline run has them, their measures, and from when to when their walks last."""
    take, placement = recorded.clip.take, placed(recorded)
    found = motions(take, placement)
    if not found:
        return None
    who = found[0]
    performance = who.performance(view_of(take, placement, who.track_id))
    return who, measures(performance), walks_of(performance)


def true_performance(recorded: Recorded) -> Performance:
    """The recorded joints as measures are taken of them."""
    world, time = recorded.clip.world.astype(float), recorded.time
    planted = planted_feet(Body(time, world - world[:, :1], world[:, 0]))
    angles = joint_angles(world)
    nothing = {name: np.full(len(time), np.nan) for name in angles}
    sight = world[:, 0] - recorded.clip.position
    sight = np.nan_to_num(sight / np.linalg.norm(sight, axis=1, keepdims=True))
    return Performance(1, time, world, planted, angles, nothing, sight, View(height_given=True))


def true_angles(recorded: Recorded) -> dict[str, NDArray]:
    """Every angle (F,) of the recorded joints, heels and toes, degrees, by the names of `Angle.series`."""
    world, known = recorded.clip.world, np.ones((len(recorded.time), 2), bool)
    # feet are in the recording's axes, which have the same vertical
    return joint_angles(world @ _yaw(recorded), recorded.feet, known)


def walks_of(who: Performance) -> list[tuple[float, float]]:
    """From when to when each walk lasts."""
    steps = steps_of(who)
    whole = sorted({step.walk for step in steps})
    return [(min(s.begin_s for s in steps if s.walk == k), max(s.end_s for s in steps if s.walk == k)) for k in whole]


@dataclass(frozen=True)
class Stance:
    """A true stance: foot, from when to when, and where its heel rests."""

    foot: int
    on_s: float
    off_s: float
    heel: NDArray


def stances(time: NDArray, feet: NDArray) -> list[Stance]:
    """True stances whose begin was recorded, in order of it: heel or toe near the floor and slow."""
    out = []
    for foot in range(2):
        on = np.zeros(len(time), bool)
        for point in (2 * foot, 2 * foot + 1):
            path = zero_phase(time, feet[:, point].astype(float), 0.02)
            speed = np.linalg.norm(np.gradient(path, time, axis=0), axis=1)
            on |= (path[:, 2] < np.quantile(path[:, 2], 0.1) + 0.03) & (speed < 0.6)
        for a, b in runs(~on):
            on[a:b] = a > 0 and b < len(time) and time[b - 1] - time[a] < 0.08
        heel = zero_phase(time, feet[:, 2 * foot].astype(float), 0.02)
        speed = np.linalg.norm(np.gradient(heel, time, axis=0), axis=1)
        for a, b in runs(on):
            if a > 0 and time[b - 1] - time[a] >= 0.2:
                rest = a + np.argsort(speed[a:b])[: max(1, (b - a) // 5)]
                end = float(time[b - 1]) if b < len(time) else float("nan")
                out.append(Stance(foot, float(time[a]), end, heel[rest].mean(0)))
    return sorted(out, key=lambda s: s.on_s)


def true_gait(recorded: Recorded, walks: list[tuple[float, float]]) -> dict[tuple[str, str], float]:
    """True figures of the steps that come down during these walks."""
    all_stances, time = stances(recorded.time, recorded.feet), recorded.time
    # feet are in the recording's axes: what faces where in them is told by the heels' own frame
    world = recorded.clip.world
    turn = _yaw(recorded)
    ahead = facing(world, time) @ turn
    gaps, lengths, times, supports = [], [[], []], [[], []], []
    for begin, end in walks:
        own = [s for s in all_stances if begin <= s.on_s <= end]
        for a, b in pairwise(own):
            if a.foot == b.foot:
                continue
            gaps.append(b.on_s - a.on_s)
            here = ahead[int(np.searchsorted(time, b.on_s))]
            lengths[b.foot].append(float((b.heel - a.heel) @ here))
            times[b.foot].append(b.on_s - a.on_s)
            if np.isfinite(a.off_s):
                supports.append(a.off_s - b.on_s)
    if len(gaps) < 3:
        return {}
    out = {("cadence", "both"): 60 / float(np.mean(gaps)), ("stride_time", "both"): 2 * float(np.mean(gaps))}
    out[("step_length", "both")] = float(np.mean(lengths[0] + lengths[1]))
    out[("stride_length", "both")] = 2 * out["step_length", "both"]
    out[("walking_speed", "both")] = float(np.mean(lengths[0] + lengths[1]) / np.mean(gaps))
    for k, side in enumerate(("left", "right")):
        if len(times[k]) >= 2:
            out[("step_time", side)], out[("step_length", side)] = float(np.mean(times[k])), float(np.mean(lengths[k]))
    if supports:
        out[("double_support", "both")] = 100 * max(0.0, float(np.mean(supports) / np.mean(gaps)))
    return out


def _yaw(recorded: Recorded) -> NDArray:
    """(3, 3) from the axes of the recording as it is shown to those in which it was recorded."""
    shown, feet = recorded.clip.world, recorded.feet
    # ankles and heels move alike: the turn about the vertical that brings the one to the other
    a = (shown[:, [6, 3], :2] - shown[:, [6, 3], :2].mean(0)).reshape(-1, 2)
    b = (feet[:, [0, 2], :2] - feet[:, [0, 2], :2].mean(0)).reshape(-1, 2)
    angle = np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum())
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])


def true_flights(time: NDArray, feet: NDArray) -> list[tuple[float, float]]:
    """When both feet leave the floor and come back, of jumps that were recorded whole."""
    low = (feet[..., 2] - np.quantile(feet[..., 2], 0.05, axis=0)).min(1)
    return [
        (float(time[a]), float(time[b]))
        for a, b in runs(low > 0.025)
        if a > 0 and b < len(time) and time[b] - time[a] > 0.25 and low[a:b].max() > 0.08
    ]


#: Of times (F,) and degrees (F,).
TRUE_RANGE: dict[str, Callable[[NDArray, NDArray], float]] = {
    "min": lambda _, degrees: np.nanmin(degrees),
    "max": lambda _, degrees: np.nanmax(degrees),
    "range": lambda _, degrees: np.nanmax(degrees) - np.nanmin(degrees),
    "mean": lambda _, degrees: np.nanmean(degrees),
    "peak_velocity": peak_velocity,
}
Errors = dict[str, list[tuple[float, float, float | None]]]


def told(name: str, row: Measure) -> str:
    """The line of the table that a measure belongs to."""
    return f"{name}{', about' if row.about else ''}"


def compare(group: str, recorded: Recorded, rows: list[Measure], walks: list[tuple[float, float]], out: Errors) -> None:
    """Adds found, true and half-width of a window's measures, by measure."""
    if group == "gait":
        true = true_gait(recorded, walks)
        for row in rows:
            if (truth := true.get((row.name, row.side))) is None:
                continue
            name = f"{row.name}, both sides" if (row.name, row.side) == ("step_length", "both") else row.name
            if row.value is None:
                out[f"{name} not given"].append((1.0, 1.0, None))
            else:
                out[told(name, row)].append((row.value, truth, row.half_width))
    elif group == "range_of_motion":
        angles = true_angles(recorded)
        for row in (row for row in rows if row.group == group):
            what = next(end for end in TRUE_RANGE if row.name.endswith(f"_{end}"))
            name = row.name.removesuffix(f"_{what}")
            series = name if row.side == "both" else f"{row.side}_{name}"
            if row.value is None and row.at_most is None:
                if not row.why_not.startswith("heel"):
                    out[f"{what} not given"].append((1.0, 1.0, None))
                continue
            inside = (recorded.time >= row.from_s) & (recorded.time <= row.to_s)
            truth = TRUE_RANGE[what](recorded.time[inside], angles[series][inside])
            if row.value is None:
                out[f"{what}, at most: so it is"].append((float(truth <= row.at_most), 1.0, None))
                continue
            for line in (what, f"{name} {what}"):
                out[told(line, row)].append((row.value, float(truth), row.half_width))
    else:
        name = "flight_time" if group == "jump" else "rise_time"
        if group == "jump":
            spans = true_flights(recorded.time, recorded.feet)
        else:
            spans = [(r.from_s, r.to_s) for r in rises_of(true_performance(recorded))]
        own = [row for row in rows if row.name == name]
        out["times_stood_up not given"] += [(1.0, 1.0, None)] * any(
            row.name == "times_stood_up" and row.value is None for row in rows
        )
        for begin, end in spans:
            met = [row for row in own if row.from_s < end and row.to_s > begin]
            out[f"{name} found"].append((float(len(met)), 1.0, None))
            if met and met[0].value is not None:
                out[told(name, met[0])].append((met[0].value, end - begin, met[0].half_width))
        out[f"{name} where none is"] += [(1.0, 0.0, None)] * (
            len(own) - sum(any(r.from_s < e and r.to_s > b for b, e in spans) for r in own)
        )


def table(title: str, errors: Errors, fine: bool) -> None:
    """Prints a line of each measure."""
    print(f"\n{title:34} {'n':>4} {'mean error':>11} {'|error|':>9} {'95 % of them':>13} {'goal':>7} {'in band':>8}")
    for name, rows in sorted(errors.items()):
        what = name.removesuffix(", about").removesuffix(", both sides")
        if not rows or (" " in what and what.split()[-1] in ("min", "max", "mean", "peak_velocity") and not fine):
            continue
        found, true = np.array([r[:2] for r in rows]).T
        error = found - true
        if name.endswith((" found", " is", " given")):
            print(f"{name:34} {len(rows):>4} {int(found.sum()):>11}")
            continue
        limit = needed(what.split()[-1])
        of_itself = limit is not None and limit.of_itself
        size = np.abs(error / true) if of_itself else np.abs(error)
        share = 100 if of_itself else 1
        within = f"{(size <= limit.most).mean():.0%}" if limit else ""
        banded = [abs(f - t) <= h for f, t, h in rows if h is not None]
        held = f"{np.mean(banded):.0%}" if banded else "–"
        mean = (error / true if of_itself else error).mean() * share
        print(
            f"{name:34} {len(rows):>4} {mean:>11.3g} {share * size.mean():>9.3g} "
            f"{share * np.quantile(size, 0.95):>13.3g} {within:>7} {held:>8}"
        )


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, required=True, help="folder of motion files")
    parser.add_argument("--set", choices=list(SETS), default="held out", help="which clips")
    parser.add_argument("--groups", nargs="*", default=list(SETS["tune"]), help="which measures")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--kind", choices=KINDS, default="movenet", help="what the lifter is shown (default: movenet)")
    parser.add_argument("--fine", action="store_true", help="every angle's least, greatest and mean by itself, too")
    args = parser.parse_args()
    lifter = Lifter.load(args.lifter)
    for group in args.groups:
        truly, seen = defaultdict(list), defaultdict(list)
        for recorded in windows(args.data_root, SETS[args.set][group], lifter, args.kind):
            if (found := lifted(recorded)) is None:
                continue
            _, rows, walks = found
            compare(group, recorded, rows, walks, seen)
            true = true_performance(recorded)
            if group != "range_of_motion":
                compare(group, recorded, measures(true), walks_of(true), truly)
        if truly:
            table(f"{group}, from true 3D", truly, args.fine)
        table(f"{group}, through the lifter", seen, args.fine)


if __name__ == "__main__":
    main()
