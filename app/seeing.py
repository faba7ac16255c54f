"""One reading of a video: where it is cut, who is where and who is who, and how the camera turns."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

from sasmamba.app.io.prefetch import prefetch
from sasmamba.app.io.shot_cuts import CutFinder, watched_for_cuts, with_cuts
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.motion.camera_watch import CameraWatch
from sasmamba.app.pose2d.foresight import with_foresight
from sasmamba.app.pose2d.protocol import Pose2D
from sasmamba.app.pose2d.sides import mend_sides
from sasmamba.app.take import Take
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.interrupts import Stop
from sasmamba.common.progress import Progress
from sasmamba.common.timings import Timings


def see(
    video: VideoFile,
    pose2d: Pose2D,
    take: Take,
    *,
    max_people: int,
    timings: Timings,
    stop: Stop,
    progress: Progress,
    cuts: bool = True,
    watch: CameraWatch | None = None,
) -> None:
    """Reads a video once: where it is cut, who is where, and who is who; and how the camera turns, if it is watched.

    Who is who in a frame is told in a thread of its own, while people are looked for in the next.
    """
    tracker = Tracker(max_people=max_people)
    finder = CutFinder(video.meta.fps)

    last_seen: tuple[Person2D, ...] = ()
    tracking: Future[None] = Future()  # of the frame before
    tracking.set_result(None)

    def track(frame: Frame, people: tuple[Person2D, ...]) -> None:
        with timings("track"):
            take.add_people(frame.index, tracker.update(frame, people))

    def detect(frame: Frame) -> None:
        nonlocal last_seen, tracking
        with timings("2d"):
            last_seen = people = pose2d(frame)
        tracking.result()
        tracking = beside.submit(track, frame, people)

    not_detected_in: Frame | None = None
    shot_begin = 0
    with (
        ThreadPoolExecutor(1, "tracking") as beside,
        closing(prefetch(with_cuts(video, finder) if cuts else watched_for_cuts(video, finder))) as frames,
    ):
        for frame in timings.waiting("read", with_foresight(frames, pose2d)):
            if stop.asked:
                take.cut_short = True
                break
            if frame.cut is not None:
                shot_begin = frame.index
                if not_detected_in is not None:
                    detect(not_detected_in)
            take.times_s.append(frame.time_s)
            not_detected_in = frame if (frame.index - shot_begin) % take.pose2d_every else None
            if not_detected_in is None:
                detect(frame)
            if watch is not None:
                watch.see(frame, last_seen)
            progress("analyse", frame.index + 1, video.meta.frames)
        if not_detected_in is not None:
            detect(not_detected_in)
        tracking.result()
    if cuts:
        take.end_shots_at(finder.cuts)
    else:
        take.cuts_passed_over = [cut for cut in finder.cuts if cut.frame < take.frames]
    if watch is not None and take.frames:
        if watch.glimpses:  # takes next to no time
            take.camera_strayed = watch.strayed(take.shots)
        else:
            with timings("camera"):
                take.camera_motion = watch.motion(take.shots)
        take.scene_lines = watch.lines()


def mend_sides_of(take: Take) -> None:
    """Left and right of everybody kept apart over their whole life; `Take.side_repairs` tells what was exchanged."""
    for track in take.tracks.values():
        track.people, repairs = mend_sides(track.track_id, track.people, take.times_s)
        take.side_repairs += repairs
