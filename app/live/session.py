"""The threads of live mode: one captures, one finds people, one lifts them; whoever asks gets the newest result.

    source → [newest] → 2D and identities → [queue] → lifting and placing → [newest] → whoever draws

Every queue is bounded. Where a stage is too slow the newest thing wins and what it replaced is counted; where that
happens again and again, the 2D stage does less, see `governor`. In a film every picture is looked at as it is captured,
and a cut is known a moment later (`CutFinder.ahead`): nobody goes on from there, and nothing is held back for it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import Empty, Full, Queue
from types import TracebackType
from typing import TYPE_CHECKING, Self

from sasmamba.app.io.live_sources import LiveFrame, LiveSource
from sasmamba.app.io.shot_cuts import CutFinder
from sasmamba.app.live.carrying import Carrying
from sasmamba.app.live.governor import LATE_S, Governor, Level, levels_of
from sasmamba.app.live.newest import Newest
from sasmamba.app.motion.body import LiveBodies
from sasmamba.app.motion.online_placing import LivePlacing
from sasmamba.app.pose2d.protocol import Pose2D, Stepping
from sasmamba.app.tracking import Tracker
from sasmamba.app.types import Cut, Person2D, Pose3D
from sasmamba.common.arrays import FloatArray

if TYPE_CHECKING:
    from sasmamba.app.lifting.online import LiveLifting

_log = logging.getLogger(__name__)

#: Between finding and lifting a few frames may wait: a window that takes longer than a frame then serves them all.
_QUEUE = 4
#: Share of a frame's time that windows may take before the remaining people are carried on instead.
_LIFT_SHARE = 0.8
#: Share of a frame's time that a picture may take to be drawn before the next one overtakes it.
_DRAWING_SHARE = 0.5
#: Share of a new measurement in the stage times that are shown.
_SHOWN_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class _Found:
    """A frame and who is in it; `carried` where the 2D stage, at this level, left it out."""

    live: LiveFrame
    people: tuple[Person2D, ...]
    level: Level
    carried: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame and everything known of it: what one live picture is drawn from, at which level of 2D, and whose legs are
    left out."""

    live: LiveFrame
    people: tuple[Person2D, ...]
    poses: tuple[Pose3D, ...]
    roots: dict[int, FloatArray]
    level: Level
    upper: frozenset[int] = frozenset()


