"""What is known of each joint in each frame: seen, inferred, or unknown; every threshold with its reason."""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.body import left_out
from sasmamba.app.motion.locating import MIN_SCORE
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.app.take import Take, Track
from sasmamba.common.arrays import FloatArray
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import COCO, FOOT, H36M


class Certainty(IntEnum):
    """What a joint's place comes from."""

    UNKNOWN = 0
    INFERRED = 1
    SEEN = 2


#: Their names in files, in order of their numbers.
NAMES = tuple(state.name.lower() for state in Certainty)
#: A joint that was not seen for longer than this, before and after, is unknown: a step takes half a second and a reach
#: less, so that where a limb was a second ago says nothing of where it is.
NEAR_S = 1.0
#: Sightings for less than this do not count there: a detector is now and then sure of what is not in the picture.
_LASTING_S = 0.1
#: A joint whose 95 % interval reaches farther than this to either side across the line of sight is unknown: that is
#: more than a forearm's length, so the limb that ends there may point anywhere. One whose interval does so along it
#: only is inferred: where it is in the picture was seen, how far away follows from the rest of the body.
VAGUE_M = 0.3
#: How much of a limb's colour goes, by what is known of it; who is not seen at all was always drawn as the inferred is.
FAINT = {Certainty.UNKNOWN: 0.88, Certainty.INFERRED: 0.62, Certainty.SEEN: 0.0}
#: Limbs fade over so long (Gaussian), lest they flicker where a score hovers about its threshold.
_FADE_S = 0.1

_FACE = (COCO.NOSE, COCO.LEFT_EYE, COCO.RIGHT_EYE, COCO.LEFT_EAR, COCO.RIGHT_EAR)
_HIPS, _SHOULDERS = (COCO.LEFT_HIP, COCO.RIGHT_HIP), (COCO.LEFT_SHOULDER, COCO.RIGHT_SHOULDER)
#: Of which 2D joints at least one of each group has to be seen. From the side one hip hides the other, and the head
#: half of its face, and yet the pelvis and the head are there to see.
_SHOWN_BY: dict[H36M, tuple[tuple[COCO, ...], ...]] = {
    **{joint: ((COCO[joint.name],),) for joint in H36M if joint.name in COCO.__members__},
    H36M.PELVIS: (_HIPS,),
    H36M.SPINE: (_HIPS, _SHOULDERS),
    H36M.THORAX: (_SHOULDERS,),
    H36M.NOSE: (_FACE,),
    H36M.HEAD_TOP: (_FACE,),
}
#: Heels and toes are less sure than their ankles by such a share of the shank, of which feet are made: 68 % of their
#: errors, as the ankle's own half-width. Fitted on first takes of Human3.6M's S8 with MoveNet's noise, which shows no
#: feet, and MediaPipe's, which does; both ask for as much (benchmarks/foot_bands.py --take 1).
FOOT_SHARE = 0.07
#: The ankle of each point of `FOOT`.
FOOT_ANKLES = [H36M[f"{point.name.partition('_')[0]}_ANKLE"] for point in FOOT]
_FOOT_KNEES = [H36M[f"{point.name.partition('_')[0]}_KNEE"] for point in FOOT]


