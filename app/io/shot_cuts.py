"""Finds where a film is cut while its frames are read: hard cuts, jump cuts, fades, and holes in the timestamps.

A cut changes the picture at once, in places that are calm right before and right after; a flash changes it twice, and a
pan or somebody close to the lens in frame after frame. So a change counts where it exceeds everything that happens at
the same place within a moment, and is a cut where that excess stands out from what is usual in this film. In a fade,
every picture is a mixture of those before and after it.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from sasmamba.app.io.picture_change import SmallPicture
from sasmamba.app.types import Cut, CutKind, Frame
from sasmamba.common.arrays import FloatArray

#: A change is compared with what happens at its place so many seconds before and after, at least and at most so many
#: frames; a cut is known so much later.
MOMENT_S, FEWEST_FRAMES, MOST_FRAMES = 0.17, 3, 6
#: A cut's excess is so many times the usual: the mean of the two largest of so many seconds.
TIMES_USUAL, USUAL_S = 2.5, 1.0
#: The least excess of a cut, as a share of a picture full of contrast. Frames farther apart than this differ by more
#: without a cut: in proportion, up to so many times.
LEAST_EXCESS, APART_S, MOST_APART = 0.0042, 0.04, 6.0
#: Excess that is always there, by noise and coding; a mean change below the second is the same picture once more.
ALWAYS, SAME = 2e-4, 1e-4
#: Where so much of more than one frame around is new, everything is in motion.
ALL_NEW = 0.3
#: After so many usual frames of the same picture a film that stalls goes on by a leap: there a cut must leave so little
#: of what was seen.
STILL_FRAMES, STILL_NEW = 2.5, 0.4
#: Timestamps farther apart than this, and than so many usual frames, are a hole in which anything may have happened.
GAP_S, GAP_FRAMES = 3.0, 8
#: Mixtures are looked for in windows of so many seconds; the short one finds the soft cuts of editors.
MIXED_S = (0.13, 0.4)
#: What a mixture leaves unexplained at most, where three unrelated pictures come to 3; how far it is on its way; and by
#: how many grey levels (root mean square) the ends of the window differ at least.
MIXED_ERROR, MIXED_SHARE, MIXED_LEVELS = 0.35, (0.15, 0.85), 8.0
#: So much of the detail after a dissolve was not there before it.
NEW_SHARE = 0.55


def with_cuts(frames: Iterable[Frame], finder: CutFinder) -> Iterator[Frame]:
    """Passes frames on, `finder.ahead` of them behind; a new shot's first frame has its `Frame.cut`."""
    waiting: deque[Frame] = deque()
    for frame in frames:
        finder.watch(frame)
        waiting.append(frame)
        if len(waiting) > finder.ahead:
            yield finder.marked(waiting.popleft())
    finder.finish()
    for frame in waiting:
        yield finder.marked(frame)


@dataclass(slots=True)
class _Seen:
    """A frame as far as it is remembered.

    Attributes:
        change: (h, w) what of it the picture before does not explain.
        new: the share of its detail that is so.
        apart_s: time since the picture was another.
        passed_over: pictures in which nothing was to be seen lie between it and the one it is compared with.
        excess: of its change over what happens around it, once it is decided on.
    """

    index: int
    time_s: Fraction
    picture: SmallPicture
    change: FloatArray
    new: float
    apart_s: float
    passed_over: bool
    excess: float = 0.0


