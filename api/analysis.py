"""A whole video to everybody's motion: what a program gets instead of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from sasmamba.app import pipeline
from sasmamba.app.config import Settings
from sasmamba.app.export.motion_table import PersonMotion, motions
from sasmamba.app.finishing import placed
from sasmamba.app.motion.checks import CheckFinding
from sasmamba.app.motion.measure import Measure
from sasmamba.app.motion.performance import View, view_of
from sasmamba.app.motion.self_checks import self_checks
from sasmamba.app.motion.smoothing import smooth_take
from sasmamba.app.pose2d.sides import side_sentences
from sasmamba.app.take import Track
from sasmamba.app.types import Cut
from sasmamba.common.arrays import FloatArray
from sasmamba.common.interrupts import Stop
from sasmamba.common.progress import Progress
from sasmamba.common.timings import Timings
from sasmamba.keyword_settings import AnalysisSettings, FileName


@dataclass(frozen=True, slots=True, eq=False)
class AnalysedPerson:
    """One person of a video, from their first frame with a pose to their last: F frames.

    Attributes:
        track_id: Their number, the same in every frame and in the render.
        frame: (F,) int, numbers of the video's frames, without gaps.
        times_s: (F,) float64, exact times of these frames, seconds.
        world_m: (F, 17, 3) float32, H36M-17 in the world's axes: metres, x right, y away from the camera, z up, the
            floor at z = 0. NaN where there is no pose.
        joints3d: (F, 17, 3) float32, H36M-17 relative to the pelvis in the axes of a camera that looks straight at the
            person: metres, x right, y down, z forward. NaN where there is no pose.
        half_width_m: (F, 17, 2) float32, half-widths of intervals that hold each joint's true place relative to the
            pelvis in 68 of 100 cases, across the line of sight to the person (on each of two axes) and along it. NaN
            where there is no pose, or the lifter cannot say.
        state: (F, 17) uint8, what each joint's place comes from: 2 seen in the frame, 1 inferred from nearby frames, 0
            unknown: not in the picture for long, or nothing that the lifter can tell. `world_m` and `joints3d` have a
            place for all three.
        keypoints: (F, 17, 2) float32, COCO-17 as the 2D stage saw them, left and right put right: pixels, x right, y
            down. NaN where it did not see the person.
        score: (F, 17) float32, 0 to 1, of `keypoints`; 0 marks a joint that was not found.
        observed: (F,) bool, whether the 2D stage saw the person in the frame; elsewhere the frames around carry the
            pose.
        planted: (F, 2) bool, whether the left and the right foot rests on the floor, or on whatever is under it. False
            where there is no pose.
        measures: What people measure of it: gait, jumps, standing up, ranges of angles, each with its 95 % half-width,
            or why it cannot be measured.
    """

    track_id: int
    frame: NDArray[np.int64]
    times_s: NDArray[np.float64]
    world_m: FloatArray
    joints3d: FloatArray
    half_width_m: FloatArray
    state: NDArray[np.uint8]
    keypoints: FloatArray
    score: FloatArray
    observed: NDArray[np.bool_]
    planted: NDArray[np.bool_]
    measures: tuple[Measure, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """Everybody's motion in one video.

    Attributes:
        people: Everybody who was found, by track id; empty if nobody was.
        times_s: (frames of the video,) float64, seconds.
        fps: The average frame rate, exact.
        width: Of the video in pixels, as displayed.
        height: Of the video in pixels, as displayed.
        cuts: Where a new shot begins, in order of time; who is seen before and after has two track ids.
        model: The lifter's name.
        pose2d: The 2D stage's name.
        assumptions: What was taken for granted of camera, people and floor, as in every export.
        problems: Sentences about losses and repairs: damaged frames, people whose place is a guess, where the 2D stage
            had exchanged left and right.
        findings: What the self-checks found that is implausible, each with its times and threshold.
    """

    people: Mapping[int, AnalysedPerson]
    times_s: NDArray[np.float64]
    fps: Fraction
    width: int
    height: int
    cuts: tuple[Cut, ...]
    model: str
    pose2d: str
    assumptions: Mapping[str, Any]
    problems: tuple[str, ...]
    findings: tuple[CheckFinding, ...]


def analyse(
    video: FileName, *, progress: Progress = lambda stage, done, total: None, **settings: Unpack[AnalysisSettings]
) -> Analysis:
    """Finds everybody in a video and their motion in 3D; draws and writes nothing.

    Args:
        video: The file.
        progress: Told the stage, how many frames are done, and how many there are (None where that is not known).
        **settings: See `AnalysisSettings`; unsaid ones are those of the command `sasmamba-demo`.

    Returns:
        Everybody's motion.

    Raises:
        UserError: Anything a person can mend, in one sentence that says what to do.
        KeyboardInterrupt: Ctrl-C.
    """
    config = Settings(**settings)
    with pipeline.open_video(Path(video), config) as source:
        with pipeline.watch_camera(source, config) as watch, pipeline.open_models(config) as (pose2d, lifter):
            take = pipeline.analyse(
                source,
                pose2d,
                lifter,
                every=config.pose2d_every,
                max_people=config.max_people,
                timings=Timings(),
                stop=Stop(),
                progress=progress,
                cuts=config.cuts,
                watch=watch,
            )
            seen_by = pose2d.name
        if config.smooth:
            smooth_take(take)
        placement = placed(take, config)
        return Analysis(
            people={
                m.track_id: _person(m, take.tracks[m.track_id], view_of(take, placement, m.track_id))
                for m in motions(take, placement)
            },
            times_s=take.seconds(),
            fps=take.meta.fps,
            width=take.meta.width,
            height=take.meta.height,
            cuts=tuple(take.cuts),
            model=take.model,
            pose2d=seen_by,
            assumptions=placement.assumptions,
            problems=(*side_sentences(take.side_repairs), *source.problems, *placement.problems),
            findings=tuple(self_checks(take, placement)),
        )


def _person(motion: PersonMotion, track: Track, view: View) -> AnalysedPerson:
    """Somebody's placed motion, and what was seen and lifted of them in the same frames."""
    frames = len(motion.frame)
    joints3d = np.full((frames, 17, 3), np.nan, np.float32)
    keypoints = np.full((frames, 17, 2), np.nan, np.float32)
    score = np.zeros((frames, 17), np.float32)
    for i, frame in enumerate(motion.frame.tolist()):
        if (pose := track.poses.get(frame)) is not None:
            joints3d[i] = pose.joints
        if (person := track.people.get(frame)) is not None:
            keypoints[i], score[i] = person.joints_px, person.score
    return AnalysedPerson(
        motion.track_id,
        motion.frame,
        motion.times_s,
        motion.joints,
        joints3d,
        motion.half_width_m,
        motion.states[:, :17],
        keypoints,
        score,
        motion.observed,
        motion.planted,
        tuple(motion.measures(view)),
    )
