"""How people stand and step in real videos: `python benchmarks/real_feet.py VIDEO...`.

Each video is analysed with the default settings; a line for each person who is seen for a second with legs: their
number, for how many seconds, how many pixels tall, and

    planted   share of the time with a foot planted: of all, and of that in which the pelvis goes 0.5 m/s or more
    slide     mm a frame of planted feet over the floor: median, 95th percentile, share of at most 2
    soles     share of planted feet within 1 cm of how high that foot usually is on the same floor
    steps     of those in which a foot passes the other by a quarter of a metre, how many have it planted
    air       seconds: the longest time without a planted foot
    told      what self-checks tell of them and the floor

No truth is needed for these: a foot of somebody who walks comes down at every step, and then it stands. multi_view.py
has the truth of when feet rest, of the one film that several calibrated cameras took.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from multi_view import analysed
from numpy.typing import NDArray

import sasmamba
from sasmamba.app.motion.foot_passing import passing
from sasmamba.app.motion.footing import ANKLES
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.common.runs import runs, unbroken

_LEAST_S, _GOES_M_S, _STEP_M = 1.0, 0.5, 0.25
#: A step takes so long. Its foot may be planted a little before it passes the other, and a little after.
_STEP_S, _BESIDE_S = (0.15, 1.6), 0.1
#: Heights of one foot that are farther apart are on different floors.
_FLOORS_M = 0.1
_OF_THE_FLOOR = ("floating", "slow_flight", "sunk", "speed")


def on_floor(height: NDArray) -> NDArray:
    """(n,) bool: heights (n,) of one planted ankle within 1 cm of the usual one on the same floor."""
    if not len(height):
        return np.zeros(0, bool)
    order = np.argsort(height)
    floor = np.zeros(len(height), int)
    floor[order[1:]] = np.cumsum(np.diff(height[order]) > _FLOORS_M)
    usual = np.array([np.median(height[floor == k]) for k in range(floor.max() + 1)])
    return np.asarray(np.abs(height - usual[floor]) < 0.01)


def steps(time: NDArray, world: NDArray, planted: NDArray) -> tuple[int, int]:
    """How many long steps there are, and in how many of them the foot is planted."""
    found = rests = 0
    for one in passing(time, world).advances:
        took = time[one.end] - time[one.begin]
        if one.apart_m >= _STEP_M and _STEP_S[0] <= took <= _STEP_S[1]:
            near = (time >= time[one.begin] - _BESIDE_S) & (time <= time[one.end] + _BESIDE_S)
            found, rests = found + 1, rests + bool(planted[near, one.foot].any())
    return found, rests


def row(name: str, person: sasmamba.AnalysedPerson, told: list[str]) -> str | None:
    """Somebody's line; None of who is seen too shortly."""
    posed = np.flatnonzero(np.isfinite(person.world_m).all((1, 2)))
    time, world, planted = person.times_s[posed], person.world_m[posed].astype(float), person.planted[posed]
    if len(time) < 2 or time[-1] - time[0] < _LEAST_S:
        return None
    path = zero_phase(time, world[:, 0], 0.15, degree=1)
    goes = np.linalg.norm(np.gradient(path, time, axis=0)[:, :2], axis=1) >= _GOES_M_S
    held = planted[1:] & planted[:-1] & (np.diff(posed) == 1)[:, None]
    slide = 1000 * np.linalg.norm(np.diff(world[:, ANKLES, :2], axis=0), axis=-1)[held]
    soles = np.concatenate([on_floor(world[planted[:, k], ankle, 2]) for k, ankle in enumerate(ANKLES)])
    whole = [steps(time[a:b], world[a:b], planted[a:b]) for a, b in unbroken(posed) if b - a > 4]
    found, rests = np.sum(whole, 0) if whole else (0, 0)
    air = max((float(time[b - 1] - time[a]) for a, b in runs(~planted.any(1))), default=0.0)
    height = np.nanmedian(np.ptp(person.keypoints[..., 1], axis=1))

    def share(flags: NDArray) -> str:
        return f"{100 * flags.mean():4.0f}" if len(flags) else "   –"

    of_slide = (
        f"{np.median(slide):6.2f}{np.quantile(slide, 0.95):6.2f}{share(slide <= 2)}" if len(slide) else " " * 15 + "–"
    )
    rests_any = planted.any(1)
    return (
        f"{name[:24]:24}{person.track_id:4}{time[-1] - time[0]:6.1f}{height:6.0f}  {share(rests_any)}"
        f"{share(rests_any[goes])}  {of_slide}  {share(soles)}  {rests:3} of {found:3}{air:6.1f}  {', '.join(told)}"
    )


def main() -> None:
    """Measures what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, help="how many of each at most")
    parser.add_argument("--keep", type=Path, help="folder for what was found, to measure it again")
    args = parser.parse_args()
    print("video                    who     s    px  planted  slide mm: 50, 95 %, ≤ 2  soles       steps   air  told")
    for video in args.videos:
        take = analysed(video, args.keep, args.frames)
        for i, person in take.people.items():
            told = [f"{f.kind} {f.when}" for f in take.findings if f.person == i and f.kind in _OF_THE_FLOOR]
            if (line := row(video.stem, person, told)) is not None:
                print(line, flush=True)


if __name__ == "__main__":
    main()
