"""Range of motion: how far every joint angle goes, to either end and on the whole, and how fast it turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.measure import Measure, Side, figure
from sasmamba.app.motion.performance import Performance
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.common.runs import runs
from sasmamba.models.angles import ANGLES, Angle

#: An angle that is known for less than this is not measured: that is no movement yet.
_LEAST_S = 0.5
#: How far joints go at the utmost, degrees, gymnasts' too, as `models.angles` has them: what goes farther was not seen,
#: as a thigh of which the picture shows no more than the hip.
_GOES_DEG = {"hip_flexion": (-90.0, 170.0), "knee_flexion": (0.0, 170.0), "elbow_flexion": (0.0, 170.0)}
#: A range's half-width, degrees: such a share of what its two ends' bands make of it, and at least so much, added as
#: squares; and what holds where the lifter does not say how sure it is. Errors that last leave a range alone; of many
#: noisy turns the farthest are found, by how much depends on the person, and no way to look for ends farther in or out
#: was better for all. Fitted on first takes of Human3.6M's S8 and takes of S1, S5, S6 and S7 with both detectors' noise
#: (ankles with MediaPipe's), so that 95 of 100 hold (benchmarks/measures.py).
_RANGE = {
    "hip_flexion": (0.5, 18.5, 20.5),
    "hip_abduction": (0.5, 12.0, 14.5),
    "knee_flexion": (0.6, 13.5, 22.0),
    "shank_inclination": (0.4, 11.0, 15.5),
    "ankle_dorsiflexion": (0.5, 18.5, 23.0),
    "shoulder_elevation": (0.5, 19.5, 23.0),
    "elbow_flexion": (0.6, 29.0, 47.0),
    "trunk_forward_lean": (0.5, 7.0, 13.0),
    "trunk_right_lean": (0.5, 5.5, 8.5),
}
#: Ends are those of the angle smoothed by so much (Gaussian): a single frame's error is no movement.
_END_S = 0.1
#: Angles are smoothed by so much (Gaussian) before their velocity is taken, and stretches without a gap have to last
#: for longer than that tells.
_VELOCITY_S = 0.08
#: A greatest velocity's half-width: so many degrees a second for each degree of the angle's band, since jitter makes
#: slow movements fast, and such a share of it, since smoothing makes fast ones slow; squares add. Fitted on takes of
#: S1, S5, S6, S7 and first ones of S8 with both detectors' noise, so that 95 of 100 hold, of slow and of fast ones. No
#: other smoothing, and no weights by each frame's band, came nearer to the truth, nor did movements drawn from what the
#: bands leave open: a lifter's poses are means of what may be, and their noise is not what makes them wrong.
_VELOCITY = {
    "hip_flexion": (3.0, 0.4),
    "hip_abduction": (2.75, 0.65),
    "knee_flexion": (3.75, 0.4),
    "shank_inclination": (1.5, 0.65),
    "ankle_dorsiflexion": (4.0, 0.65),
    "shoulder_elevation": (2.75, 0.35),
    "elbow_flexion": (3.5, 0.15),
    "trunk_forward_lean": (2.25, 0.2),
    "trunk_right_lean": (3.0, 0.15),
}
#: Of these it is told what they are at most, where their intervals reach down to nothing.
_NOT_BELOW_NOTHING = ("range", "peak_velocity")
#: Without a lifter's own intervals one is known within so much of itself.
_USUAL_VELOCITY = 0.95


def ranges_of_motion(who: Performance) -> list[Measure]:
    """Least, greatest, range, mean and greatest velocity of every angle, see `models.angles`."""
    return [row for angle in ANGLES for series in angle.series for row in _of_angle(who, angle, series)]


def _of_angle(who: Performance, angle: Angle, series: str) -> list[Measure]:
    side: Side = "both" if not angle.sides else "left" if series.startswith("left") else "right"
    degrees, band = who.angles[series], who.bands[series]
    known = np.isfinite(degrees)
    when, n = who.time[known] if known.any() else who.time, int(known.sum())

    def row(what: str, label: str, value: float | None, half: float | None, unit: str = "°", why: str = "") -> Measure:
        name, words = f"{angle.name}_{what}", f"{angle.label}, {label}"
        span = float(when[0]), float(when[-1])
        if value is None or half is None or half < value or what not in _NOT_BELOW_NOTHING:
            return Measure(who.person, "range_of_motion", name, words, side, value, unit, half, *span, n, why)
        why = f"{figure(value, 0, unit)} were seen, and from this view they may be none"
        return Measure(who.person, "range_of_motion", name, words, side, None, unit, None, *span, n, why, value + half)

    kinds = [("min", "least"), ("max", "greatest"), ("range", "range"), ("mean", "mean")]
    velocity = ("peak_velocity", "greatest velocity")

    def not_given(why: str) -> list[Measure]:
        return [row(*k, None, None, "°", why) for k in kinds] + [row(*velocity, None, None, "°/s", why)]

    if why := _why_not(who, angle, known):
        return not_given(why)
    ends = _GOES_DEG.get(angle.name)
    if ends is not None:  # no joint turns on and on: what passes half a turn comes from its other end
        degrees = (degrees - np.mean(ends) + 180) % 360 - 180 + np.mean(ends)
    calm = _calm(who.time, degrees, on_and_on=ends is None)
    low, high = int(np.nanargmin(calm)), int(np.nanargmax(calm))
    if ends is not None and (calm[low] < ends[0] or calm[high] > ends[1]):
        found = f"{figure(calm[low], 0, '°')} to {figure(calm[high], 0, '°')}"
        return not_given(f"it came out from {found}, which no joint does")
    range_deg = float(calm[high] - calm[low])
    whole = float(np.sqrt(np.nanmean(band**2))) if np.isfinite(band).any() else np.nan
    share, least, usual = _RANGE[angle.name]
    of_range = np.hypot(share * np.hypot(band[low], band[high]), least)
    values = calm[low], calm[high], range_deg, float(np.nanmean(degrees))
    out = []
    for kind, v, h in zip(kinds, values, (band[low], band[high], of_range, whole), strict=True):
        half = float(h) if np.isfinite(h) else usual
        out.append(row(*kind, float(v), half))
    fastest = peak_velocity(who.time, degrees)
    jitter, share = _VELOCITY[angle.name]
    known_by = float(np.hypot(jitter * whole, share * fastest)) if np.isfinite(whole) else _USUAL_VELOCITY * fastest
    return [*out, row(*velocity, fastest, known_by, "°/s")]


def _calm(time: NDArray, degrees: NDArray, *, on_and_on: bool) -> NDArray:
    """An angle (F,), which may turn `on_and_on`, whose jitter is smoothed, stretch by stretch; NaN where it is."""
    out = degrees.copy()
    for a, b in runs(np.isfinite(degrees)):
        whole = np.unwrap(degrees[a:b], period=360) if on_and_on else degrees[a:b]
        # a curve fitted to them may swing beyond what was seen
        out[a:b] = zero_phase(time[a:b], whole, _END_S).clip(whole.min(), whole.max())
    return out


def _why_not(who: Performance, angle: Angle, known: NDArray) -> str:
    """Why an angle known in these frames (F,) cannot be measured; empty where it can."""
    longest = max((float(who.time[b - 1] - who.time[a]) for a, b in runs(known)), default=0.0)
    if longest >= _LEAST_S:
        return ""
    if angle.name == "ankle_dorsiflexion":
        return "heel and toe were not seen (--pose2d mediapipe shows them)"
    part = "limb" if angle.sides else "trunk"
    return f"the {part} was seen for {longest:.1f} s at most, and {_LEAST_S:g} s are needed"


def peak_velocity(time: NDArray, degrees: NDArray) -> float:
    """The greatest speed of an angle (F,), degrees per second, over its stretches without a gap."""
    best = 0.0
    for a, b in runs(np.isfinite(degrees)):
        if time[b - 1] - time[a] >= 4 * _VELOCITY_S:
            whole = np.unwrap(degrees[a:b], period=360)
            calm = zero_phase(time[a:b], whole, _VELOCITY_S)
            best = max(best, float(np.abs(np.gradient(calm, time[a:b])).max()))
    return best
