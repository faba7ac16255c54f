"""What the self-checks find: `python benchmarks/self_checks.py --data-root DATA [--clips 3] [--video VIDEO …]`.

Clips of motion capture that no threshold was chosen on are seen by a made camera with MoveNet's noise, lifted, smoothed
and placed as offline runs do, and must be found clean. Each is then spoiled in several ways, one after another; each
row is a failure: which checks are to find it, in how many clips they did, and what else was found there. Videos are
analysed as the command does and what is found in them is listed.

The failures are made where such failures arise: in the 2D or its times before it is lifted, in the lifted poses, in the
placement, or in what is known of the camera.
"""

from __future__ import annotations

import argparse
import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from footing import Clip, chosen, seen_clip

from sasmamba.app import pipeline
from sasmamba.app.config import Settings
from sasmamba.app.export.motion_table import about
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.motion.body import without_legs
from sasmamba.app.motion.body_checks import Placed, swings
from sasmamba.app.motion.checks import sentences
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.motion.self_checks import self_checks
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.pose2d.sides import SideRepair
from sasmamba.app.take import Take
from sasmamba.app.types import Cut
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings
from sasmamba.models.skeletons import H36M
from sasmamba.training.motion import load_motion

#: Motion that is checked: file, and words of which one is in the clip's name or subject.
SETS = {
    "h36m_train": ("S8",),
    "cmu_more": ("007_01", "007_05", "008_02", "010_03", "002_01"),
    "deepmimic": ("walk", "run", "jump"),
}


@dataclass(frozen=True)
class Failure:
    """A way to spoil a clip.

    Attributes:
        found_by: checks of which one is to find it.
        take: changes the take before it is placed.
        placement: changes the placement.
        walking: only of people who walk on.
    """

    name: str
    found_by: tuple[str, ...]
    take: Callable[[Take], None] = lambda take: None
    placement: Callable[[Placement], None] = lambda placement: None
    walking: bool = False


def _poses(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Callable[[Take], None]:
    """Changes joints (F, 17, 3) at times (F,)."""

    def spoil(take: Take) -> None:
        track = take.tracks[1]
        frames = sorted(track.poses)
        time = take.seconds(frames)
        for f, joints in zip(frames, change(np.stack([track.poses[f].joints for f in frames]), time), strict=True):
            track.poses[f] = replace(track.poses[f], joints=joints.astype(np.float32))

    return spoil


def _roots(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Placement], None]:
    """Changes pelves (F, 3)."""

    def spoil(placement: Placement) -> None:
        for roots in placement.roots.values():
            frames = sorted(roots)
            for f, at in zip(frames, change(np.stack([roots[f] for f in frames])), strict=True):
                roots[f] = at.astype(np.float32)

    return spoil


def _wrong_arms(joints: np.ndarray, time: np.ndarray) -> np.ndarray:
    """For a second, that in which the picture shows most of them (an arm that points to the camera is the same however
    it is turned about it), both arms are where it shows them elsewhere: turned by 80° about the line of sight."""
    out = joints.copy()
    arms = joints[:, [H36M.LEFT_WRIST, H36M.RIGHT_WRIST], :2] - joints[:, [H36M.LEFT_SHOULDER, H36M.RIGHT_SHOULDER], :2]
    shown = np.cumsum(np.append(0, np.linalg.norm(arms, axis=-1).min(1)))
    ends = np.minimum(np.searchsorted(time, time + 1.0, side="right"), len(time))
    whole = time + 1.0 <= max(time[-1], 1.0)
    begin = int(np.where(whole, shown[ends] - shown[: len(time)], -1).argmax())
    inside = (time >= time[begin]) & (time <= time[begin] + 1.0)
    c, s = np.cos(np.radians(80)), np.sin(np.radians(80))
    R = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    for side in ("LEFT", "RIGHT"):
        shoulder = joints[inside, H36M[f"{side}_SHOULDER"]]
        for joint in (H36M[f"{side}_ELBOW"], H36M[f"{side}_WRIST"]):
            out[inside, joint] = shoulder + (joints[inside, joint] - shoulder) @ R.T
    return out


