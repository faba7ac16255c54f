"""The threads of live mode: the newest wins, everything is counted, nothing hangs, errors come out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Self

import numpy as np
import pytest
from helpers_cli import Walker2D

from sasmamba.app.io.live_sources import LiveFrame
from sasmamba.app.lifting.lifter import Lifter
from sasmamba.app.lifting.online import LiveLifting
from sasmamba.app.live import window as live_window
from sasmamba.app.live.governor import Governor
from sasmamba.app.live.newest import Newest
from sasmamba.app.live.run_live import Delays
from sasmamba.app.live.session import Session, Shown
from sasmamba.app.live.window import Window, can_show
from sasmamba.app.motion.online_placing import LivePlacing
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Frame, VideoMeta
from sasmamba.app.weights.lifters import DEFAULT_LIFTER
from sasmamba.common.errors import UserError

META = VideoMeta(320, 240, Fraction(30), None)


class Source:
    """Frames at a rate, some of them, then an error perhaps; cut at a frame to another scene."""

    name = "source"
    meta = META
    edited = True

    def __init__(
        self, frames: int, rate: float = 200.0, error: Exception | None = None, cut: int | None = None
    ) -> None:
        self._frames, self._rate, self._error, self._cut = frames, rate, error, frames if cut is None else cut
        coarse = np.random.default_rng(1).integers(0, 255, (2, 12, 16, 3), np.uint8)
        self._scenes = [np.zeros((240, 320, 3), np.uint8)] * 2
        if cut is not None:
            self._scenes = [np.kron(scene, np.ones((20, 20, 1), np.uint8)) for scene in coarse]

    def frames(self, stop: threading.Event) -> Iterator[LiveFrame]:
        for i in range(self._frames):
            if stop.wait(1 / self._rate):
                return
            picture = self._scenes[i >= self._cut]
            yield LiveFrame(Frame(i, Fraction(i, 30), picture), time.monotonic())
        if self._error:
            raise self._error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


class Slow2D(Walker2D):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    def __call__(self, frame: Frame):  # type: ignore[no-untyped-def]
        time.sleep(self._seconds)
        return super().__call__(frame)


@pytest.fixture(scope="module")
def lifter() -> Lifter:
    return Lifter.load(DEFAULT_LIFTER)


def session(lifter: Lifter, source: Source, pose2d: Walker2D, lookahead: int = 0, *, cuts: bool = False) -> Session:
    lifting = LiveLifting(lifter, lookahead=lookahead, window=27)
    return Session(source, pose2d, Tracker(max_people=2), lifting, LivePlacing(META, 60), cuts=cuts)


def collect(session: Session) -> list[Shown]:
    out = []
    while not session.results.over:
        shown = session.results.get(timeout=0.05)
        if shown is not None:
            out.append(shown)
    return out


@pytest.mark.parametrize("lookahead", [0, 10])
def test_every_frame_is_shown_or_counted(lifter: Lifter, lookahead: int) -> None:
    with session(lifter, Source(60, rate=40), Walker2D(), lookahead) as running:
        shown = collect(running)
    running.raise_failure()
    assert running.captured == 60
    assert running.captured == running.dropped + running.lifted
    assert running.lifted == len(shown) + running.results.dropped
    indices = [s.live.frame.index for s in shown]
    assert indices == sorted(set(indices))
    assert indices[-1] == 59  # the end is shown, look-ahead or not
    assert all(len(s.poses) == 1 and s.poses[0].frame == s.live.frame.index for s in shown)
    assert all(s.roots.keys() == {1} for s in shown)
    assert running.stage_ms.keys() == {"2d", "3d"}


@pytest.mark.parametrize(("cuts", "people"), [(True, [1, 2]), (False, [1])], ids=["film", "camera"])
def test_nobody_goes_on_over_a_cut(lifter: Lifter, cuts: bool, people: list[int]) -> None:
    """And nobody of the last shot is carried on into the next."""
    with session(lifter, Source(60, rate=20, cut=30), Walker2D(), lookahead=3, cuts=cuts) as running:
        shown = collect(running)
    running.raise_failure()
    where = {i: [s.live.frame.index for s in shown if i in s.roots] for i in (1, 2)}
    assert sorted(i for i, frames in where.items() if frames) == people
    assert not set(where[1]) & set(where[2])
    assert max(where[people[0]]) == (59 if len(people) == 1 else pytest.approx(35, abs=10))


@pytest.mark.timing
def test_a_slow_stage_drops_frames_and_keeps_the_delay(lifter: Lifter) -> None:
    with session(lifter, Source(120, rate=100), Slow2D(0.05)) as running:
        shown, delays = [], []
        while not running.results.over:
            some = running.results.get(timeout=0.05)
            if some is not None:
                shown.append(some)
                delays.append(time.monotonic() - some.live.captured_s)
    assert running.dropped > 60  # it came every 10 ms, and 50 are needed
    assert running.captured == running.dropped + running.lifted
    # with an unbounded queue the last frame would come after 120 × 50 ms
    assert np.median(delays) < 1.0
    assert all(s.poses for s in shown)


def test_paused_frames_are_let_go(lifter: Lifter) -> None:
    running = session(lifter, Source(40, rate=80), Walker2D())
    running.paused.set()
    with running:
        assert collect(running) == []
    assert running.captured == 40
    assert running.lifted == 0


@pytest.mark.parametrize("where", ["source", "2d", "3d"])
def test_an_error_in_any_stage_comes_out_and_nothing_hangs(
    where: str, lifter: Lifter, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = UserError("The camera is gone: plug it in.")
    source = Source(5, error=error) if where == "source" else Source(10_000)

    def fail(*_: object) -> None:
        raise error

    pose2d = Walker2D()
    running = session(lifter, source, pose2d)
    if where == "2d":
        monkeypatch.setattr(Walker2D, "__call__", fail)
    if where == "3d":
        monkeypatch.setattr(running._lifting, "push", fail)
    begin = time.monotonic()
    with running:
        shown = collect(running)
    assert time.monotonic() - begin < 60
    with pytest.raises(UserError, match="plug it in"):
        running.raise_failure()
    if where == "source":
        assert shown  # what came before is shown


def test_a_stage_that_fails_before_the_last_thread_runs(lifter: Lifter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of the threads gets to run first is not ours to say."""
    running = session(lifter, Source(5, error=UserError("gone")), Walker2D())
    last = running._threads[-1]
    start = last.start

    def late() -> None:
        for before in running._threads[:-1]:
            before.join(0.5)
        start()

    monkeypatch.setattr(Walker2D, "__call__", lambda *_: (_ for _ in ()).throw(UserError("gone")))
    monkeypatch.setattr(last, "start", late)
    with running:
        running.results.get(timeout=60)
    assert not last.is_alive()


