"""The chain: source → 2D → identities → 3D → places → picture. The only file that knows all stages.

A video is read twice: once to see everybody's whole motion, once to draw it. So nothing grows with its length but the
poses themselves, and the view, the floor and the identities are settled before the first picture is drawn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from sasmamba.app.config import Job, Settings
from sasmamba.app.export.formats import VIEWS, export_motion, export_paths
from sasmamba.app.export.motion_table import Outcome
from sasmamba.app.export.poses import save_poses
from sasmamba.app.export.saved_take import read_take
from sasmamba.app.finishing import finish, placed
from sasmamba.app.from_poses import check_belongs, correction, lifter_of
from sasmamba.app.io.prefetch import prefetch
from sasmamba.app.io.renders import open_render
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.loading import lifter_beside
from sasmamba.app.motion.camera import Intrinsics
from sasmamba.app.motion.camera_decision import in_words
from sasmamba.app.motion.camera_watch import CameraWatch
from sasmamba.app.motion.certainty import faintness
from sasmamba.app.motion.feet import find_feet
from sasmamba.app.motion.placing import Placement
from sasmamba.app.motion.self_checks import self_checks
from sasmamba.app.pose2d import open_pose2d
from sasmamba.app.pose2d.protocol import Pose2D, nobody_found
from sasmamba.app.pose2d.sides import side_sentences
from sasmamba.app.render.palette import Canvas
from sasmamba.app.render.renderer import RenderConfig, Renderer
from sasmamba.app.render.scene import Scene
from sasmamba.app.run_report import Report
from sasmamba.app.seeing import mend_sides_of, see
from sasmamba.app.take import Take
from sasmamba.app.types import VideoMeta
from sasmamba.common.device import resolve_device
from sasmamba.common.errors import UserError
from sasmamba.common.files import check_writable, claimed
from sasmamba.common.interrupts import Stop
from sasmamba.common.machine import give_memory_back
from sasmamba.common.progress import Progress
from sasmamba.common.timings import Timings

if TYPE_CHECKING:
    from sasmamba.app.lifting.lifter import Lifter

#: Timings drawn into the picture are renewed every so many frames; faster ones cannot be read.
_HUD_EVERY = 15
#: A track seen for less than this is spurious: no person, but something the detector took for one.
_SPURIOUS_S = 0.26
#: A video longer than this shows small people soon enough if they are found some frames after the first.
_A_WHILE_S = 2
#: No video has people of more digits than this.
_LONGEST_NUMBER = 9999
#: Frames decoded and pictures drawn before they are asked for: enough to even out, few enough to hold in memory.
_READ_AHEAD, _DRAWN_AHEAD = 4, 2

_log = logging.getLogger(__name__)


def open_video(source: Path, settings: Settings) -> VideoFile:
    """The part of a video that a run is about.

    Raises:
        UserError: it cannot be read, or is not of the camera that the settings name.
    """
    video = VideoFile(
        source,
        start_s=settings.start_s,
        end_s=settings.end_s,
        max_frames=settings.max_frames,
        stream=settings.stream,
    )
    if settings.intrinsics is not None:
        settings.intrinsics.check(video.meta)
    return video


@contextmanager
def open_models(settings: Settings, meta: VideoMeta | None = None) -> Iterator[tuple[Pose2D, Lifter | Future[Lifter]]]:
    """The 2D stage of a run, loaded, and its lifter, which may still be loading; the 2D stage is closed at the end.

    Args:
        meta: of the video; the first frame of one that takes a while is out sooner.

    Raises:
        UserError: the models of one cannot be had or used, with what to do.
    """
    device = resolve_device(settings.device)
    with (
        lifter_beside(
            settings.lifter, device, flip=settings.flip, refine=settings.refine, threads=settings.threads
        ) as lifter,
        open_pose2d(
            settings.pose2d,
            max_people=settings.max_people,
            detector=settings.detector,
            weights=settings.pose2d_weights,
            input_px=settings.pose2d_px,
            device=device,
            soon=meta is not None and (meta.frames or 0) > _A_WHILE_S * meta.fps,
            threads=settings.threads,
        ) as pose2d,
    ):
        yield pose2d, lifter
    give_memory_back()


def analyse(
    video: VideoFile,
    pose2d: Pose2D,
    lifter: Lifter | Future[Lifter],
    *,
    every: int,
    max_people: int,
    timings: Timings,
    stop: Stop,
    progress: Progress,
    cuts: bool = True,
    watch: CameraWatch | None = None,
    correct: Callable[[Take], Take] = lambda take: take,
) -> Take:
    """Reads a video once: who is where, who is who, and everybody's pose.

    Poses are lifted when all of the 2D is known, since what comes later tells left from right, and how long somebody
    stays tells whether they are a person at all.

    The 2D stage runs in every so many frames, and between two detection frames people are taken to move straight:
    keyframes, after Einfalt et al., WACV 2023, "Uplift and Upsample". There the frames between are masked, but this
    lifter's poses then shake, see benchmarks/keyframes.py. The first and the last frame of every shot are detection
    frames, too: none lies beyond all of them.

    `watch` sees how the camera turns; without it, it is taken to be still.

    `correct` gives the take that is lifted: corrections by hand change what was seen, and nothing after it.

    Where cuts are looked for, nobody's identity, and with it no window and no smoothing, goes on across one.

    A lifter that is still being loaded is a future; that it cannot be is said as soon as it is known.
    """
    loading = lifter if isinstance(lifter, Future) else None

    def seen(stage: str, done: int, total: int | None) -> None:
        if loading is not None and loading.done():
            loading.result()
        progress(stage, done, total)

    take = Take(video.meta, "", every)
    see(
        video,
        pose2d,
        take,
        max_people=max_people,
        timings=timings,
        stop=stop,
        progress=seen,
        cuts=cuts,
        watch=watch,
    )
    lifter = lifter.result() if isinstance(lifter, Future) else lifter
    take.drop_spurious_tracks(_SPURIOUS_S)
    with timings("sides"):
        mend_sides_of(take)
    take = correct(take)
    _lift(take, lifter, timings, progress)
    return take


def _lift(take: Take, lifter: Lifter, timings: Timings, progress: Progress) -> None:
    with timings("lift"):
        from sasmamba.app.lifting.lives import lift_take  # brings torch, as the lifter has

        lift_take(take, lifter, progress)


def watch_camera(video: VideoFile, settings: Settings) -> CameraWatch:
    """What watches the camera of a video; with glimpses where the user says that it is still."""
    camera = settings.intrinsics or Intrinsics.assumed(video.meta, settings.fov_deg)
    return CameraWatch(video.meta, camera, settings.camera == "rotating", glimpses=settings.camera == "still")


def outputs(job: Job, settings: Settings) -> list[Path]:
    """The files of a run, as far as they are known before it: two people stand for all who have files of their own,
    the first and one whose number makes the longest name."""
    poses = [] if job.poses is None else [job.poses]
    people = (settings.person,) if settings.person else (1, _LONGEST_NUMBER)
    return [job.out, *poses, *export_paths(people, job.out.with_suffix(""), settings.export)]


def render(
    video: VideoFile,
    take: Take,
    placement: Placement,
    job: Job,
    settings: Settings,
    *,
    timings: Timings,
    stop: Stop,
    progress: Progress,
    problems: list[str],
    threads: int = 2,
) -> int:
    """Reads the video again and draws everybody beside it; returns the number of frames written.

    It can be stopped too: the render then ends early and is whole as far as it goes. From two threads on, decoding and
    drawing go on in threads of their own beside the encoding; the pictures are the same.
    """
    scenes = {shot.start: Scene.of_shot(placement.roots, shot, placement.R_world_cam) for shot in take.shots}
    config = RenderConfig(height=settings.height, show_numbers=settings.numbers)
    read_ahead, drawn_ahead = (_READ_AHEAD, _DRAWN_AHEAD) if threads > 1 else (0, 0)
    renderer = Renderer(video.meta, config, scenes[0], pages=drawn_ahead + 2)

    feet = {i: dict(zip(of.frames, of.points, strict=True)) for i, of in find_feet(take, placement).items()}
    faint = {i: faintness(take, track) for i, track in take.tracks.items()}

    def pictures() -> Iterator[tuple[Canvas, Fraction]]:
        hud: str | None = None
        with closing(prefetch(video, read_ahead)) as frames:
            for frame in timings.waiting("read", frames):
                if frame.index >= take.frames:
                    return
                if settings.numbers and frame.index % _HUD_EVERY == 0:
                    stages = timings.per_frame_ms(take.frames, frame.index)
                    hud = "\n".join(f"{k} {ms:.1f} ms" for k, ms in stages.items())
                with timings("draw"):
                    if frame.index in scenes and frame.index > 0:
                        renderer.see_from(config.azimuth_deg, config.elevation_deg, scenes[frame.index])
                    poses, roots = placement.at(frame.index)
                    soles = {i: feet[i][frame.index] for i in roots}
                    picture = renderer.draw(
                        frame,
                        take.people_at(frame.index),
                        poses,
                        hud,
                        roots,
                        soles,
                        {i: faint[i][frame.index] for i in roots},
                        take.upper,
                    )
                yield picture, frame.time_s

    width, height = renderer.size
    end_s = take.times_s[-1] + 1 / video.meta.fps + video.clock_s
    audio = job.source if video.has_audio else None
    asked_before, written = stop.asked, 0
    with (
        open_render(job.out, width, height, video.meta.fps, audio, video.clock_s, end_s) as sink,
        closing(prefetch(pictures(), drawn_ahead)) as drawn,
    ):
        for picture, time_s in drawn:
            if stop.asked and not asked_before:
                break
            with timings("encode"):
                sink.write(picture, time_s)
            written += 1
            progress("render", written, take.frames)
    problems += sink.problems
    return written


def run(job: Job, settings: Settings, progress: Progress = lambda stage, done, total: None) -> Report:
    """Runs the whole chain on one video file.

    Raises:
        UserError: anything a person can mend; nothing half-written is left. Where the person asked for is not there,
            poses and exports of everybody were written before.
    """
    begin = time.perf_counter()
    timings, problems = Timings(), list[str]()
    saved = None if job.from_poses is None else read_take(job.from_poses)
    if saved is not None:
        settings = settings.over(saved.settings)
    with (
        ExitStack() as alone,
        Stop.on_interrupt() as stop,
        open_video(job.source, settings) as video,
    ):
        base = job.out.with_suffix("")
        for path in outputs(job, settings):
            check_writable(path)
        alone.enter_context(claimed(job.out))
        correct = correction(job, video, problems)
        if saved is None:
            with watch_camera(video, settings) as watch, open_models(settings, video.meta) as (pose2d, lifter):
                started, cpu_before_s = time.perf_counter(), time.process_time()
                take = analyse(
                    video,
                    pose2d,
                    lifter,
                    every=settings.pose2d_every,
                    max_people=settings.max_people,
                    timings=timings,
                    stop=stop,
                    progress=progress,
                    cuts=settings.cuts,
                    watch=watch,
                    correct=correct,
                )
            seen_by, how_small = pose2d.name, nobody_found(pose2d, video.meta.width, video.meta.height)
        else:
            check_belongs(saved, job.from_poses or job.source, video)
            own_lifter = lifter_of(settings)
            started, cpu_before_s = time.perf_counter(), time.process_time()
            take = correct(saved)
            _lift(take, own_lifter, timings, progress)
            seen_by, how_small = str(saved.settings.get("seen_by", "")), ""
        problems += [*video.remarks, *video.problems]
        video.problems.clear()  # the second reading would only tell the same again
        if not take.frames:
            raise UserError(f"Stopped before the first frame of {job.source}; nothing was written.", exit_code=130)
        if stop.asked:
            _log.info("Stopping: what was seen so far is drawn; Ctrl-C again stops at once.")
        absent = "" if settings.person is None else take.keep_person(settings.person)
        take.settings = {**settings.kept, "cut_short": take.cut_short, "seen_by": seen_by}
        finish(take, settings)
        files = []
        if job.poses is not None:  # before the drawing: whatever stops that, the analysis is not lost
            save_poses(take, job.poses, keep_inferred=settings.keep_inferred)
            files.append(str(job.poses))
        with timings("place"):
            placement = placed(take, settings)
        findings = self_checks(take, placement)
        problems += placement.problems
        motion = [form for form in settings.export if form not in VIEWS]
        if motion and take.tracks:
            files += map(str, export_motion(take, placement, base, motion, options=settings.export_options))
        written = 0
        if not absent:
            written = render(
                video,
                take,
                placement,
                job,
                settings,
                timings=timings,
                stop=stop,
                progress=progress,
                problems=problems,
                threads=settings.threads or 2,
            )
        problems += filter(None, [video.changed()])
        if written:
            files.insert(0, str(job.out))
        if not take.tracks:
            problems.append(f"Nobody was found in {job.source}; the render has no skeleton.{how_small}")
        report = Report(
            frames=take.frames,
            detections=len(take.detection_frames),
            written=written,
            people={i: len(t.people) for i, t in sorted(take.tracks.items())},
            stage_ms=timings.per_frame_ms(take.frames, written),
            seconds=time.perf_counter() - started,
            cpu_s=time.process_time() - cpu_before_s,
            startup_s=started - begin,
            files=files,
            model=take.model,
            pose2d=seen_by,
            problems=problems,
            interrupted=stop.asked and (take.cut_short or written < take.frames),
            side_repairs=take.side_repairs,
            cuts=take.cuts,
            upper=sorted(take.upper),
            camera=in_words(take.camera_motion),
            upright=placement.assumptions["shots"] if placement.poses else [],
            findings=findings,
        )
        if views := [form for form in settings.export if form in VIEWS]:
            # a page is passed on: it names the video, not where it lies
            told = [*side_sentences(report.side_repairs)] + [
                problem.replace(str(job.source), job.source.name) for problem in problems
            ]
            outcome = Outcome(
                job.source.name,
                job.out if written else None,
                written,
                report.pose2d,
                report.fps,
                report.stage_ms,
                told,
                findings,
            )
            report.files.extend(map(str, export_motion(take, placement, base, views, outcome, settings.export_options)))
        if absent:
            kept = (
                f"what was asked for of everybody is in {', '.join(report.files)}"
                if report.files
                else ("to keep the poses of a run whatever is drawn, add --save-poses")
            )
            raise UserError(f"{absent} No render was made; {kept}.")
        return report