class CutFinder:
    """Is told of every frame as it is read, and knows `ahead` frames later whether a shot begins with it.

    Args:
        fps: the film's average rate.

    Attributes:
        ahead: frames that it wants to see beyond one.
        cuts: those found so far, in order of time. A fade is found when it is over.
    """

    def __init__(self, fps: Fraction) -> None:
        self.ahead = min(max(math.ceil(MOMENT_S * fps), FEWEST_FRAMES), MOST_FRAMES)
        self.cuts: list[Cut] = []
        self._period_s = float(1 / fps)
        self._fps = float(fps)
        self._frames = 0
        self._begin()

    def _begin(self) -> None:
        """Forgets all frames: nothing before tells anything of what comes."""
        self._seen: deque[_Seen] = deque(maxlen=2 * self.ahead + 1)
        self._undecided = 0  # of those seen, the last so many
        self._usual: deque[tuple[float, float]] = deque()  # seconds and excess of frames without a cut
        self._fades = [_FadeFinder(max(2, round(s * self._fps)), self.ahead) for s in MIXED_S]
        self._shown: SmallPicture | None = None  # the last picture in which there was something to see
        self._passed_over = False
        self._changed_s: Fraction | None = None

    def watch(self, frame: Frame) -> None:
        """Takes the next frame."""
        last = self._seen[-1] if self._seen else None
        if last and float(frame.time_s - last.time_s) > max(GAP_S, GAP_FRAMES * self._period_s):
            self.finish()
            self._begin()
            self.cuts.append(Cut(frame.index, frame.time_s, "gap"))
        picture = SmallPicture(frame.bgr)
        change, new = picture.unchanged(), 0.0
        if self._shown is not None and not picture.plain:
            change, new = picture.change_from(self._shown)
        apart_s = 0.0 if self._changed_s is None else float(frame.time_s - self._changed_s)
        if self._changed_s is None or float(change.mean()) > SAME:
            self._changed_s = frame.time_s
        seen = _Seen(frame.index, frame.time_s, picture, change, new, apart_s, self._passed_over and not picture.plain)
        self._passed_over = picture.plain and self._shown is not None
        if not picture.plain:
            self._shown = picture
        self._seen.append(seen)
        self._undecided += 1
        if self._undecided > self.ahead:
            self._decide()
        for finder in self._fades:
            self._add(finder.watch(seen, self.cuts))

    def finish(self) -> None:
        """Decides on the last frames: there are no more."""
        while self._undecided:
            self._decide()
        for finder in self._fades:
            self._add(finder.finish(self.cuts))

    def marked(self, frame: Frame) -> Frame:
        """The frame, with the cut that it begins a shot by."""
        cut = next((c for c in reversed(self.cuts) if c.frame == frame.index), None)
        return frame if cut is None else replace(frame, cut=cut)

    def _add(self, cut: Cut | None) -> None:
        if cut is not None:
            insort(self.cuts, cut, key=lambda c: c.frame)

    def _decide(self) -> None:
        """Decides on the first frame that is undecided."""
        seen, at = list(self._seen), len(self._seen) - self._undecided
        self._undecided -= 1
        here = seen[at]
        here.excess = _excess(seen, at, self.ahead)
        now_s = float(here.time_s)
        while self._usual and now_s - self._usual[0][0] > USUAL_S:
            self._usual.popleft()
        if self._may_be_cut(here, seen[max(0, at - self.ahead) : at], seen[at + 1 :]):
            # what comes after is not decided yet: its excess is over what is known
            later = [_excess(seen, i, self.ahead) for i in range(at + 1, len(seen))]
            usual = float(np.mean(sorted([0.0, 0.0, *later, *(e for _, e in self._usual)])[-2:]))
            if here.excess >= TIMES_USUAL * (usual + ALWAYS):
                kind: CutKind = "fade" if here.passed_over else "cut"
                self._add(Cut(here.index, here.time_s, kind))
                return
        self._usual.append((now_s, here.excess))

    def _may_be_cut(self, here: _Seen, before: Sequence[_Seen], after: Sequence[_Seen]) -> bool:
        """Whether a frame has what a cut needs, whatever is usual."""
        if sum(s.new > max(0.5 * here.new, ALL_NEW) for s in (*before, *after)) > 1:
            return False  # a whip pan
        if len(after) < FEWEST_FRAMES or any(here.index - cut.frame <= self.ahead for cut in self.cuts[-1:]):
            return False  # that would be no shot
        if here.apart_s > STILL_FRAMES * self._period_s and here.new < STILL_NEW:
            return False
        return here.excess >= LEAST_EXCESS * min(max(here.apart_s / APART_S, 1.0), MOST_APART)