def test_leaving_early_stops_all_threads(lifter: Lifter) -> None:
    before = threading.active_count()
    with session(lifter, Source(100_000), Walker2D()) as running:
        assert running.results.get(timeout=60) is not None
    assert threading.active_count() <= before


def test_newest_wins_and_drops_are_counted() -> None:
    box: Newest[int] = Newest()
    for i in range(5):
        box.put(i)
    assert (box.get(), box.dropped) == (4, 4)
    assert box.get(timeout=0.01) is None
    box.put(7)
    box.close()
    assert not box.over
    assert box.get() == 7
    assert box.over
    assert box.get() is None


def test_room_for_several_keeps_their_order() -> None:
    box: Newest[int] = Newest(room=3)
    for i in range(5):
        box.put(i)
    box.close()
    assert ([box.get() for _ in range(4)], box.dropped) == ([2, 3, 4, None], 2)


def test_percentiles_of_delays() -> None:
    delays = Delays()
    assert np.isnan(delays.percentile(0.5))
    for ms in range(1, 101):
        delays.add(ms / 1000)
    assert delays.percentile(0.5) == pytest.approx(np.percentile(range(1, 101), 50), abs=1)
    assert delays.percentile(0.95) == pytest.approx(np.percentile(range(1, 101), 95), abs=1)
    delays.add(1e9)
    assert delays.percentile(1.0) == 20_000


def test_no_display_is_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_window.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    can_show.cache_clear()
    try:
        with pytest.raises(UserError, match=r"No window can be opened: there is no display. Use --serve"):
            Window()
        # a display that is named but not there: Qt would end this very process
        monkeypatch.setenv("DISPLAY", ":87")
        can_show.cache_clear()
        assert can_show() == (False, "the display cannot be used")
    finally:
        can_show.cache_clear()


class Steps2D(Slow2D):
    """Two networks; the first takes too long for a camera."""

    networks = ("dear", "cheap")

    def __init__(self, seconds: dict[str, float]) -> None:
        super().__init__(0)
        self._all, self.using, self.used = seconds, "dear", list[str]()
        self.frames: list[int] = []

    def use(self, name: str) -> None:
        self.using = name

    def __call__(self, frame: Frame):  # type: ignore[no-untyped-def]
        self._seconds = self._all[self.using]
        self.used.append(self.using)
        self.frames.append(frame.index)
        return super().__call__(frame)


@pytest.mark.timing
def test_a_stage_that_cannot_keep_up_steps_down_and_frames_between_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.1 s a frame is too much for 30 a second, so is 0.04; every second frame leaves 0.067 for it. Whole seconds are
    what is looked at, and one takes half as long here."""
    note = Governor.note

    def sooner(self: Governor, now_s: float, *, busy_s: float, **counts: float) -> bool:
        return note(self, 2 * now_s, busy_s=2 * busy_s, **counts)  # type: ignore[arg-type]

    lifter = Lifter.load(DEFAULT_LIFTER, flip=False, refine=False)
    pose2d = Steps2D({"dear": 0.1, "cheap": 0.04})
    with monkeypatch.context() as patch:
        patch.setattr(Governor, "note", sooner)
        with session(lifter, Source(30 * 7, rate=30), pose2d) as running:
            shown = collect(running)
    running.raise_failure()
    assert running.governor.number == 2
    assert [*dict.fromkeys(pose2d.used)] == ["dear", "cheap"]
    last = [s for s in shown if s.live.frame.index >= 30 * 6]
    analysed = sum(index >= 30 * 6 for index in pose2d.frames)
    assert 15 >= analysed > 0
    assert len(last) > 1.3 * analysed
    assert all(len(s.people) == len(s.poses) == 1 and s.poses[0].observed for s in last)
    assert sum(running.governor.spent_s) == pytest.approx(13, abs=4)