def joint_states(take: Take, track: Track) -> tuple[NDArray, NDArray]:
    """What is known of somebody's joints: frames with a pose (F,) int, and `Certainty` (F, 17) uint8.

    Legs that are left out, see `body`, are unknown. Of the others, seen: found in 2D in the frame, within the picture,
    or in both detection frames around it where the 2D stage passed it over. Inferred: not seen there, but for a while
    within `NEAR_S`, or at a distance that the lifter cannot tell. Unknown: neither, or the lifter cannot tell the place
    at all, see `VAGUE_M`.
    """
    frames = np.array(sorted(track.poses), int)
    if not len(frames):
        return frames, np.zeros((0, 17), np.uint8)
    time = take.seconds()
    sightings, shown = _shown(take, track)
    shown_in = np.zeros((take.frames, 17), bool)
    shown_in[sightings] = shown
    detected = np.array(take.detection_frames or [0])
    after = np.searchsorted(detected, frames).clip(0, len(detected) - 1)
    before = (np.searchsorted(detected, frames, side="right") - 1).clip(0)
    seen = shown_in[detected[after]] & shown_in[detected[before]]
    near = np.zeros_like(seen)
    for joint in range(17):
        when = time[sightings[_lasting(shown[:, joint], time[sightings])]]
        if len(when):
            next_ = np.searchsorted(when, time[frames]).clip(0, len(when) - 1)
            last = (next_ - 1).clip(0)
            away = np.minimum(np.abs(when[next_] - time[frames]), np.abs(when[last] - time[frames]))
            near[:, joint] = away <= NEAR_S
    states = np.where(seen, Certainty.SEEN, np.where(near, Certainty.INFERRED, Certainty.UNKNOWN)).astype(np.uint8)
    for k, f in enumerate(frames.tolist()):
        if (width := track.poses[f].half_width_m) is not None:
            across, along = (width * take.wide > VAGUE_M).T
            states[k] = np.where(along, np.minimum(states[k], Certainty.INFERRED), states[k])
            states[k, across] = Certainty.UNKNOWN
    states[:, left_out(track.track_id in take.upper)[:17]] = Certainty.UNKNOWN
    return frames, states


def _lasting(flags: NDArray, time: NDArray) -> NDArray:
    """Those of runs of True (F,) that last, at times (F,) s; all where there is nothing longer to be seen."""
    out = np.zeros(len(flags), bool)
    for a, b in runs(flags):
        out[a:b] = time[b - 1] - time[a] >= min(_LASTING_S, time[-1] - time[0])
    return out


def _shown(take: Take, track: Track) -> tuple[NDArray, NDArray]:
    """Frames of sightings (S,), in order, and which joints (S, 17) bool of H36M they show within the picture."""
    if not track.people:
        return np.zeros(0, int), np.zeros((0, 17), bool)
    frames, people = zip(*sorted(track.people.items()), strict=True)
    joints, score = np.stack([person.joints_px for person in people]), np.stack([person.score for person in people])
    inside = ((joints >= 0) & (joints < [take.meta.width, take.meta.height])).all(-1)
    found = (score >= MIN_SCORE) & inside
    shown = [np.all([found[:, group].any(1) for group in _SHOWN_BY[joint]], axis=0) for joint in H36M]
    return np.array(frames), np.stack(shown, 1)


def foot_states(states: NDArray, feet_seen: NDArray) -> NDArray:
    """(F, 4) of heels and toes: as sure as their ankle (F, 17), but inferred where 2D did not show the foot (F, 2)."""
    ankles = states[:, FOOT_ANKLES]
    return np.where(np.repeat(feet_seen, 2, axis=1), ankles, np.minimum(ankles, Certainty.INFERRED)).astype(np.uint8)


def point_half_widths(joints: NDArray, half_width_m: NDArray) -> FloatArray:
    """Half-widths (..., 21, 2) of joints, then heels and toes, as `Pose3D.half_width_m` has those of joints.

    Args:
        joints: (..., 17, 3) metres, in any axes.
        half_width_m: (..., 17, 2) of the joints; NaN where not known.
    """
    shank = np.linalg.norm(joints[..., FOOT_ANKLES, :] - joints[..., _FOOT_KNEES, :], axis=-1)[..., None]
    feet = np.hypot(half_width_m[..., FOOT_ANKLES, :], FOOT_SHARE * shank)
    return np.concatenate([half_width_m, feet], -2).astype(np.float32)


def faintness(take: Take, track: Track) -> dict[int, NDArray]:
    """By frame how faintly somebody's joints (17,) are drawn: 0 as ever to 1 not at all."""
    frames, states = joint_states(take, track)
    wanted = np.array([FAINT[state] for state in Certainty])[states]
    if len(frames) > 1 and wanted.any():
        wanted = zero_phase(take.seconds(frames), wanted, _FADE_S, degree=1).clip(0, 1)
    return dict(zip(frames.tolist(), wanted, strict=True))
