"""Every check of a placed take, each threshold with its reason: of bodies, and of what came out against the 2D."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from sasmamba.app.motion.body_checks import CHECKS, Placed, implausible
from sasmamba.app.motion.checks import CheckFinding, Rule
from sasmamba.app.motion.looking import pictured
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.smoothing import zero_phase
from sasmamba.app.take import Take, Track
from sasmamba.models.geometry import unit
from sasmamba.models.skeletons import H36M, H36M_MIRROR, coco17_to_h36m17

#: Limbs whose direction is compared, and what is asked of their ends: a score, and so long in the picture, as a share
#: of what the limb could show and in pixels, that a joint's usual error does not turn it far. One frame may be a slip
#: of the detector's: directions are averaged over so long (Gaussian), each worth its score, and count where that much
#: of score is left on the mean, and where they agree so well (the length of the mean of unit vectors).
_LIMBS = [
    (H36M[f"{side}_{a}"], H36M[f"{side}_{b}"])
    for side in ("LEFT", "RIGHT")
    for a, b in (("SHOULDER", "ELBOW"), ("ELBOW", "WRIST"), ("HIP", "KNEE"), ("KNEE", "ANKLE"))
]
_SCORED, _LONG, _LONG_PX = 0.3, 0.4, 12.0
_DIRECTION_S, _WORTH, _AGREED = 0.1, 0.3, 0.8
#: A limb that ends so near to where the other side's does, as a share of what it could show, may be the other one: 2D
#: stages put hidden limbs there.
_APART = 0.4
LIMB_DIRECTION = Rule(
    "limb_direction",
    30.0,
    0.5,  # detectors slip for less
    "has a limb that points {value}° beside where it is clearly seen in the picture (more than {threshold}°)",
    "joints of 2D are off by a tenth of a limb, which turns it by 10°; the 3D of that limb is wrong, or its 2D is",
)
SIDES = Rule(
    "sides",
    1.0,
    0.0,
    "had left and right exchanged in the 2D {value} times a second (more than {threshold})",
    "every mended exchange can be a wrong one, and so many are more than a side view's one in a few steps",
)
IDENTITY = Rule(
    "identity",
    1.0,
    0.0,
    "leaps in the picture by {value} times as much as anybody can (more than {threshold})",
    "is this one person before and after it, or was a cut passed over (--no-cuts)?",
)
CUT = Rule(
    "identity_over_cut",
    0.0,
    0.0,
    "goes on over {value} cut of the film (more than {threshold})",
    "whoever is seen after a cut need not be who was seen before it; leave out --no-cuts",
)
CAMERA = Rule(
    "camera",
    1.0,
    0.4,
    "was filmed by a camera that turned, the picture moved by {value} % of its longer side (more than {threshold} %)",
    "that is 6 cm at 6 m, and people's paths have it in them; leave out --camera still",
)
SMALL = Rule(
    "small",
    60.0,
    0.5,
    "is {value} pixels high (less than {threshold})",
    "a forearm of eight pixels hardly has a direction; film from nearer, or in more pixels",
    least=True,
)
#: Bones, floor and limbs of people who are less high than this, pixels, are not looked at: a pixel is 2 cm of them, and
#: half their limbs are not found.
_TOO_SMALL = 75.0
#: People are the same from one sighting to the next if joints move by less than so much of the person's size, and so
#: much more for every second between: a sprinter's body goes six heights a second, arms and legs some more.
_LEAP, _LEAP_PER_S, _LEAP_S, _LEAP_JOINTS = 0.35, 8.0, 0.5, 6
#: Exchanges are counted over so long at least.
_SIDES_S = 3.0


def self_checks(take: Take, placement: Placement) -> list[CheckFinding]:
    """What every check finds, in order of time; people whose place is a guess, or who are so small that all is, are not
    checked for where they are."""
    guessed = {i for i, told in placement.assumptions.get("people", {}).items() if "place" in told}
    small = [i for i, track in take.tracks.items() if track.people and np.median(_heights(track)) < _TOO_SMALL]
    guessed |= set(map(str, small))
    out = implausible([_placed(take, placement, i) for i, p in placement.poses.items() if p and str(i) not in guessed])
    for i, track in sorted(take.tracks.items()):
        if i in placement.poses and str(i) not in guessed:
            out += _limb_directions(take, placement, track)
        out += [*_sides(take, track), *_leaps(take, track), *_over_cuts(take, track), *_small(take, track)]
    frames = sorted(take.camera_strayed)
    out += CAMERA.findings(None, take.seconds(frames), np.array([100 * take.camera_strayed[f] for f in frames]))
    return sorted(out, key=lambda finding: (finding.from_s, finding.person or 0))


def kinds() -> list[str]:
    """The names of all checks."""
    return [rule.kind for rule in (*(c.rule for c in CHECKS), LIMB_DIRECTION, SIDES, IDENTITY, CUT, CAMERA, SMALL)]


def _placed(take: Take, placement: Placement, track_id: int) -> Placed:
    frames, world = placement.world(track_id)
    planted, floor = placement.planted.get(track_id, {}), placement.floor_m.get(track_id, {})
    return Placed(
        track_id,
        take.seconds(frames),
        world,
        np.array([planted.get(f, np.zeros(2, bool)) for f in frames]),
        np.array([floor.get(f, 0.0) for f in frames]),
        track_id not in take.upper,
    )


def _limb_directions(take: Take, placement: Placement, track: Track) -> list[CheckFinding]:
    looked = pictured(take, placement, track.track_id)
    if looked is None:
        return []
    frames, pixels = looked
    time = take.seconds(frames)
    seen, score = np.full(pixels.shape, np.nan), np.zeros(pixels.shape[:2])
    for k, f in enumerate(frames):
        if (person := track.people.get(f)) is not None:
            seen[k], score[k] = coco17_to_h36m17(person.joints_px, person.score)
    world = placement.world(track.track_id)[1]
    torso_px = np.linalg.norm(seen[:, H36M.THORAX] - seen[:, H36M.PELVIS], axis=-1)
    torso_m = np.linalg.norm(world[:, H36M.THORAX] - world[:, H36M.PELVIS], axis=-1)
    # of a body of which the picture shows the height, pixels per metre; a torso that leans to the camera shows less
    px_per_m = np.linalg.norm(np.ptp(pixels, axis=1), axis=-1) / np.maximum(np.ptp(world, axis=1).max(-1), 0.1)
    px_per_m = np.fmax(px_per_m, torso_px / np.maximum(torso_m, 0.1))
    worst = np.full(len(frames), np.nan)
    for a, b in _LIMBS:
        flat, told = seen[:, b] - seen[:, a], pixels[:, b] - pixels[:, a]
        length = np.linalg.norm(flat, axis=-1)
        whole = px_per_m * np.linalg.norm(world[:, b] - world[:, a], axis=-1)
        worth = score[:, [a, b]].min(1)
        clear = (worth >= _SCORED) & (length > _LONG_PX) & (length > _LONG * whole)
        # where it may be the other one that is seen, one of both is to point there
        twin = pixels[:, H36M_MIRROR[b]] - pixels[:, H36M_MIRROR[a]]
        either = np.linalg.norm(seen[:, b] - seen[:, H36M_MIRROR[b]], axis=-1) < _APART * whole
        nearer = ((unit(twin) - unit(told)) * flat).sum(-1) > 0
        told = np.where((either & nearer)[:, None], twin, told)
        clear &= np.isfinite(told).all(1)
        cross, dot = flat[:, 0] * told[:, 1] - flat[:, 1] * told[:, 0], (flat * told).sum(-1)
        worth = np.where(clear, worth, 0)
        turned = worth[:, None] * unit(np.nan_to_num(np.stack([dot, cross], 1)))
        about = zero_phase(time, np.concatenate([np.nan_to_num(turned), worth[:, None]], 1), _DIRECTION_S, degree=1)
        agreed = np.linalg.norm(about[:, :2], axis=1) > _AGREED * about[:, 2]
        beside = np.degrees(np.abs(np.arctan2(about[:, 1], about[:, 0])))
        clear = agreed & (about[:, 2] >= _WORTH)
        # each limb by itself: two that are wrong for a moment each are no lasting error
        own = LIMB_DIRECTION.findings(track.track_id, time, np.where(clear, beside, np.nan))
        for finding in own:
            inside = (time >= finding.from_s) & (time <= finding.to_s)
            worst[inside] = np.fmax(worst[inside], finding.value)
    return LIMB_DIRECTION.findings(track.track_id, time, worst)


def _sides(take: Take, track: Track) -> list[CheckFinding]:
    own = [repair for repair in take.side_repairs if repair.track_id == track.track_id]
    if not own or not track.people:
        return []
    first, last = take.seconds((min(track.people), max(track.people))).tolist()
    rate = len(own) / max(last - first, _SIDES_S)
    return [SIDES.finding(track.track_id, first, last, rate)] if rate > SIDES.threshold else []


def _leaps(take: Take, track: Track) -> list[CheckFinding]:
    frames = sorted(track.people)
    time, leap = take.seconds(frames), np.full(len(frames), np.nan)
    for k, (f, g) in enumerate(pairwise(frames)):
        a, b, took = track.people[f], track.people[g], time[k + 1] - time[k]
        both = (a.score >= _SCORED) & (b.score >= _SCORED)
        if took <= _LEAP_S and both.sum() >= _LEAP_JOINTS:
            sizes = [float(np.linalg.norm(np.ptp(p.joints_px[p.score >= _SCORED], axis=0))) for p in (a, b)]
            moved = float(np.median(np.linalg.norm(b.joints_px[both] - a.joints_px[both], axis=1)))
            leap[k + 1] = moved / max(*sizes, 1.0) / (_LEAP + _LEAP_PER_S * took)
    return IDENTITY.findings(track.track_id, time, leap)


def _over_cuts(take: Take, track: Track) -> list[CheckFinding]:
    frames = np.array(sorted(track.people))
    out = []
    for cut in take.cuts_passed_over:
        before, after = frames[frames < cut.frame], frames[frames >= cut.frame]
        if len(before) and len(after):
            a, b = take.seconds((before[-1], after[0])).tolist()
            out.append(CUT.finding(track.track_id, a, b, 1))
    return out


def _small(take: Take, track: Track) -> list[CheckFinding]:
    return SMALL.findings(track.track_id, take.seconds(sorted(track.people)), _heights(track))


def _heights(track: Track) -> NDArray:
    """(S,) pixels, of somebody's sightings in order of time."""
    return np.array([track.people[f].box_px[3] - track.people[f].box_px[1] for f in sorted(track.people)], float)
