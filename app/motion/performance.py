"""What measures are taken of: one person's motion as far as it is known, and what the view leaves open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.footing import LEGS
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.self_checks import CAMERA
from sasmamba.app.take import Take
from sasmamba.common.runs import runs
from sasmamba.models.geometry import unit

#: What one picture does not show, depth, a lifter guesses too small: by so much steps towards the camera come out short
#: (S1, S6 and S7 with a detector's noise; benchmarks/measures.py).
_SHORT = 0.075
#: Smoothed over time, feet leave the floor too early (jumps of CMU 1 and 13; benchmarks/measures.py).
_EARLY_M = 0.03
#: Adults' heights, men's and women's together, spread by so much (ANSUR II); one that was said, by so much.
_STATURE, _SAID = 0.055, 0.01
#: A stretch has to be longer than so many frames for a path in it to be smoothed and to have turns.
_FEW = 4


@dataclass(frozen=True, slots=True)
class View:
    """What a video leaves open about lengths and paths.

    Attributes:
        why_not: for people, why the path is not known: the camera was carried about, moved though it was said to be
            still, or the person's place is a guess. Empty where it is known.
        height_given: the person's height was said; else lengths are those of an average adult.
        short: by which share lengths along the line of sight come out too short; 0 of motion that was not lifted.
        early_m: by so much ankles that leave the floor or come back are seen too high; 0 of motion that was not lifted.
    """

    why_not: str = ""
    height_given: bool = False
    short: float = 0.0
    early_m: float = 0.0

    @property
    def path_known(self) -> bool:
        """Without it paths over the floor are not to be trusted, and neither is what is up."""
        return not self.why_not

    @property
    def size_sd(self) -> float:
        """Standard deviation of all lengths, as a share: of how tall the person is."""
        return _SAID if self.height_given else _STATURE


@dataclass(frozen=True, slots=True)
class Performance:
    """One person's motion, NaN where it is not known.

    Attributes:
        person: track id.
        time: (F,) seconds.
        joints: (F, 17, 3) world axes, metres, floor at z = 0.
        planted: (F, 2) bool, left and right: at rest.
        angles: (F,) degrees by the names of `Angle.series`.
        bands: (F,) half-widths of 95 % intervals of the angles, NaN where not known.
        sight: (F, 3) unit vectors of the line of sight, world axes.
        view: what the video leaves open.
    """

    person: int
    time: NDArray
    joints: NDArray
    planted: NDArray
    angles: Mapping[str, NDArray]
    bands: Mapping[str, NDArray]
    sight: NDArray
    view: View

    @property
    def legs_known(self) -> NDArray:
        """(F,) bool: hips, knees and ankles of both legs are known."""
        return np.asarray(np.isfinite(self.joints[:, np.ravel(LEGS)]).all((1, 2)))

    @property
    def why_no_legs(self) -> str:
        """For people, why nothing of legs can be measured; empty where they are ever known."""
        return "" if self.legs_known.any() else "the legs were not seen"

    @property
    def stretches(self) -> list[slice]:
        """Frames from where legs begin to be known until they are not, in order; too short ones left out."""
        return [slice(begin, end) for begin, end in runs(self.legs_known).tolist() if end - begin > _FEW]

    @property
    def sight_level(self) -> NDArray:
        """(F, 3) unit vectors of the line of sight over the floor."""
        return unit(self.sight * [1, 1, 0])

    @property
    def leg_m(self) -> float:
        """Thigh and shank, the mean of both sides, metres; NaN where they are never known."""
        known = self.joints[self.legs_known]
        if not len(known):
            return float("nan")
        bones = [(a, b) for hip, knee, ankle in LEGS for a, b in ((hip, knee), (knee, ankle))]
        return float(sum(np.linalg.norm(known[:, b] - known[:, a], axis=1).mean() for a, b in bones)) / 2


def view_of(take: Take, placement: Placement, track_id: int) -> View:
    """What a take's video leaves open about somebody."""
    person = placement.assumptions.get("people", {}).get(str(track_id), {})
    why_not = ""
    if take.camera_motion is not None and take.camera_motion.kind == "moving":
        why_not = "the camera was carried about, so that paths have its own steps in them"
    elif any(100 * moved > CAMERA.threshold for moved in take.camera_strayed.values()):
        why_not = "the camera moved though it was said to be still"
    elif "place" in person:
        why_not = "where the person stands is a guess"
    return View(why_not, bool(person.get("given")), _SHORT, _EARLY_M)