class Session:
    """Runs the stages in threads of their own, as a context manager.

    Args:
        source, pose2d, tracker, lifting, placing: the stages; the session does not close them.
        bodies: says whose legs are left out; None: nobody's.
        listen: told of every result, before it is drawn and whether it is or not; it must not block.
        cuts: look for cuts; the frame at which one is known begins a shot.

    Attributes:
        results: the newest frame with its poses; over when the source has ended.
        paused: while set, frames are let go as they come.
        captured, lifted: frames that came, and that went through the chain.
        stage_ms: milliseconds per frame of each stage, averaged over the last frames.
        governor: how much the 2D stage does now.
    """

    def __init__(
        self,
        source: LiveSource,
        pose2d: Pose2D,
        tracker: Tracker,
        lifting: LiveLifting,
        placing: LivePlacing,
        bodies: LiveBodies | None = None,
        listen: Callable[[Shown], None] | None = None,
        cuts: bool = False,
    ) -> None:
        self._source, self._pose2d, self._tracker = source, pose2d, tracker
        self._lifting, self._placing, self._bodies, self._listen = lifting, placing, bodies, listen
        self._captured: Newest[LiveFrame] = Newest()
        self._cut_finder = CutFinder(source.meta.fps) if cuts else None
        self._cuts: deque[Cut] = deque()  # found, and not yet told to the stages
        self._found: Queue[_Found | None] = Queue(_QUEUE)
        self.results: Newest[Shown] = Newest()
        self.paused = threading.Event()
        self.captured = self.lifted = 0
        self.stage_ms: dict[str, float] = {}
        stepping = pose2d if isinstance(pose2d, Stepping) else None
        self.governor = Governor(
            levels_of(stepping.networks if stepping else ()),
            number=stepping.networks.index(stepping.using) if stepping else 0,
            late_s=LATE_S + lifting.lookahead / float(source.meta.fps),
        )
        self._busy_s = 0.0
        self._stop = threading.Event()
        self._discarding = threading.Event()  # nobody takes what is found any more
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._guarded, args=(work, done), name=work.__name__.strip("_"), daemon=True)
            for work, done in (
                (self._capture, self._captured.close),
                (self._find, lambda: self._hand_over(None)),
                (self._lift, self._no_more),
            )
        ]

    @property
    def dropped(self) -> int:
        """Frames that came and never went through the chain."""
        return self._captured.dropped

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def raise_failure(self) -> None:
        """Raises in the caller's thread what ended a stage."""
        if self._error is not None:
            raise self._error

    def note(self, stage: str, seconds: float) -> None:
        """Books the time that a stage took for a frame."""
        ms = 1000 * seconds
        before = self.stage_ms.get(stage, ms)
        self.stage_ms[stage] = before + _SHOWN_SHARE * (ms - before)

    def _guarded(self, work: Callable[[], None], done: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self._error = self._error or error
            if work != self._capture:  # what the source gave before it failed goes through the chain as at any end
                self._stop.set()
        finally:
            done()

    def _capture(self) -> None:
        for live in self._source.frames(self._stop):
            if self._stop.is_set():
                return
            self.captured += 1
            if self._cut_finder is not None:
                known = len(self._cut_finder.cuts)
                self._cut_finder.watch(live.frame)
                self._cuts.extend(self._cut_finder.cuts[known:])
            if not self.paused.is_set():
                self._captured.put(live)

    def _find(self) -> None:
        carrying, seen_in = Carrying(), -1
        while (live := self._captured.get()) is not None and not self._stop.is_set():
            level = self.governor.level
            time_s = float(live.frame.time_s)
            if self._cuts:
                live = replace(live, frame=replace(live.frame, cut=self._cuts.popleft()))
                carrying, seen_in = Carrying(), -1
            if live.frame.index - seen_in < level.every and seen_in >= 0:
                self._hand_over(_Found(live, carrying.at(time_s), level, carried=True))
                continue
            begin = time.perf_counter()
            if isinstance(self._pose2d, Stepping) and level.network not in ("", self._pose2d.using):
                self._pose2d.use(level.network)
            people = self._tracker.update(live.frame, self._pose2d(live.frame))
            seen_in = live.frame.index
            carrying.see(time_s, people)
            seconds = time.perf_counter() - begin
            self._busy_s += seconds
            self.note("2d", seconds)
            self._hand_over(_Found(live, people, level))

    def _hand_over(self, item: _Found | None) -> None:
        while not self._discarding.is_set():
            try:
                self._found.put(item, timeout=0.1)
                return
            except Full:
                continue

    def _no_more(self) -> None:
        self._discarding.set()
        self.results.close()

    def _arrivals(self) -> tuple[list[_Found], bool]:
        """Waits for a frame and takes all that are there; and whether that was the end."""
        came = []
        item = self._found.get()
        while item is not None:
            came.append(item)
            try:
                item = self._found.get_nowait()
            except Empty:
                return came, False
        return came, True

    def _lift(self) -> None:
        waiting: deque[_Found] = deque()
        period = float(1 / self._source.meta.fps)
        newest, over = -1, False
        while not over:
            came, over = self._arrivals()
            begin = time.perf_counter()
            for found in came:
                newest = found.live.frame.index
                if found.live.frame.cut is not None:
                    self._lifting.start_anew()
                if not found.carried:  # to the lifter it is a frame that was dropped
                    self._lifting.push(newest, found.people)
            waiting += came
            if self._stop.is_set():
                continue  # takes what is still on its way, so that the stage before can end
            self._lifting.lift(_LIFT_SHARE * period)
            ready = []
            # at the end nobody will see further: what still waits is answered with what is known
            while waiting and (over or waiting[0].live.frame.index <= newest - self._lifting.lookahead):
                ready.append(self._placed(waiting.popleft()))
            if came:
                self.note("3d", (time.perf_counter() - begin) / len(came))
            for shown in ready:
                self.lifted += 1
                if self._listen is not None:
                    self._listen(shown)
                # frames that are ready together are drawn one after the other, as far as there is time; nothing newer
                # than the last ones will come, so they are not hurried past whoever draws
                self.results.put(shown, wait_s=1.0 if over else _DRAWING_SHARE * period)
                self._govern(shown)

    def _placed(self, found: _Found) -> Shown:
        """Everybody's pose in a frame, where they stand."""
        live = found.live
        lifted = self._lifting.poses(live.frame.index)
        if found.carried:  # they were not seen less than in the frames beside it
            shown = {person.track_id for person in found.people}
            lifted = tuple(replace(pose, observed=pose.track_id in shown) for pose in lifted)
        time_s = float(live.frame.time_s)
        poses, roots = self._placing(time_s, found.people, lifted)
        upper = self._bodies(time_s, found.people) if self._bodies else frozenset[int]()
        return Shown(live, found.people, poses, roots, found.level, upper)

    def _govern(self, shown: Shown) -> None:
        now_s = time.monotonic()
        before = self.governor.level
        if self.governor.note(
            now_s,
            captured=self.captured,
            lost=self.dropped,
            delay_s=now_s - shown.live.captured_s,
            busy_s=self._busy_s,
        ):
            why = "frames were lost or late" if self.governor.level.cost < before.cost else "there is room again"
            _log.info("2D: %s from here on; %s.", self.governor.level, why)
