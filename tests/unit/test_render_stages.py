"""Decoding, drawing and encoding beside each other give what they give in turns: the same pictures, errors and ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from helpers_cli import left_in
from helpers_video import write_video

from sasmamba.app import pipeline
from sasmamba.app.config import Job, Settings
from sasmamba.app.io.mp4 import Mp4Sink
from sasmamba.app.io.video_file import VideoFile
from sasmamba.app.motion.placing import place
from sasmamba.app.render.renderer import Renderer
from sasmamba.app.take import Take
from sasmamba.app.types import Person2D, Pose3D
from sasmamba.common.errors import UserError
from sasmamba.common.interrupts import Stop
from sasmamba.common.timings import Timings

FRAMES = 24


class Kept:
    """A sink that keeps a copy of every picture, and takes its time to see whether one changes meanwhile."""

    def __init__(self, slow: float) -> None:
        self.problems: list[str] = []
        self.pictures: list[np.ndarray] = []
        self.times: list[Fraction] = []
        self._slow = slow

    def write(self, bgr: np.ndarray, time_s: Fraction) -> None:
        self.pictures.append(bgr.copy())
        self.times.append(time_s)
        time.sleep(self._slow)
        np.testing.assert_array_equal(bgr, self.pictures[-1])


def somebody_walking(video: VideoFile) -> Take:
    """A take of somebody who crosses the picture and waves."""
    rng = np.random.default_rng(1)
    body = rng.normal(0, 0.3, (17, 3)).astype(np.float32)
    take = Take(video.meta, "a lifter", 1)
    for i in range(FRAMES):
        take.times_s.append(i / video.meta.fps)
        joints = (body[:, :2] * 40 + (60 + 6 * i, 120)).astype(np.float32)
        box = np.array([*joints.min(0), *joints.max(0)], np.float32)
        take.add_people(i, (Person2D(1, box, joints, np.full(17, 0.9, np.float32)),))
        take.add_poses([Pose3D(i, 1, body + np.float32(0.01 * i), True)])
    return take


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", FRAMES, size=(320, 240))


def render(clip: Path, threads: int, stop: Stop | None = None, stop_at: int | None = None) -> int:
    stop = stop or Stop()

    def progress(stage: str, done: int, total: int | None) -> None:
        stop.asked = stop.asked or done == stop_at

    with VideoFile(clip) as video:
        take = somebody_walking(video)
        return pipeline.render(
            video,
            take,
            place(take, 60.0),
            Job(clip, clip.with_name("render.mp4")),
            Settings(height=240),
            timings=Timings(),
            stop=stop,
            progress=progress,
            problems=[],
            threads=threads,
        )


def workers() -> int:
    return sum(t.name == "prefetch" for t in threading.enumerate())


@pytest.mark.parametrize("slow", [0.0, 0.01], ids=["quick sink", "slow sink"])
def test_pictures_are_the_same_with_and_without_threads(
    clip: Path, slow: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    sinks = {threads: Kept(slow) for threads in (1, 2)}
    for threads, sink in sinks.items():

        @contextmanager
        def kept(*_: object, sink: Kept = sink) -> Iterator[Kept]:
            yield sink

        monkeypatch.setattr(pipeline, "open_render", kept)
        assert render(clip, threads) == FRAMES
    assert sinks[1].times == sinks[2].times == [Fraction(i, 25) for i in range(FRAMES)]
    np.testing.assert_array_equal(sinks[1].pictures, sinks[2].pictures)
    assert len({picture.tobytes() for picture in sinks[1].pictures}) == FRAMES
    assert workers() == 0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("where", "name"),
    [(VideoFile, "__iter__"), (Renderer, "draw"), (Mp4Sink, "write")],
    ids=["decoding", "drawing", "encoding"],
)
def test_an_error_anywhere_ends_the_run_with_it(
    clip: Path, where: type, name: str, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = getattr(where, name), []

    def failing(self: object, *arguments: object) -> object:
        calls.append(name)
        if name == "__iter__":
            return broken_after(real(self), 9)
        if len(calls) == 9:
            raise UserError("broken here")
        return real(self, *arguments)

    def broken_after(frames: Iterator, count: int) -> Iterator:
        for _ in range(count):
            yield next(frames)
        raise UserError("broken here")

    monkeypatch.setattr(where, name, failing)
    with pytest.raises(UserError, match=r"^broken here$"):
        render(clip, threads)
    assert left_in(clip.parent) == ["clip.mp4"]
    assert workers() == 0


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("asked_before", "written"), [(False, 7), (True, FRAMES)], ids=["now", "in the analysis"])
def test_stopping_leaves_what_was_written(clip: Path, threads: int, asked_before: bool, written: int) -> None:
    stop = Stop()
    stop.asked = asked_before
    assert render(clip, threads, stop, stop_at=7) == written
    assert [f.time_s for f in VideoFile(clip.with_name("render.mp4"))] == [Fraction(i, 25) for i in range(written)]
    assert workers() == 0


def test_threads_work_beside_each_other(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next picture is drawn while one is encoded: each waits for the other to have begun."""
    drawn = threading.Semaphore(0)
    real = Renderer.draw

    def draw(*arguments: object) -> object:
        drawn.release()
        return real(*arguments)  # type: ignore[arg-type]

    class Sink(Kept):
        def write(self, bgr: np.ndarray, time_s: Fraction) -> None:
            last = len(self.times) == FRAMES - 1
            assert drawn.acquire(timeout=120)  # this one
            if not last:
                assert drawn.acquire(timeout=120), "no picture was drawn while this one was encoded"
                drawn.release()
            super().write(bgr, time_s)

    @contextmanager
    def sink(*_: object) -> Iterator[Sink]:
        yield Sink(0)

    monkeypatch.setattr(Renderer, "draw", draw)
    monkeypatch.setattr(pipeline, "open_render", sink)
    assert render(clip, 2) == FRAMES
