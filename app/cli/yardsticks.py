"""What every stage costs beside two yardsticks of the same run: a bare MediaPipe pass, and a render re-encoded by PyAV.

The first decodes the video and has MediaPipe's own landmarker find one person in every frame; the second decodes a
render and encodes it again as PyAV does unless told otherwise. Milliseconds of one machine say nothing on another, or
on a busy day; how many times a yardstick something takes does. So everything is taken in CPU time of this process, in
turns, several times over, and the least of each counts: whatever else the machine does only ever adds.
"""

from __future__ import annotations

import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from sasmamba.app import weights
from sasmamba.app.config import Job, Settings
from sasmamba.app.io.containers import open_container
from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.lives import lift_take
from sasmamba.app.lifting.online import LiveLifting, live_window
from sasmamba.app.motion.placing import Placement, place
from sasmamba.app.pipeline import analyse, run
from sasmamba.app.pose2d import MEDIAPIPE_MODEL, open_pose2d
from sasmamba.app.pose2d.landmarker import load_mediapipe
from sasmamba.app.render.palette import Canvas
from sasmamba.app.render.renderer import Renderer
from sasmamba.app.render.scene import Scene
from sasmamba.app.take import Take
from sasmamba.app.types import Frame, Person2D
from sasmamba.common.errors import UserError
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings

#: Frames are held decoded, so that decoding is measured by itself: no more than this.
_MOST_FRAMES, _MOST_BYTES = 60, 400_000_000
#: Names of the yardsticks among the costs.
MEDIAPIPE, REENCODED = YARDSTICKS = ("bare MediaPipe", "re-encoded")
#: Between two frames, as MediaPipe is told; it wants times that grow.
_STEP_MS = 33
#: Live windows that are lifted for one measurement.
_LIVE_WINDOWS = 8
#: Cores are left to nobody else while CPU time is counted: one thread does one thing.
_ONE_THREAD = 1


class Costs:
    """CPU time of parts, the least of several rounds, by name.

    Attributes:
        ms: milliseconds per frame of the video; a live part's, per person and frame.
    """

    def __init__(self) -> None:
        self.ms: dict[str, float] = {}

    def note(self, name: str, seconds: float, units: int) -> None:
        """Takes one measurement of a part that did so many units."""
        ms = 1000 * seconds / units
        self.ms[name] = min(ms, self.ms.get(name, ms))

    def measure(self, name: str, work: Callable[[], object], units: int) -> None:
        """Does the work and notes what it took, of all threads of this process."""
        begin = time.process_time()
        work()
        self.note(name, time.process_time() - begin, units)

    def against(self, yardstick: str) -> dict[str, float]:
        """How many times the yardstick every part takes; the yardsticks themselves are left out."""
        return {name: ms / self.ms[yardstick] for name, ms in self.ms.items() if name not in YARDSTICKS}


def stage_costs(
    video: Path,
    *,
    frames: int = _MOST_FRAMES,
    rounds: int = 3,
    settings: Settings | None = None,
    before: Costs | None = None,
) -> Costs:
    """What every stage takes on the first frames of a video with people.

    Args:
        video: the clip.
        frames: of it, at most so many.
        rounds: of which the least counts.
        settings: of the run that is taken apart; None for MoveNet where that can be had, else MediaPipe.
        before: measurements of the same before, which count, too.

    Raises:
        UserError: the video cannot be read, nobody is in it, or a model cannot be had.
    """
    if settings is None:
        settings = Settings(pose2d="movenet" if weights.obtain("movenet") else "mediapipe")
    costs = before or Costs()
    with _opencv_threads(_ONE_THREAD), VideoFile(video, max_frames=frames) as source:
        fits = max(2, _MOST_BYTES // (3 * source.meta.width * source.meta.height))
        lifter = Lifter.load(settings.lifter, flip=settings.flip, refine=settings.refine, detected=True)
        take = _analysed(video, min(frames, fits), lifter, settings)
        if not take.tracks:
            raise UserError(f"Nobody was found in {video}, so that most stages have nothing to do: name another clip.")
        placement = place(take, settings.fov_deg)
        scene = Scene.around(list(_paths(placement)), placement.R_world_cam)
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(rounds):
                _one_round(costs, video, take, placement, scene, lifter, settings, Path(folder) / "render.mp4")
    return costs


def _one_round(
    costs: Costs,
    video: Path,
    take: Take,
    placement: Placement,
    scene: Scene,
    lifter: Lifter,
    settings: Settings,
    render: Path,
) -> None:
    pictures: list[Frame] = []
    units = take.frames

    def decode() -> None:
        with VideoFile(video, max_frames=units) as again:
            pictures.extend(again)

    costs.measure("decode", decode, units)
    with bare_mediapipe() as landmarker:
        costs.measure(MEDIAPIPE, lambda: landmarker(video, units), units)
    with open_pose2d(settings.pose2d, max_people=settings.max_people, threads=_ONE_THREAD) as pose2d:
        costs.measure("2D", lambda: [pose2d(frame) for frame in pictures], units)
    costs.measure("lift", lambda: _lift(take, lifter), units)
    costs.note("lift, live, per person", _live_lift_s(take, lifter), 1)
    renderer = Renderer(take.meta, scene=scene)
    costs.measure("draw", lambda: deque(_drawn(renderer, pictures, take, placement), 0), units)
    shown = [picture.copy() for picture in _drawn(renderer, pictures, take, placement)]
    costs.measure("encode", lambda: _encode(shown, take.meta.fps, render), units)
    costs.measure(REENCODED, lambda: reencode(render, render.with_stem("again")), units)
    whole = replace(settings, max_frames=units)
    costs.measure("whole", lambda: run(Job(video, render.with_stem("whole")), whole), units)


def whole_against(video: Path, frames: int, render: Path, folder: Path) -> dict[str, float]:
    """Seconds of wall time that both yardsticks take on a whole run's video and render."""
    seconds = {}
    with bare_mediapipe() as go_through:
        begin = time.perf_counter()
        go_through(video, frames)
        seconds[MEDIAPIPE] = time.perf_counter() - begin
    begin = time.perf_counter()
    reencode(render, folder / "again.mp4")
    seconds[REENCODED] = time.perf_counter() - begin
    return seconds


@contextmanager
def bare_mediapipe() -> Iterator[Callable[[Path, int], int]]:
    """MediaPipe's own pose landmarker for one person: called with a video and how many frames of it, it goes through
    them and does nothing else; the result is how many there were.

    Raises:
        UserError: MediaPipe or its model cannot be had.
    """
    mp, tasks = load_mediapipe()
    vision = tasks.vision
    options = vision.PoseLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=str(weights.ensure(MEDIAPIPE_MODEL))),
        running_mode=vision.RunningMode.VIDEO,
        num_poses=1,
    )

    def go_through(video: Path, frames: int) -> int:
        count = 0
        with open_container(video) as container:
            for picture in islice(container.decode(video=0), frames):
                image = mp.Image(image_format=mp.ImageFormat.SRGB, data=picture.to_ndarray(format="rgb24"))
                task.detect_for_video(image, count * _STEP_MS)
                count += 1
        return count

    with closing(vision.PoseLandmarker.create_from_options(options)) as task:
        yield go_through


