"""What a page tells in figures, and what it warns of: computed from the take, every threshold told with its warning."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.export.motion_table import PersonMotion
from sasmamba.app.motion.locating import MIN_SCORE
from sasmamba.app.motion.placing import Placement
from sasmamba.app.take import Take, Track
from sasmamba.common.runs import runs
from sasmamba.models.skeletons import COCO

#: A mean 2D score of shoulders, arms and legs below this is low; a take with more such frames than this is warned of.
LOW_SCORE, LOW_SHARE = 0.5, 0.2
#: A joint below `locating.MIN_SCORE` was not found; one that is so in more frames than this is named.
LOST_SHARE = 0.25
#: More frames than this without a sighting between the first and the last, or a gap longer than this.
GAP_SHARE, GAP_S = 0.1, 0.5
#: A joint so near to the picture's edge, as a share of its longer side, is at it; more frames than this are warned of.
EDGE, CROPPED_SHARE = 0.005, 0.1
#: Somebody lower than this in the picture is small; seen for less than this, brief.
SMALL_PX, BRIEF_S = 100, 1.0
#: Both knees and both hips bent more than this is sitting; so many frames of it leave upright and the floor unsure.
SITTING_KNEE_DEG, SITTING_HIP_DEG, SITTING_SHARE = 60, 45, 0.5
#: A camera that looks down or up by more than this is steep.
STEEP_DEG = 30
#: Fewer frames than this with a foot on the ground, or feet faster than this while they stand.
PLANTED_SHARE, SKATE_CM_S = 0.1, 20
#: Speeds are over so long.
_SPEED_S = 0.5
#: Shoulders to ankles: whose eyes and ears are hidden is seen well all the same.
_BODY = [joint for joint in COCO if joint >= COCO.LEFT_SHOULDER]


@dataclass(frozen=True, slots=True)
class Figures:
    """One person in figures.

    Attributes:
        seen, filled_in, missing: frames with a sighting, with a pose filled in from the frames around, and with none,
            from the first pose to the last.
        longest_gap_s: without a sighting.
        score: mean 2D score of shoulders, arms and legs where seen.
        height_px: median in the picture.
        path_m: walked over the floor.
        speed_m_s, top_m_s: mean, and fastest half second; NaN for less than that.
    """

    seen: int
    filled_in: int
    missing: int
    longest_gap_s: float
    score: float
    height_px: float
    path_m: float
    speed_m_s: float
    top_m_s: float


def sighted(take: Take, motion: PersonMotion) -> NDArray:
    """(F,) bool: in which frames somebody was seen, or in both detection frames around it."""
    detection_frames = np.array(take.detection_frames)
    seen = np.isin(detection_frames, list(take.tracks[motion.track_id].people))
    after = np.searchsorted(detection_frames, motion.frame).clip(0, len(detection_frames) - 1)
    before = (np.searchsorted(detection_frames, motion.frame, side="right") - 1).clip(0)
    return np.asarray(seen[after] & seen[before])


def figures(take: Take, motion: PersonMotion) -> Figures:
    """One person in figures."""
    here, pose = sighted(take, motion), motion.posed
    score, height = _seen_in_2d(take.tracks[motion.track_id])
    path, speed, top = _speeds(motion.times_s[pose], motion.joints[pose, 0, :2].astype(float))
    return Figures(
        seen=int((here & pose).sum()),
        filled_in=int((pose & ~here).sum()),
        missing=int((~pose).sum()),
        longest_gap_s=_longest(~here) / float(take.meta.fps),
        score=score,
        height_px=height,
        path_m=path,
        speed_m_s=speed,
        top_m_s=top,
    )


def _seen_in_2d(track: Track) -> tuple[float, float]:
    """Mean score of the body and median height in pixels of a person in 2D; NaN without a sighting."""
    people = list(track.people.values())
    if not people:
        return float("nan"), float("nan")
    score = float(np.mean([p.score[_BODY].mean() for p in people]))
    return score, float(np.median([p.box_px[3] - p.box_px[1] for p in people]))


def _speeds(times: NDArray, floor: NDArray) -> tuple[float, float, float]:
    """Metres walked, and mean and top speed, of places on the floor (F, 2): from half second to half second, which
    jitter does not lengthen."""
    if len(times) < 2 or times[-1] - times[0] < _SPEED_S:
        return 0.0, float("nan"), float("nan")
    at = np.arange(times[0], times[-1] - _SPEED_S + 1e-9, _SPEED_S / 5)

    def place(time: NDArray) -> NDArray:
        return np.stack([np.interp(time, times, floor[:, k]) for k in range(2)], 1)

    speed = np.linalg.norm(place(at + _SPEED_S) - place(at), axis=1) / _SPEED_S
    mean = float(speed.mean())
    return mean * float(times[-1] - times[0]), mean, float(speed.max())


def _longest(missing: NDArray) -> int:
    """Length of the longest run of True."""
    return int(np.diff(runs(missing)).max(initial=0))


def warnings(take: Take, placement: Placement, people: list[PersonMotion]) -> list[str]:
    """Sentences about what there is to doubt, each with its threshold; none where all is well."""
    out = []
    pitch = camera_pitch_deg(placement)
    if people and abs(pitch) > STEEP_DEG:
        way = "down" if pitch > 0 else "up"
        out.append(
            f"The camera looks {way} by {abs(pitch):.0f}° (more than {STEEP_DEG}°): poses seen so steeply are "
            "less exact, and so is where people stand."
        )
    if people and placement.after.planted < PLANTED_SHARE:
        out.append(
            f"A foot stands in only {placement.after.planted:.0%} of the frames (below {PLANTED_SHARE:.0%}): "
            "the floor's height and tilt are unsure."
        )
    if placement.after.skate_cm_s > SKATE_CM_S:
        out.append(
            f"Planted feet slide by {placement.after.skate_cm_s:.0f} cm/s (more than {SKATE_CM_S} cm/s): does "
            "the camera move, or is its field of view another?"
        )
    doubts: dict[str, list[str]] = {}
    for motion in people:
        for cause, told in _of_person(take, motion):
            doubts.setdefault(cause, []).append(f"person {motion.track_id} ({told})")
    return [*out, *(f"{cause}: {', '.join(who)}." for cause, who in doubts.items())]


def _of_person(take: Take, motion: PersonMotion) -> list[tuple[str, str]]:
    """What there is to doubt about somebody: what may be said of anybody, with its threshold, and their own figures."""
    out = []
    told, track = figures(take, motion), take.tracks[motion.track_id]
    frames, seconds = len(motion.frame), told.seen / float(take.meta.fps)
    if seconds < BRIEF_S:
        out.append((f"Seen for less than {BRIEF_S:g} s, so that the lifter had little to go by", f"{seconds:.1f} s"))
    people = list(track.people.values())
    if people:
        score = np.stack([p.score for p in people])[:, _BODY]
        low = float((score.mean(1) < LOW_SCORE).mean())
        if low > LOW_SHARE:
            cause = f"2D joints are unsure (mean score below {LOW_SCORE:g}) in more than {LOW_SHARE:.0%} of the frames"
            out.append((cause, f"{low:.0%}"))
        lost = (score < MIN_SCORE).mean(0)
        joints = [joint.name.lower().replace("_", " ") for joint in _BODY]
        named = [f"{name} in {share:.0%}" for name, share in zip(joints, lost, strict=True) if share > LOST_SHARE]
        if named:
            cause = (
                f"Joints that were not found in 2D (score below {MIN_SCORE:g}) in more than {LOST_SHARE:.0%} of the "
                "frames, and are guessed from the rest"
            )
            out.append((cause, ", ".join(named)))
        cut = float(_at_edge(take, track).mean())
        if cut > CROPPED_SHARE:
            cause = (
                f"Cut off by the picture's edge (joints on it or beyond) in more than {CROPPED_SHARE:.0%} of the frames"
            )
            out.append((cause, f"{cut:.0%}"))
        if told.height_px < SMALL_PX:
            out.append((f"Less than {SMALL_PX} pixels high in the picture", f"{told.height_px:.0f} pixels"))
    unseen = (told.filled_in + told.missing) / max(frames, 1)
    if unseen > GAP_SHARE or told.longest_gap_s > GAP_S:
        cause = (
            f"Not seen in more than {GAP_SHARE:.0%} of the frames between the first and the last, or for more than "
            f"{GAP_S:g} s on end"
        )
        out.append((cause, f"{unseen:.0%}, at most {told.longest_gap_s:.1f} s on end"))
    if (share := sitting(motion)) > SITTING_SHARE:
        cause = (
            f"Sitting or squatting, with knees bent by more than {SITTING_KNEE_DEG}° and hips by more than "
            f"{SITTING_HIP_DEG}°, in more than {SITTING_SHARE:.0%} of the frames, so that upright, told by straight "
            "legs, and the floor, told by standing feet, are unsure"
        )
        out.append((cause, f"{share:.0%}"))
    return out


def sitting(motion: PersonMotion) -> float:
    """Share of the frames with a pose in which both knees and both hips are known to be bent far."""
    angles = {name: degrees[motion.posed] for name, degrees in motion.angles().items()}
    knees = np.minimum(angles["left_knee_flexion"], angles["right_knee_flexion"])
    hips = np.minimum(angles["left_hip_flexion"], angles["right_hip_flexion"])
    bent = (knees > SITTING_KNEE_DEG) & (hips > SITTING_HIP_DEG)
    return float(bent.mean()) if len(bent) else 0.0


def camera_pitch_deg(placement: Placement) -> float:
    """Degrees by which the camera looks down."""
    return float(-np.degrees(np.arcsin(np.clip(placement.R_world_cam[2, 2], -1, 1))))


def _at_edge(take: Take, track: Track) -> NDArray:
    """(n,) bool: in which sightings a joint that was found lies at the picture's edge or beyond."""
    size = np.array([take.meta.width, take.meta.height])
    margin = EDGE * size.max()
    joints = np.stack([p.joints_px for p in track.people.values()])
    found = np.stack([p.score for p in track.people.values()]) >= MIN_SCORE
    return np.asarray((found & ((joints < margin) | (joints > size - 1 - margin)).any(-1)).any(1))