def _short_shanks(joints: np.ndarray, time: np.ndarray) -> np.ndarray:
    out = joints.copy()
    for side in ("LEFT", "RIGHT"):
        knee, ankle = H36M[f"{side}_KNEE"], H36M[f"{side}_ANKLE"]
        out[:, ankle] = joints[:, knee] + 0.55 * (joints[:, ankle] - joints[:, knee])
    return out


def _all_times(factor: int) -> Callable[[Take], None]:
    def spoil(take: Take) -> None:
        take.times_s = [factor * t if factor > 0 else t / -factor for t in take.times_s]

    return spoil


def _small(take: Take) -> None:
    for f, person in take.tracks[1].people.items():
        middle = take.meta.width / 2, take.meta.height / 2
        shrunk = 0.06
        joints = (person.joints_px - middle) * shrunk + middle
        box = (person.box_px - [*middle, *middle]) * shrunk + [*middle, *middle]
        take.tracks[1].people[f] = replace(
            person, joints_px=joints.astype(np.float32), box_px=box.astype(np.float32), feet=None
        )


def _hide_legs(take: Take) -> None:
    """Knees and ankles are never found."""
    for f, person in take.tracks[1].people.items():
        take.tracks[1].people[f] = without_legs(person)


def _two_people(take: Take) -> None:
    """From the middle on somebody else, half a picture away."""
    frames = sorted(take.tracks[1].people)
    for f in frames[len(frames) // 2 :]:
        person = take.tracks[1].people[f]
        take.tracks[1].people[f] = replace(person, joints_px=person.joints_px + np.float32([640, 0]))


def _turn(take: Take) -> None:
    """The whole picture by half a turn."""
    far = np.float32([take.meta.width, take.meta.height])
    track = take.tracks[1]
    for f, person in track.people.items():
        box = np.concatenate([far - person.box_px[2:], far - person.box_px[:2]])
        track.people[f] = replace(person, joints_px=far - person.joints_px, box_px=box, feet=None)
    for f, pose in track.poses.items():
        track.poses[f] = replace(pose, joints=pose.joints * np.float32([-1, -1, 1]))


def _exchanged(take: Take) -> None:
    last = float(take.times_s[-1])
    times = np.arange(0, last, 0.4)
    take.side_repairs += [SideRepair(1, ("legs",), int(t * 50), int(t * 50) + 5, t, t + 0.1) for t in times]


def _cut(take: Take) -> None:
    middle = len(take.times_s) // 2
    take.cuts_passed_over.append(Cut(middle, take.times_s[middle]))


def _pan(take: Take) -> None:
    often = max(1, round(float(take.meta.fps) / 10))  # as often as a camera at rest is looked at
    take.camera_strayed = {f: 0.02 * float(take.times_s[f]) for f in range(0, take.frames, often)}


def _sink(root: np.ndarray) -> np.ndarray:
    return root - [0, 0, 0.4]


def _fly(root: np.ndarray) -> np.ndarray:
    return root + np.linspace(0, 1, len(root))[:, None] * [0, 0, 3.0]


def _leap(root: np.ndarray) -> np.ndarray:
    out = root.copy()
    out[len(root) // 2 :] += [2.5, 0, 0]
    return out


FAILURES = (
    Failure("arms that are elsewhere in the picture", ("limb_direction",), take=_poses(_wrong_arms)),
    Failure("a leap over the floor", ("speed", "acceleration"), placement=_roots(_leap)),
    Failure("floats", ("floating",), placement=_roots(_fly)),
    Failure("in the ground", ("sunk",), placement=_roots(_sink)),
    Failure("a video that is upside down", ("upside_down",), take=_turn),
    Failure("shanks of half the length", ("bones",), take=_poses(_short_shanks)),
    Failure("sides exchanged again and again", ("sides",), take=_exchanged),
    Failure("two people taken for one", ("identity",), take=_two_people),
    Failure("a cut passed over", ("identity_over_cut",), take=_cut),
    Failure("a pan of a camera said to be still", ("camera",), take=_pan),
    Failure("played at half the speed", ("slow_motion",), take=_all_times(2), walking=True),
    Failure("played at twice the speed", ("fast_motion", "fast_run"), take=_all_times(-2), walking=True),
    Failure("legs hidden", ("never_known",), take=_hide_legs),
    Failure("small in the picture", ("small",), take=_small),
)


def findings_of(clip: Clip, failure: Failure | None = None) -> list[str]:
    """Sentences' kinds that the checks find in a clip, spoiled or not."""
    take = copy.deepcopy(clip.take)
    if failure is not None:
        failure.take(take)
    placement = place(take, 60.0, intrinsics=clip.camera)
    if failure is not None:
        failure.placement(placement)
        if failure.name == "floats":
            for planted in placement.planted.values():
                planted.update(dict.fromkeys(planted, np.zeros(2, bool)))
    kinds = [finding.kind for finding in self_checks(take, placement)]
    unknown = about(take, placement)["present"]["1"]["never_known"]
    # what is never known is no finding: it is left out of pictures and files, which say so
    return kinds + ["never_known"] * ({"left_knee", "right_knee", "left_ankle", "right_ankle"} <= set(unknown))


def walks(clip: Clip) -> bool:
    """Whether there are steps to tell a pace by."""
    frames, world = place(clip.take, 60.0, intrinsics=clip.camera).world(1)
    time, still = clip.take.seconds(frames), np.zeros((len(frames), 2), bool)
    return bool(np.isfinite(swings(Placed(1, time, world, still, np.zeros(len(frames))))[0]).any())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-root", type=Path, help="folder of mocap")
    parser.add_argument("--clips", type=int, default=3, help="of each file")
    parser.add_argument("--half", choices=["tune", "report"], default="report", help="every other clip, or the others")
    parser.add_argument("--lifter", default=DEFAULT_LIFTER)
    parser.add_argument("--video", type=Path, nargs="*", default=[])
    asked = parser.parse_args()
    lifter = Lifter.load(asked.lifter)
    clips = []
    for file, words in SETS.items() if asked.data_root else []:
        motion = load_motion([asked.data_root / f"{file}.npz"])
        some = chosen(motion, words)[asked.half == "report" :: 2]
        some = [some[k] for k in np.linspace(0, len(some) - 1, min(len(some), asked.clips)).round().astype(int)]
        clips += [seen_clip(motion, c, lifter, file, seed) for seed, c in enumerate(some)]
    if clips:
        clean = {clip.name: findings_of(clip) for clip in clips}
        print(f"clean: nothing found in {sum(not found for found in clean.values())} of {len(clips)} clips")
        for name, found in clean.items():
            if found:
                print(f"  {name}: {', '.join(found)}")
        print(f"\n{'failure':38} {'to be found by':24} {'found':>7}  also")
        for failure in FAILURES:
            some = [clip for clip in clips if not failure.walking or walks(clip)]
            found = [findings_of(clip, failure) for clip in some]
            hits = sum(any(kind in failure.found_by for kind in kinds) for kinds in found)
            also = Counter(kind for kinds in found for kind in set(kinds) - set(failure.found_by))
            told = ", ".join(f"{kind} in {n}" for kind, n in also.most_common(4))
            print(f"{failure.name:38} {' or '.join(failure.found_by):24} {hits:>3}/{len(some):<3}  {told}")
    for path in asked.video:
        settings = Settings()
        with (
            pipeline.open_video(path, settings) as video,
            pipeline.watch_camera(video, settings) as watch,
            pipeline.open_models(settings) as (pose2d, loaded),
        ):
            take = pipeline.analyse(
                video,
                pose2d,
                loaded,
                every=1,
                max_people=8,
                timings=Timings(),
                stop=Stop(),
                progress=lambda *_: None,
                watch=watch,
            )
        smooth_take(take)
        found = sentences(self_checks(take, place(take, settings.fov_deg)))
        print(f"{path.name}: {'; '.join(found) or 'nothing found'}")


if __name__ == "__main__":
    main()