def _excess(seen: Sequence[_Seen], at: int, reach: int) -> float:
    """Mean of what a frame's change has in excess of all changes at the same place within `reach` frames."""
    around = [s.change for s in seen[max(0, at - reach) : at + reach + 1] if s is not seen[at]]
    most = np.maximum.reduce(around) if around else np.float32(0)
    return float(np.maximum(seen[at].change - most, 0).mean())


@dataclass(slots=True)
class _Fade:
    """Frames that are mixtures, from the last before to the first after."""

    before: SmallPicture
    after: SmallPicture
    seen: list[tuple[int, Fraction, FloatArray, bool]]  # frame, time, thumb, and whether it is plain
    last: int

    @property
    def first(self) -> int:
        return self.seen[0][0]


class _FadeFinder:
    """Finds runs of frames that are mixtures of the first and the last of a window.

    Args:
        window: in frames, 2 or more.
        ahead: frames by which cuts are known later.
    """

    def __init__(self, window: int, ahead: int) -> None:
        self._window = window
        self._patience = max(window, ahead) + 1
        self._ahead = ahead
        self._recent: deque[_Seen] = deque(maxlen=window + 1)
        self._fade: _Fade | None = None

    def watch(self, seen: _Seen, cuts: Sequence[Cut]) -> Cut | None:
        """Takes the next frame; returns a fade that is over."""
        self._recent.append(seen)
        if self._fade is not None:
            self._fade.seen.append((seen.index, seen.time_s, seen.picture.thumb, seen.picture.plain))
        if self._is_mixed():
            if self._fade is None:
                begin = [(s.index, s.time_s, s.picture.thumb, s.picture.plain) for s in self._recent]
                self._fade = _Fade(self._recent[0].picture, seen.picture, begin, seen.index)
            self._fade.after, self._fade.last = seen.picture, seen.index
        elif self._fade is not None and not seen.picture.plain and seen.index - self._fade.last > self._patience:
            return self.finish(cuts)
        return None

    def finish(self, cuts: Sequence[Cut]) -> Cut | None:
        """Decides on the fade under way, if there is one."""
        fade, self._fade = self._fade, None
        if fade is None or fade.before.plain or fade.after.plain:
            return None
        if any(fade.first - self._ahead < cut.frame <= fade.last + self._ahead for cut in cuts):
            return None
        inside = [s for s in fade.seen if s[0] <= fade.last]
        plain = [s for s in inside if s[3]]
        if plain:
            index, time_s, *_ = plain[len(plain) // 2]
            return Cut(index, time_s, "fade")
        start, end = inside[0][2], inside[-1][2]
        errors = [_mixture(start, thumb, end)[1] for _, _, thumb, _ in inside[1:-1]]
        if np.mean(errors) > MIXED_ERROR or fade.after.change_from(fade.before)[1] < NEW_SHARE:
            return None
        index, time_s, *_ = next(s for s in inside if _off(s[2], end) <= _off(s[2], start))
        return Cut(index, time_s, "fade")

    def _is_mixed(self) -> bool:
        """Whether the middle of the window is a mixture of its ends."""
        if len(self._recent) <= self._window:
            return False
        first, middle, last = (self._recent[i].picture.thumb for i in (0, self._window // 2, -1))
        if _off(first, last) < MIXED_LEVELS**2:
            return False
        share, error = _mixture(first, middle, last)
        return error < MIXED_ERROR and MIXED_SHARE[0] < share < MIXED_SHARE[1]


def _mixture(first: FloatArray, middle: FloatArray, last: FloatArray) -> tuple[float, float]:
    """How much of the last picture is mixed into the middle one, and what that leaves unexplained."""
    way = last - first
    length = float((way * way).mean()) + 1e-6
    share = float((way * (middle - first)).mean()) / length
    return share, 4 * _off(middle, first + share * way) / length


def _off(a: FloatArray, b: FloatArray) -> float:
    return float(((a - b) ** 2).mean())