def reencode(source: Path, out: Path) -> int:
    """Decodes a video and encodes it again as PyAV does unless told otherwise; returns how many frames it has."""
    count = 0
    with open_container(source) as read, av.open(str(out), "w") as written:
        given = read.streams.video[0]
        stream: Any = written.add_stream("libx264", rate=given.average_rate)
        stream.width, stream.height, stream.pix_fmt = given.width, given.height, "yuv420p"
        for picture in read.decode(given):
            picture.pts = None  # the encoder counts for itself
            written.mux(stream.encode(picture))
            count += 1
        written.mux(stream.encode(None))
    return count


def _analysed(video: Path, frames: int, lifter: Lifter, settings: Settings) -> Take:
    with (
        VideoFile(video, max_frames=frames) as source,
        open_pose2d(settings.pose2d, max_people=settings.max_people, threads=_ONE_THREAD) as pose2d,
    ):
        return analyse(
            source,
            pose2d,
            lifter,
            every=1,
            max_people=settings.max_people,
            timings=Timings(),
            stop=Stop(),
            progress=lambda *_: None,
        )


def _lift(take: Take, lifter: Lifter) -> None:
    alone = Lifter(lifter.model, lifter.name, lifter.flip, _ONE_THREAD, refine=lifter.refine, detected=lifter.detected)
    lift_take(take, alone, lambda *_: None)


def _live_lift_s(take: Take, lifter: Lifter) -> float:
    """Seconds of CPU for one live window of one person, the least of some."""
    quick = Lifter(lifter.model, lifter.name, flip=False, refine=False, detected=lifter.detected)
    window = live_window(quick.frames, 0)
    lifting = LiveLifting(quick, window=window)
    people = longest_seen(take)
    least = float("inf")
    for i in range(window + _LIVE_WINDOWS):
        lifting.push(i, (people[i % len(people)],))
        if i >= window:
            begin = time.process_time()
            lifting.lift()
            least = min(least, time.process_time() - begin)
        lifting.poses(i)
    return least


def longest_seen(take: Take) -> list[Person2D]:
    """Whoever was seen in the most frames, in these."""
    track = max(take.tracks.values(), key=lambda track: len(track.people))
    return [track.people[i] for i in sorted(track.people)]


def _paths(placement: Placement) -> Iterator[np.ndarray]:
    return (np.stack(list(some.values())) for some in placement.roots.values() if some)


def _drawn(renderer: Renderer, frames: list[Frame], take: Take, placement: Placement) -> Iterator[Canvas]:
    for frame in frames:
        poses, roots = placement.at(frame.index)
        yield renderer.draw(frame, take.people_at(frame.index), poses, None, roots)


def _encode(pictures: list[Canvas], fps: Fraction, out: Path) -> None:
    height, width = pictures[0].shape[:2]
    with Mp4Sink(out, width, height, fps) as sink:
        for i, picture in enumerate(pictures):
            sink.write(picture, i / fps)


@contextmanager
def _opencv_threads(count: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(count)
    try:
        yield
    finally:
        cv2.setNumThreads(before)
